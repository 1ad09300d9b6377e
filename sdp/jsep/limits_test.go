package jsep

import (
	"strconv"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// A description as large as Parse takes: no step is worse than quadratic in its sections, or this test does not end.
func TestLargeDescriptions(t *testing.T) {
	var b strings.Builder
	b.WriteString(sessionHead + "a=group:BUNDLE")
	for i := range sdp.MaxSections {
		b.WriteString(" " + strconv.Itoa(i))
	}
	b.WriteString("\r\n")
	for i := range sdp.MaxSections {
		b.WriteString(audioSection(strconv.Itoa(i)))
		for j := range 40 {
			b.WriteString("a=ssrc:" + strconv.Itoa(1+100*i+j) + " cname:x\r\n")
		}
	}
	p := newPeer(t, "p", 1)
	p.remote(Description{TypeOffer, b.String()})
	fx := p.local(Description{})
	if len(fx.Flows) != sdp.MaxSections || fx.NegotiationNeeded {
		t.Fatalf("%d flows", len(fx.Flows))
	}
	p.local(Description{})
}
