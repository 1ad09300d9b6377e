package turn

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v3"
)

// Data is what a peer has sent.
type Data struct {
	Peer    netip.AddrPort
	Payload []byte // a part of the packet that HandlePacket was given
}

// HandlePacket feeds one packet from the server: a datagram, or a whole message of a stream. True: it was a peer's data.
// The error says why a packet was dropped.
func (c *Client) HandlePacket(now time.Time, pkt []byte) (Data, bool, error) {
	c.now = now
	if c.state == StateClosed {
		return Data{}, false, ErrClosed
	}
	if IsChannelData(pkt) {
		return c.channelPacket(pkt)
	}
	if !IsMessage(pkt) {
		return Data{}, false, c.drop("neither STUN nor ChannelData")
	}
	if t := messageType(pkt); t.Class == stun.ClassIndication {
		return c.indication(t, pkt)
	} else if t.Class == stun.ClassRequest {
		return Data{}, false, c.drop("a request")
	}
	return Data{}, false, c.response(pkt)
}

func (c *Client) drop(why string) error {
	c.counters.Dropped++
	return fmt.Errorf("%w: %s", ErrPacket, why)
}

// response finds the transaction, checks the integrity, and only then looks at what the server says.
func (c *Client) response(pkt []byte) error {
	if len(pkt) > maxControl {
		return c.drop("too long")
	}
	r := c.find(transactionID(pkt))
	t := messageType(pkt)
	if r == nil || r.method != t.Method {
		return c.drop("a response to nothing")
	}
	a := &c.scratch
	*a = attributes{}
	if !a.parse(pkt) || a.malformed {
		return c.drop("malformed response")
	}
	if err := c.authenticate(r, t, a, pkt); err != nil {
		c.counters.Dropped++
		return err
	}
	c.heardAt = c.now
	if r.count == 1 { // Karn's rule: otherwise it may be the answer to either
		c.rtt = c.now.Sub(r.sent)
	}
	if a.unknowns > 0 { // RFC 8489 §6.3.3: such a response ends the transaction as failed
		c.end(r)
		c.failed(r, fmt.Errorf("%w: unknown attribute %#x in the response", ErrPacket, a.unknown[0]))
		return nil
	}
	if t.Class == stun.ClassErrorResponse {
		c.refused(r, a)
		return nil
	}
	c.end(r)
	c.succeeded(r, a)
	return nil
}

// authenticate checks a response's integrity, which must be of the request's kind (RFC 8489 §9.2.5). A challenge has none,
// because the server may not know the key that we have used.
func (c *Client) authenticate(r *request, t stun.MessageType, a *attributes, pkt []byte) error {
	if r.auth.key == nil {
		return nil
	}
	has := a.hasSHA1
	if r.auth.sha256 {
		has = a.hasSHA256
	}
	switch challenge := a.errorCode == 401 || a.errorCode == 438; {
	case has && r.auth.check(pkt):
		return nil
	case !a.hasSHA1 && !a.hasSHA256 && t.Class == stun.ClassErrorResponse && challenge:
		return nil
	case has:
		return fmt.Errorf("%w: response", ErrIntegrity)
	}
	return fmt.Errorf("%w: response without it", ErrIntegrity)
}

// refused handles an error response.
func (c *Client) refused(r *request, a *attributes) {
	refusal := &Error{Code: a.errorCode, Reason: readable(a.reason)}
	switch {
	case a.errorCode == 401 || a.errorCode == 438:
		if err := c.challenged(r, a, refusal); err != nil {
			c.end(r)
			c.failed(r, err)
		}
		return
	case a.errorCode == 300 && r.method == stun.MethodAllocate:
		c.end(r)
		if !c.redirect(a.alternate, a.alternateDomain) {
			c.fail(refusal)
		}
		return
	}
	c.end(r)
	switch {
	case a.errorCode == 437 && r.method == stun.MethodAllocate && !c.released && c.key.key != nil:
		// Our address has an allocation that we know nothing of: one of before a restart of ours (RFC 8656 §7.4). If it
		// is ours, it can be given back.
		c.released = true
		c.refresh(0)
	case a.errorCode == 437 && r.method == stun.MethodRefresh && c.state == StateAllocating:
		c.allocate()
	case a.errorCode == 437 && c.state == StateAllocated:
		c.lose(refusal)
	default:
		c.failed(r, refusal)
	}
}

// readable is text from outside without what could break a line of a log; some servers end it with zeros.
func readable(text string) string {
	text = strings.TrimRight(text[:min(len(text), 128)], "\x00")
	return strings.ToValidUTF8(text, "?")
}

// challenged takes the realm and nonce of a 401 or 438 over and sends the request again. An error: that is of no use.
func (c *Client) challenged(r *request, a *attributes, refusal *Error) error {
	if len(a.nonce) == 0 || (len(a.realm) == 0 && c.realm == nil) || c.cfg.Username == "" {
		return refusal
	}
	if r.challenges++; r.challenges > maxChallenges {
		return refusal
	}
	// The same nonce and realm again, for a request that had them: the credentials are wrong (RFC 8489 §9.2.5).
	sameRealm := len(a.realm) == 0 || bytes.Equal(a.realm, c.realm)
	if a.errorCode == 401 && r.auth.key != nil && sameRealm && r.challenges > 1 {
		return refusal
	}
	if a.errorCode == 401 && r.auth.key != nil && sameRealm && bytes.Equal(a.nonce, r.nonce) {
		return refusal
	}
	if err := c.adopt(a); err != nil {
		return err
	}
	c.write(r)
	return nil
}

var (
	errBidDown    = errors.New("turn: the password algorithms are missing from a challenge that promises them")
	errAlgorithms = errors.New("turn: no known password algorithm")
)

// adopt sets the credentials to what a challenge wants.
func (c *Client) adopt(a *attributes) error {
	features := nonceFeatures(a.nonce)
	if features&featureAlgorithms != 0 && a.algorithms == nil {
		return errBidDown // somebody on the way wants us to use a weaker one (RFC 8489 §9.2.1)
	}
	algorithm := algorithmMD5
	if a.algorithms != nil {
		i := slices.IndexFunc(readAlgorithms(a.algorithms), func(n int) bool { return n == algorithmMD5 || n == algorithmSHA256 })
		if i < 0 {
			return errAlgorithms
		}
		algorithm = readAlgorithms(a.algorithms)[i]
	}
	if len(a.realm) > 0 {
		c.realm = bytes.Clone(a.realm)
	}
	c.nonce, c.algorithms = bytes.Clone(a.nonce), bytes.Clone(a.algorithms)
	c.anonymous = features&featureUserhash != 0
	c.key = integrity{
		key:    longTermKey(algorithm, c.cfg.Username, string(c.realm), c.cfg.Password),
		sha256: a.algorithms != nil, // RFC 8489 §9.2.5: with PASSWORD-ALGORITHMS goes MESSAGE-INTEGRITY-SHA256
	}
	return nil
}

// succeeded handles a success response.
func (c *Client) succeeded(r *request, a *attributes) {
	switch r.method {
	case stun.MethodAllocate:
		c.allocated(a)
	case stun.MethodRefresh:
		c.refreshed(r, a)
	default:
		c.peerReady(r)
	}
}

// allocated takes an allocation over (RFC 8656 §7.3).
func (c *Client) allocated(a *attributes) {
	var relayed []netip.AddrPort
	for _, ap := range a.relayed {
		if ap = normalize(ap); ap.IsValid() && ap.Port() != 0 && c.wants(ap.Addr()) {
			relayed = append(relayed, ap)
		}
	}
	if len(relayed) == 0 || !a.hasLifetime || a.lifetime == 0 {
		// RFC 8656 §7.3: an allocation of another family than was asked for is given back and is an error.
		c.write(&request{method: stun.MethodRefresh, life: giveBack})
		c.fail(fmt.Errorf("%w: allocation without the address or lifetime that was asked for", ErrPacket))
		return
	}
	slices.SortFunc(relayed, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	again := c.hadOne
	c.setState(StateAllocated)
	c.relayed, c.mapped, c.hadOne, c.redials = relayed, normalize(a.mapped), true, 0
	c.counters.Allocations++
	c.extend(a.lifetime)
	c.post(EventAllocated{
		Relayed: slices.Clone(relayed), Mapped: c.mapped, Lifetime: c.lifetime, Again: again,
	})
	for _, p := range c.order {
		c.ask(p)
	}
}

func (c *Client) wants(addr netip.Addr) bool {
	switch c.cfg.Families {
	case IPv4:
		return addr.Is4()
	case IPv6:
		return addr.Is6()
	default:
		return true
	}
}

// extend sets the timers of the allocation: it is refreshed a minute before it expires, or at half of a short life.
func (c *Client) extend(seconds uint32) {
	c.lifetime = time.Duration(seconds) * time.Second
	c.refreshAt = c.now.Add(max(c.lifetime-time.Minute, c.lifetime/2))
	c.expiresAt = c.now.Add(c.lifetime)
}

func (c *Client) refreshed(r *request, a *attributes) {
	switch {
	case c.state == StateClosing:
		c.finish()
	case r.life == giveBack:
		c.allocate()
	case !a.hasLifetime || a.lifetime == 0:
		c.lose(fmt.Errorf("%w: refresh without a lifetime", ErrPacket))
	default:
		c.extend(a.lifetime)
	}
}
