package ice

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pion/stun/v3"
)

// transactionKind says what a request is for.
type transactionKind uint8

const (
	kindCheck   transactionKind = iota // connectivity check: sent again until it is answered
	kindConsent                        // consent check: sent once (RFC 7675 §5.1)
	kindProbe                          // connectivity check of a valid pair that may have died
	kindServer                         // binding request to a STUN server
	kindRefresh                        // the same, to keep a NAT's mapping alive: sent once
)

// transaction is a request that waits for its response.
type transaction struct {
	id     [stun.TransactionIDSize]byte
	kind   transactionKind
	base   *base
	remote netip.AddrPort
	pair   *pair  // checks and consent checks
	query  *query // requests to servers
	raw    []byte // as sent, to be sent again

	first    time.Time // when it was sent first
	next     time.Time // when it is sent again, or fails
	rto      time.Duration
	requests int

	useCandidate bool
	controlling  bool
	priority     uint32
	cancelled    bool // sent no more, but a response still counts (RFC 8445 §7.3.1.4)
}

// rm is how many RTOs the last request waits for its response (RFC 8489 §6.2.1).
const rm = 16

// transmit sends a new transaction, whose message lies in the agent's buffer. False: too many are in flight.
func (a *Agent) transmit(t *transaction, raw []byte) bool {
	if len(a.transactions) >= maxTransaction {
		a.counters.SendDropped++
		return false
	}
	t.first, t.requests = a.now, 1
	if !t.once() {
		t.raw = slices.Clone(raw)
	}
	t.schedule(a.now, a.cfg.MaxRequests)
	a.transactions = append(a.transactions, t)
	a.send(t.base, t.remote, raw)
	return true
}

// once tells whether the request is never sent again. Over TCP none is: what was sent arrives (RFC 8489 §6.2.2).
func (t *transaction) once() bool {
	return t.kind == kindConsent || t.kind == kindRefresh || t.base.tcp == tcpConnected
}

// reliableTimeout is how long a request by TCP waits for its response (Ti of RFC 8489 §6.2.2).
const reliableTimeout = 39500 * time.Millisecond

// schedule sets when the transaction acts next: twice as long after each request, and Rm·RTO after the last.
func (t *transaction) schedule(now time.Time, most int) {
	switch {
	case t.once():
		t.next = now.Add(t.rto)
	case t.requests >= most:
		t.next = now.Add(rm * t.rto)
	default:
		t.next = now.Add(t.rto << (t.requests - 1))
	}
}

// expireTransactions sends again what is due, and ends what has waited long enough.
func (a *Agent) expireTransactions(now time.Time) {
	for i := 0; i < len(a.transactions); {
		t := a.transactions[i]
		if t.next.After(now) {
			i++
			continue
		}
		if t.cancelled || t.once() || t.requests >= a.cfg.MaxRequests {
			a.transactions = slices.Delete(a.transactions, i, i+1)
			a.timedOut(t)
			i = 0 // it may have ended others
			continue
		}
		t.requests++
		t.schedule(now, a.cfg.MaxRequests)
		a.send(t.base, t.remote, t.raw)
		if t.pair != nil {
			t.pair.counters.requestsSent++
		}
		i++
	}
}

func (a *Agent) timedOut(t *transaction) {
	switch t.kind {
	case kindCheck:
		a.checkFailed(t)
	case kindServer:
		t.query.fail(a, 701, "no answer from the STUN server")
	case kindConsent, kindProbe, kindRefresh:
	}
}

// takeTransaction finds the transaction of a response and ends it.
func (a *Agent) takeTransaction(t *transaction) {
	if i := slices.Index(a.transactions, t); i >= 0 {
		a.transactions = slices.Delete(a.transactions, i, i+1)
	}
}

func (a *Agent) findTransaction(id [stun.TransactionIDSize]byte) *transaction {
	for _, t := range a.transactions {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (a *Agent) dropTransactions(drop func(*transaction) bool) {
	a.transactions = slices.DeleteFunc(a.transactions, drop)
}

// cancelChecks stops sending the pair's checks again, except a nomination; their responses still count until the time
// they would have failed at (RFC 8445 §7.3.1.4).
func (a *Agent) cancelChecks(p *pair) {
	for _, t := range a.transactions {
		if t.kind == kindCheck && t.pair == p && !t.cancelled && !t.useCandidate {
			t.cancel(a.cfg.MaxRequests)
		}
	}
}

// cancel leaves the transaction only its time to be answered.
func (t *transaction) cancel(most int) {
	t.cancelled = true
	if t.once() {
		return
	}
	t.next = t.first.Add(t.rto*time.Duration(1<<(most-1)-1) + rm*t.rto)
}

// pace starts the next transaction if its slot has come (RFC 8445 §6.1.4.2, §14.2): triggered checks first, then gathering
// and ordinary checks in turns.
func (a *Agent) pace(now time.Time) {
	if a.nextSlot().After(now) || a.state == StateFailed || a.cfg.Lite || len(a.transactions) >= maxTransaction {
		return
	}
	if a.startTriggered() {
		a.lastSlot = now
		return
	}
	a.gatherTurn = !a.gatherTurn
	if (a.gatherTurn && (a.startQuery() || a.startOrdinary())) ||
		(!a.gatherTurn && (a.startOrdinary() || a.startQuery())) {
		a.lastSlot = now
	}
}

// leastPace is what two transactions are apart at least (RFC 8445 §14.2).
const leastPace = 5 * time.Millisecond

// nextSlot is when the next transaction may start. A triggered check need not wait as long as others: the peer has shown that
// the way is there, and paces what triggers it.
func (a *Agent) nextSlot() time.Time {
	if len(a.cur.triggered) > 0 {
		return a.lastSlot.Add(leastPace)
	}
	return a.lastSlot.Add(a.cfg.Pace)
}

// hasPacedWork tells whether pace would find something to start.
func (a *Agent) hasPacedWork() bool {
	if a.state == StateFailed || a.cfg.Lite || len(a.transactions) >= maxTransaction {
		return false
	}
	return len(a.cur.triggered) > 0 || slices.ContainsFunc(a.relays, (*relay).queued) || a.nextQuery() != nil || a.cur.hasOrdinary(a.now)
}

func (a *Agent) startTriggered() bool {
	p := a.cur.nextTriggered()
	return p != nil && a.startCheck(p)
}

func (a *Agent) startOrdinary() bool {
	p := a.cur.nextOrdinary(a.now)
	return p != nil && a.startCheck(p)
}

// startCheck sends the connectivity check of a pair (RFC 8445 §7.2.4).
func (a *Agent) startCheck(p *pair) bool {
	if p.tcp() && (p.conn == nil || !p.conn.bound) {
		a.connect(p) // its check follows (RFC 6544 §7.1)
		return true
	}
	t := &transaction{
		id: a.newTransactionID(), kind: kindCheck, base: p.base(), remote: p.remote.Addr, pair: p,
		rto:          a.checkRTO(),
		controlling:  a.role == RoleControlling,
		useCandidate: p.nominate && a.role == RoleControlling,
		priority:     p.base().priority(TypePeerReflexive),
	}
	if p.conn != nil {
		t.rto = reliableTimeout
	}
	if !a.transmit(t, a.checkMessage(t)) {
		return false
	}
	p.counters.requestsSent++
	p.asked = a.now
	if p.state != PairSucceeded {
		p.state = PairInProgress
	}
	return true
}

// checkRTO is the formula of RFC 8445 §14.3 with N = 1, the one checklist that there is.
func (a *Agent) checkRTO() time.Duration {
	return max(a.cfg.RTO, a.cfg.Pace*time.Duration(a.cur.unsettled()))
}
