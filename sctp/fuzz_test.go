package sctp

import (
	"encoding/binary"
	"testing"
	"time"
)

// script reads a fuzz input as decisions; at its end every decision is zero.
type script struct{ b []byte }

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

func (s *script) uint16() uint16 { return uint16(s.byte())<<8 | uint16(s.byte()) }

// near picks a number close to base most of the time.
func (s *script) near(base uint32) uint32 {
	switch k := s.byte(); {
	case k < 200:
		return base + uint32(int8(s.byte()))
	case k < 240:
		return base + uint32(s.uint16())
	default:
		return uint32(s.uint16())<<16 | uint32(s.uint16())
	}
}

func (s *script) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = s.byte()
	}
	return b
}

// chunkFor makes a chunk that fits the association's state more often than not.
func (s *script) chunkFor(a *Association, b []byte) []byte {
	switch s.byte() % 16 {
	case 0, 1, 2, 3:
		d := dataChunk{
			tsn: s.near(a.received.cum + 1), stream: uint16(s.byte()) % 5, flags: s.byte() & 15,
			mid: uint32(s.byte()), seq: uint32(s.byte()), ppid: 51, payload: s.bytes(1 + int(s.byte())%40),
		}
		return appendDataChunk(b, &d, a.interleaving != (s.byte() > 250))
	case 4, 5:
		var gaps []tsnRange
		cum := s.near(a.out.base - 1)
		at := cum + 1
		for range s.byte() % 6 {
			first := at + uint32(s.byte()%8)
			at = first + uint32(s.byte()%8)
			gaps = append(gaps, tsnRange{first, at})
			at++
		}
		return appendSack(b, cum, uint32(s.uint16())<<s.byte()%8, gaps, nil, 400)
	case 6, 7:
		var entries []forwardEntry
		for range s.byte() % 5 {
			entries = append(entries, forwardEntry{stream: uint16(s.byte()) % 5, unordered: s.byte() > 128, mid: uint32(s.byte())})
		}
		return appendForward(b, s.near(a.received.cum), entries, a.interleaving != (s.byte() > 250))
	case 8:
		ids := []uint16{uint16(s.byte()) % 5, uint16(s.byte()) % 5}
		return appendOutgoingReset(b, s.near(a.resets.expected), s.near(a.resets.number), s.near(a.received.cum), ids[:s.byte()%3])
	case 9:
		return appendResetResponse(b, s.near(a.resets.number), resetResult(s.byte()%8))
	case 10:
		return appendChunk(b, typeHeartbeat, 0, appendParam(nil, paramHeartbeatInfo, s.bytes(int(s.byte())%16)))
	case 11:
		return appendChunk(b, typeHeartbeatAck, 0, appendParam(nil, paramHeartbeatInfo, binary.BigEndian.AppendUint64(nil, a.heartbeat.nonce+uint64(s.byte()))))
	case 12:
		in := a.localChunk()
		in.tag, in.tsn = a.peerTag, s.near(a.received.cum)
		return in.append(b, []chunkType{typeInit, typeInitAck}[s.byte()%2])
	case 13:
		return appendChunk(b, typeReconfig, 0, appendParam(nil, paramType(13+s.byte()%6), s.bytes(int(s.byte())%24)))
	case 14:
		return appendChunk(b, []chunkType{typeShutdown, typeShutdownAck, typeShutdownComplete, typeCookieAck, typeError, typePad}[s.byte()%6], s.byte(), s.bytes(int(s.byte())%12))
	default:
		return appendChunk(b, chunkType(s.byte()), s.byte(), s.bytes(int(s.byte())%32))
	}
}

// FuzzConnected sends an association in connected state whatever a peer that holds the keys could send, and checks that it
// keeps its own rules: no panic, bounded memory, timers in the future, packets that it would take itself.
func FuzzConnected(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x01\x00\x03\x00\x00\x05hello\x00"))
	f.Add([]byte("\x00\x00\x02\x01\x02\x00\x00\x09fragment\x00\x06\x01\x03\x01\x01\x00\x08\x00\x00\x04\x00\x05"))
	f.Add([]byte("\x04\x00\x00\x03\x01\x02\x01\x02\x01\x02\xff\xff\x09\x00\x01\x08\x00\x01\x00\x02\x00\x03\x0c\x00\x0e\x00\x00"))
	f.Add([]byte("\x0d\x00\x10\x00\x00\x00\x01\x0f\xc1\x00\x04\x0f\x40\x00\x04\x0e\x05\x00\x04"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 2000 {
			return
		}
		s := &script{in}
		c := Config{ReceiveWindow: 8000, MaxReceiveWindow: 16000, MaxMessageSize: 4000, DisableInterleaving: s.byte()&1 != 0}
		w := newWorld(t, 1, c, c)
		w.connect()
		a := w.a.Association
		for i := range 8 {
			w.a.mustSend(t, w.now, uint16(i%3), payload(900, 1), SendOptions{Reliability: Reliability(i % 3), Unordered: i%2 == 0})
		}
		_ = w.a.ResetStream(w.now, 2)
		for len(s.b) > 0 {
			pkt := appendHeader(nil, 5000, 5000, a.localTag)
			for range 1 + s.byte()%3 {
				pkt = s.chunkFor(a, pkt)
			}
			if k := s.byte(); k > 250 {
				pkt = pkt[:max(len(pkt)-int(k-250), headerSize+4)]
			} else if typeInit == chunkType(pkt[headerSize]) {
				clear(pkt[4:8])
			}
			putChecksum(pkt)
			_ = a.HandlePacket(w.now, pkt)
			if s.byte()&1 != 0 {
				a.EndBatch(w.now)
			}
			w.now = w.now.Add(time.Duration(s.byte()) * time.Millisecond)
			a.Advance(w.now)
			if d := a.Deadline(); !d.IsZero() && !d.After(w.now) {
				t.Fatalf("deadline %v, now %v", d, w.now)
			}
			drainFuzzed(t, a, w.now, s.byte()&1 != 0)
		}
	})
}

func drainFuzzed(t *testing.T, a *Association, now time.Time, read bool) {
	for range 1000 {
		pkt, ok := a.Next(nil, 1200)
		if !ok {
			break
		}
		_, b, err := parseHeader(pkt)
		for len(b) > 0 && err == nil {
			_, b, err = nextChunk(b)
		}
		if err != nil || len(pkt) > 1200 {
			t.Fatalf("sent %x: %v", pkt, err)
		}
	}
	for read {
		m, ok := a.Receive(func(n int) []byte { return make([]byte, n) })
		if !ok {
			break
		}
		a.Credit(now, m.Charge)
	}
	for {
		if _, ok := a.Event(); !ok {
			break
		}
	}
	sum := 0
	for _, s := range a.inbox.streams {
		for _, r := range append(s.ordered[:len(s.ordered):len(s.ordered)], s.unordered...) {
			n := 0
			for f := r.head; f != nil; f = f.next {
				sum += len(f.buf) + fragmentCharge
				n++
			}
			if n != r.count || int(r.last-r.first)+1 != n {
				t.Fatalf("run %+v has %d fragments", *r, n)
			}
		}
	}
	if sum != a.inbox.incomplete || a.inbox.held < sum || a.inbox.held > 4*16000 {
		t.Fatalf("%d bytes incomplete, counted %d, held %d", sum, a.inbox.incomplete, a.inbox.held)
	}
	flight := 0
	for tsn := a.out.base; tsn != a.out.next; tsn++ {
		if c := a.out.at(tsn); c.state == chunkInFlight {
			flight += int(c.wire)
		}
	}
	if flight != a.out.flight || a.out.lost < 0 || a.out.abandoned < 0 {
		t.Fatalf("%d bytes in flight, counted %d; lost %d, abandoned %d", flight, a.out.flight, a.out.lost, a.out.abandoned)
	}
}

// FuzzSetup feeds raw chunks to an association in each state of the set-up.
func FuzzSetup(f *testing.F) {
	w := newWorld(f, 1, Config{}, Config{})
	f.Add(w.b.LocalInit(), byte(0))
	f.Add(append([]byte{2}, w.b.LocalInit()[1:]...), byte(1))
	f.Add(appendChunk(nil, typeCookieEcho, 0, make([]byte, cookieBody+cookieMAC)), byte(0))
	f.Add(appendChunk(nil, typeAbort, 1, nil), byte(2))
	f.Add(appendChunk(nil, typeError, 0, appendParam(nil, causeStaleCookie, []byte{0, 0, 0, 1})), byte(2))
	f.Fuzz(func(t *testing.T, chunks []byte, how byte) {
		w := newWorld(t, 1, Config{EnableZeroChecksum: how&8 != 0}, Config{})
		w.a.Connect(w.now)
		switch how & 3 {
		case 1:
			w.pump(w.a)
		case 2:
			w.b.Connect(w.now)
			w.runFor(25 * time.Millisecond)
		case 3:
			w.connect()
		}
		tag := w.a.localTag
		if how&4 != 0 {
			tag = 0
		}
		pkt := append(appendHeader(nil, 5000, 5000, tag), chunks...)
		putChecksum(pkt)
		_ = w.a.HandlePacket(w.now, pkt)
		w.a.EndBatch(w.now)
		w.runFor(30 * time.Second)
		_ = newWorld(t, 2, Config{}, Config{}).a.ConnectInit(w.now, chunks)
	})
}

// FuzzSack checks that what is parsed encodes to the same.
func FuzzSack(f *testing.F) {
	f.Add(appendSack(nil, 5, 1000, []tsnRange{{7, 8}, {10, 10}}, []uint32{3}, 1000)[4:])
	f.Fuzz(func(t *testing.T, v []byte) {
		s, err := parseSack(v)
		if err != nil {
			return
		}
		var gaps []tsnRange
		for i := range s.gapCount() {
			gaps = append(gaps, s.gap(i))
		}
		var dups []uint32
		for i := range s.dupCount() {
			dups = append(dups, s.dup(i))
		}
		b := appendSack(nil, s.cum, s.window, gaps, dups, 1<<20)
		if string(b[4:]) != string(v[:len(b)-4]) {
			t.Errorf("%x came back as %x", v, b[4:])
		}
	})
}
