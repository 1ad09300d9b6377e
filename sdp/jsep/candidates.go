package jsep

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is recorded: the candidates of one generation on each side, and the local generations.
const (
	maxCandidates  = 256
	maxGenerations = 4
	maxCandidate   = 1024
)

// gathered are this side's candidates by generation, the newest last.
type gathered struct {
	generations []generation
}

type generation struct {
	ufrag      string
	candidates []string
	done       bool
}

func (g *gathered) of(ufrag string) *generation {
	for i := range g.generations {
		if g.generations[i].ufrag == ufrag {
			return &g.generations[i]
		}
	}
	return nil
}

// AddLocalCandidate records a gathered candidate (the value of a=candidate) in the local descriptions of the generation
// ufrag. A generation that the session did not make is ignored.
func (s *Session) AddLocalCandidate(ufrag, candidate string) {
	c, err := parseCandidate(candidate)
	if err != nil || s.closed() {
		return
	}
	if g := s.localGeneration(ufrag); g != nil && len(g.candidates) < maxCandidates && !slices.Contains(g.candidates, c.text) {
		g.candidates = append(g.candidates, c.text)
	}
}

// EndOfLocalCandidates records that the generation's gathering is complete.
func (s *Session) EndOfLocalCandidates(ufrag string) {
	if g := s.localGeneration(ufrag); g != nil {
		g.done = true
	}
}

// localGeneration returns the record of a generation that is in force, or in a description.
func (s *Session) localGeneration(ufrag string) *generation {
	if g := s.gathered.of(ufrag); g != nil {
		return g
	}
	known := ufrag != "" && ufrag == s.st.local.Ufrag
	for _, d := range []*description{s.st.pendingLocal, s.st.currentLocal} {
		for i := 0; d != nil && i < len(d.sdp.Media); i++ {
			known = known || ufrag != "" && d.sdp.Media[i].ICEUfrag == ufrag
		}
	}
	if !known {
		return nil
	}
	if len(s.gathered.generations) >= maxGenerations {
		s.gathered.generations = slices.Delete(s.gathered.generations, 0, 1)
	}
	s.gathered.generations = append(s.gathered.generations, generation{ufrag: ufrag})
	return s.gathered.of(ufrag)
}

// withGathered is the text of a local description with the candidates: those lines stand in the section of the
// transport only, the default candidate in all that share it (RFC 9429 §5.2.2, §5.3.1).
func (s *Session) withGathered(d *description) string {
	tag := tagOf(d)
	_, i := d.section(tag)
	if i < 0 {
		return d.text
	}
	g := s.gathered.of(d.sdp.Media[i].ICEUfrag)
	if g == nil {
		return d.text
	}
	out := d.sdp.Clone()
	out.Media[i].Candidates, out.Media[i].EndOfCandidates = g.candidates, g.done
	address, port, ok := defaultCandidate(g.candidates)
	for j := range out.Media {
		if m := &out.Media[j]; ok && m.Port != 0 {
			m.Port, m.Connection = port, address
			if m.RTCP != "" {
				m.RTCP = strconv.Itoa(port) + " " + address
			}
		}
	}
	return out.Marshal()
}

// defaultCandidate is the one for the m= and c= lines: relayed before reflexive before host (RFC 8839 §4.2.1.2), UDP,
// with a literal address.
func defaultCandidate(list []string) (connection string, port int, ok bool) {
	rank := map[string]int{"relay": 3, "srflx": 2, "prflx": 2, "host": 1}
	best := 0
	for _, text := range list {
		c, err := parseCandidate(text)
		if err != nil || !strings.EqualFold(c.transport, "udp") || !c.addr.IsValid() || c.addr.Zone() != "" {
			continue
		}
		// Of one kind an IPv4 address, which old peers read, and then the first.
		n := rank[c.typ] * 2
		if c.addr.Is4() {
			n++
		}
		if n <= best {
			continue
		}
		best, ok, port = n, true, c.port
		connection = "IN IP6 " + c.addr.String()
		if c.addr.Is4() {
			connection = "IN IP4 " + c.addr.String()
		}
	}
	return connection, port, ok
}

// candidate is what this package reads of a candidate; ICE parses the text for itself.
type candidate struct {
	text      string
	component int
	transport string
	addr      netip.Addr // invalid for a name
	port      int
	typ       string
	ufrag     string
}

// parseCandidate checks the grammar of RFC 8839 §5.1.
func parseCandidate(text string) (candidate, error) {
	text = strings.TrimSpace(text)
	text = strings.TrimPrefix(text, "a=")
	text = strings.TrimPrefix(text, "candidate:")
	bad := func(reason string) (candidate, error) {
		return candidate{}, fail(NameOperation, "candidate: %s", reason)
	}
	if len(text) > maxCandidate || strings.ContainsAny(text, "\r\n") {
		return bad("too long, or more than a line")
	}
	f := strings.Fields(text)
	if len(f) < 8 || f[6] != "typ" {
		return bad("not <foundation> <component> <transport> <priority> <address> <port> typ <type>")
	}
	if len(f[0]) > 32 {
		return bad("foundation longer than 32")
	}
	component, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil || component < 1 || component > 256 {
		return bad("component")
	}
	if _, err := strconv.ParseUint(f[3], 10, 32); err != nil {
		return bad("priority")
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil {
		return bad("port")
	}
	c := candidate{text: text, component: int(component), transport: f[2], port: int(port), typ: f[7]}
	if addr, err := netip.ParseAddr(f[4]); err == nil {
		c.addr = addr
	} else if strings.Contains(f[4], ":") {
		return bad("address")
	}
	for i := 8; i+1 < len(f); i += 2 {
		if f[i] == "ufrag" {
			c.ufrag = f[i+1]
		}
	}
	return c, nil
}

// firstComponents are the candidates of component 1, without doubles: with rtcp-mux there is no other (RFC 5761).
func firstComponents(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, text := range list {
			c, err := parseCandidate(text)
			if err == nil && c.component == 1 && len(out) < maxCandidates && !slices.Contains(out, c.text) {
				out = append(out, c.text)
			}
		}
	}
	return out
}

// AddRemoteCandidate checks a candidate and records it in the remote description (webrtc-pc §4.4.2 addIceCandidate).
// InvalidStateError: there is no remote description yet. TypeError: a candidate without mid and index.
// OperationError: it does not parse, or no section or generation matches.
func (s *Session) AddRemoteCandidate(in Candidate) (CandidateUse, error) {
	if s.closed() {
		return CandidateUse{}, errClosed()
	}
	var c candidate
	if in.Candidate != "" {
		if in.MID == nil && in.MLineIndex == nil {
			return CandidateUse{}, fail(NameType, "a candidate without sdpMid and sdpMLineIndex")
		}
		var err error
		if c, err = parseCandidate(in.Candidate); err != nil {
			return CandidateUse{}, err
		}
	}
	newest := s.st.remoteDescription()
	if newest == nil {
		return CandidateUse{}, fail(NameInvalidState, "no remote description")
	}
	mid, err := candidateSection(newest, in)
	if err != nil {
		return CandidateUse{}, err
	}
	ufrag := c.ufrag
	if in.UsernameFragment != nil && *in.UsernameFragment != "" {
		ufrag = *in.UsernameFragment
	}
	loose := in.MID == nil || *in.MID == ""
	return s.recordRemote(c, mid, ufrag, loose)
}

// candidateSection is the mid that a candidate is for; empty for all sections.
func candidateSection(d *description, in Candidate) (string, error) {
	switch {
	case in.MID != nil && *in.MID != "":
		if _, i := d.section(*in.MID); i < 0 {
			return "", fail(NameOperation, "no section with mid %q", *in.MID)
		}
		return *in.MID, nil
	case in.MLineIndex != nil:
		if i := *in.MLineIndex; i < 0 || i >= len(d.mids) {
			return "", fail(NameOperation, "no section %d", i)
		}
		return d.mids[*in.MLineIndex], nil
	case in.MID != nil && in.Candidate != "":
		return "", fail(NameOperation, "no section with an empty mid")
	}
	return "", nil
}

// recordRemote writes a candidate, or the end of candidates, into the remote descriptions of its generation. A loose one
// serves the transport whatever section it names.
func (s *Session) recordRemote(c candidate, mid, ufrag string, loose bool) (CandidateUse, error) {
	use := CandidateUse{Candidate: c.text, MID: mid}
	found := false
	for _, d := range []*description{s.st.pendingRemote, s.st.currentRemote} {
		if d == nil {
			continue
		}
		for i := range d.sdp.Media {
			generation := d.sdp.ICEOf(i).Ufrag
			if mid != "" && d.mids[i] != mid || d.sdp.Media[i].Rejected() && mid == "" ||
				ufrag != "" && generation != ufrag {
				continue
			}
			found = true
			recordIn(d, i, c.text)
			if loose && c.text != "" && len(d.loose) < maxCandidates {
				d.loose = append(d.loose, c.text)
			}
			if s.st.conn.ready && generation == s.st.conn.remote.Ufrag && (loose || d.mids[i] == s.st.conn.tag) && c.component <= 1 {
				use.Deliver = true
			}
		}
		if found && ufrag == "" {
			// Without a ufrag the newest generation is meant.
			break
		}
	}
	if !found {
		return CandidateUse{}, fail(NameOperation, "no ICE generation %q", ufrag)
	}
	return use, nil
}

func recordIn(d *description, i int, text string) {
	m := &d.sdp.Media[i]
	switch {
	case text == "":
		m.EndOfCandidates = true
	case len(m.Candidates) >= maxCandidates || slices.Contains(m.Candidates, text):
		return
	default:
		m.Candidates = append(m.Candidates, text)
	}
	d.changed = true
}
