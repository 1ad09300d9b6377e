package sdp

import (
	"strconv"
	"strings"
)

// Marshal writes the description, lines ending in CRLF. Fields that hold line breaks would make other lines: they are
// written without them.
func (s *Session) Marshal() string {
	w := &writer{}
	w.b.Grow(s.sizeHint())
	o := s.Origin
	w.line("v=0")
	w.line("o=", orDash(o.Username), " ", strconv.FormatUint(o.SessionID, 10), " ", strconv.FormatUint(o.SessionVersion, 10),
		" ", or(o.NetworkType, "IN"), " ", or(o.AddressType, "IP4"), " ", or(o.Address, "0.0.0.0"))
	w.line("s=", orDash(s.Name))
	if s.Connection != "" {
		w.line("c=", s.Connection)
	}
	w.bandwidths(s.Bandwidths)
	w.line("t=0 0")
	for _, g := range s.Groups {
		w.attr("group", strings.Join(append([]string{g.Semantics}, g.MIDs...), " "))
	}
	w.flag("ice-lite", s.ICELite)
	w.flag("extmap-allow-mixed", s.ExtmapAllowMixed)
	w.value("msid-semantic", s.MSIDSemantic)
	w.ice(s.ICEUfrag, s.ICEPwd, s.ICEOptions)
	w.dtls(s.Fingerprints, s.Setup, s.TLSID)
	w.extensions(s.Extensions)
	w.flag(string(s.Direction), s.Direction != "")
	w.flag("end-of-candidates", s.EndOfCandidates)
	w.attributes(s.Attributes)
	for i := range s.Media {
		w.media(&s.Media[i])
	}
	return w.b.String()
}

// sizeHint guesses the length of the text, so that it is neither copied while it grows nor kept with half as much air.
func (s *Session) sizeHint() int {
	const head, section, line = 192, 384, 80
	n := head
	for i := range s.Media {
		m := &s.Media[i]
		n += section + line*(len(m.Candidates)+2*len(m.Codecs)+len(m.Extensions)+2*len(m.SSRCs)+len(m.Attributes))
	}
	return n
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func orDash(s string) string { return or(s, "-") }

type writer struct {
	b strings.Builder
}

var lineBreaks = strings.NewReplacer("\r", "", "\n", "")

func (w *writer) line(parts ...string) {
	for _, p := range parts {
		if strings.IndexByte(p, '\n') >= 0 || strings.IndexByte(p, '\r') >= 0 {
			p = lineBreaks.Replace(p)
		}
		w.b.WriteString(p)
	}
	w.b.WriteString("\r\n")
}

func (w *writer) attr(key, value string) {
	if value == "" {
		w.line("a=", key)
		return
	}
	w.line("a=", key, ":", value)
}

// flag writes a property attribute if set.
func (w *writer) flag(key string, set bool) {
	if set {
		w.line("a=", key)
	}
}

// value writes an attribute if it has a value.
func (w *writer) value(key, value string) {
	if value != "" {
		w.line("a=", key, ":", value)
	}
}

func (w *writer) bandwidths(list []Bandwidth) {
	for _, b := range list {
		w.line("b=", b.Type, ":", strconv.FormatUint(b.Value, 10))
	}
}

func (w *writer) ice(ufrag, pwd string, options []string) {
	w.value("ice-ufrag", ufrag)
	w.value("ice-pwd", pwd)
	w.value("ice-options", strings.Join(options, " "))
}

func (w *writer) dtls(fingerprints []Fingerprint, setup Setup, tlsID string) {
	for _, f := range fingerprints {
		w.attr("fingerprint", f.Algorithm+" "+f.Value)
	}
	w.value("setup", string(setup))
	w.value("tls-id", tlsID)
}

func (w *writer) extensions(list []Extension) {
	for _, e := range list {
		id := strconv.Itoa(e.ID)
		if e.Direction != "" {
			id += "/" + string(e.Direction)
		}
		if e.Attributes != "" {
			w.line("a=extmap:", id, " ", e.URI, " ", e.Attributes)
		} else {
			w.line("a=extmap:", id, " ", e.URI)
		}
	}
}

func (w *writer) attributes(list []Attribute) {
	for _, a := range list {
		w.attr(a.Key, a.Value)
	}
}

func (w *writer) media(m *Media) {
	w.line("m=", m.Kind, " ", strconv.Itoa(m.Port), " ", m.Protocol, " ", strings.Join(m.formats(), " "))
	if m.Title != "" {
		w.line("i=", m.Title)
	}
	if m.Connection != "" {
		w.line("c=", m.Connection)
	}
	w.bandwidths(m.Bandwidths)
	w.value("rtcp", m.RTCP)
	for _, c := range m.Candidates {
		w.attr("candidate", c)
	}
	w.flag("end-of-candidates", m.EndOfCandidates)
	w.ice(m.ICEUfrag, m.ICEPwd, m.ICEOptions)
	w.dtls(m.Fingerprints, m.Setup, m.TLSID)
	w.value("mid", m.MID)
	w.flag("bundle-only", m.BundleOnly)
	w.flag("extmap-allow-mixed", m.ExtmapAllowMixed)
	w.extensions(m.Extensions)
	w.flag(string(m.Direction), m.Direction != "")
	for _, id := range m.MSIDs {
		w.attr("msid", id.String())
	}
	w.flag("rtcp-mux", m.RTCPMux)
	w.flag("rtcp-mux-only", m.RTCPMuxOnly)
	w.flag("rtcp-rsize", m.RTCPRsize)
	for i := range m.Codecs {
		w.codec(&m.Codecs[i])
	}
	w.streams(m)
	w.sctp(m)
	w.attributes(m.Attributes)
}

// formats are those of the m= line: the codecs' numbers for RTP.
func (m *Media) formats() []string {
	if len(m.Codecs) == 0 {
		return m.Formats
	}
	formats := make([]string, len(m.Codecs))
	for i := range m.Codecs {
		formats[i] = strconv.Itoa(int(m.Codecs[i].PayloadType))
	}
	return formats
}

// String writes the msid's value.
func (id MSID) String() string {
	if id.Track == "" {
		return id.Stream
	}
	return id.Stream + " " + id.Track
}

func (w *writer) codec(c *Codec) {
	pt := strconv.Itoa(int(c.PayloadType))
	if c.Name != "" {
		rtpmap := pt + " " + c.Name + "/" + strconv.FormatUint(uint64(c.ClockRate), 10)
		if c.Channels > 0 {
			rtpmap += "/" + strconv.FormatUint(uint64(c.Channels), 10)
		}
		w.attr("rtpmap", rtpmap)
	}
	for _, f := range c.Feedback {
		w.attr("rtcp-fb", pt+" "+f)
	}
	if c.Fmtp != "" {
		w.attr("fmtp", pt+" "+c.Fmtp)
	}
}

// streams writes the sources: rid, simulcast, ssrc-group, ssrc.
func (w *writer) streams(m *Media) {
	for _, r := range m.RIDs {
		direction := "recv"
		if r.Send {
			direction = "send"
		}
		w.attr("rid", strings.TrimSuffix(r.ID+" "+direction+" "+r.Restrictions, " "))
	}
	if sc := m.Simulcast; sc != nil {
		var parts []string
		if len(sc.Send) > 0 {
			parts = append(parts, "send "+formatStreams(sc.Send))
		}
		if len(sc.Recv) > 0 {
			parts = append(parts, "recv "+formatStreams(sc.Recv))
		}
		w.value("simulcast", strings.Join(parts, " "))
	}
	for _, g := range m.SSRCGroups {
		v := g.Semantics
		for _, id := range g.SSRCs {
			v += " " + strconv.FormatUint(uint64(id), 10)
		}
		w.attr("ssrc-group", v)
	}
	for i := range m.SSRCs {
		w.ssrc(&m.SSRCs[i])
	}
}

func (w *writer) ssrc(s *SSRC) {
	id := strconv.FormatUint(uint64(s.ID), 10)
	if s.CNAME != "" {
		w.attr("ssrc", id+" cname:"+s.CNAME)
	}
	if s.MSID != nil {
		w.attr("ssrc", id+" msid:"+s.MSID.String())
	}
	for _, a := range s.Attributes {
		v := id + " " + a.Key
		if a.Value != "" {
			v += ":" + a.Value
		}
		w.attr("ssrc", v)
	}
}

func (w *writer) sctp(m *Media) {
	if sm := m.SCTPMap; sm != nil {
		if sm.App != "" {
			v := strconv.Itoa(sm.Port) + " " + sm.App
			if sm.Streams > 0 {
				v += " " + strconv.Itoa(sm.Streams)
			}
			w.attr("sctpmap", v)
		}
	} else if m.SCTPPort > 0 {
		w.attr("sctp-port", strconv.Itoa(m.SCTPPort))
	}
	if m.MaxMessageSize != nil {
		w.attr("max-message-size", strconv.FormatUint(*m.MaxMessageSize, 10))
	}
	w.value("sctp-init", m.SCTPInit)
}
