package sctp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"
)

// The torture: a network of random badness, random windows, random traffic on a few streams that are reset and used again. At
// the end the network heals and everything must come to rest: each reliable message arrived once and in order, nothing is
// left in any queue. The same seed gives the same trace.

type tortureStream struct {
	options SendOptions
	life    uint32
	sent    uint32
	// What the other side has seen of the present life.
	seen     map[uint32]bool
	last     int64
	resetOut bool
	sizes    map[uint32]int
}

type tortureSide struct {
	*endpoint
	peer    *tortureSide
	streams []*tortureStream // sent from here
	left    int              // messages still to send
	owed    int              // charge not credited yet
	slow    bool
}

type tortureRun struct {
	*world
	sides [2]*tortureSide
	trace uint64
	err   error
	fair  bool // the network has healed
}

func tortureConfig(r *rand.Rand) Config {
	c := Config{
		DisableInterleaving: r.IntN(2) == 0,
		EnableZeroChecksum:  r.IntN(2) == 0,
		Congestion:          Congestion(r.IntN(2)),
		ReceiveWindow:       []int{4096, 20_000, 100_000, 1 << 20}[r.IntN(4)],
		MaxMessageSize:      1 << 20,
		MaxRetransmits:      1000,
		MaxInitRetransmits:  1000,
	}
	c.Path = Path{MTU: 512 + r.IntN(1000)}
	c.Path.MaxMTU = c.Path.MTU + r.IntN(400)
	if r.IntN(2) == 0 {
		c.Path.RTT = time.Duration(1+r.IntN(100)) * time.Millisecond
	}
	return c
}

func tortureLink(r *rand.Rand) *link {
	l := &link{delay: time.Duration(r.IntN(60)) * time.Millisecond}
	if r.IntN(3) > 0 {
		l.loss = r.Float64() * 0.3
	}
	if r.IntN(3) == 0 {
		l.duplicate = r.Float64() * 0.2
	}
	if r.IntN(2) == 0 {
		l.jitter = time.Duration(1+r.IntN(100)) * time.Millisecond
	}
	if r.IntN(2) == 0 {
		l.rate = 20_000 << r.IntN(10)
		l.queue = 3000 + r.IntN(200_000)
	}
	if r.IntN(3) == 0 {
		begin := time.Unix(1e9, 0).Add(time.Duration(r.IntN(3000)) * time.Millisecond)
		end := begin.Add(time.Duration(r.IntN(5000)) * time.Millisecond)
		l.down = func(now time.Time) bool { return now.After(begin) && now.Before(end) }
	}
	return l
}

func newTorture(t testing.TB, seed uint64) *tortureRun {
	r := newRand(seed)
	run := &tortureRun{world: newWorld(t, seed, tortureConfig(r), tortureConfig(r))}
	run.granularity = time.Duration(r.IntN(3)) * time.Millisecond
	for i, e := range run.ends() {
		e.out = tortureLink(r)
		e.maxPkt = 1600 // paths change
		s := &tortureSide{endpoint: e, left: 20 + r.IntN(80)}
		for range 1 + r.IntN(4) {
			s.streams = append(s.streams, newTortureStream(r))
		}
		e.hold = true
		e.run = func(now time.Time) { run.touch(s, now) }
		run.sides[i] = s
	}
	run.sides[0].peer, run.sides[1].peer = run.sides[1], run.sides[0]
	return run
}

func newTortureStream(r *rand.Rand) *tortureStream {
	s := &tortureStream{seen: map[uint32]bool{}, last: -1, sizes: map[uint32]int{}}
	s.options.Unordered = r.IntN(3) == 0
	switch r.IntN(4) {
	case 0:
		s.options.Reliability, s.options.MaxRetransmits = LimitedRetransmits, uint16(r.IntN(3))
	case 1:
		s.options.Reliability, s.options.Lifetime = LimitedLifetime, time.Duration(r.IntN(1000))*time.Millisecond
	}
	return s
}

func (run *tortureRun) fail(format string, args ...any) {
	if run.err == nil {
		run.err = fmt.Errorf(format, args...)
	}
}

func (run *tortureRun) note(args ...any) {
	h := fnv.New64a()
	fmt.Fprint(h, run.trace, run.now.UnixNano(), args)
	run.trace = h.Sum64()
}

// touch is the application of one side.
func (run *tortureRun) touch(s *tortureSide, now time.Time) {
	run.takeEvents(s)
	if used := s.window.lent + s.inbox.held; used > 3*s.window.size+100_000 {
		run.fail("%d bytes held in a window of %d", used, s.window.size)
	}
	r := run.rng
	for s.State() == StateConnected && s.left > 0 && r.IntN(4) > 0 {
		s.left--
		id := r.IntN(len(s.streams))
		st := s.streams[id]
		if st.resetOut {
			continue
		}
		size := []int{8, 8 + r.IntN(100), 8 + r.IntN(3000), 8 + r.IntN(60_000)}[r.IntN(4)]
		m := make([]byte, size)
		binary.BigEndian.PutUint32(m, st.sent)
		binary.BigEndian.PutUint32(m[4:], st.life)
		if err := s.Send(now, uint16(id), 51, m, st.options); err != nil {
			run.fail("Send: %v", err)
			return
		}
		st.sizes[st.sent] = size
		st.sent++
		if r.IntN(30) == 0 {
			st.resetOut = true
			if err := s.ResetStream(now, uint16(id)); err != nil {
				run.fail("ResetStream: %v", err)
			}
		}
	}
	if !run.fair && r.IntN(300) == 0 {
		s.SetPath(now, Path{MTU: 512 + r.IntN(1000), RTT: time.Duration(r.IntN(100)) * time.Millisecond, Changed: r.IntN(2) == 0})
	}
	// A reader that stops now and then, and credits late.
	if !run.fair && r.IntN(50) == 0 {
		s.slow = !s.slow
	}
	if s.slow && !run.fair {
		return
	}
	if s.owed > 0 {
		s.Credit(now, s.owed)
		s.owed = 0
	}
}

func (run *tortureRun) takeEvents(s *tortureSide) {
	for !s.slow || run.fair {
		if s.MessageFirst() {
			m, _ := s.Receive(func(n int) []byte { return make([]byte, n) })
			s.owed += m.Charge
			run.takeMessage(s, m)
			continue
		}
		e, ok := s.Event()
		if !ok {
			return
		}
		run.note(s == run.sides[0], e)
		switch {
		case e.Kind == EventState && e.State == StateClosed:
			run.fail("closed: %v", e.Err)
		case e.Kind == EventStreamReset && e.Direction == Incoming:
			run.peerReset(s.peer.streams[e.Stream])
		case e.Kind == EventStreamReset && e.Err != nil:
			run.fail("reset: %v", e.Err)
		case e.Kind == EventStreamReset:
			s.streams[e.Stream].resetOut = false
		}
	}
}

// peerReset checks that a life ended with everything delivered, and begins the next.
func (run *tortureRun) peerReset(st *tortureStream) {
	if st.options.Reliability == Reliable && len(st.seen) != int(st.sent) {
		run.fail("%d messages of %d before the reset", len(st.seen), st.sent)
	}
	st.life++
	st.sent, st.last = 0, -1
	clear(st.seen)
	clear(st.sizes)
}

func (run *tortureRun) takeMessage(s *tortureSide, m Message) {
	st := s.peer.streams[m.Stream]
	id, life := binary.BigEndian.Uint32(m.Data), binary.BigEndian.Uint32(m.Data[4:])
	run.note(s == run.sides[0], m.Stream, id, len(m.Data))
	switch {
	case life != st.life:
		run.fail("message of life %d in life %d", life, st.life)
	case st.seen[id]:
		run.fail("message %d twice", id)
	case len(m.Data) != st.sizes[id]:
		run.fail("message %d has %d bytes, want %d", id, len(m.Data), st.sizes[id])
	case !st.options.Unordered && int64(id) <= st.last:
		run.fail("message %d after %d", id, st.last)
	case !st.options.Unordered && st.options.Reliability == Reliable && int64(id) != st.last+1:
		run.fail("message %d after %d: some are missing", id, st.last)
	}
	st.seen[id] = true
	st.last = int64(id)
}

// play runs a seed to its end and returns its trace.
func (run *tortureRun) play() (uint64, error) {
	run.a.Connect(run.now)
	run.b.Connect(run.now)
	run.runFor(8 * time.Second)
	for _, s := range run.sides {
		s.out.loss, s.out.duplicate, s.out.down = 0, 0, nil
		if s.out.rate > 0 {
			s.out.rate, s.out.queue = 10_000_000, 0
		}
	}
	run.fair = true
	until := run.now.Add(20 * time.Minute)
	for !run.rests() && run.err == nil {
		if !run.step(until) {
			run.fail("does not come to rest: a %s %+v\nb %s %+v", run.a.phase, run.a.Stats(), run.b.phase, run.b.Stats())
		}
	}
	return run.trace, run.err
}

// rests says whether all was sent, acknowledged and delivered, and every queue is empty.
func (run *tortureRun) rests() bool {
	for _, s := range run.sides {
		st := s.Stats()
		if s.State() != StateConnected || s.left > 0 || s.owed > 0 || s.Association.out.len() > 0 || st.BufferedBytes > 0 || st.ReceiveWindowUsed > 0 || s.resets.active || len(s.resets.queue) > 0 {
			return false
		}
		for _, x := range s.streams {
			if x.options.Reliability == Reliable && len(x.seen) != int(x.sent) {
				return false
			}
		}
	}
	return true
}

func TestTorture(t *testing.T) {
	for seed := range uint64(torture(100)) {
		trace, err := newTorture(t, seed).play()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if seed%10 == 0 {
			if again, _ := newTorture(t, seed).play(); again != trace {
				t.Fatalf("seed %d: another trace the second time", seed)
			}
		}
	}
}
