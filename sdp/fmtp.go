package sdp

import "strings"

// Param returns the value of a parameter of the codec's fmtp ("packetization-mode"), and whether it is there. Names are
// compared without case.
func (c *Codec) Param(name string) (string, bool) { return FmtpParam(c.Fmtp, name) }

// FmtpParam is Param for the text of a fmtp line.
func FmtpParam(fmtp, name string) (string, bool) {
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// SetFmtpParam returns fmtp with the parameter set to value, in its old place or at the end.
func SetFmtpParam(fmtp, name, value string) string {
	if fmtp == "" {
		return name + "=" + value
	}
	parts := strings.Split(fmtp, ";")
	for i, part := range parts {
		key, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			parts[i] = name + "=" + value
			return strings.Join(parts, ";")
		}
	}
	return fmtp + ";" + name + "=" + value
}
