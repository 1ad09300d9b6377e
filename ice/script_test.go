package ice

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// script drives one agent by hand, as a peer that knows every credential; its messages are built and read by pion/stun.
type script struct {
	t      *testing.T
	a      *Agent
	now    time.Time
	base   BaseID
	local  netip.AddrPort // of the base
	peer   Parameters
	events []Event
}

var peerAddr = netip.MustParseAddrPort("10.0.0.9:9000")

// newScript makes an agent with one bound base, 10.0.0.1:4001, that knows the peer's credentials but no candidate.
func newScript(t *testing.T, role Role, change ...func(*Config)) *script {
	t.Helper()
	s := newSilentScript(t, role, change...)
	s.setRemote()
	return s
}

// newSilentScript leaves the remote parameters out.
func newSilentScript(t *testing.T, role Role, change ...func(*Config)) *script {
	t.Helper()
	cfg := Config{Role: role, Rand: newSeeded(7)}
	for _, f := range change {
		f(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, a: a, now: epoch, peer: Parameters{Ufrag: "peer", Pwd: "0123456789abcdefghijkl"}}
	a.Gather(s.now)
	s.bindAll("10.0.0.1")
	return s
}

// bindAll answers the questions of gathering.
func (s *script) bindAll(addrs ...string) {
	s.t.Helper()
	port := uint16(4000)
	for _, e := range s.drain() {
		switch e := e.(type) {
		case EventInterfaces:
			var list []netip.Addr
			for _, a := range addrs {
				list = append(list, netip.MustParseAddr(a))
			}
			s.a.HandleInterfacesResult(s.now, e.Gen, list, nil)
		case EventBind:
			port++
			local := netip.AddrPortFrom(e.Addr.Addr().WithZone(""), port)
			if s.base == 0 {
				s.base, s.local = e.Base, local
			}
			s.a.HandleBindResult(s.now, e.Gen, e.Base, local, nil)
		default:
			continue
		}
		s.bindAll(addrs...)
	}
}

func (s *script) setRemote() {
	s.t.Helper()
	if err := s.a.SetRemoteParameters(s.now, s.peer); err != nil {
		s.t.Fatal(err)
	}
}

// drain returns the new events and keeps them.
func (s *script) drain() []Event {
	var list []Event
	for {
		e, ok := s.a.Event()
		if !ok {
			s.events = append(s.events, list...)
			return list
		}
		list = append(list, e)
	}
}

func (s *script) candidate(addr string, t CandidateType, priority uint32) {
	s.t.Helper()
	err := s.a.AddRemoteCandidate(s.now, Candidate{
		Foundation: t.String(), Component: 1, Transport: "udp", Priority: priority,
		Addr: netip.MustParseAddrPort(addr), Type: t,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) advance(d time.Duration) {
	s.t.Helper()
	end := s.now.Add(d)
	for {
		next := s.a.Deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if !next.After(s.now) {
			s.t.Fatalf("deadline %v is not in the future of %v", next, s.now)
		}
		s.now = next
		s.a.Advance(s.now)
	}
	s.now = end
	s.a.Advance(s.now)
}

// message is an outgoing datagram, decoded.
type sent struct {
	Transmit
	*stun.Message
}

// sent returns all outgoing datagrams.
func (s *script) sent() []sent {
	s.t.Helper()
	var list []sent
	for {
		tx, ok := s.a.Next(nil)
		if !ok {
			return list
		}
		m := new(stun.Message)
		if err := stun.Decode(tx.Data, m); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, sent{tx, m})
	}
}

// wantRequest takes exactly one outgoing datagram, which must be a check of ours.
func (s *script) wantRequest() sent {
	s.t.Helper()
	list := s.sent()
	if len(list) != 1 || list[0].Type != stun.BindingRequest {
		s.t.Fatalf("sent %v, want one binding request", list)
	}
	return list[0]
}

func (s *script) wantNothing() {
	s.t.Helper()
	if list := s.sent(); len(list) != 0 {
		s.t.Fatalf("sent %v, want nothing", list[0].Message)
	}
}

func (s *script) recv(from netip.AddrPort, raw []byte) error {
	_, err := s.a.HandlePacket(s.now, s.base, from, raw)
	return err
}

// attr is an attribute for build.
func attr(t stun.AttrType, v ...byte) stun.RawAttribute {
	return stun.RawAttribute{Type: t, Length: uint16(len(v)), Value: v}
}

func be32(t stun.AttrType, v uint32) stun.RawAttribute {
	return attr(t, binary.BigEndian.AppendUint32(nil, v)...)
}

func be64(t stun.AttrType, v uint64) stun.RawAttribute {
	return attr(t, binary.BigEndian.AppendUint64(nil, v)...)
}

// request builds a check of the peer with the right credentials, priority 1000 and more attributes.
func (s *script) request(more ...stun.Setter) []byte {
	s.t.Helper()
	return s.requestAs(s.a.LocalParameters(), s.peer.Ufrag, more...)
}

func (s *script) requestAs(local Parameters, from string, more ...stun.Setter) []byte {
	s.t.Helper()
	setters := []stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(local.Ufrag + ":" + from),
		be32(stun.AttrPriority, 1000),
	}
	setters = append(append(setters, more...), stun.NewShortTermIntegrity(local.Pwd), stun.Fingerprint)
	return stun.MustBuild(setters...).Raw
}

// response answers a request of ours as the peer that sees us at mapped.
func (s *script) response(r sent, mapped netip.AddrPort) []byte {
	s.t.Helper()
	return stun.MustBuild(r.Message, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())},
		stun.NewShortTermIntegrity(s.peer.Pwd), stun.Fingerprint).Raw
}

func (s *script) errorResponse(r sent, code stun.ErrorCode) []byte {
	s.t.Helper()
	return stun.MustBuild(r.Message, stun.BindingError, stun.ErrorCodeAttribute{Code: code, Reason: []byte("because")},
		stun.NewShortTermIntegrity(s.peer.Pwd), stun.Fingerprint).Raw
}

// succeed answers a check so that its pair becomes valid.
func (s *script) succeed(r sent) {
	s.t.Helper()
	if err := s.recv(r.Remote, s.response(r, s.local)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) pair(i int) PairStats {
	s.t.Helper()
	st := s.a.Stats()
	if i >= len(st.Pairs) {
		s.t.Fatalf("%d pairs, want more than %d", len(st.Pairs), i)
	}
	return st.Pairs[i]
}
