package turn

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

var (
	clientAddr = netip.MustParseAddrPort("31.0.0.1:5000")
	peerAddr   = netip.MustParseAddrPort("32.0.0.1:6000")
	peerAddr6  = netip.MustParseAddrPort("[2602::1]:6000")
	tuple      = FiveTuple{Listener: 1, Remote: clientAddr}
)

// script talks to a server with messages that are written out, from one client.
type script struct {
	t        testing.TB
	s        *Server
	now      time.Time
	from     FiveTuple
	user     string
	password string
	nonce    []byte
	sha      bool // MESSAGE-INTEGRITY-SHA256
	id       byte

	socket map[RelayID]netip.AddrPort
	refuse int // binds that fail
	ended  []AllocationEnded
}

func newScript(t testing.TB, change func(*ServerConfig)) *script {
	t.Helper()
	cfg := testServerConfig(rand.NewChaCha8([32]byte{1}))
	if change != nil {
		change(&cfg)
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.AddListener(1, UDP, netip.MustParseAddrPort("30.0.0.1:3478"))
	s.AddListener(2, TCP, netip.MustParseAddrPort("30.0.0.1:3478"))
	return &script{
		t: t, s: s, now: time.Unix(1_000_000, 0), from: tuple, user: user, password: password,
		socket: make(map[RelayID]netip.AddrPort),
	}
}

// allocated is a script with an allocation, whose relayed address it returns.
func allocated(t testing.TB, change func(*ServerConfig)) (*script, netip.AddrPort) {
	t.Helper()
	s := newScript(t, change)
	r := s.request(stun.MethodAllocate, transportUDP)
	if r.code != 0 || !r.a.relayed[0].IsValid() {
		t.Fatalf("allocation: %d", r.code)
	}
	return s, r.a.relayed[0]
}

// answer is what a server has said.
type answer struct {
	raw  []byte
	t    stun.MessageType
	a    attributes
	code int // of the error; zero: success
}

// attribute is one attribute of a request.
type attribute struct {
	t stun.AttrType
	v []byte
}

var transportUDP = attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}

func lifetime(seconds uint32) attribute {
	return attribute{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)}
}

func number(n uint16) attribute {
	return attribute{stun.AttrChannelNumber, []byte{byte(n >> 8), byte(n), 0, 0}}
}

// xorPeer stands for XOR-PEER-ADDRESS, whose value depends on the transaction id.
func xorPeer(ap netip.AddrPort) attribute {
	return attribute{stun.AttrXORPeerAddress, []byte(ap.String())}
}

// message writes a message with the next transaction id.
func (s *script) message(t stun.MessageType, list ...attribute) *stun.Message {
	s.id++
	m := stun.New()
	start(m, t, [12]byte{s.id})
	for _, a := range list {
		if a.t == stun.AttrXORPeerAddress {
			if ap, err := netip.ParseAddrPort(string(a.v)); err == nil {
				addAddress(m, a.t, ap)
				continue
			}
		}
		m.Add(a.t, a.v)
	}
	return m
}

// bare sends a request without credentials.
func (s *script) bare(method stun.Method, list ...attribute) *answer {
	s.t.Helper()
	return s.recv(s.message(stun.NewType(method, stun.ClassRequest), list...).Raw)
}

// request sends a request with credentials, for which it gets a nonce if it has none.
func (s *script) request(method stun.Method, list ...attribute) *answer {
	s.t.Helper()
	return s.recv(s.signed(method, list...))
}

func (s *script) signed(method stun.Method, list ...attribute) []byte {
	s.t.Helper()
	if s.nonce == nil {
		r := s.bare(stun.MethodAllocate)
		if r == nil || r.code != 401 {
			s.t.Fatalf("no challenge: %+v", r)
		}
		s.nonce = append([]byte(nil), r.a.nonce...)
	}
	list = append(list,
		attribute{stun.AttrUsername, []byte(s.user)}, attribute{stun.AttrRealm, []byte(realm)}, attribute{stun.AttrNonce, s.nonce})
	algorithm := algorithmMD5
	if s.sha {
		algorithm = algorithmSHA256
		list = append(list, attribute{stun.AttrPasswordAlgorithms, passwordAlgorithms},
			attribute{stun.AttrPasswordAlgorithm, []byte{0, algorithmSHA256, 0, 0}})
	}
	m := s.message(stun.NewType(method, stun.ClassRequest), list...)
	integrity{longTermKey(algorithm, s.user, realm, s.password), s.sha}.seal(m)
	return m.Raw
}

// recv feeds a packet and returns the answer; nil: there is none.
func (s *script) recv(pkt []byte) *answer {
	s.t.Helper()
	_, _, _ = s.s.HandlePacket(s.now, s.from, pkt)
	s.work()
	to, data, ok := s.s.Next(nil)
	if !ok {
		return nil
	}
	if to != s.from {
		s.t.Fatalf("answer to %v, not %v", to, s.from)
	}
	r := &answer{raw: data, t: messageType(data)}
	if !r.a.parse(data) || r.a.malformed {
		s.t.Fatalf("malformed answer %x", data)
	}
	r.code = r.a.errorCode
	return r
}

func (s *script) work() {
	for {
		e, ok := s.s.Event()
		if !ok {
			return
		}
		switch e := e.(type) {
		case Bind:
			if s.refuse > 0 {
				s.refuse--
				s.s.HandleBindResult(s.now, e.Relay, netip.AddrPort{}, ErrLimit)
				continue
			}
			s.socket[e.Relay] = e.Addr
			s.s.HandleBindResult(s.now, e.Relay, e.Addr, nil)
		case Unbind:
			if _, ok := s.socket[e.Relay]; !ok {
				s.t.Errorf("unbind of %d, which is not bound", e.Relay)
			}
			delete(s.socket, e.Relay)
		case AllocationEnded:
			s.ended = append(s.ended, e)
		}
	}
}

// pass lets time pass, with the timers of each second.
func (s *script) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(min(time.Second, end.Sub(s.now)))
		if at := s.s.Deadline(); due(at, s.now) {
			s.s.Advance(s.now)
			if at := s.s.Deadline(); due(at, s.now) {
				s.t.Fatal("deadline is not after Advance")
			}
		}
		s.work()
	}
}

// indicate sends a Send indication and tells what becomes of it.
func (s *script) indicate(list ...attribute) (Forward, bool) {
	m := s.message(sendIndication, list...)
	f, ok, _ := s.s.HandlePacket(s.now, s.from, m.Raw)
	return f, ok
}

func data(text string) attribute { return attribute{stun.AttrData, []byte(text)} }

// channel sends ChannelData.
func (s *script) channel(n uint16, text string) (Forward, bool) {
	f, ok, _ := s.s.HandlePacket(s.now, s.from, appendChannelData(nil, n, []byte(text), false))
	return f, ok
}

// deliver is a packet of a peer to the relay at an address.
func (s *script) deliver(relayed, peer netip.AddrPort, text string) (Delivery, bool) {
	for id, addr := range s.socket {
		if addr == relayed {
			return s.s.Deliver(s.now, id, peer, len(text))
		}
	}
	return Delivery{}, false
}

// want checks the code of an answer; zero: success.
func (s *script) want(what string, r *answer, code int) {
	s.t.Helper()
	switch {
	case r == nil:
		s.t.Errorf("%s: no answer, want %d", what, code)
	case r.code != code:
		s.t.Errorf("%s: %d, want %d", what, r.code, code)
	}
}
