package ice

import (
	"net/netip"
	"time"
)

// Counters are what happened to datagrams that made no difference, and to requests at large.
type Counters struct {
	Malformed        uint64 // not well-formed STUN, wrong FINGERPRINT, unknown base or method
	BadUsername      uint64 // requests of no living generation
	BadIntegrity     uint64 // requests and responses with a missing or wrong MESSAGE-INTEGRITY
	Unexpected       uint64 // responses to nothing
	RequestsReceived uint64 // authenticated ones
	ResponsesSent    uint64 // error responses too
	SendDropped      uint64 // packets that a full queue has lost
	Ignored          uint64 // remote candidates of a transport or of a TCP type that is not used
	Refused          uint64 // connections of strangers that were closed for others, or because there are too many
}

// pairCounters are the counters of W3C's RTCIceCandidatePairStats.
type pairCounters struct {
	requestsSent, requestsReceived, responsesSent, responsesReceived, consentSent uint64
	currentRTT, totalRTT                                                          time.Duration
}

// response counts a response. One to a request that was sent again does not tell which of them it answers (Karn): it gives
// a round-trip time only if there is none yet.
func (c *pairCounters) response(rtt time.Duration, once bool) {
	c.responsesReceived++
	if !once && c.currentRTT != 0 {
		rtt = c.currentRTT
	}
	c.currentRTT = rtt
	c.totalRTT += rtt
}

// CandidateStats is what W3C's RTCIceCandidateStats wants.
type CandidateStats struct {
	ID        uint64 // unique in the agent, among local and remote candidates
	Candidate Candidate
	Base      BaseID // local candidates: the socket
	Local     bool
}

// PairStats is what W3C's RTCIceCandidatePairStats wants; packets and bytes are counted by the driver, which knows them by
// Base and RemoteAddr.
type PairStats struct {
	ID              uint64
	Local, Remote   uint64 // CandidateStats.ID
	Base            BaseID
	RemoteAddr      netip.AddrPort
	State           PairState
	Priority        uint64
	Nominated       bool
	Selected        bool // application packets take it
	Valid           bool // it has consent
	CurrentRTT      time.Duration
	TotalRTT        time.Duration
	RequestsSent    uint64 // with retransmissions and consent checks
	RequestsRecv    uint64
	ResponsesSent   uint64
	ResponsesRecv   uint64
	ConsentSent     uint64
	LastReceived    time.Time // the latest authenticated message
	ConsentExpires  time.Time // zero: it never had consent
	ValidSince      time.Time // zero: it was never valid
	PriorGeneration bool      // kept from before a restart
}

// Stats is a snapshot of the agent.
type Stats struct {
	Role            Role
	State           State
	GatheringState  GatheringState
	Candidates      []CandidateStats
	Pairs           []PairStats
	SelectedChanges int // how often a pair was selected (selectedCandidatePairChanges)
	Counters        Counters
}

// Stats returns a snapshot of candidates and pairs of the living generations, which the caller owns.
func (a *Agent) Stats() Stats {
	s := Stats{
		Role: a.role, State: a.state, GatheringState: a.gather.state,
		SelectedChanges: a.switches, Counters: a.counters,
	}
	for _, g := range a.generations() {
		for _, l := range g.locals {
			s.Candidates = append(s.Candidates, CandidateStats{ID: l.id, Candidate: l.Candidate, Base: l.base.id, Local: true})
		}
		for _, r := range g.remotes {
			s.Candidates = append(s.Candidates, CandidateStats{ID: r.id, Candidate: r.Candidate})
		}
		for _, p := range g.pairs {
			s.Pairs = append(s.Pairs, a.pairStats(p))
		}
		for _, v := range g.valid {
			if v.produced == nil { // in no checklist
				s.Pairs = append(s.Pairs, a.pairStats(v))
			}
		}
	}
	return s
}

func (a *Agent) pairStats(p *pair) PairStats {
	c := &p.counters
	return PairStats{
		ID: p.id, Local: p.local.id, Remote: p.remote.id, Base: p.base().id, RemoteAddr: p.remote.Addr,
		State: p.state, Priority: p.priority, Nominated: p.nominated, Selected: p == a.routePair, Valid: p.valid,
		CurrentRTT: c.currentRTT, TotalRTT: c.totalRTT, RequestsSent: c.requestsSent, RequestsRecv: c.requestsReceived,
		ResponsesSent: c.responsesSent, ResponsesRecv: c.responsesReceived, ConsentSent: c.consentSent,
		LastReceived: p.lastReceived, ConsentExpires: p.consentUntil, ValidSince: p.validSince,
		PriorGeneration: p.gen != a.cur,
	}
}
