package turn

import (
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// request is a transaction of the client: it keeps its purpose while challenges make it be written anew.
type request struct {
	method stun.Method
	peer   *peer         // of CreatePermission and ChannelBind
	life   time.Duration // of Allocate and Refresh; below zero: give the allocation back
	probe  bool          // a Refresh because the server is silent

	id         [stun.TransactionIDSize]byte
	raw        []byte    // as sent, to be sent again
	auth       integrity // what it was sealed with; no key: without credentials
	nonce      []byte    // the same for the nonce
	challenges int

	sent  time.Time // when it was sent first
	next  time.Time // when it is sent again, or fails
	rto   time.Duration
	count int // how often it was sent
}

const (
	// rm is how many RTOs the last request waits for its response (RFC 8489 §6.2.1).
	rm = 16
	// streamTimeout is Ti, how long a request over a stream waits (RFC 8489 §6.2.2).
	streamTimeout = 39500 * time.Millisecond
	// closingRequests is how often a goodbye is sent.
	closingRequests = 3
	// dtlsProbes is how often it is asked over DTLS whether the server has the allocation still; the first time waits for two
	// round trips, between leastProbe and mostProbe, the next ones twice as long: 1.5 s together at most.
	dtlsProbes  = 3
	leastProbe  = 100 * time.Millisecond
	mostProbe   = 214 * time.Millisecond
	maxRequests = maxPeers + 2
)

// giveBack is the life of a Refresh that ends the allocation.
const giveBack = -1

// send begins a transaction. False: too many are in flight.
func (c *Client) send(r *request) bool {
	if len(c.requests) >= maxRequests {
		c.counters.SendDropped++
		return false
	}
	c.requests = append(c.requests, r)
	c.write(r)
	return true
}

// write builds the message with the credentials of now, under a new transaction id, and sends it.
func (c *Client) write(r *request) {
	r.id = c.newTransactionID()
	r.auth, r.nonce = c.key, c.nonce
	r.count, r.rto, r.sent = 0, c.cfg.RTO, c.now
	if r.probe && c.cfg.Transport == DTLS {
		r.rto = min(max(2*c.rtt, leastProbe), mostProbe)
	}
	m := &c.tx
	start(m, stun.NewType(r.method, stun.ClassRequest), r.id)
	switch r.method {
	case stun.MethodAllocate:
		m.Add(stun.AttrRequestedTransport, []byte{protocolUDP, 0, 0, 0})
		c.addFamilies(m)
		c.addLifetime(m, r.life)
	case stun.MethodRefresh:
		if r.life == giveBack {
			addUint32(m, stun.AttrLifetime, 0)
		} else {
			c.addLifetime(m, r.life)
		}
	case stun.MethodChannelBind:
		addUint32(m, stun.AttrChannelNumber, uint32(r.peer.channel)<<16)
		addAddress(m, stun.AttrXORPeerAddress, r.peer.addr)
	default:
		addAddress(m, stun.AttrXORPeerAddress, r.peer.addr)
	}
	c.addCredentials(m)
	if err := stun.Fingerprint.AddTo(m); err != nil {
		return // never fails
	}
	r.raw = append(r.raw[:0], m.Raw...)
	c.transmit(r)
}

func (c *Client) addFamilies(m *stun.Message) {
	switch c.cfg.Families {
	case IPv6:
		addUint32(m, stun.AttrRequestedAddressFamily, familyIPv6<<24)
	case Dual:
		addUint32(m, attrAdditionalFamily, familyIPv6<<24) // RFC 8656 §7.1: the IPv4 one is understood
	case IPv4:
	}
}

func (c *Client) addLifetime(m *stun.Message, d time.Duration) {
	if d > 0 {
		addUint32(m, stun.AttrLifetime, uint32(min(d/time.Second, 1<<32-1)))
	}
}

// addCredentials ends a request with what the latest challenge wants (RFC 8489 §9.2.5), or with nothing before the first.
func (c *Client) addCredentials(m *stun.Message) {
	if c.key.key == nil {
		return
	}
	if c.anonymous {
		hash := userhash(c.cfg.Username, string(c.realm))
		m.Add(stun.AttrUserhash, hash[:])
	} else {
		m.Add(stun.AttrUsername, []byte(c.cfg.Username))
	}
	m.Add(stun.AttrRealm, c.realm)
	m.Add(stun.AttrNonce, c.nonce)
	if c.algorithms != nil {
		m.Add(stun.AttrPasswordAlgorithms, c.algorithms)
		algorithm := uint32(algorithmMD5)
		if c.key.sha256 && len(c.key.key) == 32 {
			algorithm = algorithmSHA256
		}
		addUint32(m, stun.AttrPasswordAlgorithm, algorithm<<16)
	}
	c.key.seal(m)
}

// transmit sends a request once more, and sets when it acts next: twice as long after each time, and Rm·RTO after the
// last; a stream does not lose it.
func (c *Client) transmit(r *request) {
	if !c.out.push(r.raw) {
		c.counters.SendDropped++
	}
	c.spokeAt = c.now
	c.counters.RequestsSent++
	r.count++
	switch {
	case c.cfg.Transport.Stream():
		r.next = c.now.Add(streamTimeout)
	case r.count >= c.attempts(r):
		r.next = c.now.Add(rm * c.cfg.RTO)
		if c.attempts(r) < c.cfg.MaxRequests {
			r.next = c.now.Add(r.rto)
		}
	default:
		r.next = c.now.Add(r.rto)
	}
	r.rto *= 2
}

// attempts is how often a request is sent. A server that was restarted knows nothing of a DTLS association and answers
// nothing on it: there a probe gives up soon, and a new association is made.
func (c *Client) attempts(r *request) int {
	switch {
	case c.state == StateClosing:
		return min(closingRequests, c.cfg.MaxRequests)
	case r.probe && c.cfg.Transport == DTLS:
		return min(dtlsProbes, c.cfg.MaxRequests)
	}
	return c.cfg.MaxRequests
}

// retransmit sends again what is due, and ends what has waited for long enough.
func (c *Client) retransmit() {
	for i := 0; i < len(c.requests); {
		r := c.requests[i]
		switch {
		case r.next.After(c.now):
			i++
		case c.cfg.Transport.Stream() || r.count >= c.attempts(r):
			c.requests = slices.Delete(c.requests, i, i+1)
			c.failed(r, ErrTimeout)
			i = 0 // it may have ended others
		default:
			c.counters.Retransmitted++
			c.transmit(r)
			i++
		}
	}
}

func (c *Client) find(id [stun.TransactionIDSize]byte) *request {
	for _, r := range c.requests {
		if r.id == id {
			return r
		}
	}
	return nil
}

func (c *Client) requested(m stun.Method) bool {
	return slices.ContainsFunc(c.requests, func(r *request) bool { return r.method == m })
}

func (c *Client) end(r *request) {
	if i := slices.Index(c.requests, r); i >= 0 {
		c.requests = slices.Delete(c.requests, i, i+1)
	}
}

func (c *Client) dropRequests() {
	c.requests = nil
	for _, p := range c.order {
		p.asking = false
	}
}

func (c *Client) allocate() {
	c.setState(StateAllocating)
	c.send(&request{method: stun.MethodAllocate, life: c.cfg.Lifetime})
}

// refresh asks for more time, or with a zero for the end.
func (c *Client) refresh(d time.Duration) bool {
	if c.state == StateClosing || (c.state == StateAllocating && d == 0) {
		d = giveBack
	}
	return c.send(&request{method: stun.MethodRefresh, life: d})
}

// failed ends a transaction that has no good response.
func (c *Client) failed(r *request, err error) {
	switch r.method {
	case stun.MethodAllocate:
		c.fail(err)
	case stun.MethodRefresh:
		switch c.state {
		case StateClosing:
			c.finish()
		case StateAllocating: // what should have given an old allocation back
			c.fail(err)
		default:
			c.lose(err)
		}
	default:
		c.peerFailed(r, err)
	}
}
