package jsep

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

const hostCandidate = "1 1 udp 2130706431 192.0.2.1 5000 typ host"

// candidateFor builds the argument of AddRemoteCandidate; mid "-" and index -1 are null.
func candidateFor(text, mid string, index int, ufrag string) Candidate {
	c := Candidate{Candidate: text}
	if mid != "-" {
		c.MID = &mid
	}
	if index >= 0 {
		c.MLineIndex = &index
	}
	if ufrag != "" {
		c.UsernameFragment = &ufrag
	}
	return c
}

// webrtc-pc §4.4.2 addIceCandidate.
func TestRemoteCandidates(t *testing.T) {
	p := newPeer(t, "p", 1)
	if _, err := p.AddRemoteCandidate(candidateFor(hostCandidate, "a", 0, "")); !errors.Is(err, ErrInvalidState) {
		t.Fatalf("before a description: %v", err)
	}
	p.remote(Description{TypeOffer, sessionHead + "a=group:BUNDLE a b\r\n" + audioSection("a") + audioSection("b") + audioSection("c")})

	t.Log("# before the answer they are only written down")
	use, err := p.AddRemoteCandidate(candidateFor("candidate:"+hostCandidate, "a", -1, "abcd"))
	if err != nil || use.Deliver || use.MID != "a" || use.Candidate != hostCandidate {
		t.Fatalf("%+v %v", use, err)
	}
	if !strings.Contains(p.RemoteDescription().SDP, "a=candidate:"+hostCandidate+"\r\n") {
		t.Fatal(p.RemoteDescription().SDP)
	}
	fx := p.local(p.answer())
	if len(fx.Transport.Candidates) != 1 || fx.Transport.Candidates[0] != hostCandidate || fx.Transport.EndOfCandidates {
		t.Fatalf("%+v", fx.Transport)
	}

	t.Log("# after it those of the section that has the transport are for ICE")
	for _, c := range []struct {
		in      Candidate
		deliver bool
		err     error
	}{
		{candidateFor("candidate:2 1 udp 1 192.0.2.1 5001 typ host", "a", -1, ""), true, nil},
		{candidateFor("a=candidate:3 1 udp 1 192.0.2.1 5002 typ host", "-", 0, "abcd"), true, nil},
		{candidateFor("candidate:3 1 tcp 1 192.0.2.1 9 typ host tcptype active", "a", 0, ""), true, nil},
		{candidateFor("candidate:3 1 udp 1 3f3c0c0e-7b9c-4c6e-8f5a-000000000000.local 5002 typ host", "a", 0, ""), true, nil},
		{candidateFor("candidate:4 2 udp 1 192.0.2.1 5003 typ host", "a", -1, ""), false, nil},
		{candidateFor("candidate:5 1 udp 1 192.0.2.1 5004 typ host", "b", -1, ""), false, nil},
		{candidateFor("candidate:5 1 udp 1 192.0.2.1 5004 typ host", "c", -1, ""), false, nil},
		{candidateFor(hostCandidate, "-", -1, ""), false, ErrType},
		{candidateFor(hostCandidate, "x", -1, ""), false, ErrOperation},
		{candidateFor(hostCandidate, "-", 3, ""), false, ErrOperation},
		{candidateFor(hostCandidate, "", -1, ""), false, ErrOperation},
		{candidateFor(hostCandidate, "a", -1, "other"), false, ErrOperation},
		{candidateFor(hostCandidate+" ufrag other", "a", -1, ""), false, ErrOperation},
		{candidateFor("nonsense", "a", -1, ""), false, ErrOperation},
		{candidateFor("1 0 udp 1 192.0.2.1 5000 typ host", "a", -1, ""), false, ErrOperation},
		{candidateFor("1 1 udp x 192.0.2.1 5000 typ host", "a", -1, ""), false, ErrOperation},
		{candidateFor("1 1 udp 1 192.0.2.1 70000 typ host", "a", -1, ""), false, ErrOperation},
		{candidateFor("1 1 udp 1 fe80::zz 5000 typ host", "a", -1, ""), false, ErrOperation},
		{candidateFor("1 1 udp 1 192.0.2.1 5000 typ host\r\na=x", "a", -1, ""), false, ErrOperation},
	} {
		use, err := p.AddRemoteCandidate(c.in)
		if use.Deliver != c.deliver || !errors.Is(err, c.err) {
			t.Errorf("%+v: %+v, %v", c.in, use, err)
		}
	}
	use, err = p.AddRemoteCandidate(candidateFor("", "-", -1, ""))
	if err != nil || !use.Deliver || use.Candidate != "" {
		t.Fatalf("end of candidates: %+v %v", use, err)
	}
	if tr := p.Snapshot().Transport; !tr.EndOfCandidates || len(tr.Candidates) != 5 {
		t.Fatalf("%+v", tr)
	}
	for i := range 1000 {
		if _, err := p.AddRemoteCandidate(candidateFor(fmt.Sprintf("9 1 udp 1 192.0.2.1 %d typ host", i+1), "a", -1, "")); err != nil {
			t.Fatal(err)
		}
	}
	if m := p.st.currentRemote.sdp.Media[0]; len(m.Candidates) > maxCandidates {
		t.Fatalf("%d candidates kept", len(m.Candidates))
	}
}

// Peers that know only the index 0 are understood when the first section is rejected.
func TestCandidatesByIndexOnly(t *testing.T) {
	p := newPeer(t, "p", 1)
	p.remote(Description{TypeOffer, sessionHead + "a=group:BUNDLE a b\r\n" + strings.Replace(audioSection("a"), "RTP/SAVPF 0", "RTP/SAVPF 5", 1) + audioSection("b")})
	if use, err := p.AddRemoteCandidate(candidateFor(hostCandidate, "", 0, "")); err != nil || use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
	fx := p.local(Description{})
	if fx.Transport.MID != "b" || len(fx.Transport.Candidates) != 1 {
		t.Fatalf("%+v", fx.Transport)
	}
	second := "2 1 udp 1 192.0.2.1 5001 typ host"
	if use, err := p.AddRemoteCandidate(candidateFor(second, "-", 0, "")); err != nil || !use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
	if use, err := p.AddRemoteCandidate(candidateFor(second, "a", 0, "")); err != nil || use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
}

// Candidates of a restart wait for its answer; those of the generation in force go through meanwhile.
func TestCandidatesOfARestart(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.data()
	connect(a, b)
	old := a.Snapshot().Transport.Local.Ufrag
	d, err := a.CreateOffer(OfferOptions{ICERestart: true}, testLocal)
	if err != nil {
		t.Fatal(err)
	}
	a.local(d)
	b.remote(d)
	next := a.Snapshot().Transport.Local.Ufrag
	use, err := b.AddRemoteCandidate(candidateFor(hostCandidate, "0", -1, next))
	if err != nil || use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
	use, err = b.AddRemoteCandidate(candidateFor("candidate:7 1 udp 1 192.0.2.7 7 typ host", "0", -1, old))
	if err != nil || !use.Deliver {
		t.Fatalf("%+v %v", use, err)
	}
	fx := b.local(b.answer())
	if tr := fx.Transport; !tr.RemoteChanged || len(tr.Candidates) != 1 || tr.Candidates[0] != hostCandidate {
		t.Fatalf("%+v", tr)
	}
}

// The local description shows what was gathered, in the section of the transport, and the default candidate everywhere.
func TestLocalCandidates(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.add(KindAudio, sdp.SendRecv)
	a.data()
	o := a.offer()
	ufrag := a.local(o).Transport.Local.Ufrag
	if a.LocalDescription().SDP != o.SDP {
		t.Fatal("the description changed without candidates")
	}
	a.AddLocalCandidate("unknown", hostCandidate)
	a.AddLocalCandidate(ufrag, "1 1 udp 2130706431 2001:db8::1 5001 typ host")
	a.AddLocalCandidate(ufrag, "candidate:"+hostCandidate)
	a.AddLocalCandidate(ufrag, hostCandidate)
	a.AddLocalCandidate(ufrag, "2 1 tcp 1 192.0.2.9 9 typ relay tcptype active")
	d := parse(t, a.LocalDescription().SDP)
	if len(d.Media[0].Candidates) != 3 || len(d.Media[1].Candidates) != 0 || d.Media[0].EndOfCandidates {
		t.Fatal(a.LocalDescription().SDP)
	}
	for _, m := range d.Media {
		if m.Port != 5000 || m.Connection != "IN IP4 192.0.2.1" {
			t.Fatal(a.LocalDescription().SDP)
		}
	}
	a.AddLocalCandidate(ufrag, "3 1 udp 1 198.51.100.1 6000 typ relay raddr 0.0.0.0 rport 0")
	a.EndOfLocalCandidates(ufrag)
	d = parse(t, a.LocalDescription().SDP)
	if !d.Media[0].EndOfCandidates || d.Media[1].Port != 6000 {
		t.Fatal(a.LocalDescription().SDP)
	}
	fx := b.remote(*a.LocalDescription())
	if fx.BadCandidates != 0 {
		t.Fatal("bad candidates")
	}
	an := b.answer()
	fb := b.local(an)
	if len(fb.Transport.Candidates) != 4 || !fb.Transport.EndOfCandidates {
		t.Fatalf("%+v", fb.Transport)
	}
	a.remote(an)

	t.Log("# a later offer of the same generation begins with them, one of a new generation without")
	a.local(a.offer())
	if d = parse(t, a.LocalDescription().SDP); len(d.Media[0].Candidates) != 4 {
		t.Fatal(a.LocalDescription().SDP)
	}
	r, err := a.CreateOffer(OfferOptions{ICERestart: true}, testLocal)
	if err != nil {
		t.Fatal(err)
	}
	a.local(r)
	if d = parse(t, a.LocalDescription().SDP); len(d.Media[0].Candidates) != 0 || d.Media[0].Port != 9 {
		t.Fatal(a.LocalDescription().SDP)
	}
	if d = parse(t, a.CurrentLocalDescription().SDP); len(d.Media[0].Candidates) != 4 {
		t.Fatal("the current description lost its candidates")
	}
}
