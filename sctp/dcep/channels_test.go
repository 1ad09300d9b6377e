package dcep

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openparley/webrtc/sctp"
)

type seeded struct{ r *rand.Rand }

func (s seeded) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

// side is an association with its channels and what they reported.
type side struct {
	assoc *sctp.Association
	*Channels
	log    []string
	opened []*Channel // by the peer
	got    map[*Channel][][]byte
	// release tells the layer at once that a closing was delivered.
	release bool
	keep    int // charge that is not credited
	hold    bool
	flying  []packet
}

type packet struct {
	at time.Time
	b  []byte
}

// wire joins two sides in virtual time.
type wire struct {
	t    *testing.T
	now  time.Time
	rng  *rand.Rand
	loss float64
	a, b *side
}

func newWire(t *testing.T, seed uint64, ra, rb Role, sc sctp.Config) *wire {
	t.Helper()
	w := &wire{t: t, now: time.Unix(1e9, 0), rng: rand.New(rand.NewPCG(seed, 1))}
	mk := func(n uint64, r Role) *side {
		c := sc
		c.Rand = seeded{rand.New(rand.NewPCG(seed, n))}
		a, err := sctp.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return &side{assoc: a, Channels: New(a, Config{Role: r}), got: map[*Channel][][]byte{}, release: true}
	}
	w.a, w.b = mk(2, ra), mk(3, rb)
	return w
}

func (w *wire) pump(s *side) {
	for {
		e, ok := s.Event(w.now, func(n int) []byte { return make([]byte, n) })
		if !ok {
			break
		}
		line := fmt.Sprint([...]string{"", "state", "channel", "open", "message", "low", "closing", "closed"}[e.Kind])
		if e.Channel != nil {
			line += " " + e.Channel.opts.Label
		}
		if e.Kind == EventState {
			line += " " + e.State.String()
		}
		s.log = append(s.log, line)
		switch e.Kind {
		case EventChannel:
			s.opened = append(s.opened, e.Channel)
		case EventMessage:
			s.got[e.Channel] = append(s.got[e.Channel], e.Data)
		case EventClosed:
			if s.release {
				s.Released(w.now, e.Channel)
			}
		}
		if s.hold {
			s.keep += e.Charge
		} else {
			s.Credit(w.now, e.Charge)
		}
	}
	for {
		pkt, ok := s.assoc.Next(nil, 1200)
		if !ok {
			return
		}
		if w.rng.Float64() >= w.loss {
			s.flying = append(s.flying, packet{w.now.Add(10 * time.Millisecond), pkt})
		}
	}
}

// run lets d pass, or less when cond holds.
func (w *wire) run(d time.Duration, cond func() bool) bool {
	until := w.now.Add(d)
	for {
		w.pump(w.a)
		w.pump(w.b)
		if cond != nil && cond() {
			return true
		}
		next := until
		for _, s := range []*side{w.a, w.b} {
			if len(s.flying) > 0 && s.flying[0].at.Before(next) {
				next = s.flying[0].at
			}
			if d := s.assoc.Deadline(); !d.IsZero() && d.Before(next) {
				next = d
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		if !w.now.Before(until) {
			return false
		}
		for i, s := range []*side{w.a, w.b} {
			to := []*side{w.b, w.a}[i]
			n := 0
			for n < len(s.flying) && !s.flying[n].at.After(w.now) {
				_ = to.assoc.HandlePacket(w.now, s.flying[n].b)
				n++
			}
			s.flying = s.flying[n:]
			if n > 0 {
				to.assoc.EndBatch(w.now)
			}
			s.assoc.Advance(w.now)
		}
	}
}

func (w *wire) until(what string, cond func() bool) {
	w.t.Helper()
	if !w.run(120*time.Second, cond) {
		w.t.Fatalf("%s: never\na: %v\nb: %v\na: %+v", what, w.a.log, w.b.log, w.a.assoc.Stats())
	}
}

func (w *wire) connect() {
	w.a.assoc.Connect(w.now)
	w.b.assoc.Connect(w.now)
}

func (w *wire) create(s *side, o Options) *Channel {
	w.t.Helper()
	ch, err := s.Create(w.now, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return ch
}

func TestOpenInBand(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	want := Options{Label: "x", Protocol: "p", Unordered: true, Reliability: sctp.LimitedRetransmits, MaxRetransmits: 2, Priority: 512}
	ch := w.create(w.a, want)
	if err := w.a.Send(w.now, ch, []byte("early"), true); !errors.Is(err, ErrNotOpen) {
		t.Errorf("Send before open: %v", err)
	}
	w.connect()
	w.until("open on both sides", func() bool { return ch.State() == StateOpen && len(w.b.opened) == 1 })
	if id, ok := ch.ID(); !ok || id != 0 {
		t.Errorf("id %d %v", id, ok)
	}
	if got := w.b.opened[0].Options(); got != want {
		t.Errorf("the peer sees %+v", got)
	}
	for i, m := range [][]byte{[]byte("hello"), {}, {0}, []byte("last")} {
		if err := w.a.Send(w.now, ch, m, i == 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.a.BufferedAmount(ch); n != 10 {
		t.Errorf("buffered amount %d, want 10: OPEN and the stand-in of an empty message do not count", n)
	}
	w.until("messages", func() bool { return len(w.b.got[w.b.opened[0]]) == 4 })
	if got := w.b.got[w.b.opened[0]]; !bytes.Equal(bytes.Join(got, []byte("|")), []byte("hello||\x00|last")) {
		t.Errorf("got %q", got)
	}
}

func TestNegotiated(t *testing.T) {
	w := newWire(t, 1, RoleUnknown, RoleUnknown, sctp.Config{})
	x := w.create(w.a, Options{Negotiated: true, ID: 7})
	y := w.create(w.b, Options{Negotiated: true, ID: 7})
	if _, err := w.a.Create(w.now, Options{Negotiated: true, ID: 7}); !errors.Is(err, ErrIDInUse) {
		t.Errorf("the same id again: %v", err)
	}
	if _, err := w.a.Create(w.now, Options{Negotiated: true, ID: 65535}); !errors.Is(err, ErrOptions) {
		t.Errorf("id 65535: %v", err)
	}
	w.connect()
	w.until("open", func() bool { return x.State() == StateOpen && y.State() == StateOpen })
	if err := w.b.Send(w.now, y, []byte("hi"), true); err != nil {
		t.Fatal(err)
	}
	w.until("message", func() bool { return len(w.a.got[x]) == 1 })
	if len(w.a.opened)+len(w.b.opened) != 0 {
		t.Error("a negotiated channel was announced")
	}
}

// TestNegotiatedOnOneSideCloses: the side that never made the channel does its half of the closing.
func TestNegotiatedOnOneSideCloses(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.connect()
	for range 3 {
		x := w.create(w.a, Options{Negotiated: true, ID: 7})
		w.until("open", func() bool { return x.State() == StateOpen })
		w.a.Close(w.now, x)
		w.until("closed", func() bool { return x.State() == StateClosed })
	}
	if len(w.a.balance)+len(w.b.balance) != 0 {
		t.Errorf("resets do not balance: %v %v", w.a.balance, w.b.balance)
	}
	sent := w.a.assoc.Stats().PacketsSent + w.b.assoc.Stats().PacketsSent
	w.run(20*time.Second, nil)
	if n := w.a.assoc.Stats().PacketsSent + w.b.assoc.Stats().PacketsSent - sent; n > 4 {
		t.Errorf("%d packets afterwards: the sides answer each other", n)
	}
}

func TestRoleDecidesParity(t *testing.T) {
	w := newWire(t, 1, RoleUnknown, RoleServer, sctp.Config{})
	first, second := w.create(w.a, Options{Label: "1"}), w.create(w.a, Options{Label: "2"})
	mine := w.create(w.b, Options{Label: "3"})
	w.create(w.a, Options{Label: "taken", Negotiated: true, ID: 0})
	w.connect()
	w.run(time.Second, nil)
	if _, ok := first.ID(); ok || first.State() != StateConnecting {
		t.Error("a channel has an id before the role is known")
	}
	w.a.SetRole(w.now, RoleClient)
	w.a.SetRole(w.now, RoleServer) // too late
	w.until("open", func() bool { return len(w.b.opened) == 2 && len(w.a.opened) == 1 })
	for _, tc := range []struct {
		ch   *Channel
		want uint16
	}{{first, 2}, {second, 4}, {mine, 1}} {
		if id, _ := tc.ch.ID(); id != tc.want {
			t.Errorf("channel %s has id %d, want %d", tc.ch.opts.Label, id, tc.want)
		}
	}
}

func TestCloseHandshake(t *testing.T) {
	for seed := range uint64(20) {
		w := newWire(t, seed, RoleClient, RoleServer, sctp.Config{})
		w.loss = float64(seed%3) * 0.1
		w.connect()
		ch := w.create(w.a, Options{Label: "x"})
		w.until("open", func() bool { return len(w.b.opened) == 1 && ch.State() == StateOpen })
		for range 20 {
			if err := w.a.Send(w.now, ch, make([]byte, 5000), false); err != nil {
				t.Fatal(err)
			}
		}
		w.a.Close(w.now, ch)
		if err := w.a.Send(w.now, ch, nil, false); !errors.Is(err, ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		peer := w.b.opened[0]
		w.until("closed", func() bool { return ch.State() == StateClosed && peer.State() == StateClosed })
		if n := len(w.b.got[peer]); n != 20 {
			t.Errorf("seed %d: %d messages before the closing, want 20", seed, n)
		}
		// The peer is told that it closes behind the last message.
		if tail := w.b.log[len(w.b.log)-2:]; tail[0] != "closing x" || tail[1] != "closed x" {
			t.Errorf("events %v", tail)
		}
	}
}

func TestIDsAreReused(t *testing.T) {
	for seed := range uint64(20) {
		w := newWire(t, seed, RoleClient, RoleServer, sctp.Config{})
		w.loss = float64(seed%4) * 0.08
		w.connect()
		for life := range 10 {
			ch := w.create(w.a, Options{Label: fmt.Sprint(life), Unordered: life%2 == 0})
			w.until("open", func() bool { return ch.State() == StateOpen })
			for i := range 5 {
				if err := w.a.Send(w.now, ch, []byte{byte(life), byte(i)}, false); err != nil {
					t.Fatal(err)
				}
			}
			w.a.Close(w.now, ch)
			w.until("closed here", func() bool { return ch.State() == StateClosed })
			if id, _ := ch.ID(); id != 0 {
				t.Fatalf("life %d has id %d", life, id)
			}
		}
		w.until("the peer has seen all", func() bool { return len(w.b.opened) == 10 && w.b.opened[9].State() == StateClosed })
		for life, ch := range w.b.opened {
			if got := w.b.got[ch]; len(got) != 5 || got[0][0] != byte(life) {
				t.Errorf("seed %d, life %d: got %v", seed, life, got)
			}
		}
	}
}

func TestIDWaitsForRelease(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.a.release = false
	w.connect()
	ch := w.create(w.a, Options{})
	w.until("open", func() bool { return len(w.b.opened) == 1 })
	w.a.Close(w.now, ch)
	w.until("closed", func() bool { return ch.State() == StateClosed })
	if id, _ := w.create(w.a, Options{}).ID(); id != 2 {
		t.Errorf("id %d was given out before the closing was delivered", id)
	}
	w.a.Released(w.now, ch)
	if id, _ := w.create(w.a, Options{}).ID(); id != 0 {
		t.Errorf("id %d after the release, want 0", id)
	}
}

func TestBothClose(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.connect()
	ch := w.create(w.a, Options{})
	w.until("open", func() bool { return len(w.b.opened) == 1 })
	w.a.Close(w.now, ch)
	w.b.Close(w.now, w.b.opened[0])
	w.until("closed", func() bool { return ch.State() == StateClosed && w.b.opened[0].State() == StateClosed })
}

func TestCloseBeforeOpen(t *testing.T) {
	w := newWire(t, 1, RoleUnknown, RoleServer, sctp.Config{})
	ch, other := w.create(w.a, Options{}), w.create(w.a, Options{Negotiated: true, ID: 9})
	w.a.Close(w.now, ch)
	w.a.Close(w.now, other)
	w.a.Close(w.now, ch)
	w.pump(w.a)
	if fmt.Sprint(w.a.log) != "[closed  closed ]" {
		t.Errorf("events %v", w.a.log)
	}
}

func TestAssociationEndClosesChannels(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.connect()
	ch := w.create(w.a, Options{Label: "x"})
	w.until("open", func() bool { return len(w.b.opened) == 1 })
	w.a.assoc.Close(w.now)
	w.until("closed", func() bool { return ch.State() == StateClosed && w.b.opened[0].State() == StateClosed })
	if _, err := w.a.Create(w.now, Options{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Create afterwards: %v", err)
	}
}

// TestRFC8832MessagesBeforeAck: until the ACK nothing overtakes the OPEN, unordered channel or not.
func TestRFC8832MessagesBeforeAck(t *testing.T) {
	for seed := range uint64(30) {
		w := newWire(t, seed, RoleClient, RoleServer, sctp.Config{})
		w.connect()
		w.until("connected", func() bool {
			return w.a.assoc.State() == sctp.StateConnected && w.b.assoc.State() == sctp.StateConnected
		})
		w.loss = 0.3
		ch := w.create(w.a, Options{Unordered: true})
		for i := range 20 {
			if err := w.a.Send(w.now, ch, bytes.Repeat([]byte{byte(i)}, 900), false); err != nil {
				t.Fatal(err)
			}
		}
		w.until("messages", func() bool { return len(w.b.opened) == 1 && len(w.b.got[w.b.opened[0]]) == 20 })
	}
}

func TestManyChannelsAndRefusals(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
	w.b.cfg.MaxChannels = 300
	w.connect()
	var list []*Channel
	for i := range 400 {
		list = append(list, w.create(w.a, Options{Label: fmt.Sprint(i)}))
	}
	w.until("the peer took as many as it wants, the rest is closed", func() bool {
		closed := 0
		for _, ch := range list {
			if ch.State() == StateClosed {
				closed++
			}
		}
		return len(w.b.opened) == 300 && closed == 100
	})
}

func TestUndeliveredEventsHoldTheWindow(t *testing.T) {
	w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{ReceiveWindow: 64 << 10, MaxReceiveWindow: 64 << 10, MaxMessageSize: 16 << 10})
	w.b.hold = true
	w.connect()
	ch := w.create(w.a, Options{})
	w.until("open", func() bool { return len(w.b.opened) == 1 })
	for range 200 {
		if err := w.a.Send(w.now, ch, make([]byte, 10_000), false); err != nil {
			t.Fatal(err)
		}
	}
	w.run(20*time.Second, nil)
	if w.b.keep > 200<<10 {
		t.Errorf("%d bytes were handed out without credit", w.b.keep)
	}
	w.b.hold = false
	w.b.Credit(w.now, w.b.keep)
	w.until("all messages", func() bool { return len(w.b.got[w.b.opened[0]]) == 200 })
}
