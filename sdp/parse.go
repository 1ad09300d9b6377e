package sdp

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	psdp "github.com/pion/sdp/v3"
)

// Parse reads a session description. Lines may end in CRLF or LF. A description over MaxSize, MaxLines or MaxSections is
// refused. Every error is a *SyntaxError.
func Parse(text string) (*Session, error) {
	if len(text) > MaxSize {
		return nil, &SyntaxError{Reason: fmt.Sprintf("longer than %d bytes", MaxSize)}
	}
	// RFC 8866 §5: lines end in CRLF, and in LF from careless peers. A CR alone would be read in two ways below.
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines, err := scanLines(text)
	if err != nil {
		return nil, err
	}
	var raw psdp.SessionDescription
	if err := raw.UnmarshalString(text); err != nil {
		return nil, lines.grammarError(err)
	}
	// RFC 8866 §5: these lines are not optional, while the grammar takes every prefix of a description for one.
	if raw.Origin.Username == "" || len(raw.TimeDescriptions) == 0 {
		return nil, &SyntaxError{Reason: "o= or t= line is missing"}
	}
	p := parser{lines: lines}
	return p.session(&raw)
}

// lineTable finds the lines of attributes again after the grammar has read them.
type lineTable struct {
	lines []string
	// attrs[0] are the numbers of the a= lines of the session level, attrs[i] those of section i-1.
	attrs [][]int
	// media are the numbers of the m= lines.
	media []int
}

func scanLines(text string) (*lineTable, error) {
	t := &lineTable{attrs: [][]int{nil}}
	t.lines = strings.Split(text, "\n")
	if len(t.lines) > MaxLines {
		return nil, &SyntaxError{Reason: fmt.Sprintf("more than %d lines", MaxLines)}
	}
	for i, line := range t.lines {
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' {
			return nil, t.errorAt(i+1, "not of the form <type>=<value>", nil)
		}
		switch line[0] {
		case 'm':
			t.media = append(t.media, i+1)
			t.attrs = append(t.attrs, nil)
		case 'a':
			last := len(t.attrs) - 1
			t.attrs[last] = append(t.attrs[last], i+1)
		}
	}
	if len(t.media) > MaxSections {
		return nil, &SyntaxError{Reason: fmt.Sprintf("more than %d m= lines", MaxSections)}
	}
	return t, nil
}

// grammarError finds the line on which the grammar fails: it reads lines one after the other and takes every prefix of
// a good description, so the shortest bad prefix ends in the bad line.
func (t *lineTable) grammarError(cause error) error {
	n := sort.Search(len(t.lines), func(i int) bool {
		var d psdp.SessionDescription
		return d.UnmarshalString(strings.Join(t.lines[:i+1], "\n")+"\n") != nil
	})
	if n == len(t.lines) {
		return &SyntaxError{Reason: "grammar", Err: cause}
	}
	return t.errorAt(n+1, "grammar", cause)
}

func (t *lineTable) errorAt(n int, reason string, cause error) error {
	const maxShown = 120
	line := t.lines[n-1]
	if len(line) > maxShown {
		line = line[:maxShown] + "…"
	}
	return &SyntaxError{Line: n, Text: line, Reason: reason, Err: cause}
}

// attrLine is the number of attribute j of a section (0: session level).
func (t *lineTable) attrLine(section, j int) int {
	if section < len(t.attrs) && j < len(t.attrs[section]) {
		return t.attrs[section][j]
	}
	return 0
}

type parser struct {
	lines *lineTable
}

func (p *parser) session(raw *psdp.SessionDescription) (*Session, error) {
	s := &Session{
		Origin: Origin{
			Username: raw.Origin.Username, SessionID: raw.Origin.SessionID, SessionVersion: raw.Origin.SessionVersion,
			NetworkType: raw.Origin.NetworkType, AddressType: raw.Origin.AddressType, Address: raw.Origin.UnicastAddress,
		},
		Name:       string(raw.SessionName),
		Connection: connection(raw.ConnectionInformation),
		Bandwidths: bandwidths(raw.Bandwidth),
	}
	if s.Name == "-" {
		s.Name = ""
	}
	for j, a := range raw.Attributes {
		if err := s.setAttribute(a.Key, strings.TrimSpace(a.Value)); err != nil {
			return nil, p.attributeError(0, j, err)
		}
	}
	s.Media = make([]Media, 0, len(raw.MediaDescriptions))
	for i, md := range raw.MediaDescriptions {
		m, err := p.media(i, md)
		if err != nil {
			return nil, err
		}
		s.Media = append(s.Media, *m)
	}
	return s, nil
}

func (p *parser) attributeError(section, j int, err error) error {
	n := p.lines.attrLine(section, j)
	if n == 0 {
		return &SyntaxError{Reason: "attribute", Err: err}
	}
	return p.lines.errorAt(n, "attribute", err)
}

func (p *parser) media(i int, raw *psdp.MediaDescription) (*Media, error) {
	m := &Media{
		Kind:       raw.MediaName.Media,
		Port:       raw.MediaName.Port.Value,
		Protocol:   strings.Join(raw.MediaName.Protos, "/"),
		Formats:    raw.MediaName.Formats,
		Connection: connection(raw.ConnectionInformation),
		Bandwidths: bandwidths(raw.Bandwidth),
	}
	if raw.MediaTitle != nil {
		m.Title = string(*raw.MediaTitle)
	}
	b := mediaBuilder{m: m}
	if err := b.formats(); err != nil {
		return nil, p.lines.errorAt(p.lines.media[i], "m= line", err)
	}
	for j, a := range raw.Attributes {
		if err := b.setAttribute(a.Key, strings.TrimSpace(a.Value)); err != nil {
			return nil, p.attributeError(i+1, j, err)
		}
	}
	b.finish()
	return m, nil
}

func connection(c *psdp.ConnectionInformation) string {
	if c == nil {
		return ""
	}
	return c.String()
}

func bandwidths(in []psdp.Bandwidth) []Bandwidth {
	var out []Bandwidth
	for _, b := range in {
		name := b.Type
		if b.Experimental {
			name = "X-" + name
		}
		out = append(out, Bandwidth{Type: name, Value: b.Bandwidth})
	}
	return out
}

// setAttribute reads one attribute of the session level.
func (s *Session) setAttribute(key, value string) (err error) {
	switch key {
	case "group":
		f := strings.Fields(value)
		if len(f) == 0 {
			return fmt.Errorf("group without semantics")
		}
		s.Groups = append(s.Groups, Group{Semantics: f[0], MIDs: f[1:]})
	case "ice-lite":
		s.ICELite = true
	case "ice-options":
		s.ICEOptions = append(s.ICEOptions, strings.Fields(value)...)
	case "ice-ufrag":
		s.ICEUfrag, err = iceToken(value, 4)
	case "ice-pwd":
		s.ICEPwd, err = iceToken(value, 22)
	case "fingerprint":
		var f Fingerprint
		f, err = parseFingerprint(value)
		s.Fingerprints = append(s.Fingerprints, f)
	case "setup":
		s.Setup, err = parseSetup(value)
	case "tls-id":
		s.TLSID = value
	case "extmap-allow-mixed":
		s.ExtmapAllowMixed = true
	case "msid-semantic":
		s.MSIDSemantic = value
	case "extmap":
		var e Extension
		e, err = parseExtension(value)
		s.Extensions = append(s.Extensions, e)
	case "end-of-candidates":
		s.EndOfCandidates = true
	case string(SendRecv), string(SendOnly), string(RecvOnly), string(Inactive):
		s.Direction = Direction(key)
	default:
		s.Attributes = append(s.Attributes, Attribute{Key: key, Value: value})
	}
	return err
}

// iceToken checks an ice-ufrag or ice-pwd (RFC 8839 §5.4: 4 to 256, 22 to 256 ice-chars). "-", "=", "#" and "_" are
// taken too: older servers send them, and browsers take them.
func iceToken(v string, minimum int) (string, error) {
	if len(v) < minimum || len(v) > 256 {
		return "", fmt.Errorf("has %d characters, not %d to 256", len(v), minimum)
	}
	for i := range len(v) {
		c := v[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.Contains("+/-=#_", v[i:i+1]) {
			return "", fmt.Errorf("contains %q", v[i:i+1])
		}
	}
	return v, nil
}

func parseFingerprint(v string) (Fingerprint, error) {
	algorithm, hex, ok := strings.Cut(v, " ")
	hex = strings.ToUpper(strings.TrimSpace(hex))
	if !ok || algorithm == "" || len(hex)%3 != 2 {
		return Fingerprint{}, fmt.Errorf("not <hash> <hex>:<hex>…")
	}
	for i := range len(hex) {
		c := hex[i]
		switch {
		case i%3 == 2 && c == ':':
		case i%3 != 2 && (c >= '0' && c <= '9' || c >= 'A' && c <= 'F'):
		default:
			return Fingerprint{}, fmt.Errorf("not <hash> <hex>:<hex>…")
		}
	}
	return Fingerprint{Algorithm: strings.ToLower(algorithm), Value: hex}, nil
}

func parseSetup(v string) (Setup, error) {
	switch s := Setup(strings.ToLower(v)); s {
	case SetupActive, SetupPassive, SetupActpass, SetupHoldconn:
		return s, nil
	}
	return "", fmt.Errorf("no setup role")
}

func parseExtension(v string) (Extension, error) {
	f := strings.SplitN(v, " ", 3)
	if len(f) < 2 || f[1] == "" {
		return Extension{}, fmt.Errorf("not <id>[/<direction>] <uri>")
	}
	var e Extension
	id, direction, hasDirection := strings.Cut(f[0], "/")
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 || n > 4351 {
		return Extension{}, fmt.Errorf("extension id %q", id)
	}
	e.ID, e.URI = n, f[1]
	if hasDirection {
		switch d := Direction(direction); d {
		case SendRecv, SendOnly, RecvOnly, Inactive:
			e.Direction = d
		default:
			return Extension{}, fmt.Errorf("direction %q", direction)
		}
	}
	if len(f) == 3 {
		e.Attributes = f[2]
	}
	return e, nil
}
