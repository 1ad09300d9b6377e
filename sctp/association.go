package sctp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Association is one SCTP association over one path. Not safe for concurrent use; driven by its owner through the engine
// verbs. Make one with New.
type Association struct {
	// Immutable after New.
	cfg       Config
	secret    [32]byte // keys the state cookie
	localTag  uint32
	localTSN  uint32
	localInit []byte
	onLostFn  func(uint32, *sentChunk)

	// Time.
	epoch time.Time
	now   tick
	path  Path

	// The association.
	phase        phase
	events       ring[Event]
	stats        Stats
	peerTag      uint32
	peerFeatures features // what both sides have
	interleaving bool
	sendZero     bool // checksums of zero leave
	takeZero     bool // checksums of zero may come
	maxIn        int  // streams
	maxOut       int
	errors       int // time-outs in a row
	err          error

	// Set-up (handshake.go).
	t1         tick
	t1Tries    int
	t1SentAt   tick
	cookieEcho []byte // the whole chunk
	cookieDue  bool

	// Receiving (receive.go).
	received tsnSet
	inbox    reassembly
	window   receiveWindow
	acks     acks
	gotData  bool // in the packet being handled

	// Sending (transmit.go, ack.go).
	queue       sendQueue
	out         outstanding
	rtt         rttEstimator
	loss        lossDetector
	rate        delivery
	cc          congestion
	sample      ackSample // scratch
	pacer       pacer
	peerWindow  int
	windowProbe bool // something is out that the peer's window had no room for
	resendNow   bool // a recovery began: one packet leaves whatever the window says (section 7.2.4)
	tailProbe   bool // the same for a tail loss probe
	packet      uint64
	t3          tick
	forwardDue  bool
	forwardAt   tick
	forwardList []forwardEntry
	gaps        []tsnRange // of the last SACK
	gapsNext    []tsnRange
	singles     ring[single]
	controls    ring[[]byte]

	// The rest of the state machine.
	resets    resets
	closing   shutdown
	heartbeat heartbeat
	mtu       mtuSearch
	pool      bufferPool
}

// New makes an association that waits for Connect. It fails when Config is out of range or Rand fails.
func New(cfg Config) (*Association, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Association{cfg: cfg, path: cfg.Path, mtu: mtuSearch{base: cfg.Path.MTU}}
	var seed [40]byte
	if _, err := io.ReadFull(cfg.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("sctp: random bytes: %w", err)
	}
	copy(a.secret[:], seed[:32])
	a.localTag = max(binary.BigEndian.Uint32(seed[32:]), 1)
	a.localTSN = binary.BigEndian.Uint32(seed[36:])
	a.onLostFn = a.onLost
	a.takeZero = cfg.EnableZeroChecksum // RFC 9653 section 5.1: from the INIT that says so onwards
	a.pool.limit = max(cfg.SendBuffer, minKept)
	a.queue.pool = &a.pool
	a.inbox = newReassembly(&a.pool, cfg.MaxMessageSize)
	a.window = receiveWindow{size: cfg.ReceiveWindow, limit: cfg.MaxReceiveWindow, advertised: cfg.ReceiveWindow}
	a.rtt = rttEstimator{min: cfg.RTOMin, max: cfg.RTOMax}
	a.cc = newCongestion(cfg.Congestion, a.path.MTU, a.path.RTT, a.localTag)
	a.maxOut, a.maxIn = 65535, 65535
	a.out.start(a.localTSN)
	a.resets.start(a.localTSN)
	a.localInit = a.localChunk().append(nil, typeInit)
	return a, nil
}

// enter takes the caller's clock.
func (a *Association) enter(now time.Time) tick {
	if a.epoch.IsZero() {
		a.epoch = now.Add(-time.Hour)
	}
	a.now = max(a.now, tick(now.Sub(a.epoch)))
	return a.now
}

// setPhase is the only place where the phase changes.
func (a *Association) setPhase(p phase) {
	was := a.phase.public()
	a.phase = p
	if is := p.public(); is != was {
		a.post(Event{Kind: EventState, State: is, Err: a.err})
	}
}

// maxEvents bounds the queue of a caller that does not take its events; resets and low marks are bounded by the streams.
const maxEvents = 1 << 17

func (a *Association) post(e Event) {
	if a.events.len() < maxEvents {
		a.inbox.serial++
		e.serial = a.inbox.serial
		a.events.push(e)
	}
}

// MessageFirst reports whether the next message became receivable before the next event happened (true as well when there is
// no event). A caller that takes both in this order sees them as they came: the messages of a stream before its reset, and
// those of its next life behind it.
func (a *Association) MessageFirst() bool {
	if a.inbox.ready.len() == 0 {
		return false
	}
	return a.events.len() == 0 || a.inbox.ready.at(0).serial < a.events.at(0).serial
}

// Event takes the next event.
func (a *Association) Event() (Event, bool) {
	if a.events.len() == 0 {
		return Event{}, false
	}
	return a.events.pop(), true
}

// State is the state now.
func (a *Association) State() State { return a.phase.public() }

// HandlePacket feeds one SCTP packet. It may be changed or reused by the caller afterwards. The error says why something was
// dropped and is for logs only.
func (a *Association) HandlePacket(now time.Time, pkt []byte) error {
	a.enter(now)
	if a.phase == phaseDone {
		return ErrClosed
	}
	h, chunks, err := parseHeader(pkt)
	if err != nil {
		a.stats.Dropped.ShortPacket++
		return err
	}
	if h.source != a.cfg.RemotePort || h.destination != a.cfg.LocalPort {
		a.stats.Dropped.Ports++
		return errPorts
	}
	first, _, err := nextChunk(chunks)
	if err != nil {
		a.stats.Dropped.ShortPacket++
		return err
	}
	if !a.verifyChecksum(h, pkt, first.typ) {
		a.stats.Dropped.Checksum++
		return errChecksum
	}
	if err := a.verifyTag(h.tag, first, len(chunks)); err != nil {
		a.stats.Dropped.VerificationTag++
		return err
	}
	a.stats.PacketsReceived++
	a.stats.PacketBytesReceived += uint64(len(pkt))
	a.heartbeat.heard(a.now)
	a.gotData = false
	err = a.handleChunks(chunks)
	if a.gotData {
		a.acks.packets++
	}
	return err
}

// verifyChecksum checks the CRC32c; zero passes only as RFC 9653 section 5.3 allows.
func (a *Association) verifyChecksum(h header, pkt []byte, first chunkType) bool {
	if h.checksum == 0 && a.takeZero && first != typeInit && first != typeCookieEcho {
		return true
	}
	return checksumOf(pkt) == h.checksum
}

// verifyTag applies RFC 9260 section 8.5.
func (a *Association) verifyTag(tag uint32, first chunk, n int) error {
	switch first.typ {
	case typeInit:
		if tag != 0 {
			return errVerificationTag
		}
		if pad4(len(first.value)+chunkHeaderSize) < n {
			return errBundling // section 4.3 of RFC 9260: INIT is alone
		}
		return nil
	case typeCookieEcho:
		return nil // checked against the cookie
	case typeAbort, typeShutdownComplete:
		if first.flags&1 != 0 { // T bit: the peer had no state and reflects our tag for it
			if tag != a.peerTag || a.peerTag == 0 {
				return errVerificationTag
			}
			return nil
		}
	}
	if tag != a.localTag {
		return errVerificationTag
	}
	return nil
}

// handleChunks walks the chunks of a packet that passed the checks.
func (a *Association) handleChunks(b []byte) error {
	var firstErr error
	for len(b) > 0 {
		c, rest, err := nextChunk(b)
		if err != nil {
			a.stats.Dropped.ChunkFormat++
			return err
		}
		b = rest
		err = a.handleChunk(c)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		if a.phase == phaseDone {
			return firstErr
		}
		if errors.Is(err, errStop) {
			return errUnexpected
		}
	}
	return firstErr
}

// handleChunk dispatches; what does not parse is counted and dropped.
func (a *Association) handleChunk(c chunk) error {
	switch c.typ {
	case typeData:
		return a.parsedData(parseData, c, false)
	case typeIData:
		return a.parsedData(parseIData, c, true)
	case typeSack:
		s, err := parseSack(c.value)
		if err != nil {
			a.stats.Dropped.ChunkFormat++
			return err
		}
		return a.handleSack(&s)
	case typeForwardTSN, typeIForwardTSN:
		f, err := parseForward(c.value, c.typ == typeIForwardTSN)
		if err != nil {
			a.stats.Dropped.ChunkFormat++
			return err
		}
		return a.handleForward(f)
	case typeHeartbeat:
		return a.handleHeartbeat(c)
	case typeHeartbeatAck:
		return a.handleHeartbeatAck(c)
	case typeReconfig:
		return a.handleReconfig(c)
	case typeInit, typeInitAck, typeCookieEcho, typeCookieAck:
		return a.handleSetup(c)
	case typeAbort, typeError, typeShutdown, typeShutdownAck, typeShutdownComplete:
		return a.handleEnding(c)
	case typePad:
		return nil
	default:
		return a.handleUnknown(c)
	}
}

// parsedData takes DATA where DATA was negotiated, and I-DATA where I-DATA was (RFC 8260 section 2.2.3).
func (a *Association) parsedData(parse func(chunk) (dataChunk, error), c chunk, interleaving bool) error {
	d, err := parse(c)
	if err != nil {
		a.stats.Dropped.ChunkFormat++
		return err
	}
	if interleaving != a.interleaving {
		a.stats.Dropped.Unexpected++
		if a.phase == phaseEstablished {
			a.abort(causeProtocol, ErrProtocol)
		}
		return ErrProtocol
	}
	return a.handleData(&d)
}

// handleUnknown does what the two highest bits of the type say (section 3.2).
func (a *Association) handleUnknown(c chunk) error {
	a.stats.Dropped.UnknownChunk++
	if c.typ&0x40 != 0 {
		report := appendChunkHeader(nil, c.typ, c.flags, len(c.value))
		a.queueError(causeUnrecognized, append(report, c.value[:min(len(c.value), 64)]...))
	}
	if c.typ&0x80 == 0 {
		return errStop
	}
	return nil
}

// queueError reports an error cause in an ERROR chunk.
func (a *Association) queueError(cause paramType, value []byte) {
	a.queueControl(appendChunk(nil, typeError, 0, appendParam(nil, cause, value)))
}

// queueControl bundles a chunk into the next packet; beyond the cap it is dropped, as if the network had.
func (a *Association) queueControl(b []byte) {
	if a.controls.len() < maxControls {
		a.controls.push(b)
	}
}

// queueSingle sends chunks in a packet of their own.
func (a *Association) queueSingle(tag uint32, b []byte) {
	if a.singles.len() < maxSingles {
		a.singles.push(single{tag: tag, bytes: b})
	}
}

// EndBatch says that the packets which arrived together have all been fed: decides about the one SACK that answers them.
func (a *Association) EndBatch(now time.Time) {
	a.acks.endBatch(a.enter(now), a.cfg.AckDelay)
}

// SetPath tells what is known about the path: at the start, after a change of route, when a datagram was refused as too big.
func (a *Association) SetPath(now time.Time, p Path) {
	a.enter(now)
	changed := p.Changed
	p = p.withDefaults()
	p.Changed = false
	if p.RTT == 0 {
		p.RTT = a.path.RTT
	}
	a.path.RTT = p.RTT
	if !changed && p.MTU == a.mtu.base && p.MaxMTU == a.path.MaxMTU {
		return // nothing new: keep what the search has found
	}
	a.path = p
	a.mtu.restart(a.now, p)
	if changed {
		a.rtt = rttEstimator{min: a.cfg.RTOMin, max: a.cfg.RTOMax}
		a.loss.reset()
		a.errors = 0
		if a.out.flight > 0 {
			// What was under way may be gone with the old path: ask soon instead of after a backed-off time-out.
			a.t3 = a.now.after(a.rtt.base(p.RTT))
		}
	}
	a.cc.onPath(p.MTU, changed)
}

// Send queues one message. data is copied. It may be called before the association is connected. Errors: ErrClosed,
// ErrEmptyMessage, ErrMessageTooLarge, ErrBufferFull, ErrStreamID, ErrStreamResetting.
func (a *Association) Send(now time.Time, stream uint16, ppid uint32, data []byte, o SendOptions) error {
	t := a.enter(now)
	switch {
	case a.phase > phaseEstablished:
		return ErrClosed
	case len(data) == 0:
		return ErrEmptyMessage
	case a.cfg.MaxSendSize > 0 && len(data) > a.cfg.MaxSendSize:
		return ErrMessageTooLarge
	case int(stream) >= a.maxOut:
		return ErrStreamID
	case len(data) > a.cfg.SendBuffer-a.queue.buffered:
		return ErrBufferFull
	}
	s := a.queue.stream(stream)
	if s.resetting {
		return ErrStreamResetting
	}
	a.queue.push(s, t, ppid, data, &o)
	a.stats.MessagesSent++
	a.stats.BytesSent += uint64(len(data))
	return nil
}

// SetMaxSendSize sets Config.MaxSendSize (the peer's a=max-message-size); zero: no limit.
func (a *Association) SetMaxSendSize(n int) { a.cfg.MaxSendSize = max(n, 0) }

// SetPriority sets the weight of a stream against the others; zero: 256. W3C's priorities are 128, 256, 512, 1024.
func (a *Association) SetPriority(stream uint16, weight uint16) {
	a.queue.stream(stream).weight = orDefault(weight, defaultWeight)
}

// BufferedAmount is the number of bytes queued on a stream and not yet sent.
func (a *Association) BufferedAmount(stream uint16) int {
	if s := a.queue.find(stream); s != nil {
		return s.buffered
	}
	return 0
}

// SetBufferedAmountLowThreshold sets the threshold of EventBufferedAmountLow for a stream; the default is zero.
func (a *Association) SetBufferedAmountLowThreshold(stream uint16, n int) {
	a.queue.stream(stream).threshold = max(n, 0)
}
