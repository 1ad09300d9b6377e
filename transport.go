package webrtc

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/sctp/dcep"
)

const (
	// coalesce is how recent the last flush must be for an API call to leave its packets to the next one. A single call
	// is sent at once; a loop of calls fills bursts.
	coalesce = 200 * time.Microsecond
	// coalesceLimit bounds how long a packet waits for company.
	coalesceLimit = time.Millisecond
	// retryLimit bounds how long what a full socket has not taken waits. A peer that reads a stream slowly must not cost a
	// look at it each millisecond.
	retryLimit = 20 * time.Millisecond
	// distant deadlines (consent checks, heartbeats) may be a little late: they are rounded up to a grid that all
	// connections share, so that an idle process wakes up for many of them at once.
	distant   = time.Second
	timerGrid = 100 * time.Millisecond
	// coalesceBytes is what is enqueued when a burst is worth sending at once.
	coalesceBytes = 48 << 10
)

// A transport drives a composite with sockets and a timer. The engines run in the goroutine that brings the work, under
// mu: a socket's reader with a batch of packets, the timer, an API call. Nothing waits under mu.
type transport struct {
	// Immutable after newTransport.
	network  netio.Network
	settings *Settings
	life     *lifetime
	events   transportEvents
	logger   *slog.Logger
	cancel   context.CancelFunc
	ctx      context.Context

	mu       sync.Mutex
	engine   *composite
	sockets  map[ice.BaseID]netio.PacketConn
	dials    map[ice.BaseID]context.CancelFunc // connections to peers on their way
	stuck    []ice.BaseID                      // in a flush: those that take no more
	retry    time.Duration                     // when what they have not taken is offered again
	retried  time.Time                         // since when
	muxed    *muxed                            // nil without Settings.UDPMux
	tcpMuxed *tcpMuxed                         // nil without Settings.TCPMux
	unwatch  func()                            // ends the watching of interfaces; nil: not begun
	closed   bool
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero: not armed
	flushed  time.Time // the last flush
	enqueued int       // bytes that API calls have left for the next flush
	since    time.Time // when the first of them was left
	waiting  bool      // the timer is armed for them
	answered bool      // nothing came in since the last flush of an API call
	waiters  []waiter
}

// transportEvents is where a transport posts what its user must learn. It is called under transport.mu.
type transportEvents interface {
	onICEState(ice.State)
	onGatheringState(ice.GatheringState)
	onCandidate(ice.Candidate)
	onCandidateError(ice.EventCandidateError)
	onSelectedPair(ice.EventSelectedPair)
	onICERole(ice.Role)
	onDTLSState(dtls.State, error)
	onChannel(dcep.Event)
	onChannelRefused(*DataChannel, error)
	onTrackFlows(*TrackRemote)
	// onTick says that the timer has fired: once in some seconds at least, while there is a route.
	onTick(now time.Time)
}

// newTransport makes a transport and its engine; nothing runs before gather.
func newTransport(cfg compositeConfig, settings *Settings, life *lifetime, events transportEvents) (*transport, error) {
	t := &transport{
		network: settings.network, settings: settings, life: life, events: events, logger: settings.Logger,
		sockets: make(map[ice.BaseID]netio.PacketConn), retry: coalesceLimit,
	}
	engine, err := newComposite(cfg, t)
	if err != nil {
		return nil, err
	}
	t.engine = engine
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// enter locks the transport for an entry: now is the one clock reading of it. It reports false when the transport is
// closed, and holds nothing then.
func (t *transport) enter() (now time.Time, ok bool) {
	if !t.lock() {
		return time.Time{}, false
	}
	return time.Now(), true
}

// lock is enter for what takes no time: reading or setting something.
func (t *transport) lock() (ok bool) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	return true
}

// exit ends an entry: pump, flush, arm the timer, unlock.
func (t *transport) exit(now time.Time) {
	t.engine.pump(now)
	t.flush(now)
	t.arm(now)
	t.mu.Unlock()
}

// exitLazily ends an API call that has enqueued n bytes: it flushes unless a flush is so recent that more is likely to
// follow. The first call after a packet came in is an answer, and does not wait.
func (t *transport) exitLazily(now time.Time, n int) {
	if !t.answered || now.Sub(t.flushed) > coalesce {
		t.answered = true
		t.exit(now)
		return
	}
	t.exitLater(now, n)
}

// exitLater ends an API call that has enqueued n bytes, more of which are sure to follow: it flushes only when a burst is
// full.
func (t *transport) exitLater(now time.Time, n int) {
	t.enqueued += n
	if t.enqueued >= coalesceBytes {
		t.exit(now)
		return
	}
	if t.since.IsZero() {
		t.since = now
		t.arm(now)
	}
	t.mu.Unlock()
}

// setTrace begins a trace. The callback that asked for it may have closed the connection.
func (t *transport) setTrace(trace *packetTrace) {
	if ok := t.lock(); ok {
		t.engine.trace = trace
		t.mu.Unlock()
	}
}

// flush hands the outbox to the sockets. What they do not take stays there.
func (t *transport) flush(now time.Time) {
	t.flushed, t.enqueued, t.since = now, 0, time.Time{}
	out := &t.engine.out
	t.stuck = t.stuck[:0]
	kept := 0
	for done, n := 0, 0; done < len(out.msgs); done = n {
		base := out.bases[done]
		for n = done + 1; n < len(out.msgs) && out.bases[n] == base; {
			n++
		}
		for i := done + t.writeUnlessStuck(base, out.msgs[done:n]); i < n; i++ {
			out.move(kept, i)
			kept++
		}
	}
	before := out.bytes
	out.shrink(kept)
	switch {
	case out.bytes < before || kept == 0:
		t.retry, t.retried = coalesceLimit, now
	case now.Sub(t.retried) >= t.retry:
		t.retry, t.retried = min(2*t.retry, retryLimit), now
	}
	if len(t.waiters) > 0 {
		t.wake()
	}
}

// writeUnlessStuck is write, but for a base that has not taken all in this flush: what comes behind must wait. It keeps nobody
// else waiting. Where no packets of the application go any more, what is not taken is dropped: a connection by TCP may have
// died with much on its way, and STUN repeats itself.
func (t *transport) writeUnlessStuck(base ice.BaseID, msgs []netio.Message) (taken int) {
	if slices.Contains(t.stuck, base) {
		return 0
	}
	taken = t.write(base, msgs)
	if taken == len(msgs) {
		return taken
	}
	if route, ok := t.engine.ice.Route(); ok && route.Base != base {
		t.engine.out.dropped += uint64(len(msgs) - taken)
		return len(msgs)
	}
	t.stuck = append(t.stuck, base)
	return taken
}

// write gives messages of one base to its socket, and returns how many it took. A burst may be taken in part: the rest
// of it stays in the message. A socket that is gone takes all.
func (t *transport) write(base ice.BaseID, msgs []netio.Message) int {
	conn := t.sockets[base]
	if conn == nil {
		return len(msgs)
	}
	taken, err := conn.WriteBatch(msgs)
	if err != nil && !t.writeFailed(err) {
		return len(msgs)
	}
	return taken
}

// writeFailed reports whether the socket is still of use.
func (t *transport) writeFailed(err error) bool {
	var size *netio.SizeError
	if errors.As(err, &size) {
		t.engine.packetTooLarge(size.Remote, size.Size)
		return true
	}
	if !errors.Is(err, net.ErrClosed) {
		t.logger.Debug("write failed", "error", err)
	}
	return false
}

// arm sets the timer to the earliest deadline. A timer that fires a little early finds nothing to do and is set again, so
// that a deadline that moves back with every packet costs nothing.
func (t *transport) arm(now time.Time) {
	d := t.engine.deadline()
	if !t.since.IsZero() {
		d = earliest(d, t.since.Add(coalesceLimit))
	}
	if len(t.engine.out.msgs) > 0 {
		d = earliest(d, now.Add(t.retry)) // a full socket: try again
	}
	// A timer that waited for company and is not needed any more would fire for nothing, once a burst.
	stale := t.waiting && t.since.IsZero()
	t.waiting = !t.since.IsZero()
	if d.IsZero() {
		return
	}
	if d.Sub(now) > distant {
		d = d.Truncate(timerGrid).Add(timerGrid)
	}
	if !stale && !t.armed.IsZero() && !d.Before(t.armed) &&
		(t.armed.Sub(now) < timerGrid || d.Sub(t.armed) < timerGrid) {
		return
	}
	t.armed = d
	wait := max(d.Sub(now), 0)
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.tick)
		return
	}
	t.timer.Reset(wait)
}

// tick is the timer's entry. It runs in a goroutine of the runtime, which must be gone when Done is closed.
func (t *transport) tick() {
	if !t.life.enter() {
		return
	}
	defer t.life.leave()
	now, ok := t.enter()
	if !ok {
		return
	}
	t.armed = time.Time{}
	t.engine.advance(now)
	t.events.onTick(now)
	t.exit(now)
}

// read is a socket's reader: the only goroutine that a socket has.
func (t *transport) read(base ice.BaseID, conn netio.PacketConn) {
	growStack()
	var batch netio.Batch
	defer batch.Release()
	for conn.ReadBatch(&batch) == nil {
		now, ok := t.enter()
		if !ok {
			return
		}
		t.answered = false
		for i := range batch.Messages {
			m := &batch.Messages[i]
			for j := range m.Count() {
				t.engine.handlePacket(now, base, m.Remote, m.At(j))
			}
		}
		t.engine.endBatch(now)
		t.flush(now)
		t.arm(now)
		t.mu.Unlock()
	}
}

// growStack makes the stack of a goroutine large enough for a handshake in one go, while there is nothing on it that would
// have to be moved each time that it doubles. An idle one shrinks again.
//
//go:noinline
func growStack() {
	var room [6 << 10]byte
	runtime.KeepAlive(&room)
}

// close says goodbye, once, and closes the sockets. It does not wait for the goroutines: lifetime does.
// It returns the data channels, which end with it.
func (t *transport) close() []*DataChannel {
	now, ok := t.enter()
	if !ok {
		return nil
	}
	channels := t.engine.dataChannels()
	t.engine.close(now)
	t.flush(now)
	t.closed = true
	sockets := t.sockets
	t.sockets = nil
	if t.timer != nil {
		t.timer.Stop()
	}
	t.engine.out.taken(len(t.engine.out.msgs))
	t.mu.Unlock()
	t.cancel()
	if t.unwatch != nil {
		t.unwatch()
	}
	for _, conn := range sockets {
		_ = conn.Close()
	}
	return channels
}

// giveCredit returns receive window after a handler has consumed a message. The transport is entered when a good part of
// the window is free again, not for each message.
func (t *transport) giveCredit(link *dataLink, n int) {
	if n <= 0 || link.credit.Add(int64(n)) < creditBatch {
		return
	}
	if now, ok := t.enter(); ok {
		t.engine.giveCredit(now, link)
		t.exit(now)
	}
}

// creditBatch is half of SCTP's first receive window.
const creditBatch = 512 << 10

// await returns a channel that is closed at the end of the first entry in which the condition holds. mu is held. The
// condition is called with mu held.
func (t *transport) await(condition func() bool) <-chan struct{} {
	met := make(chan struct{})
	t.waiters = append(t.waiters, waiter{condition, met})
	return met
}

// abandon takes back a wait.
func (t *transport) abandon(met <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(w waiter) bool { return w.met == met })
}

// wake lets those go on whose condition holds.
func (t *transport) wake() {
	waiting := t.waiters[:0]
	for _, w := range t.waiters {
		if w.condition() {
			close(w.met)
			continue
		}
		waiting = append(waiting, w)
	}
	clear(t.waiters[len(waiting):])
	t.waiters = waiting
}

// waiter is a call that waits for the engine to come to something.
type waiter struct {
	condition func() bool
	met       chan struct{}
}

// iceEvent implements compositeSink: states go to the user, requests to short goroutines.
func (t *transport) iceEvent(e ice.Event) {
	switch e := e.(type) {
	case ice.EventState:
		t.events.onICEState(e.State)
	case ice.EventGatheringState:
		t.muxed.restarted(t.engine.ice.LocalParameters().Ufrag)
		t.tcpMuxed.restarted(t.engine.ice.LocalParameters().Ufrag)
		t.events.onGatheringState(e.State)
	case ice.EventCandidate:
		t.events.onCandidate(e.Candidate)
	case ice.EventCandidateError:
		t.events.onCandidateError(e)
	case ice.EventSelectedPair:
		t.events.onSelectedPair(e)
	case ice.EventRole:
		t.events.onICERole(e.Role)
	default:
		t.outsideWork(e)
	}
}

// dtlsEvent implements compositeSink.
func (t *transport) dtlsEvent(s dtls.State, err error) { t.events.onDTLSState(s, err) }

// channelEvent implements compositeSink.
func (t *transport) channelEvent(e dcep.Event) { t.events.onChannel(e) }

// channelRefused implements compositeSink.
func (t *transport) channelRefused(dc *DataChannel, err error) { t.events.onChannelRefused(dc, err) }

// trackFlows implements compositeSink.
func (t *transport) trackFlows(track *TrackRemote) { t.events.onTrackFlows(track) }

// allocate implements compositeSink: a message is the user's to keep.
func (t *transport) allocate(n int) []byte { return make([]byte, n) }
