package sdp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxFeedback bounds the rtcp-fb values kept of one codec: "*" lines multiply.
const maxFeedback = 32

// mediaBuilder fills a Media from its attributes, line by line.
type mediaBuilder struct {
	m     *Media
	codec [128]int // index+1 into m.Codecs, by payload type
	ssrc  map[uint32]int
	// wildcard are the values of "a=rtcp-fb:*".
	wildcard []string
}

// formats reads the formats of the m= line: payload types, or an SCTP port in the old syntax.
func (b *mediaBuilder) formats() error {
	m := b.m
	if m.Port < 0 || m.Port > 65535 {
		return fmt.Errorf("port %d", m.Port)
	}
	switch {
	case m.IsRTP():
		for i, f := range m.Formats {
			pt, err := strconv.ParseUint(f, 10, 8)
			if err != nil || pt > 127 {
				return fmt.Errorf("payload type %q", f)
			}
			if b.codec[pt] != 0 {
				return fmt.Errorf("payload type %d twice", pt)
			}
			m.Formats[i] = strconv.FormatUint(pt, 10) // "00" is 0
			c := staticCodec(uint8(pt))
			m.Codecs = append(m.Codecs, c)
			b.codec[pt] = len(m.Codecs)
		}
	case m.IsData() && len(m.Formats) == 1:
		if port, err := strconv.ParseUint(m.Formats[0], 10, 16); err == nil {
			m.SCTPPort = int(port)
			m.SCTPMap = &SCTPMap{Port: int(port)}
		}
	}
	return nil
}

func (b *mediaBuilder) finish() {
	for i := range b.m.Codecs {
		c := &b.m.Codecs[i]
		for _, f := range b.wildcard {
			c.Feedback = addFeedback(c.Feedback, f)
		}
	}
}

// setAttribute reads one attribute of a section.
func (b *mediaBuilder) setAttribute(key, value string) (err error) {
	m := b.m
	switch key {
	case "mid":
		if value == "" || strings.ContainsAny(value, " \t") {
			return fmt.Errorf("no token")
		}
		m.MID = value
	case string(SendRecv), string(SendOnly), string(RecvOnly), string(Inactive):
		m.Direction = Direction(key)
	case "bundle-only":
		m.BundleOnly = true
	case "rtcp-mux":
		m.RTCPMux = true
	case "rtcp-mux-only":
		m.RTCPMuxOnly = true
	case "rtcp-rsize":
		m.RTCPRsize = true
	case "rtcp":
		m.RTCP = value
	case "ice-ufrag", "ice-pwd", "ice-options", "candidate", "end-of-candidates", "fingerprint", "setup", "tls-id":
		return b.transportAttribute(key, value)
	case "rtpmap":
		return b.rtpmap(value)
	case "fmtp":
		return b.fmtp(value)
	case "rtcp-fb":
		return b.feedback(value)
	case "extmap":
		var e Extension
		e, err = parseExtension(value)
		m.Extensions = append(m.Extensions, e)
	case "extmap-allow-mixed":
		m.ExtmapAllowMixed = true
	case "msid":
		var id MSID
		id, err = parseMSID(value)
		m.MSIDs = append(m.MSIDs, id)
	case "ssrc":
		return b.ssrcLine(value)
	case "ssrc-group":
		return b.ssrcGroup(value)
	case "rid":
		return b.rid(value)
	case "simulcast":
		return b.simulcast(value)
	case "sctp-port", "sctpmap", "max-message-size", "sctp-init":
		return b.sctpAttribute(key, value)
	default:
		m.Attributes = append(m.Attributes, Attribute{Key: key, Value: value})
	}
	return err
}

func (b *mediaBuilder) transportAttribute(key, value string) (err error) {
	m := b.m
	switch key {
	case "ice-ufrag":
		m.ICEUfrag, err = iceToken(value, 4)
	case "ice-pwd":
		m.ICEPwd, err = iceToken(value, 22)
	case "ice-options":
		m.ICEOptions = append(m.ICEOptions, strings.Fields(value)...)
	case "candidate":
		if value != "" {
			m.Candidates = append(m.Candidates, value)
		}
	case "end-of-candidates":
		m.EndOfCandidates = true
	case "fingerprint":
		var f Fingerprint
		f, err = parseFingerprint(value)
		m.Fingerprints = append(m.Fingerprints, f)
	case "setup":
		m.Setup, err = parseSetup(value)
	case "tls-id":
		m.TLSID = value
	}
	return err
}

func (b *mediaBuilder) sctpAttribute(key, value string) error {
	m := b.m
	switch key {
	case "sctp-port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return fmt.Errorf("port: %w", err)
		}
		m.SCTPPort = int(port)
	case "max-message-size":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("size: %w", err)
		}
		m.MaxMessageSize = &n
	case "sctp-init":
		m.SCTPInit = value
	case "sctpmap":
		f := strings.Fields(value)
		if len(f) < 2 {
			return fmt.Errorf("not <port> <application> [<streams>]")
		}
		port, err := strconv.ParseUint(f[0], 10, 16)
		if err != nil {
			return fmt.Errorf("port: %w", err)
		}
		sm := SCTPMap{Port: int(port), App: f[1]}
		if len(f) > 2 {
			n, err := strconv.ParseUint(f[2], 10, 16)
			if err != nil {
				return fmt.Errorf("streams: %w", err)
			}
			sm.Streams = int(n)
		}
		m.SCTPMap, m.SCTPPort = &sm, sm.Port
	}
	return nil
}

// byPayload splits "<payload type> <rest>". The codec is nil if the m= line does not list the payload type.
func (b *mediaBuilder) byPayload(value string) (*Codec, string, error) {
	num, rest, ok := strings.Cut(value, " ")
	pt, err := strconv.ParseUint(num, 10, 8)
	if err != nil || pt > 127 || !ok {
		return nil, "", fmt.Errorf("not <payload type> <value>")
	}
	if b.codec[pt] == 0 {
		return nil, rest, nil
	}
	return &b.m.Codecs[b.codec[pt]-1], strings.TrimSpace(rest), nil
}

func (b *mediaBuilder) rtpmap(value string) error {
	c, rest, err := b.byPayload(value)
	if err != nil || c == nil {
		return err
	}
	f := strings.Split(rest, "/")
	if len(f) < 2 || len(f) > 3 || f[0] == "" {
		return fmt.Errorf("not <name>/<clock rate>[/<channels>]")
	}
	clock, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		return fmt.Errorf("clock rate: %w", err)
	}
	var channels uint64
	if len(f) == 3 {
		if channels, err = strconv.ParseUint(f[2], 10, 16); err != nil {
			return fmt.Errorf("channels: %w", err)
		}
	}
	c.Name, c.ClockRate, c.Channels = f[0], uint32(clock), uint16(channels)
	return nil
}

func (b *mediaBuilder) fmtp(value string) error {
	if !b.m.IsRTP() {
		b.m.Attributes = append(b.m.Attributes, Attribute{Key: "fmtp", Value: value})
		return nil
	}
	c, rest, err := b.byPayload(value)
	if err != nil || c == nil {
		return err
	}
	if c.Fmtp != "" {
		c.Fmtp += ";"
	}
	c.Fmtp += rest
	return nil
}

func (b *mediaBuilder) feedback(value string) error {
	if rest, ok := strings.CutPrefix(value, "* "); ok {
		b.wildcard = addFeedback(b.wildcard, rest)
		return nil
	}
	c, rest, err := b.byPayload(value)
	if err != nil || c == nil {
		return err
	}
	c.Feedback = addFeedback(c.Feedback, rest)
	return nil
}

func addFeedback(list []string, v string) []string {
	v = strings.Join(strings.Fields(v), " ")
	if v == "" || len(list) >= maxFeedback || slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

func parseMSID(v string) (MSID, error) {
	f := strings.Fields(v)
	if len(f) == 0 {
		return MSID{}, fmt.Errorf("no msid")
	}
	id := MSID{Stream: f[0]}
	if len(f) > 1 {
		id.Track = f[1]
	}
	return id, nil
}

func (b *mediaBuilder) ssrcLine(value string) error {
	num, rest, ok := strings.Cut(value, " ")
	id, err := strconv.ParseUint(num, 10, 32)
	if err != nil || !ok {
		return fmt.Errorf("not <ssrc> <attribute>")
	}
	if b.ssrc == nil {
		b.ssrc = map[uint32]int{}
	}
	i, known := b.ssrc[uint32(id)]
	if !known {
		i = len(b.m.SSRCs)
		b.m.SSRCs = append(b.m.SSRCs, SSRC{ID: uint32(id)})
		b.ssrc[uint32(id)] = i
	}
	s := &b.m.SSRCs[i]
	key, v, _ := strings.Cut(strings.TrimSpace(rest), ":")
	switch key {
	case "cname":
		s.CNAME = v
	case "msid":
		msid, err := parseMSID(v)
		if err != nil {
			return err
		}
		s.MSID = &msid
	default:
		s.Attributes = append(s.Attributes, Attribute{Key: key, Value: v})
	}
	return nil
}

func (b *mediaBuilder) ssrcGroup(value string) error {
	f := strings.Fields(value)
	if len(f) == 0 {
		return fmt.Errorf("no semantics")
	}
	g := SSRCGroup{Semantics: f[0]}
	for _, num := range f[1:] {
		id, err := strconv.ParseUint(num, 10, 32)
		if err != nil {
			return fmt.Errorf("ssrc: %w", err)
		}
		g.SSRCs = append(g.SSRCs, uint32(id))
	}
	b.m.SSRCGroups = append(b.m.SSRCGroups, g)
	return nil
}
