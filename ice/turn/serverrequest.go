package turn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// passwordAlgorithms is the value of PASSWORD-ALGORITHMS: SHA-256 before MD5.
var passwordAlgorithms = []byte{0, algorithmSHA256, 0, 0, 0, algorithmMD5, 0, 0}

// call is one request that is being handled.
type call struct {
	now    time.Time
	from   FiveTuple
	method stun.Method
	id     [stun.TransactionIDSize]byte
	pkt    []byte
	a      *attributes
	user   Identity
	auth   integrity
}

// request handles a request: authentication first (RFC 8656 §5), then unknown attributes, then what it wants.
func (s *Server) request(now time.Time, from FiveTuple, pkt []byte) error {
	if len(pkt) > maxControl {
		return s.drop("too long")
	}
	a := &s.scratch
	peers := a.peers[:0]
	*a = attributes{}
	if a.peers = peers; peers == nil {
		a.peers = make([]netip.AddrPort, 0, maxPeersPerRequest)
	}
	if !a.parse(pkt) {
		return s.drop("malformed request")
	}
	c := &call{now: now, from: from, method: messageType(pkt).Method, id: transactionID(pkt), pkt: pkt, a: a}
	switch c.method {
	case stun.MethodBinding:
		return s.binding(c)
	case stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind:
	default:
		return s.drop("unknown method")
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	if a.unknowns > 0 {
		return s.reject(c, stun.CodeUnknownAttribute, "unknown attribute")
	}
	if a.malformed {
		return s.reject(c, stun.CodeBadRequest, "malformed attribute")
	}
	switch c.method {
	case stun.MethodAllocate:
		return s.allocate(c)
	case stun.MethodRefresh:
		return s.refresh(c)
	case stun.MethodCreatePermission:
		return s.createPermission(c)
	default:
		return s.channelBind(c)
	}
}

// binding answers a Binding request, without credentials (RFC 8489 §12).
func (s *Server) binding(c *call) error {
	s.counters.BindingRequests++
	if !s.limiter.allow(c.now, c.from.Remote.Addr()) {
		s.counters.RateLimited++
		return fmt.Errorf("%w: rate of %v", ErrLimit, c.method)
	}
	if c.a.unknowns > 0 {
		return s.reject(c, stun.CodeUnknownAttribute, "unknown attribute")
	}
	m := &s.tx
	start(m, stun.BindingSuccess, c.id)
	addAddress(m, stun.AttrXORMappedAddress, c.from.Remote)
	s.send(c.from, m.Raw)
	return nil
}

// authenticate checks long-term credentials (RFC 8489 §9.2.4). An error: the request was answered, or dropped because there
// were too many.
func (s *Server) authenticate(c *call) error {
	a := c.a
	switch {
	case s.cfg.Auth == nil:
		return s.rejectStranger(c, stun.CodeForbidden, "no relaying")
	case !a.hasSHA1 && !a.hasSHA256:
		return s.challenge(c, stun.CodeUnauthorized)
	case a.username == nil && a.userhash == nil, a.realm == nil, a.nonce == nil:
		return s.rejectStranger(c, stun.CodeBadRequest, "credentials are not complete")
	case !s.nonces.valid(c.now, c.from, a.nonce):
		return s.challenge(c, stun.CodeStaleNonce)
	case a.userhash != nil && !s.cfg.Userhash:
		return s.challenge(c, stun.CodeUnauthorized)
	}
	algorithm, ok := c.algorithm()
	if !ok {
		return s.rejectStranger(c, stun.CodeBadRequest, "password algorithms are not ours")
	}
	allocation := s.find(c.now, c.from)
	query := AuthRequest{Now: c.now, Username: string(a.username), Realm: s.cfg.Realm, Remote: c.from.Remote}
	if a.userhash != nil {
		query.Username, query.Userhash = "", a.userhash
	}
	query.Established = allocation != nil && query.Userhash == nil && allocation.user.Username == query.Username
	user, known := s.cfg.Auth(query)
	if user.Account == "" {
		user.Account = user.Username
	}
	// An unknown user costs as much as a wrong password.
	c.auth = integrity{longTermKey(algorithm, user.Username, s.cfg.Realm, user.Password), a.hasSHA256 && a.algorithms != nil}
	if !c.auth.check(c.pkt) || !known || string(a.realm) != s.cfg.Realm {
		c.auth = integrity{}
		s.counters.AuthFailures++
		return s.challenge(c, stun.CodeUnauthorized)
	}
	c.user = user
	return nil
}

// algorithm tells what the key is made by. Neither attribute stands for MD5; one without the other, or a list that is not
// ours, is somebody on the way (RFC 8489 §9.2.4).
func (c *call) algorithm() (int, bool) {
	a := c.a
	if a.algorithms == nil && a.algorithm == nil {
		return algorithmMD5, a.hasSHA1
	}
	if !bytes.Equal(a.algorithms, passwordAlgorithms) || len(a.algorithm) < 4 || !a.hasSHA256 {
		return 0, false
	}
	n := int(binary.BigEndian.Uint16(a.algorithm))
	return n, n == algorithmMD5 || n == algorithmSHA256
}

// challenge answers 401 or 438, which are as small as they can be: they go to addresses that may be forged.
func (s *Server) challenge(c *call, code stun.ErrorCode) error {
	if !s.limiter.allow(c.now, c.from.Remote.Addr()) {
		s.counters.RateLimited++
		return fmt.Errorf("%w: rate of challenges", ErrLimit)
	}
	s.counters.Challenges++
	m := &s.tx
	start(m, stun.NewType(c.method, stun.ClassErrorResponse), c.id)
	m.Add(stun.AttrErrorCode, []byte{0, 0, byte(code / 100), byte(code % 100)})
	m.Add(stun.AttrRealm, []byte(s.cfg.Realm))
	m.Add(stun.AttrNonce, s.nonces.make(c.now, c.from))
	m.Add(stun.AttrPasswordAlgorithms, passwordAlgorithms)
	s.send(c.from, m.Raw)
	return fmt.Errorf("%w: challenged with %d", ErrIntegrity, code)
}

// rejectStranger refuses somebody who has not proved anything.
func (s *Server) rejectStranger(c *call, code stun.ErrorCode, why string) error {
	if !s.limiter.allow(c.now, c.from.Remote.Addr()) {
		s.counters.RateLimited++
		return fmt.Errorf("%w: rate of errors", ErrLimit)
	}
	return s.reject(c, code, why)
}

func (s *Server) reject(c *call, code stun.ErrorCode, why string) error {
	s.refuse(c.from, c.method, c.id, code, c.auth, c.a.unknown[:c.a.unknowns])
	return fmt.Errorf("%w: %d, %s", ErrPacket, code, why)
}

// refuse sends an error response; a key seals it.
func (s *Server) refuse(
	to FiveTuple, method stun.Method, id [stun.TransactionIDSize]byte, code stun.ErrorCode, auth integrity, unknown []uint16,
) {
	s.counters.Refused++
	m := &s.tx
	start(m, stun.NewType(method, stun.ClassErrorResponse), id)
	m.Add(stun.AttrErrorCode, []byte{0, 0, byte(code / 100), byte(code % 100)})
	if code == stun.CodeUnknownAttribute {
		var v []byte
		for _, u := range unknown {
			v = binary.BigEndian.AppendUint16(v, u)
		}
		m.Add(stun.AttrUnknownAttributes, v)
	}
	if auth.key != nil {
		auth.seal(m)
	}
	s.send(to, m.Raw)
}

// succeed begins a success response; the caller adds to it and calls finish.
func (s *Server) succeed(method stun.Method, id [stun.TransactionIDSize]byte) *stun.Message {
	start(&s.tx, stun.NewType(method, stun.ClassSuccessResponse), id)
	return &s.tx
}

func (s *Server) finish(to FiveTuple, auth integrity) {
	auth.seal(&s.tx)
	s.send(to, s.tx.Raw)
}

// allocate handles an Allocate request (RFC 8656 §7.2).
func (s *Server) allocate(c *call) error {
	a := c.a
	if old := s.allocations[c.from]; old != nil {
		if old.active && !old.expiresAt.After(c.now) {
			s.counters.AllocationsExpired++
			s.remove(c.now, old, "expired")
		} else {
			return s.repeated(c, old)
		}
	}
	switch {
	case a.transport == 0:
		return s.reject(c, stun.CodeBadRequest, "no REQUESTED-TRANSPORT")
	case a.transport != protocolUDP:
		return s.reject(c, stun.CodeUnsupportedTransProto, "only UDP is relayed")
	case a.hasReservation && (a.hasEvenPort || a.family != 0 || a.additional != 0),
		a.family != 0 && a.additional != 0,
		a.additional != 0 && (a.additional != familyIPv6 || a.hasEvenPort):
		return s.reject(c, stun.CodeBadRequest, "attributes exclude each other")
	case a.hasReservation || a.reserveNext:
		return s.reject(c, stun.CodeInsufficientCapacity, "ports are not reserved")
	case a.hasEvenPort && s.cfg.MinPort == s.cfg.MaxPort && s.cfg.MinPort&1 == 1:
		return s.reject(c, stun.CodeInsufficientCapacity, "no even port")
	}
	families, familyError, code := s.families(a)
	if code != 0 {
		return s.reject(c, code, "no relay of this family")
	}
	source := sourceOf(c.from.Remote.Addr())
	if code := s.admit(c.user.Account, source); code != 0 {
		return s.reject(c, code, "quota")
	}
	s.add(c.now, &allocation{
		client: c.from, stream: s.listeners[c.from.Listener].transport.Stream(),
		user: c.user, account: c.user.Account, source: source,
		id: c.id, auth: c.auth, lifetime: s.lifetime(a), evenPort: a.hasEvenPort, familyError: familyError,
	}, families)
	return nil
}

// repeated handles an Allocate request on a 5-tuple that has an allocation: the response again if the request is the same,
// an error otherwise (RFC 8656 §7.2).
func (s *Server) repeated(c *call, old *allocation) error {
	switch {
	case old.id != c.id:
		return s.reject(c, stun.CodeAllocMismatch, "there is an allocation")
	case old.active:
		s.answerAllocate(c.now, old)
	}
	return nil
}

// families tells which relays an Allocate request wants, by family, and the error of the second one if only that cannot be.
func (s *Server) families(a *attributes) (want []bool, familyError int, code stun.ErrorCode) {
	has := []bool{false, false}
	for _, r := range s.cfg.Relays {
		has[familyIndex(r.Local)] = true
	}
	want = make([]bool, 2)
	switch {
	case a.family == familyIPv6:
		want[1] = true
	case a.additional != 0:
		want[0], want[1] = true, true
	case a.family == 0 || a.family == familyIPv4:
		want[0] = true
	}
	switch {
	case a.family > familyIPv6:
		return nil, 0, stun.CodeAddrFamilyNotSupported
	case want[0] && want[1] && has[0] != has[1]: // RFC 8656 §7.2: one of two is a success
		return has, int(stun.CodeAddrFamilyNotSupported), 0
	case want[0] && !has[0], want[1] && !has[1]:
		return nil, 0, stun.CodeAddrFamilyNotSupported
	}
	return want, 0, 0
}

// lifetime is what a client gets for what it asks for: no less than the default, no more than the maximum (RFC 8656 §7.2).
func (s *Server) lifetime(a *attributes) time.Duration {
	if !a.hasLifetime {
		return s.cfg.Lifetime
	}
	return min(max(time.Duration(a.lifetime)*time.Second, s.cfg.Lifetime), s.cfg.MaxLifetime)
}

func (s *Server) answerAllocate(now time.Time, a *allocation) {
	m := s.succeed(stun.MethodAllocate, a.id)
	missing := byte(0)
	for i, r := range a.relays {
		if r != nil {
			addAddress(m, stun.AttrXORRelayedAddress, r.public)
		} else {
			missing = byte(i + 1)
		}
	}
	addUint32(m, stun.AttrLifetime, uint32(a.expiresAt.Sub(now)/time.Second))
	addAddress(m, stun.AttrXORMappedAddress, a.client.Remote)
	if a.familyError != 0 {
		m.Add(attrFamilyError, []byte{missing, 0, byte(a.familyError / 100), byte(a.familyError % 100)})
	}
	s.finish(a.client, a.auth)
}

// own returns the allocation of an authenticated request, which must be the user's (RFC 8656 §5). Nil: the error response
// is on its way.
func (s *Server) own(c *call) (*allocation, error) {
	a := s.find(c.now, c.from)
	if a == nil {
		return nil, s.reject(c, stun.CodeAllocMismatch, "no allocation")
	}
	if a.user.Username != c.user.Username {
		return nil, s.reject(c, stun.CodeWrongCredentials, "another user's allocation")
	}
	return a, nil
}

// refresh handles a Refresh request (RFC 8656 §8.2).
func (s *Server) refresh(c *call) error {
	a, err := s.own(c)
	if a == nil {
		return err
	}
	switch c.a.family {
	case 0:
	case familyIPv4, familyIPv6:
		if a.relays[c.a.family-1] == nil {
			return s.reject(c, stun.CodePeerAddrFamilyMismatch, "no relayed address of this family")
		}
	default:
		return s.reject(c, stun.CodePeerAddrFamilyMismatch, "unknown family")
	}
	life := s.lifetime(c.a)
	if c.a.hasLifetime && c.a.lifetime == 0 {
		life = 0
	}
	m := s.succeed(stun.MethodRefresh, c.id)
	addUint32(m, stun.AttrLifetime, uint32(life/time.Second))
	s.finish(c.from, c.auth)
	switch {
	case life > 0:
		a.expiresAt = c.now.Add(life)
	case c.a.family != 0 && a.relays[2-c.a.family] != nil: // RFC 8656 §8.2: one of two addresses
		s.removeRelay(a, int(c.a.family)-1)
	default:
		s.remove(c.now, a, "deleted")
	}
	return nil
}

// removeRelay takes one of two relayed addresses away.
func (s *Server) removeRelay(a *allocation, family int) {
	r := a.relays[family]
	a.relays[family] = nil
	delete(s.relays, r.id)
	delete(s.byAddr, r.local)
	delete(s.byAddr, r.public)
	s.post(Unbind{r.id})
}

// createPermission handles a CreatePermission request (RFC 8656 §10.2): all addresses, or none.
func (s *Server) createPermission(c *call) error {
	a, err := s.own(c)
	if a == nil {
		return err
	}
	if len(c.a.peers) == 0 {
		return s.reject(c, stun.CodeBadRequest, "no XOR-PEER-ADDRESS")
	}
	if code := s.gate(c.now, a, slices.Clone(c.a.peers)...); code != 0 {
		return s.reject(c, code, "peer")
	}
	s.succeed(stun.MethodCreatePermission, c.id)
	s.finish(c.from, c.auth)
	return nil
}

// channelBind handles a ChannelBind request (RFC 8656 §12.2).
func (s *Server) channelBind(c *call) error {
	a, err := s.own(c)
	if a == nil {
		return err
	}
	if c.a.channel == 0 || !c.a.peer.IsValid() {
		return s.reject(c, stun.CodeBadRequest, "no channel or peer")
	}
	if code, err := s.bindChannel(c.now, a, c.a.channel, c.a.peer); code != 0 {
		_ = s.reject(c, code, "channel")
		return err
	}
	s.succeed(stun.MethodChannelBind, c.id)
	s.finish(c.from, c.auth)
	return nil
}
