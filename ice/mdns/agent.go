package mdns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Errors of the package. They come wrapped with context; use errors.Is.
var (
	// ErrName: a name is not one of multicast DNS, or not well-formed.
	ErrName = errors.New("mdns: bad name")
	// ErrLimit: too many names are asked for or published.
	ErrLimit = errors.New("mdns: limit reached")
	// ErrTimeout: nobody has answered for a name.
	ErrTimeout = errors.New("mdns: no answer")
	// ErrClosed: the agent was closed.
	ErrClosed = errors.New("mdns: closed")
	// ErrPacket: a packet was dropped because it is malformed or comes from where no answer comes from.
	ErrPacket = errors.New("mdns: packet dropped")
)

// Port is the port of multicast DNS.
const Port = 5353

// Caps on what callers and strangers can make grow.
const (
	maxQueries   = 256
	maxPublished = 256
	maxOut       = 128
	maxRecords   = 64 // of one packet that are looked at
)

// Config is the configuration of an Agent. Rand must be set; the other zero values work.
type Config struct {
	// Rand gives the seed of names and ids: 32 bytes at New.
	Rand io.Reader
	// Timeout is how long a name is asked for; zero: 8 s, within which it is asked four times.
	Timeout time.Duration
}

// Agent asks for names of others and answers for names of its own. Not safe for concurrent use.
type Agent struct {
	timeout time.Duration // Immutable after New.
	rng     *rand.ChaCha8

	queries   []*query
	published []*record
	lastID    uint64
	out       []Transmit
	events    []EventResolved
	closed    bool
}

// query is a name that is asked for.
type query struct {
	id   uint64
	wire uint16 // the id of its packets
	name dnsmessage.Name
	next time.Time // when it is asked again, or given up
	wait time.Duration
	end  time.Time
}

// record is a published name.
type record struct {
	name      dnsmessage.Name
	addr      netip.Addr
	announce  int       // how many announcements are left
	next      time.Time // when the next one is due
	multicast time.Time // when it was sent to the group last
	denied    time.Time // when the absence of the other type was
}

// Transmit is one outgoing packet.
type Transmit struct {
	// To is where an answer to one resolver goes; invalid: the groups of both families.
	To netip.AddrPort
	// Query: it may leave from any port as well, to be answered by unicast (RFC 6762 §5.1). Everything else leaves from
	// [Port] only (§6).
	Query bool
	Data  []byte
}

// EventResolved is the outcome of a query: the addresses of the name, or ErrTimeout.
type EventResolved struct {
	ID    uint64
	Addrs []netip.Addr
	Err   error
}

// New makes an agent. Errors are those of Config.Rand.
func New(cfg Config) (*Agent, error) {
	var seed [32]byte
	if _, err := io.ReadFull(cfg.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("mdns: random source: %w", err)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 8 * time.Second
	}
	return &Agent{timeout: cfg.Timeout, rng: rand.NewChaCha8(seed)}, nil
}

// Query asks for the addresses of a name, which an EventResolved with the returned id tells. Errors are ErrName, ErrLimit
// and ErrClosed.
func (a *Agent) Query(now time.Time, name string) (id uint64, err error) {
	if a.closed {
		return 0, ErrClosed
	}
	n, err := canonical(name)
	if err != nil {
		return 0, err
	}
	a.lastID++
	if r := a.find(n); r != nil { // our own: the packet would come back to other sockets only
		a.events = append(a.events, EventResolved{ID: a.lastID, Addrs: []netip.Addr{r.addr}})
		return a.lastID, nil
	}
	if len(a.queries) >= maxQueries {
		return 0, fmt.Errorf("%w: names asked for", ErrLimit)
	}
	q := &query{
		id: a.lastID, wire: uint16(a.rng.Uint64()), name: n, next: now, wait: time.Second, end: now.Add(a.timeout),
	}
	a.queries = append(a.queries, q)
	a.Advance(now)
	return q.id, nil
}

// Cancel ends a query without an event.
func (a *Agent) Cancel(id uint64) {
	a.queries = slices.DeleteFunc(a.queries, func(q *query) bool { return q.id == id })
}

// Publish makes up a name for an address of this host, announces it and answers for it. Errors are ErrLimit and ErrClosed.
func (a *Agent) Publish(now time.Time, addr netip.Addr) (name string, err error) {
	if a.closed {
		return "", ErrClosed
	}
	if len(a.published) >= maxPublished {
		return "", fmt.Errorf("%w: names published", ErrLimit)
	}
	name = a.newName()
	n, err := canonical(name)
	if err != nil {
		return "", err
	}
	a.published = append(a.published, &record{name: n, addr: addr.Unmap().WithZone(""), announce: 2, next: now})
	a.Advance(now)
	return name, nil
}

// Unpublish takes a name back.
func (a *Agent) Unpublish(now time.Time, name string) {
	n, err := canonical(name)
	if err != nil || a.closed {
		return
	}
	for i, r := range a.published {
		if r.name == n {
			a.published = slices.Delete(a.published, i, i+1)
			a.say(netip.AddrPort{}, answer{name: r.name, addr: r.addr}) // TTL 0: goodbye (RFC 6762 §10.1)
			return
		}
	}
}

// newName returns a version 4 UUID below ".local" (draft-ietf-mmusic-mdns-ice-candidates §3.1.1).
func (a *Agent) newName() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.rng.Uint64())
	binary.BigEndian.PutUint64(b[8:], a.rng.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x.local", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Idle tells whether nothing is asked for, published or waiting to be taken: the sockets may go.
func (a *Agent) Idle() bool {
	return len(a.queries)+len(a.published)+len(a.out)+len(a.events) == 0
}

// Advance asks again, announces again and gives up what is due.
func (a *Agent) Advance(now time.Time) {
	kept := a.queries[:0]
	for _, q := range a.queries {
		if !q.end.After(now) {
			a.events = append(a.events, EventResolved{ID: q.id, Err: ErrTimeout})
			continue
		}
		if !q.next.After(now) {
			a.ask(q)
			q.next, q.wait = now.Add(q.wait), 2*q.wait
		}
		kept = append(kept, q)
	}
	clear(a.queries[len(kept):])
	a.queries = kept
	for _, r := range a.published {
		if r.announce > 0 && !r.next.After(now) {
			r.announce--
			r.next, r.multicast = now.Add(time.Second), now
			a.say(netip.AddrPort{}, answer{name: r.name, addr: r.addr, ttl: recordTTL})
		}
	}
}

// Deadline returns when Advance wants to be called next; zero: nothing is under way.
func (a *Agent) Deadline() time.Time {
	var d time.Time
	earlier := func(t time.Time) {
		if d.IsZero() || t.Before(d) {
			d = t
		}
	}
	for _, q := range a.queries {
		earlier(q.next)
		earlier(q.end)
	}
	for _, r := range a.published {
		if r.announce > 0 {
			earlier(r.next)
		}
	}
	return d
}

// ask sends the questions of a query.
func (a *Agent) ask(q *query) {
	for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		data, err := appendQuestion(nil, q.wire, q.name, t)
		a.push(Transmit{Query: true, Data: data}, err)
	}
}

// say sends an answer.
func (a *Agent) say(to netip.AddrPort, an answer) {
	data, err := an.append(nil)
	a.push(Transmit{To: to, Data: data}, err)
}

// push queues a packet; what does not fit is lost, as it may be on the way.
func (a *Agent) push(t Transmit, err error) {
	if err == nil && len(a.out) < maxOut {
		a.out = append(a.out, t)
	}
}

// Next takes the next outgoing packet, whose data are the caller's; false: there is none.
func (a *Agent) Next() (Transmit, bool) {
	if len(a.out) == 0 {
		a.out = nil
		return Transmit{}, false
	}
	t := a.out[0]
	a.out = a.out[1:]
	return t, true
}

// Event takes the next event; false: there is none.
func (a *Agent) Event() (EventResolved, bool) {
	if len(a.events) == 0 {
		a.events = nil
		return EventResolved{}, false
	}
	e := a.events[0]
	a.events = a.events[1:]
	return e, true
}

// Close says goodbye for the published names, through Next, and forgets the queries. Idempotent.
func (a *Agent) Close(time.Time) {
	if a.closed {
		return
	}
	a.closed = true
	for _, r := range a.published {
		a.say(netip.AddrPort{}, answer{name: r.name, addr: r.addr})
	}
	a.queries, a.published, a.events = nil, nil, nil
}

// find returns the published record of a name.
func (a *Agent) find(n dnsmessage.Name) *record {
	for _, r := range a.published {
		if sameName(n, r.name) {
			return r
		}
	}
	return nil
}
