package jsep

import (
	"strconv"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// Each recorded browser offer is answered: what both can do is accepted, numbers and order are the offer's, and the
// answer parses again.
func TestRecordedOffersAreAnswered(t *testing.T) {
	for _, c := range []struct {
		file   string
		codecs []string // names of each section's codecs
		rids   int
		data   uint64 // its max-message-size
		bundle string
	}{
		{"chromium156-offer-data-mdns.sdp", []string{"data"}, 0, 262144, "0"},
		{"firefox153-offer-data-mdns.sdp", []string{"data"}, 0, 1073741823, "0"},
		{"chromium156-offer-av-data.sdp", []string{
			"111 opus 9 G722 0 PCMU 8 PCMA",
			"96 VP8 97 rtx 108 H264 109 rtx 114 H264 115 rtx 45 AV1 46 rtx 98 VP9 99 rtx 100 VP9 101 rtx", "data",
		}, 0, 262144, "0 1 2"},
		{"chromium156-offer-av-data-trials.sdp", nil, 0, 262144, "0 1 2"},
		{"chromium156-offer-simulcast.sdp", nil, 3, 262144, "0 1 2"},
		{"firefox153-offer-av-data.sdp", []string{"109 opus 9 G722 0 PCMU 8 PCMA", "120 VP8 124 rtx 121 VP9 125 rtx 99 AV1 100 rtx", "data"}, 0, 1073741823, "0 1 2"},
		{"firefox153-offer-simulcast.sdp", nil, 3, 1073741823, "0 1 2"},
		{"gstreamer122-offer-h264.sdp", []string{"97 OPUS", "96 H264", "data"}, 0, 65536, "audio0 video1 application2"},
		{"gstreamer122-offer-vp8.sdp", []string{"97 OPUS", "96 VP8", "data"}, 0, 65536, "audio0 video1 application2"},
	} {
		t.Run(c.file, func(t *testing.T) {
			p := newPeer(t, "p", 7)
			offer := Description{TypeOffer, recorded(t, c.file)}
			fx := p.remote(offer)
			want := parse(t, offer.SDP)
			for i := range want.Media {
				if m := &want.Media[i]; m.IsRTP() && len(fx.TracksAdded) <= 0 {
					t.Errorf("no track event for section %d", i)
				}
			}
			fx = p.local(p.answer())
			text := p.LocalDescription().SDP
			got := parse(t, text)
			checkAnswered(t, want, got)
			for i, names := range c.codecs {
				if have := codecNames(&got.Media[i]); have != names {
					t.Errorf("section %d: codecs %q, want %q", i, have, names)
				}
			}
			if c.bundle != "" && (len(got.Groups) != 1 || strings.Join(got.Groups[0].MIDs, " ") != c.bundle) {
				t.Errorf("groups %v, want %q", got.Groups, c.bundle)
			}
			rids := 0
			for _, f := range fx.Flows {
				rids += len(f.RIDs)
				if f.Receive && len(f.ReceiveCodecs) == 0 {
					t.Errorf("flow %s without codecs", f.MID)
				}
			}
			if rids != c.rids {
				t.Errorf("%d rids, want %d\n%s", rids, c.rids, text)
			}
			if (fx.Data != nil) != (c.data > 0) || fx.Data != nil && fx.Data.MaxMessageSize != c.data {
				t.Errorf("data %+v, want %d", fx.Data, c.data)
			}
			tr := fx.Transport
			if tr == nil || !tr.Ready || tr.DTLSRole != DTLSRoleClient || tr.Controlling || len(tr.Fingerprints) != 1 ||
				tr.Remote.Ufrag != want.ICEOf(0).Ufrag || len(tr.Candidates) == 0 || !tr.Trickle || !tr.LocalChanged {
				t.Errorf("transport %+v", tr)
			}
			p.wantNeeded(false)
		})
	}
}

func codecNames(m *sdp.Media) string {
	if m.IsData() {
		return "data"
	}
	var parts []string
	for _, f := range m.Codecs {
		parts = append(parts, strconv.Itoa(int(f.PayloadType))+" "+f.Name)
	}
	return strings.Join(parts, " ")
}

// checkAnswered checks what every answer must obey (RFC 3264 §6, RFC 9429 §5.3.1).
func checkAnswered(t *testing.T, offer, answer *sdp.Session) {
	t.Helper()
	if len(offer.Media) != len(answer.Media) {
		t.Fatalf("%d sections answer %d", len(answer.Media), len(offer.Media))
	}
	for i := range offer.Media {
		o, a := &offer.Media[i], &answer.Media[i]
		if o.Kind != a.Kind || o.MID != a.MID || o.Protocol != a.Protocol {
			t.Errorf("section %d: %s %q %s answers %s %q %s", i, a.Kind, a.MID, a.Protocol, o.Kind, o.MID, o.Protocol)
		}
		if a.Rejected() {
			continue
		}
		if o.Rejected() {
			t.Errorf("section %d accepts a rejected one", i)
		}
		if s := answer.SetupOf(i); s != sdp.SetupActive && s != sdp.SetupPassive {
			t.Errorf("section %d: setup %q", i, s)
		}
		if a.IsRTP() && !a.RTCPMux || a.BundleOnly {
			t.Errorf("section %d: rtcp-mux %v, bundle-only %v", i, a.RTCPMux, a.BundleOnly)
		}
		od, ad := offer.DirectionOf(i), answer.DirectionOf(i)
		if ad.Sends() && !od.Receives() || ad.Receives() && !od.Sends() {
			t.Errorf("section %d: %s answers %s", i, ad, od)
		}
		for j := range a.Codecs {
			c := o.Codec(a.Codecs[j].PayloadType)
			if c == nil || !strings.EqualFold(c.Name, a.Codecs[j].Name) {
				t.Errorf("section %d: payload type %d was not offered so", i, a.Codecs[j].PayloadType)
			}
		}
		for _, e := range a.Extensions {
			found := false
			for _, x := range offer.ExtensionsOf(i) {
				found = found || x.ID == e.ID && x.URI == e.URI
			}
			if !found {
				t.Errorf("section %d: extension %d %s was not offered so", i, e.ID, e.URI)
			}
		}
	}
}
