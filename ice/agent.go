package ice

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// Agent is an ICE agent for one component. Not safe for concurrent use; driven by the transport that owns it. The package
// comment tells what the driver owes it. `now` must never go backwards from call to call.
type Agent struct {
	cfg Config // Immutable after New, but for Servers and Policy.

	// Who we are.
	rng        *rand.ChaCha8
	role       Role
	tieBreaker uint64
	state      State
	now        time.Time // of the latest call

	// Sockets and gathering.
	bases    []*base
	conns    []*base // connections to peers
	lastBase BaseID
	gather   gathering
	found    foundations

	// Allocations on TURN servers.
	relays  []*relay
	relayTx []byte

	// Generations: the one being established, and the one before while its pair still carries packets.
	cur, prev *generation
	lastLocal Parameters // of the latest generation that had some
	genCount  uint64
	resolves  []*resolution
	lastID    uint64

	// Checks.
	transactions []*transaction
	lastSlot     time.Time // when the latest paced transaction has begun (RFC 8445 §14.2)
	gatherTurn   bool      // whose turn the next slot is: a gathering transaction's or an ordinary check's

	// What application packets need.
	route     Route
	routePair *pair
	verified  verifiedSet

	// Outputs.
	out         outbox
	events      []Event
	deadline    time.Time
	deadlineSet bool

	// Scratch.
	rx, tx   stun.Message
	counters Counters
	switches int
}

// New makes an agent in StateNew that has gathered nothing. Errors are ErrConfig, or those of Config.Rand.
func New(cfg Config) (*Agent, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	if _, err := io.ReadFull(cfg.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("ice: random source: %w", err)
	}
	if cfg.Local.Ufrag == "" && cfg.Local.Pwd == "" {
		if cfg.Local, err = GenerateParameters(cfg.Rand); err != nil {
			return nil, err
		}
	}
	if err := cfg.Local.validate(); err != nil {
		return nil, err
	}
	if cfg.Lite {
		cfg.Role = RoleControlled
	}
	a := &Agent{cfg: cfg, rng: rand.NewChaCha8(seed), role: cfg.Role}
	a.tieBreaker = a.rng.Uint64()
	a.cur = a.newGeneration()
	a.cur.setLocal(cfg.Local)
	return a, nil
}

// LocalParameters returns our credentials of the current generation.
func (a *Agent) LocalParameters() Parameters {
	if !a.cur.localSet {
		return a.lastLocal // the peer has restarted and we have not yet
	}
	return a.cur.local
}

// Role returns the current role.
func (a *Agent) Role() Role { return a.role }

// State returns the current state; its changes are events.
func (a *Agent) State() State { return a.state }

// GatheringState returns the current gathering state; its changes are events.
func (a *Agent) GatheringState() GatheringState { return a.gather.state }

// SetRole sets the role (RFC 8445 §6.1.1), which RoleUnknown leaves as it is. Conflicts with the peer may change it later.
func (a *Agent) SetRole(now time.Time, role Role) {
	if a.state == StateClosed || role == RoleUnknown {
		return
	}
	a.now = now
	a.setRole(role)
	a.run(now)
}

func (a *Agent) setRole(role Role) {
	if a.role == role || a.cfg.Lite {
		return
	}
	a.role = role
	a.post(EventRole{role})
	a.cur.nominating = nil
	for _, g := range a.generations() {
		g.reprioritize(role)
	}
	// Requests of the old role are sent no more: coming late they would make the peer change its role back.
	for _, t := range a.transactions {
		if t.pair == nil || t.controlling == (role == RoleControlling) || t.cancelled || t.once() {
			continue
		}
		t.cancel(a.cfg.MaxRequests)
		if t.kind == kindCheck && t.pair.state == PairInProgress {
			a.cur.trigger(t.pair)
		}
	}
	if role == RoleControlling {
		a.renominate()
	}
}

// generations returns the living generations, the current one first.
func (a *Agent) generations() []*generation {
	if a.prev == nil {
		return []*generation{a.cur}
	}
	return []*generation{a.cur, a.prev}
}

// Advance runs the timers that are due. Early and repeated calls do nothing.
func (a *Agent) Advance(now time.Time) {
	if a.state == StateClosed {
		return
	}
	a.run(now)
}

// run brings everything up to now; every entry ends with it.
func (a *Agent) run(now time.Time) {
	a.now = now
	a.deadlineSet = false
	a.expireConsent(now)
	a.expireTransactions(now)
	a.runConnections(now)
	a.runRelays(now)
	a.runGathering(now)
	a.suspect(now)
	a.fallBack()
	a.nominate(now)
	a.pace(now)
	a.updateRoute()
	a.checkConsent(now)
	a.runRelays(now) // what was sent by relays may have set their timers
	a.updateState(now)
}

// EndBatch does nothing: every answer is ready when HandlePacket returns. It is there for the engine contract.
func (a *Agent) EndBatch(time.Time) {}

// Deadline returns when Advance wants to be called next; zero: no timer is armed. After Advance(now) it is zero or after now.
func (a *Agent) Deadline() time.Time {
	if !a.deadlineSet {
		a.deadline, a.deadlineSet = a.nextDeadline(), true
	}
	return a.deadline
}

func (a *Agent) nextDeadline() time.Time {
	if a.state == StateClosed {
		return time.Time{}
	}
	var d time.Time
	for _, t := range a.transactions {
		d = firstTime(d, t.next)
	}
	for _, r := range a.relays {
		d = firstTime(d, r.client.Deadline())
	}
	d = firstTime(d, a.connectionDeadline())
	d = firstTime(d, a.gatheringDeadline())
	d = firstTime(d, a.nominationTime())
	d = firstTime(d, a.consentDeadline())
	d = firstTime(d, a.stateDeadline())
	switch {
	case a.hasPacedWork():
		d = firstTime(d, a.nextSlot())
	case a.state != StateFailed && !a.cfg.Lite:
		d = firstTime(d, a.cur.thawTime(a.now))
	}
	return d
}

// firstTime returns the earlier of two times, of which zero is none.
func firstTime(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Event returns the next event; false: there is none.
func (a *Agent) Event() (Event, bool) {
	if len(a.events) == 0 {
		return nil, false
	}
	e := a.events[0]
	a.events[0] = nil
	if a.events = a.events[1:]; len(a.events) == 0 {
		a.events = nil
	}
	return e, true
}

func (a *Agent) post(e Event) { a.events = append(a.events, e) }

// Close ends the agent: it unbinds its bases, forgets everything else and answers nothing any more. ICE has no goodbye on
// the wire; the peer learns it from DTLS, or when consent expires. Idempotent.
func (a *Agent) Close(now time.Time) {
	if a.state == StateClosed {
		return
	}
	a.now = now
	for _, b := range slices.Concat(a.bases, a.conns) {
		if b.tcp != tcpActive {
			a.post(EventUnbind{b.id})
		}
	}
	a.out = outbox{}
	for _, r := range a.relays {
		if r.under.stream {
			a.undial(r) // which ends the allocation (RFC 8656 §7.3)
			continue
		}
		r.client.Close(now)
		a.takeRelayPackets(r) // the goodbyes are the last that goes out
	}
	a.bases, a.conns, a.relays = nil, nil, nil
	a.transactions, a.resolves = nil, nil
	a.cur, a.prev = a.newGeneration(), nil
	a.gather = gathering{gen: a.gather.gen, state: a.gather.state}
	a.verified = verifiedSet{}
	a.routePair, a.route = nil, Route{}
	a.deadlineSet = false
	a.setState(StateClosed)
}

func (a *Agent) setState(s State) {
	if a.state == s || a.state == StateClosed {
		return
	}
	a.state = s
	a.post(EventState{s})
}

func (a *Agent) newID() uint64 {
	a.lastID++
	return a.lastID
}

func (a *Agent) newTransactionID() (id [stun.TransactionIDSize]byte) {
	binary.BigEndian.PutUint64(id[:8], a.rng.Uint64())
	binary.BigEndian.PutUint32(id[8:], uint32(a.rng.Uint64()))
	return id
}

// jitter returns d times a random factor from 0.8 to 1.2 (RFC 7675 §5.1).
func (a *Agent) jitter(d time.Duration) time.Duration {
	f := float64(a.rng.Uint64()>>11) / (1 << 53)
	return time.Duration(float64(d) * (0.8 + 0.4*f))
}

// normalize removes what is only one host's spelling of an address: IPv4-mapped forms and zones.
func normalize(ap netip.AddrPort) netip.AddrPort {
	addr := ap.Addr()
	if addr.Is4() {
		return ap
	}
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), ap.Port())
}
