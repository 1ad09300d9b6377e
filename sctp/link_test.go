package sctp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The virtual network of the tests: two associations, two links, one clock, one goroutine.

// seeded is a deterministic Config.Rand.
type seeded struct{ r *rand.Rand }

func (s seeded) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

// link is one direction of a path.
type link struct {
	rate      int           // bytes a second; zero: infinitely fast
	delay     time.Duration // propagation
	queue     int           // bytes that may wait; zero: no limit
	overhead  int           // bytes a packet beyond the SCTP packet
	loss      float64
	duplicate float64
	jitter    time.Duration // some packets are late by up to this
	down      func(now time.Time) bool
	mtu       int                   // larger packets vanish; zero: none do
	drop      func(pkt []byte) bool // scripted loss

	busy    time.Time
	flying  []flight // from head on, by time of arrival
	head    int
	spare   [][]byte
	dropped int
	delays  []time.Duration // queueing delay of each packet, when record
	record  bool
	bytes   int
}

type flight struct {
	at  time.Time
	pkt []byte
}

// fly puts a copy of a packet on its way, behind those that arrive at the same time.
func (l *link) fly(at time.Time, pkt []byte) {
	if l.head == len(l.flying) {
		l.flying, l.head = l.flying[:0], 0
	} else if l.head > 4096 {
		l.flying, l.head = l.flying[:copy(l.flying, l.flying[l.head:])], 0
	}
	var buf []byte
	if n := len(l.spare); n > 0 {
		buf, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	l.flying = append(l.flying, flight{at, append(buf[:0], pkt...)})
	for i := len(l.flying) - 1; i > l.head && l.flying[i].at.Before(l.flying[i-1].at); i-- {
		l.flying[i], l.flying[i-1] = l.flying[i-1], l.flying[i]
	}
}

// next is when the next packet arrives; false: none is on its way.
func (l *link) next() (time.Time, bool) {
	if l.head == len(l.flying) {
		return time.Time{}, false
	}
	return l.flying[l.head].at, true
}

// arrived takes the next packet that is there by now. It is the link's again at the following call.
func (l *link) arrived(now time.Time) ([]byte, bool) {
	if at, ok := l.next(); !ok || at.After(now) {
		return nil, false
	}
	pkt := l.flying[l.head].pkt
	l.head++
	l.spare = append(l.spare, pkt)
	return pkt, true
}

func (l *link) send(now time.Time, rng *rand.Rand, pkt []byte) {
	if l.loss > 0 && rng.Float64() < l.loss || l.down != nil && l.down(now) || l.drop != nil && l.drop(pkt) || l.mtu > 0 && len(pkt) > l.mtu {
		l.dropped++
		return
	}
	at := now
	if l.rate > 0 {
		if l.busy.Before(now) {
			l.busy = now
		}
		wait := l.busy.Sub(now)
		if l.queue > 0 && int(wait.Seconds()*float64(l.rate))+len(pkt) > l.queue {
			l.dropped++
			return
		}
		if l.record {
			l.delays = append(l.delays, wait)
		}
		l.busy = l.busy.Add(time.Duration(float64(len(pkt)+l.overhead) / float64(l.rate) * 1e9))
		at = l.busy
	}
	at = at.Add(l.delay)
	if l.jitter > 0 && rng.Float64() < 0.2 {
		at = at.Add(time.Duration(rng.Int64N(int64(l.jitter))))
	}
	l.bytes += len(pkt)
	copies := 1
	if l.duplicate > 0 && rng.Float64() < l.duplicate {
		copies = 2
	}
	for range copies {
		l.fly(at, pkt)
	}
}

// endpoint is one association with its application.
type endpoint struct {
	*Association
	out    *link
	events []Event
	got    []Message
	// run is called whenever the endpoint was touched.
	run func(now time.Time)
	// keep: messages are not credited at once.
	hold   bool
	maxPkt int
}

type world struct {
	t    testing.TB
	now  time.Time
	rng  *rand.Rand
	a, b *endpoint
	buf  []byte
	// granularity rounds timers up, as real ones do.
	granularity time.Duration
}

func newWorld(t testing.TB, seed uint64, ca, cb Config) *world {
	t.Helper()
	rng := newRand(seed)
	ca.Rand, cb.Rand = seeded{newRand(seed + 1)}, seeded{newRand(seed + 2)}
	w := &world{t: t, now: time.Unix(1e9, 0), rng: rng, buf: make([]byte, 65536)}
	mk := func(c Config) *endpoint {
		as, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return &endpoint{Association: as, out: &link{delay: 5 * time.Millisecond}, maxPkt: as.path.MaxMTU}
	}
	w.a, w.b = mk(ca), mk(cb)
	return w
}

func (w *world) ends() [2]*endpoint { return [2]*endpoint{w.a, w.b} }

// pump takes everything out of an endpoint.
func (w *world) pump(e *endpoint) {
	for range 100000 {
		if e.run != nil {
			e.run(w.now)
		}
		moved := false
		for {
			ev, ok := e.Event()
			if !ok {
				break
			}
			moved = true
			e.events = append(e.events, ev)
		}
		for !e.hold {
			m, ok := e.Receive(func(n int) []byte { return make([]byte, n) })
			if !ok {
				break
			}
			moved = true
			e.got = append(e.got, m)
			e.Credit(w.now, m.Charge)
		}
		for {
			pkt, ok := e.Next(w.buf[:0], e.maxPkt)
			if !ok {
				break
			}
			moved = true
			if len(pkt) > e.maxPkt {
				w.t.Fatalf("packet of %d bytes, max %d", len(pkt), e.maxPkt)
			}
			e.out.send(w.now, w.rng, pkt)
		}
		if !moved {
			return
		}
	}
	w.t.Fatal("endpoint never runs dry")
}

// step moves to the next thing that happens, not beyond until; false: nothing is left before it.
func (w *world) step(until time.Time) bool {
	for _, e := range w.ends() {
		w.pump(e)
	}
	next := until
	for _, e := range w.ends() {
		if at, ok := e.out.next(); ok && at.Before(next) {
			next = at
		}
		if d := w.deadline(e); !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	if !next.Before(until) {
		w.now = until
		return false
	}
	if next.After(w.now) {
		w.now = next
	}
	for i, e := range w.ends() {
		to := w.ends()[1-i]
		batch := false
		for pkt, ok := e.out.arrived(w.now); ok; pkt, ok = e.out.arrived(w.now) {
			_ = to.HandlePacket(w.now, pkt)
			batch = true
		}
		if batch {
			to.EndBatch(w.now)
			w.pump(to)
		}
	}
	for _, e := range w.ends() {
		if d := w.deadline(e); !d.IsZero() && !d.After(w.now) {
			e.Advance(w.now)
			if d := e.Deadline(); !d.IsZero() && !d.After(w.now) {
				w.t.Fatalf("deadline %v is not after now %v", d, w.now)
			}
		}
	}
	return true
}

func (w *world) deadline(e *endpoint) time.Time {
	d := e.Deadline()
	if w.granularity > 0 && !d.IsZero() {
		d = d.Add(w.granularity)
	}
	return d
}

func (w *world) runFor(d time.Duration) {
	until := w.now.Add(d)
	for w.step(until) {
	}
}

// runUntil runs until cond holds, at most d.
func (w *world) runUntil(d time.Duration, what string, cond func() bool) {
	w.t.Helper()
	until := w.now.Add(d)
	for !cond() {
		if !w.step(until) && !cond() {
			w.t.Fatalf("%s: not after %v\na: %s %+v\nb: %s %+v", what, d, w.a.phase, w.a.Stats(), w.b.phase, w.b.Stats())
		}
	}
}

func (w *world) connect() {
	w.t.Helper()
	w.a.Connect(w.now)
	w.b.Connect(w.now)
	w.runUntil(120*time.Second, "connect", func() bool {
		return w.a.State() == StateConnected && w.b.State() == StateConnected
	})
}

// payload makes a message of n bytes that says which it is.
func payload(n int, id uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i)*31 + id*7)
	}
	if n >= 4 {
		binary.BigEndian.PutUint32(b, id)
	}
	return b
}

func checkPayload(m Message, n int, id uint32) error {
	if !bytes.Equal(m.Data, payload(n, id)) {
		return fmt.Errorf("message %d: %d bytes, want %d, or wrong content", id, len(m.Data), n)
	}
	return nil
}

func (e *endpoint) mustSend(t testing.TB, now time.Time, stream uint16, data []byte, o SendOptions) {
	t.Helper()
	if err := e.Send(now, stream, 51, data, o); err != nil {
		t.Fatal(err)
	}
}
