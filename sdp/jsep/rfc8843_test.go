package jsep

import (
	"slices"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

func ports(d *sdp.Session) (out []bool) {
	for i := range d.Media {
		out = append(out, !d.Media[i].Rejected())
	}
	return out
}

func bundleOf(d *sdp.Session) string {
	var all []string
	for _, g := range d.BundleGroups() {
		all = append(all, strings.Join(g.MIDs, " "))
	}
	return strings.Join(all, "|")
}

// There is one transport: what an offer does not put on it is rejected.
func TestOffersWithAndWithoutBundle(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		alive       []bool
		group       string
	}{
		{"one section, no group, no mid", sessionHead + audioSection(""), []bool{true}, ""},
		{"one section, no group", sessionHead + audioSection("a"), []bool{true}, ""},
		{"two sections, no group", sessionHead + audioSection("a") + audioSection("b"), []bool{true, false}, ""},
		{"group of all", sessionHead + "a=group:BUNDLE b a\r\n" + audioSection("a") + audioSection("b"), []bool{true, true}, "b a"},
		{"group of some", sessionHead + "a=group:BUNDLE a c\r\n" + audioSection("a") + audioSection("b") + dataSectionText("c"), []bool{true, false, true}, "a c"},
		{
			"two groups", sessionHead + "a=group:BUNDLE a d\r\na=group:BUNDLE b c\r\n" + audioSection("a") + audioSection("b") + dataSectionText("c") + audioSection("d"),
			[]bool{true, false, false, true},
			"a d",
		},
		{
			"tag not acceptable", sessionHead + "a=group:BUNDLE a b\r\n" + strings.Replace(audioSection("a"), "RTP/SAVPF 0", "RTP/SAVPF 5", 1) + audioSection("b"),
			[]bool{false, true},
			"b",
		},
		{
			"tag rejected", sessionHead + "a=group:BUNDLE a b\r\n" + strings.Replace(audioSection("a"), "m=audio 9", "m=audio 0", 1) + audioSection("b"),
			[]bool{false, true},
			"b",
		},
		{"tag not acceptable, second cannot take over", sessionHead + "a=group:BUNDLE a b c\r\n" + strings.Replace(audioSection("a"), "RTP/SAVPF 0", "RTP/SAVPF 5", 1) +
			"m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:b\r\na=bundle-only\r\na=rtcp-mux\r\n" + audioSection("c"), []bool{false, true, true}, "c b"},
		{"tag not acceptable, nobody can take over", sessionHead + "a=group:BUNDLE a b\r\n" + strings.Replace(audioSection("a"), "RTP/SAVPF 0", "RTP/SAVPF 5", 1) +
			"m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:b\r\na=bundle-only\r\na=rtcp-mux\r\n", []bool{false, false}, ""},
		{
			"no rtcp-mux", sessionHead + "a=group:BUNDLE a b\r\n" + strings.Replace(audioSection("a"), "a=rtcp-mux\r\n", "", 1) + audioSection("b"),
			[]bool{false, true},
			"b",
		},
		{"two data sections", sessionHead + "a=group:BUNDLE a b\r\n" + dataSectionText("a") + dataSectionText("b"), []bool{true, false}, "a"},
		{
			"unknown kind", sessionHead + "a=group:BUNDLE a b\r\nm=text 9 UDP/TLS/RTP/SAVPF 98\r\n" + sectionHead + "a=mid:a\r\na=rtpmap:98 t140/1000\r\n" + audioSection("b"),
			[]bool{false, true},
			"b",
		},
		{"BFCP", sessionHead + "a=group:BUNDLE a b\r\nm=application 9 UDP/TLS/BFCP *\r\n" + sectionHead + "a=mid:a\r\n" + audioSection("b"), []bool{false, true}, "b"},
		{"nothing", sessionHead, nil, ""},
		{"all rejected", sessionHead + strings.Replace(audioSection("a"), "m=audio 9", "m=audio 0", 1), []bool{false}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, "p", 1)
			p.remote(Description{TypeOffer, c.offer})
			an := p.answer()
			got := parse(t, an.SDP)
			if !slices.Equal(ports(got), c.alive) || bundleOf(got) != c.group {
				t.Fatalf("alive %v, group %q\n%s", ports(got), bundleOf(got), an.SDP)
			}
			checkAnswered(t, parse(t, c.offer), got)
			fx := p.local(an)
			if (fx.Transport != nil) != slices.Contains(c.alive, true) {
				t.Fatalf("transport %+v", fx.Transport)
			}
			p.wantNeeded(false)
		})
	}
}

// RFC 9429 §4.1.1: the policy decides what exists only inside of the group.
func TestBundlePolicies(t *testing.T) {
	for policy, want := range map[BundlePolicy][]bool{
		BundleBalanced:  {false, true, false, false},
		BundleMaxCompat: {false, false, false, false},
		BundleMaxBundle: {false, true, true, true},
	} {
		p := newPeerWith(t, "p", Config{BundlePolicy: policy})
		p.add(KindAudio, sdp.SendRecv)
		p.add(KindAudio, sdp.SendRecv)
		p.add(KindVideo, sdp.SendRecv)
		p.data()
		d := parse(t, p.offer().SDP)
		for i := range d.Media {
			if m := &d.Media[i]; m.BundleOnly != want[i] || m.BundleOnly != (m.Port == 0) {
				t.Errorf("policy %d: section %d: bundle-only %v, port %d", policy, i, m.BundleOnly, m.Port)
			}
		}
		if bundleOf(d) != "0 1 2 3" {
			t.Errorf("group %q", bundleOf(d))
		}
		q := newPeer(t, "q", 2)
		fp, _ := connect(p, q)
		if len(fp.Flows) != 3 || fp.Data == nil {
			t.Errorf("policy %d: %d flows", policy, len(fp.Flows))
		}
		d = parse(t, p.offer().SDP)
		for i := range d.Media {
			if d.Media[i].BundleOnly {
				t.Errorf("policy %d: section %d is bundle-only in a later offer", policy, i)
			}
		}
	}
}

// An answerer that does not bundle gets one section; the others end.
func TestAnswerWithoutBundle(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta, tv := a.add(KindAudio, sdp.SendRecv, "s"), a.add(KindVideo, sdp.SendRecv, "s")
	o := a.offer()
	a.local(o)
	b.remote(o)
	an := b.answer()
	fx := a.remote(edit(an, "a=group:BUNDLE 0 1\r\n", ""))
	if ta.Stopped || !tv.Stopped || len(fx.Flows) != 1 || fx.Flows[0].MID != "0" || fx.Transport.MID != "0" || len(fx.TracksAdded) != 0 {
		t.Fatalf("%+v", fx)
	}
	a.wantNeeded(true)
	d := parse(t, a.offer().SDP)
	if d.Media[0].Rejected() || !d.Media[1].Rejected() {
		t.Fatal(a.offer().SDP)
	}
}

// RFC 8843 §7.3.1: the first section of the answer's group stands for the transport; the next one takes over when it ends.
func TestTagMovesOn(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	a.add(KindVideo, sdp.SendRecv)
	fa, fb := connect(a, b)
	if fa.Transport.MID != "0" || fb.Transport.MID != "0" {
		t.Fatalf("%+v %+v", fa.Transport, fb.Transport)
	}
	local := fa.Transport.Local
	if err := a.StopTransceiver(ta); err != nil {
		t.Fatal(err)
	}
	fa, fb = connect(a, b)
	if fa.Transport.MID != "1" || fb.Transport.MID != "1" || fa.Transport.Index != 1 || fa.Transport.Local != local || fa.Transport.RemoteChanged {
		t.Fatalf("%+v %+v", fa.Transport, fb.Transport)
	}
	for _, tr := range b.Transceivers() {
		if err := b.StopTransceiver(tr); err != nil {
			t.Fatal(err)
		}
	}
	fb, fa = connect(b, a)
	if fa.Transport != nil || fb.Transport != nil || len(a.Transceivers()) != 0 {
		t.Fatalf("%+v %+v", fa.Transport, fb.Transport)
	}
}

func TestGroupsAreChecked(t *testing.T) {
	for name, text := range map[string]string{
		"unknown mid":   sessionHead + "a=group:BUNDLE a x\r\n" + audioSection("a"),
		"mid twice":     sessionHead + "a=group:BUNDLE a\r\n" + audioSection("a") + audioSection("a"),
		"in two groups": sessionHead + "a=group:BUNDLE a b\r\na=group:BUNDLE a\r\n" + audioSection("a") + audioSection("b"),
		"no ufrag":      sessionHead + strings.Replace(audioSection("a"), "a=ice-ufrag:abcd\r\n", "", 1),
		"no password":   sessionHead + strings.Replace(audioSection("a"), "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n", "", 1),
		"no fingerprint": sessionHead + strings.Replace(audioSection("a"), "a=fingerprint:sha-256 "+
			"AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n", "", 1),
	} {
		p := newPeer(t, name, 1)
		p.wantRemoteError(Description{TypeOffer, text}, ErrInvalidAccess)
		p.wantState(StateStable)
	}
}
