package sdp

import (
	"fmt"
	"strings"
)

// rid reads a=rid (RFC 8851 §10).
func (b *mediaBuilder) rid(value string) error {
	id, rest, _ := strings.Cut(value, " ")
	direction, restrictions, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if err := checkRID(id); err != nil {
		return err
	}
	if direction != "send" && direction != "recv" {
		return fmt.Errorf("direction %q", direction)
	}
	b.m.RIDs = append(b.m.RIDs, RID{ID: id, Send: direction == "send", Restrictions: strings.TrimSpace(restrictions)})
	return nil
}

// checkRID: one or more of alphanumeric, "-" and "_" (RFC 8851 §10), at most 255 for the header extension.
func checkRID(id string) error {
	if id == "" || len(id) > 255 {
		return fmt.Errorf("rid %q", id)
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("rid %q", id)
		}
	}
	return nil
}

// simulcast reads a=simulcast (RFC 8853 §5.1): "send a,~b;c recv d".
func (b *mediaBuilder) simulcast(value string) error {
	if b.m.Simulcast != nil {
		return fmt.Errorf("second simulcast line")
	}
	f := strings.Fields(value)
	if len(f) != 2 && len(f) != 4 {
		return fmt.Errorf("not <direction> <streams>")
	}
	sc := &Simulcast{}
	for i := 0; i < len(f); i += 2 {
		streams, err := parseStreams(f[i+1])
		if err != nil {
			return err
		}
		switch {
		case f[i] == "send" && sc.Send == nil:
			sc.Send = streams
		case f[i] == "recv" && sc.Recv == nil:
			sc.Recv = streams
		default:
			return fmt.Errorf("direction %q", f[i])
		}
	}
	b.m.Simulcast = sc
	return nil
}

func parseStreams(v string) ([][]SimulcastID, error) {
	var streams [][]SimulcastID
	for stream := range strings.SplitSeq(v, ";") {
		var ids []SimulcastID
		for id := range strings.SplitSeq(stream, ",") {
			rid, paused := strings.CutPrefix(id, "~")
			if err := checkRID(rid); err != nil {
				return nil, err
			}
			ids = append(ids, SimulcastID{RID: rid, Paused: paused})
		}
		streams = append(streams, ids)
	}
	return streams, nil
}

func formatStreams(streams [][]SimulcastID) string {
	var b strings.Builder
	for i, ids := range streams {
		if i > 0 {
			b.WriteByte(';')
		}
		for j, id := range ids {
			if j > 0 {
				b.WriteByte(',')
			}
			if id.Paused {
				b.WriteByte('~')
			}
			b.WriteString(id.RID)
		}
	}
	return b.String()
}
