package jsep

import (
	"slices"

	"github.com/openparley/webrtc/sdp"
)

// state is everything that a Session's methods change. It is copied before each change that can fail, and put back if it
// does: the slices and descriptions in it are replaced, never written to, except the candidates of descriptions.
type state struct {
	signaling    SignalingState
	transceivers []*Transceiver

	currentLocal, pendingLocal   *description
	currentRemote, pendingRemote *description
	// lastOffer and lastAnswer are what SetLocal accepts; dropped when the state becomes stable.
	lastOffer, lastAnswer *description

	// dataWanted: a data channel was created (W3C: the connection has an SCTP transport, or wants one).
	dataWanted bool
	// version is sess-version of the last local description that was applied.
	version uint64
	// nextMID is the least number that was not yet given to a section.
	nextMID int

	// local are the ICE credentials in force, next those made for descriptions that are not applied yet.
	local, next ICEParameters
	// replace are the ufrags that restartIce wants gone ([[LocalIceCredentialsToReplace]]).
	replace []string
	conn    connection

	// stable is what rollback returns to; nil in stable.
	stable *stableState
}

// connection is what has been agreed on for the one transport.
type connection struct {
	ready       bool
	tag         string // mid of the section that stands for the transport
	remote      ICEParameters
	controlling bool
	role        DTLSRole
	// fixed: a final answer has settled the role; what later ones say of it is not looked at.
	fixed        bool
	fingerprints []sdp.Fingerprint
}

// description is one applied or created description.
type description struct {
	typ  Type
	sdp  *sdp.Session
	text string
	// changed: candidates were added to sdp since text was made.
	changed bool
	// mids of the sections: a section of a remote description without a=mid gets one that is not written.
	mids []string
	// loose are remote candidates that came with the index of a section only: peers without BUNDLE in mind say 0 for all.
	loose []string
	// local: candidates are added when it is read.
	local bool
	// plan are the transceivers of the sections of a local description, nil entries for data and for rejected ones.
	plan []*Transceiver
}

func (d *description) section(mid string) (*sdp.Media, int) {
	if d == nil {
		return nil, -1
	}
	i := slices.Index(d.mids, mid)
	if i < 0 {
		return nil, -1
	}
	return &d.sdp.Media[i], i
}

// descriptions are those in force, the newest first.
func (st *state) descriptions() []*description {
	var out []*description
	for _, d := range []*description{st.pendingLocal, st.pendingRemote, st.currentLocal, st.currentRemote} {
		if d != nil {
			out = append(out, d)
		}
	}
	return out
}

// layout is the description that fixes the order of sections, nil if there is none.
func (st *state) layout() *description {
	for _, d := range st.descriptions() {
		return d
	}
	return nil
}

// local and remote return the pending description or else the current one.
func (st *state) localDescription() *description {
	if st.pendingLocal != nil {
		return st.pendingLocal
	}
	return st.currentLocal
}

func (st *state) remoteDescription() *description {
	if st.pendingRemote != nil {
		return st.pendingRemote
	}
	return st.currentRemote
}

// byMID returns the transceiver of a section, nil if there is none.
func (st *state) byMID(mid string) *Transceiver {
	if mid == "" {
		return nil
	}
	for _, t := range st.transceivers {
		if t.MID == mid {
			return t
		}
	}
	return nil
}

// checkpoint is a copy of the state to go back to when a method fails.
type checkpoint struct {
	st     state
	values []Transceiver
}

func (s *Session) checkpoint() checkpoint {
	c := checkpoint{st: s.st, values: make([]Transceiver, len(s.st.transceivers))}
	c.st.transceivers = slices.Clone(s.st.transceivers)
	for i, t := range s.st.transceivers {
		c.values[i] = *t
	}
	return c
}

func (s *Session) restore(c checkpoint) {
	s.st = c.st
	for i, t := range c.st.transceivers {
		*t = c.values[i]
	}
}

// stableState is the negotiated part of the last stable state.
type stableState struct {
	values map[*Transceiver]Transceiver
	local  ICEParameters
	conn   connection
}

// leaveStable remembers where rollback returns to; it does nothing outside of stable.
func (s *Session) leaveStable() {
	if s.st.stable != nil {
		return
	}
	r := &stableState{values: map[*Transceiver]Transceiver{}, local: s.st.local, conn: s.st.conn}
	for _, t := range s.st.transceivers {
		r.values[t] = *t
	}
	s.st.stable = r
}
