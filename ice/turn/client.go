package turn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// State is what a Client has.
//
//	idle ─► dialing ─► allocating ─► allocated ─► closing ─► closed
//	 ▲  └────UDP────────▲    │  ▲────────┘ lost
//	 └────── failed ◄────────┘
type State uint8

// The states of a client.
const (
	StateIdle       State = iota // nothing was asked for
	StateDialing                 // the driver is connecting
	StateAllocating              // an Allocate request is on its way
	StateAllocated               // the server relays for us
	StateFailed                  // as idle, after a failure
	StateClosing                 // the goodbye is on its way
	StateClosed
)

// String returns the name in lower case.
func (s State) String() string {
	return [...]string{"idle", "dialing", "allocating", "allocated", "failed", "closing", "closed"}[s]
}

// Client keeps one allocation on one server. Not safe for concurrent use; driven by whoever has the connection. `now` must
// never go backwards from call to call.
type Client struct {
	cfg Config // Immutable after New, but for Server.
	rng *rand.ChaCha8

	state   State
	now     time.Time // of the latest call
	dialGen uint64
	redials int
	// redialAt is when the next connection is asked for, after some that failed.
	redialAt time.Time
	domain   string
	tried    []netip.AddrPort // servers that have sent us on

	// Credentials, as the server's latest challenge wants them.
	realm, nonce []byte
	algorithms   []byte // PASSWORD-ALGORITHMS, to be repeated
	anonymous    bool   // USERHASH instead of USERNAME
	key          integrity

	// The allocation.
	relayed   []netip.AddrPort
	mapped    netip.AddrPort
	hadOne    bool
	released  bool // an old allocation of our address was in the way and has been given back
	lifetime  time.Duration
	refreshAt time.Time
	expiresAt time.Time

	// Peers.
	peers       map[netip.AddrPort]*peer // a permission's port is zero
	order       []*peer                  // the same, in order of creation
	channels    []*peer                  // by number less firstChannel
	nextChannel int

	// Finding out that the server has forgotten us.
	traffic  bool // packets were sent since probeAt was set
	heardAt  time.Time
	rtt      time.Duration // of the latest request
	probeAt  time.Time
	requests []*request

	// Keeping NATs' mappings.
	spokeAt time.Time // when something was sent, or before

	out      queue
	events   []Event
	tx       stun.Message
	scratch  attributes
	counters Stats
	idSeed   uint64 // transaction ids of indications
}

// Stats counts what a client did. Data packets are those that went through Wrap and HandlePacket.
type Stats struct {
	PacketsSent, PacketsReceived uint64
	BytesSent, BytesReceived     uint64
	Dropped                      uint64 // received, and of no use
	SendDropped                  uint64 // requests that found no room
	RequestsSent, Retransmitted  uint64
	Allocations                  uint64 // how often the server has allocated
}

// New makes a client that has asked for nothing. Errors are ErrConfig, or those of Config.Rand.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	if _, err := io.ReadFull(cfg.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("turn: random source: %w", err)
	}
	c := &Client{cfg: cfg, rng: rand.NewChaCha8(seed), peers: make(map[netip.AddrPort]*peer)}
	c.idSeed = c.rng.Uint64()
	// Numbers begin at random, so that a client that comes back on the same 5-tuple does not meet its old bindings.
	c.nextChannel = int(c.rng.Uint64() % maxPeers)
	return c, nil
}

// Server is the address that packets go to and come from. It changes when a server sends us on to another one.
func (c *Client) Server() netip.AddrPort { return c.cfg.Server }

// Transport is how the server is reached.
func (c *Client) Transport() Transport { return c.cfg.Transport }

// State returns the current state.
func (c *Client) State() State { return c.state }

// Relayed returns the relayed addresses, none without an allocation. The slice is the client's.
func (c *Client) Relayed() []netip.AddrPort { return c.relayed }

// Stats is a snapshot.
func (c *Client) Stats() Stats { return c.counters }

// Allocate asks for an allocation; the result is EventAllocated or EventFailed. It does nothing while there is one or one
// is being asked for.
func (c *Client) Allocate(now time.Time) {
	c.now = now
	if c.state != StateIdle && c.state != StateFailed {
		return
	}
	c.tried, c.redials, c.released = nil, 0, false
	c.connect()
}

// connect begins with a connection, or without one over UDP.
func (c *Client) connect() {
	if c.cfg.Transport == UDP {
		c.allocate()
		return
	}
	c.setState(StateDialing)
	c.dialGen++
	c.redialAt = time.Time{}
	c.post(EventDial{Gen: c.dialGen, Server: c.cfg.Server, Domain: c.domain})
}

func (c *Client) setState(s State) {
	c.state = s
	if s != StateAllocated {
		c.relayed, c.refreshAt, c.expiresAt = nil, time.Time{}, time.Time{}
		c.probeAt, c.traffic = time.Time{}, false
	}
}

// HandleDialResult says that the connection which EventDial has asked for is there, or why not. Results of an earlier
// generation are ignored.
func (c *Client) HandleDialResult(now time.Time, gen uint64, err error) {
	c.now = now
	if gen != c.dialGen || c.state != StateDialing {
		return
	}
	if err != nil {
		c.redial(err)
		return
	}
	c.redials = 0
	c.allocate()
}

// HandleDisconnect says that a connection broke, whose generation was gen. A new one is asked for, if there was an
// allocation on it.
func (c *Client) HandleDisconnect(now time.Time, gen uint64, err error) {
	c.now = now
	if gen != c.dialGen || c.cfg.Transport == UDP {
		return
	}
	switch c.state {
	case StateAllocated:
		c.lose(err)
	case StateAllocating:
		c.dropRequests()
		c.redial(err)
	case StateClosing:
		c.finish()
	default:
	}
}

var errMoved = errors.New("turn: the local address of the connection is gone")

// Reconnect begins anew because this host has lost the address that its connection was made from, or is being made from: no
// answer would come any more. Over UDP it does nothing.
func (c *Client) Reconnect(now time.Time) {
	c.now = now
	if c.cfg.Transport == UDP {
		return
	}
	c.redials = 0
	switch c.state {
	case StateAllocated:
		c.lose(errMoved)
	case StateAllocating, StateDialing:
		c.dropRequests()
		c.connect()
	default:
	}
}

// Hurry does at once what the client would do after a while because it had no success before: it sends the requests again
// that wait for an answer, and asks for the next connection. It is worth it when the network has changed.
func (c *Client) Hurry(now time.Time) {
	c.now = now
	if !c.redialAt.IsZero() {
		c.redials, c.redialAt = 0, now
	}
	for _, r := range c.requests {
		if !c.cfg.Transport.Stream() && r.count < c.attempts(r) {
			r.next, r.rto = now, c.cfg.RTO
		}
	}
	c.Advance(now)
}

// redial tries again after a while, if there has been an allocation, and fails if not: then others are better than us.
func (c *Client) redial(err error) {
	c.redials++
	if !c.hadOne || c.redials > maxRedials {
		c.fail(err)
		return
	}
	c.setState(StateDialing)
	c.redialAt = c.now.Add(125 * time.Millisecond << c.redials)
}

// lose begins again after an allocation that is gone.
func (c *Client) lose(err error) {
	c.post(EventLost{err})
	c.dropRequests()
	c.forgetReplies()
	c.released = false
	c.connect()
}

func (c *Client) fail(err error) {
	c.dropRequests()
	c.forgetReplies()
	c.setState(StateFailed)
	c.hadOne = false
	c.post(EventFailed{err})
}

// Close gives the allocation back (RFC 8656 §8: a lifetime of zero). EventClosed follows when the server has confirmed, or
// after a few seconds; the driver need not wait for it, once it has sent what Next hands out. Idempotent.
func (c *Client) Close(now time.Time) {
	c.now = now
	if c.state == StateClosing || c.state == StateClosed {
		return
	}
	// An Allocate request with credentials may be answered yet: the goodbye comes behind it.
	perhaps := c.state == StateAllocated || (c.state == StateAllocating && c.key.key != nil)
	c.dropRequests()
	c.peers, c.order, c.channels = make(map[netip.AddrPort]*peer), nil, nil
	c.setState(StateClosing)
	if !perhaps || !c.refresh(0) {
		c.finish()
	}
}

func (c *Client) finish() {
	c.dropRequests()
	c.setState(StateClosed)
	c.post(EventClosed{})
}

// Next takes the next outgoing packet, which goes to Server: a datagram, or a whole message for the stream. It is appended
// to dst[:0] and the caller's. False: nothing is left.
func (c *Client) Next(dst []byte) ([]byte, bool) { return c.out.pop(dst) }

// Event returns the next event; false: there is none.
func (c *Client) Event() (Event, bool) {
	if len(c.events) == 0 {
		return nil, false
	}
	e := c.events[0]
	c.events[0] = nil
	if c.events = c.events[1:]; len(c.events) == 0 {
		c.events = nil
	}
	return e, true
}

func (c *Client) post(e Event) { c.events = append(c.events, e) }

// EndBatch does nothing; it is there for the engine contract.
func (c *Client) EndBatch(time.Time) {}

// Advance runs the timers that are due. Early and repeated calls do nothing.
func (c *Client) Advance(now time.Time) {
	c.now = now
	if c.state == StateClosed {
		return
	}
	if due(c.redialAt, now) {
		c.connect()
	}
	c.retransmit()
	if c.state != StateAllocated {
		return
	}
	if due(c.expiresAt, now) {
		c.lose(ErrTimeout)
		return
	}
	if due(c.refreshAt, now) {
		c.refreshAt = time.Time{}
		c.refresh(c.cfg.Lifetime)
	}
	c.refreshPeers()
	c.probe()
	c.keepAlive()
}

// keepAlive sends a Binding indication, which nobody answers, after a time in which nothing was sent.
func (c *Client) keepAlive() {
	if !due(c.keepAt(), c.now) {
		return
	}
	start(&c.tx, stun.NewType(stun.MethodBinding, stun.ClassIndication), c.newTransactionID())
	if err := stun.Fingerprint.AddTo(&c.tx); err == nil && !c.out.push(c.tx.Raw) {
		c.counters.SendDropped++
	}
	c.spokeAt = c.now
}

// keepAt is when a NAT wants to see something from us; zero: never, as for streams.
func (c *Client) keepAt() time.Time {
	if c.cfg.Transport.Stream() {
		return time.Time{}
	}
	return c.spokeAt.Add(c.cfg.KeepAlive)
}

// probe asks the server whether it still has the allocation, if packets were sent and ProbeAfter has passed without a word
// from it.
func (c *Client) probe() {
	if !c.traffic || (!c.probeAt.IsZero() && c.probeAt.After(c.now)) {
		return
	}
	quiet := c.heardAt.Add(c.cfg.ProbeAfter)
	switch {
	case c.now.Sub(c.probeAt) >= c.cfg.ProbeAfter: // the first packet after a time without
		c.probeAt = c.now.Add(c.cfg.ProbeAfter)
		return
	case quiet.After(c.now):
		c.probeAt = quiet
	default:
		c.probeAt = c.now.Add(c.cfg.ProbeAfter)
		if !c.requested(stun.MethodRefresh) {
			c.send(&request{method: stun.MethodRefresh, life: c.cfg.Lifetime, probe: true})
		}
	}
	c.traffic = false
}

// Deadline returns when Advance wants to be called next; zero: no timer is armed. After Advance(now) it is zero or after now.
func (c *Client) Deadline() time.Time {
	if c.state == StateClosed {
		return time.Time{}
	}
	d := c.redialAt
	for _, r := range c.requests {
		d = firstTime(d, r.next)
	}
	if c.state != StateAllocated {
		return d
	}
	d = firstTime(firstTime(firstTime(d, c.refreshAt), c.expiresAt), c.keepAt())
	for _, p := range c.order {
		d = firstTime(d, p.refreshAt)
	}
	if c.traffic {
		if c.probeAt.IsZero() {
			return firstTime(d, c.now)
		}
		d = firstTime(d, c.probeAt)
	}
	return d
}

// due tells whether an armed timer has gone off.
func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// firstTime returns the earlier of two times, of which zero is none.
func firstTime(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func (c *Client) newTransactionID() (id [stun.TransactionIDSize]byte) {
	binary.BigEndian.PutUint64(id[:8], c.rng.Uint64())
	binary.BigEndian.PutUint32(id[8:], uint32(c.rng.Uint64()))
	return id
}

// redirect goes to the server that the one before has named. False: it has named none that we have not tried.
func (c *Client) redirect(server netip.AddrPort, domain string) bool {
	server = normalize(server)
	c.tried = append(c.tried, c.cfg.Server)
	if !server.IsValid() || server.Port() == 0 || len(c.tried) > maxRedirects || slices.Contains(c.tried, server) {
		return false
	}
	c.cfg.Server, c.domain = server, domain
	// The new one has a realm and nonces of its own.
	c.realm, c.nonce, c.algorithms, c.anonymous, c.key = nil, nil, nil, false, integrity{}
	c.dropRequests()
	c.out = queue{}
	c.connect()
	return true
}
