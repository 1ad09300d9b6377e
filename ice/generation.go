package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// generation is what one pair of credentials has brought: candidates, checklist and valid list. A restart opens a new one.
type generation struct {
	number    uint64
	local     Parameters
	remote    Parameters
	localSet  bool
	remoteSet bool
	localKey  []byte // passwords as HMAC keys
	remoteKey []byte
	username  []byte // of our requests: "remote:local"

	locals  []*localCandidate
	remotes []*remoteCandidate

	names     []hostPort  // of remote candidates, resolved or not
	pending   []Candidate // remote candidates before the remote parameters
	early     []earlyCheck
	remoteEnd bool // end-of-candidates

	pairs      []*pair // the checklist, best first (RFC 8445 §6.1.2.5)
	valid      []*pair // the valid list (§7.2.5.3.2), in the order of discovery
	triggered  []*pair // the triggered-check queue (§6.1.4.1), oldest first
	nominating *pair   // the pair whose nomination is on its way (§8.1.1)
	selected   *pair   // the nominated one

	nominatedAt time.Time // when that nomination began

	reopened   bool        // the selected pair has died and checks go on
	before     *generation // the one that Rollback goes back to; nil once started
	started    time.Time   // when checks could begin
	lastRemote time.Time   // when the latest remote candidate came
	firstValid time.Time
}

// earlyCheck is an authenticated request that came before the remote parameters (RFC 8445 §7.3, §7.3.1.4).
type earlyCheck struct {
	base         *base
	remote       netip.AddrPort
	remoteUfrag  string
	priority     uint32
	useCandidate bool
}

type localCandidate struct {
	Candidate
	id   uint64
	base *base
}

type remoteCandidate struct {
	Candidate
	id uint64
}

func (a *Agent) newGeneration() *generation {
	a.genCount++
	return &generation{number: a.genCount}
}

func (g *generation) setLocal(p Parameters) {
	g.local, g.localSet, g.localKey = p, true, []byte(p.Pwd)
	g.username = []byte(g.remote.Ufrag + ":" + p.Ufrag)
}

func (g *generation) setRemote(p Parameters) {
	g.remote, g.remoteSet, g.remoteKey = p, true, []byte(p.Pwd)
	g.username = []byte(p.Ufrag + ":" + g.local.Ufrag)
}

// ready tells whether checks may be sent.
func (g *generation) ready() bool { return g.localSet && g.remoteSet }

// SetRemoteParameters tells the peer's credentials, before or after gathering. Other credentials than before are the
// peer's side of a restart: a new generation waits for [Agent.Restart], unless that was called already. A lite peer makes
// us controlling (RFC 8445 §6.1.1). Errors are ErrConfig and ErrClosed.
func (a *Agent) SetRemoteParameters(now time.Time, p Parameters) error {
	if a.state == StateClosed {
		return ErrClosed
	}
	if err := p.validate(); err != nil {
		return fmt.Errorf("remote parameters: %w", err)
	}
	if a.cur.remoteSet && a.cur.remote.Ufrag == p.Ufrag && a.cur.remote.Pwd == p.Pwd {
		return nil
	}
	a.now = now
	switch {
	case a.cur.remoteSet && !a.cur.localSet:
		a.cur.setRemote(p) // the peer thinks again before we have answered
		a.cur.remotes, a.cur.pending, a.cur.remoteEnd = nil, nil, false
	case a.cur.remoteSet:
		a.openGeneration()
		a.cur.setRemote(p)
	default:
		a.cur.setRemote(p)
	}
	if p.Lite {
		a.setRole(RoleControlling)
	}
	a.begin(now)
	a.run(now)
	return nil
}

// Restart begins a new generation with new credentials of ours (RFC 8445 §9); zero parameters are generated. Gathering
// starts over on the sockets that there are; the pair in use carries packets until one of the new generation is nominated.
// Going back to the credentials before, when the restart was not completed, is a Rollback.
// Errors are ErrConfig, ErrClosed and those of Config.Rand.
func (a *Agent) Restart(now time.Time, local Parameters) error {
	if a.state == StateClosed {
		return ErrClosed
	}
	if local.Ufrag == "" && local.Pwd == "" {
		var err error
		if local, err = GenerateParameters(a.rng); err != nil {
			return err
		}
	}
	if err := local.validate(); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if a.cur.localSet && (a.cur.local.Ufrag == local.Ufrag || a.cur.local.Pwd == local.Pwd) {
		return fmt.Errorf("%w: a restart changes ufrag and pwd", ErrConfig) // RFC 8445 §9
	}
	if b := a.cur.before; b != nil && b.local == local {
		a.Rollback(now)
		return nil
	}
	a.now = now
	if a.cur.localSet {
		a.openGeneration()
	}
	a.cur.setLocal(local)
	switch a.state {
	case StateCompleted:
		a.setState(StateConnected)
	case StateDisconnected, StateFailed:
		a.setState(StateChecking)
	}
	a.cur.locals = nil
	if a.gather.state != GatheringNew {
		a.startGathering(now)
	}
	a.begin(now)
	a.run(now)
	return nil
}

// openGeneration makes the current generation the previous one, if a pair of it carries packets; else it is forgotten.
func (a *Agent) openGeneration() {
	old := a.cur
	if old.localSet {
		a.lastLocal = old.local
	}
	if (old.selected != nil && old.selected.valid) || (a.prev == nil && old.hasValid()) {
		a.prev = old
	}
	a.dropTransactions(func(t *transaction) bool {
		return t.kind == kindCheck || (t.pair != nil && t.pair.gen != a.prev)
	})
	a.cur = a.newGeneration()
	a.cur.before, old.before = old, nil
	a.cur.pending = old.pending // of the parameters to come; begin sorts out the others
	old.triggered, old.nominating, old.early, old.pending = nil, nil, nil, nil
	a.resolves = nil
}

// Rollback undoes a Restart whose answer never came, or the peer's side of a restart that was never answered (RFC 9429
// §4.1.10.2): the generation before goes on. Without such a restart it does nothing.
func (a *Agent) Rollback(now time.Time) {
	old := a.cur.before
	if a.state == StateClosed || old == nil {
		return
	}
	a.now = now
	if old.started.IsZero() {
		old.pending = a.cur.pending
	}
	a.resolves = nil
	a.cur = old
	if a.prev == old {
		a.prev = nil
	}
	lost := func(b *base) bool { return !a.has(b) }
	old.locals = slices.DeleteFunc(old.locals, func(l *localCandidate) bool { return lost(l.base) })
	old.pairs = slices.DeleteFunc(old.pairs, func(p *pair) bool { return lost(p.local.base) })
	old.valid = slices.DeleteFunc(old.valid, func(p *pair) bool { return lost(p.local.base) })
	old.forgetConnections(func(c *base) bool { return !a.has(c) })
	for _, p := range old.pairs {
		p.queued, p.nominate = false, false
		if p.state == PairInProgress {
			p.state = PairWaiting // its check was dropped with the generation
		}
	}
	a.sweepConnections()
	a.run(now)
}

// closePrevious forgets the generation before, once the current one has nominated a pair. Addresses that it has verified
// stay: packets of the old pair may still be on their way. The restart after this one ends them.
func (a *Agent) closePrevious() {
	if a.prev == nil {
		return
	}
	old := a.prev
	a.prev = nil
	a.dropTransactions(func(t *transaction) bool { return t.pair != nil && t.pair.gen == old })
	a.sweepConnections()
	a.verified.dropBefore(old.number)
	for _, b := range slices.Clone(a.bases) {
		if b.gone {
			a.unbind(b)
		}
	}
	for _, r := range slices.Clone(a.relays) {
		if r.gone {
			a.closeRelay(r)
		}
	}
}

// begin starts the checks of the current generation when both credentials are known: the candidates and checks that came
// before are taken up.
func (a *Agent) begin(now time.Time) {
	g := a.cur
	if !g.ready() || !g.started.IsZero() {
		return
	}
	g.started, g.lastRemote, g.before = now, now, nil
	pending := g.pending
	g.pending = nil
	for _, c := range pending {
		if c.Ufrag == "" || c.Ufrag == g.remote.Ufrag {
			_ = a.addRemote(now, g, c) // what it is not fit for was told when it came
		}
	}
	a.formPairs(g, g.locals, g.remotes)
	early := g.early
	g.early = nil
	for _, e := range early {
		if e.remoteUfrag == g.remote.Ufrag {
			a.takeCheck(now, g, e)
		}
	}
	a.sweepConnections()
}

// AddRemoteCandidate adds a candidate of the peer. Candidates may come before the remote parameters; one with the Ufrag of
// a generation that is over is ignored, and so are candidates that this agent cannot use (transports that Config.Networks
// leaves out, simultaneous-open TCP, other components, names outside ".local", families without a base): no error. Errors
// are ErrCandidate, ErrLimit and ErrClosed.
func (a *Agent) AddRemoteCandidate(now time.Time, c Candidate) error {
	if a.state == StateClosed {
		return ErrClosed
	}
	if c.Component > 1 || (c.Host != "" && !c.isLocalName()) {
		return nil
	}
	if !a.usesTransport(&c) {
		a.counters.Ignored++
		return nil
	}
	c.Addr = normalize(c.Addr)
	if c.Host == "" && !usableRemote(c.Addr) {
		return fmt.Errorf("%w: address %v", ErrCandidate, c.Addr)
	}
	a.now = now
	err := a.routeCandidate(now, c)
	a.run(now)
	return err
}

// routeCandidate finds the generation that a candidate belongs to. One whose parameters are not known yet waits for them.
func (a *Agent) routeCandidate(now time.Time, c Candidate) error {
	g := a.cur
	if a.prev != nil && c.Ufrag != "" && c.Ufrag == a.prev.remote.Ufrag {
		return nil // that generation is over but for the pair in use
	}
	if !g.started.IsZero() && (c.Ufrag == "" || c.Ufrag == g.remote.Ufrag) {
		return a.addRemote(now, g, c)
	}
	same := func(d Candidate) bool {
		return d.Addr == c.Addr && d.Host == c.Host && d.Ufrag == c.Ufrag && d.TCPType == c.TCPType
	}
	if slices.ContainsFunc(g.pending, same) {
		return nil
	}
	if len(g.pending) >= maxPending {
		if g.started.IsZero() {
			return fmt.Errorf("%w: candidates before their parameters", ErrLimit)
		}
		g.pending = slices.Delete(g.pending, 0, 1) // more likely of a generation that is over than of the next one
	}
	g.pending = append(g.pending, c)
	return nil
}

// addRemote takes a signaled candidate into a generation.
func (a *Agent) addRemote(now time.Time, g *generation, c Candidate) error {
	if c.Host != "" {
		return a.resolveRemote(g, c)
	}
	if a.filtered(c.Addr) {
		return nil
	}
	if r := g.remoteAt(c.Addr, c.TCPType != ""); r != nil {
		if r.Type == TypePeerReflexive {
			// What the check has shown was only a guess of this one (RFC 8445 §7.3.1.3).
			id := r.id
			*r = remoteCandidate{Candidate: c, id: id}
			g.reprioritize(a.role)
		}
		return nil
	}
	if len(g.remotes) >= maxRemotes {
		return fmt.Errorf("%w: remote candidates", ErrLimit)
	}
	r := &remoteCandidate{Candidate: c, id: a.newID()}
	g.remotes = append(g.remotes, r)
	g.lastRemote = now
	a.formPairs(g, g.locals, g.remotes[len(g.remotes)-1:])
	return nil
}

func (g *generation) remoteAt(addr netip.AddrPort, tcp bool) *remoteCandidate {
	for _, r := range g.remotes {
		if r.Addr == addr && (r.TCPType != "") == tcp {
			return r
		}
	}
	return nil
}

// RemoteEndOfCandidates says that the peer will signal no more candidates of the current generation (RFC 8838 §14); in a
// restart it comes after the new remote parameters.
func (a *Agent) RemoteEndOfCandidates(now time.Time) {
	if a.state == StateClosed {
		return
	}
	a.cur.remoteEnd = true
	a.run(now)
}

// usableRemote refuses what no peer can be reached at.
func usableRemote(ap netip.AddrPort) bool {
	addr := ap.Addr()
	return addr.IsValid() && ap.Port() != 0 && !addr.IsUnspecified() && !addr.IsMulticast() &&
		addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// hostPort is what a candidate with a name instead of an address stands for.
type hostPort struct {
	host string
	port uint16
	tcp  string // its TCP type
}

// resolution is the name of a remote candidate that the driver is asked to look up.
type resolution struct {
	id, gen   uint64
	g         *generation
	candidate Candidate
}

func (a *Agent) resolveRemote(g *generation, c Candidate) error {
	name := hostPort{c.Host, c.Addr.Port(), c.TCPType}
	if slices.Contains(g.names, name) {
		return nil
	}
	if len(g.names) >= maxNames {
		return fmt.Errorf("%w: names of candidates", ErrLimit)
	}
	g.names = append(g.names, name)
	r := &resolution{id: a.newID(), gen: a.gather.gen, g: g, candidate: c}
	a.resolves = append(a.resolves, r)
	a.post(EventResolve{Gen: r.gen, ID: r.id, Host: c.Host})
	return nil
}

// HandleResolveResult brings the addresses of an EventResolve, best first.
func (a *Agent) HandleResolveResult(now time.Time, gen, id uint64, addrs []netip.Addr, err error) {
	if a.state == StateClosed {
		return
	}
	a.now = now
	i := slices.IndexFunc(a.resolves, func(r *resolution) bool { return r.id == id && r.gen == gen })
	if i < 0 {
		a.serverResolved(gen, id, addrs, err)
		a.run(now)
		return
	}
	r := a.resolves[i]
	a.resolves = slices.Delete(a.resolves, i, i+1)
	for _, addr := range addrs[:min(len(addrs), maxNameAddrs)] {
		c := r.candidate
		c.Host, c.Addr = "", normalize(netip.AddrPortFrom(addr, c.Addr.Port()))
		if usableRemote(c.Addr) {
			_ = a.addRemote(now, r.g, c) // a full table: as if the name had not resolved
		}
	}
	a.run(now)
}
