package netsim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// pinger is a Node that sends numbered datagrams until each was answered, with a
// retransmission timer, and answers those of its peer.
type pinger struct {
	local, remote netip.AddrPort
	want          uint32

	acked   uint32
	resend  time.Time
	out     [][]byte
	held    []byte
	batches int
	packets int
	refused []error
}

const pingRTO = 200 * time.Millisecond

func (p *pinger) start(now time.Time) { p.request(now) }

func (p *pinger) request(now time.Time) {
	if p.acked == p.want {
		p.resend = time.Time{}
		return
	}
	p.out = append(p.out, binary.BigEndian.AppendUint32([]byte{'?'}, p.acked))
	p.resend = now.Add(pingRTO)
}

func (p *pinger) HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	p.packets++
	if local != p.local || remote != p.remote || len(data) != 5 {
		return
	}
	switch {
	case data[0] == '?':
		p.out = append(p.out, append([]byte{'!'}, data[1:]...))
	case binary.BigEndian.Uint32(data[1:]) == p.acked && p.acked < p.want:
		p.acked++
		p.request(now)
	}
}

func (p *pinger) EndBatch(time.Time) { p.batches++ }

func (p *pinger) Advance(now time.Time) {
	if !p.resend.IsZero() && !p.resend.After(now) {
		p.request(now)
	}
}

func (p *pinger) Deadline() time.Time { return p.resend }

func (p *pinger) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	if len(p.out) == 0 {
		return local, remote, nil, 0, false
	}
	p.held, p.out = p.out[0], p.out[1:]
	return p.local, p.remote, p.held, netio.ECT0, true
}

func (p *pinger) HandleSendError(_ time.Time, _, _ netip.AddrPort, err error) {
	p.refused = append(p.refused, err)
}

// pingPair is two pingers over a link.
func pingPair(seed uint64, link LinkConfig, want uint32) (s *Sim, a, b *pinger) {
	n := New(seed)
	ha, hb := n.Connect("a", link, addrA), n.Connect("b", link, addrB)
	a = &pinger{local: portA, remote: portB, want: want}
	b = &pinger{local: portB, remote: portA, want: want}
	s = NewSim(n)
	s.Attach(ha, a)
	s.Attach(hb, b)
	for _, p := range []*pinger{a, b} {
		s.At(0, p.start)
	}
	return s, a, b
}

func TestSimRoundTripsTakeVirtualTime(t *testing.T) {
	s, a, b := pingPair(1, LinkConfig{Delay: 10 * time.Millisecond}, 5)
	if err := s.Run(time.Minute, func() bool { return a.acked == 5 && b.acked == 5 }); err != nil {
		t.Fatal(err)
	}
	// Two links a way, so 40 ms a round trip.
	if got := s.Now().Sub(Epoch); got != 200*time.Millisecond {
		t.Errorf("took %v", got)
	}
	if a.batches == 0 || a.batches > a.packets {
		t.Errorf("%d batches of %d packets", a.batches, a.packets)
	}
	if err := s.RunUntilIdle(time.Minute); err != nil {
		t.Error(err)
	}
	if err := s.Run(time.Minute, func() bool { return false }); !errors.Is(err, ErrIdle) {
		t.Errorf("idle: %v", err)
	}
	before := s.Now()
	if err := s.RunFor(time.Hour); err != nil || s.Now().Sub(before) != time.Hour {
		t.Errorf("%v, %v", s.Now().Sub(before), err)
	}
}

func TestSimSeedsReplay(t *testing.T) {
	link := LinkConfig{Delay: 30 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.2, Reorder: 0.1, Duplicate: 0.1}
	run := func(seed uint64) string {
		s, a, b := pingPair(seed, link, 50)
		var log Log
		s.Net.Trace(log.Packet)
		if err := s.Run(time.Hour, func() bool { return a.acked == 50 && b.acked == 50 }); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	for seed := range uint64(50) {
		if run(seed) != run(seed) {
			t.Fatalf("seed %d does not replay", seed)
		}
	}
}

func TestSimScriptRunsInOrder(t *testing.T) {
	s := NewSim(New(1))
	var got []string
	note := func(name string) func(time.Time) {
		return func(now time.Time) { got = append(got, fmt.Sprintf("%s@%v", name, now.Sub(Epoch))) }
	}
	s.At(2*time.Second, note("c"))
	s.At(time.Second, note("a"))
	s.At(time.Second, func(now time.Time) {
		note("b")(now)
		s.After(500*time.Millisecond, note("later"))
		s.At(0, note("past"))
	})
	if err := s.RunFor(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	if want := "a@1s b@1s past@1s later@1.5s c@2s"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

func TestSimMomentIsOneBatch(t *testing.T) {
	n := New(1)
	peer := n.Connect("peer", LinkConfig{Delay: time.Millisecond}, addrB)
	s := NewSim(n)
	p := &pinger{local: portA, remote: portB}
	s.Attach(n.Connect("hub", LinkConfig{}, addrA), p)
	for range 10 {
		mustSend(t, peer, 0, portB, portA, make([]byte, 5), 0)
	}
	mustSend(t, peer, 1, portB, portA, make([]byte, 5), 0)
	if err := s.RunUntilIdle(time.Second); err != nil {
		t.Fatal(err)
	}
	if p.packets != 11 || p.batches != 2 {
		t.Errorf("%d datagrams in %d batches", p.packets, p.batches)
	}
}

// spinner breaks the contract in one of two ways.
type spinner struct {
	pinger
	talks bool
}

func (s *spinner) Deadline() time.Time { return Epoch.Add(time.Second) }
func (s *spinner) Advance(time.Time)   {}

func (s *spinner) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	return portA, portB, []byte{0}, 0, s.talks
}

func TestSimHoldsNodesToTheContract(t *testing.T) {
	for _, talks := range []bool{false, true} {
		n := New(77)
		s := NewSim(n)
		s.Attach(n.Connect("a", LinkConfig{}, addrA), &spinner{talks: talks})
		err := s.RunFor(time.Minute)
		if !errors.Is(err, ErrContract) || !strings.Contains(err.Error(), "seed 77") {
			t.Errorf("talks %v: %v", talks, err)
		}
	}
}

func TestSimBoundsSteps(t *testing.T) {
	s, _, _ := pingPair(1, LinkConfig{}, 1<<30) // round trips that take no time
	s.MaxSteps = 1000
	if err := s.RunFor(time.Second); !errors.Is(err, ErrSteps) {
		t.Error(err)
	}
	s, a, _ := pingPair(1, LinkConfig{Loss: 1}, 1)
	if err := s.Run(time.Minute, func() bool { return a.acked > 0 }); !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	failed := errors.New("broken invariant")
	s.OnStep = func(time.Time) error { return failed }
	if err := s.RunFor(time.Second); !errors.Is(err, failed) {
		t.Error(err)
	}
}

func TestSimPortsAndSendErrors(t *testing.T) {
	n := New(1)
	hub, peer := n.Connect("hub", LinkConfig{MTU: 1000}, addrA), n.Connect("peer", LinkConfig{}, addrB)
	s := NewSim(n)
	first := &pinger{local: netip.MustParseAddrPort(addrA + ":1"), remote: portB}
	rest := &pinger{local: netip.MustParseAddrPort(addrA + ":2"), remote: portB}
	s.Attach(hub, rest)
	s.Attach(hub, first, 1)
	for port := range uint16(4) {
		to := netip.AddrPortFrom(portA.Addr(), port+1)
		if err := peer.Send(Epoch, portB, to, make([]byte, 5), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RunUntilIdle(time.Second); err != nil {
		t.Fatal(err)
	}
	if first.packets != 1 || rest.packets != 3 {
		t.Errorf("%d and %d packets", first.packets, rest.packets)
	}
	t.Log("# what the host refuses comes back to the node")
	rest.out = append(rest.out, make([]byte, 1000))
	if err := s.RunUntilIdle(time.Second); err != nil {
		t.Fatal(err)
	}
	var size *netio.SizeError
	if len(rest.refused) != 1 || !errors.As(rest.refused[0], &size) {
		t.Errorf("%v", rest.refused)
	}
	t.Log("# a node that was detached gets nothing more")
	s.Detach(first)
	if err := peer.Send(s.Now(), portB, first.local, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.RunUntilIdle(time.Second); err != nil {
		t.Fatal(err)
	}
	if first.packets != 1 {
		t.Error("a detached node was fed")
	}
}
