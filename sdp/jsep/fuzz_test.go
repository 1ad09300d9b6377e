package jsep

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// image is everything that a failing call must leave as it was.
type image struct {
	st     state
	values []Transceiver
	texts  []Description
}

func imageOf(s *Session) image {
	im := image{st: s.st, values: s.checkpoint().values}
	for _, d := range []*Description{s.CurrentLocalDescription(), s.PendingLocalDescription(), s.CurrentRemoteDescription(), s.PendingRemoteDescription()} {
		if d != nil {
			im.texts = append(im.texts, *d)
		} else {
			im.texts = append(im.texts, Description{})
		}
	}
	return im
}

// settle drives a session that took a remote offer on: answer, re-offer, all without an error.
func settle(t *testing.T, s *Session) {
	t.Helper()
	checkInvariants(t, s)
	fx, err := s.SetLocal(Description{}, testLocal)
	if err != nil {
		t.Fatalf("an accepted offer cannot be answered: %v\n%s", err, s.RemoteDescription().SDP)
	}
	checkAnswered(t, s.st.currentRemote.sdp, s.st.currentLocal.sdp)
	for _, f := range fx.Flows {
		if (f.Send || f.Receive) && (len(f.SendCodecs) == 0 || len(f.ReceiveCodecs) == 0) {
			t.Fatalf("a flow without codecs: %+v", f)
		}
	}
	unasked := s.st.dataWanted
	for _, tr := range s.Transceivers() {
		unasked = unasked || tr.MID == ""
	}
	if fx.NegotiationNeeded && !unasked {
		t.Fatalf("needed right after an answer\n%s", s.LocalDescription().SDP)
	}
	checkInvariants(t, s)
	offer, err := s.CreateOffer(OfferOptions{}, testLocal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetLocal(offer, testLocal); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, s)
	other, err := New(Config{Capabilities: testCapabilities(), Rand: seeded(99)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.SetRemote(offer); err != nil {
		t.Fatalf("our own offer is refused: %v\n%s", err, offer.SDP)
	}
	if _, err := other.SetLocal(Description{}, testLocal); err != nil {
		t.Fatal(err)
	}
}

// refuse checks that a refused description changed nothing.
func refuse(t testing.TB, s *Session, before image, err error) {
	t.Helper()
	if after := imageOf(s); !reflect.DeepEqual(before, after) {
		t.Fatalf("a refused description (%v) changed the state", err)
	}
}

// FuzzSetRemote: no description makes the session panic, hang or lie; what it refuses changes nothing.
func FuzzSetRemote(f *testing.F) {
	files, _ := filepath.Glob("../testdata/*.sdp")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), uint8(0))
		f.Add(string(b), uint8(1))
	}
	f.Add(sessionHead+audioSection(""), uint8(2))
	f.Add(sessionHead+"a=group:BUNDLE 0 1\r\n"+audioSection("0")+dataSectionText("1"), uint8(3))
	f.Add(sessionHead+"m=application 9 DTLS/SCTP 5000\r\n"+sectionHead+"a=mid:0\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n", uint8(0))
	f.Fuzz(fuzzOne)
}

func fuzzOne(t *testing.T, text string, mode uint8) {
	s := &peer{t: t}
	var err error
	if s.Session, err = New(Config{Capabilities: testCapabilities(), Rand: seeded(5)}); err != nil {
		t.Fatal(err)
	}
	if mode&1 != 0 {
		s.add(KindAudio, "sendrecv", "s")
		s.simulcast("a", "b")
		s.data()
		s.local(s.offer())
	}
	if mode&2 != 0 {
		o := newPeer(t, "o", 6)
		o.add(KindAudio, "sendrecv")
		if s.State() == StateStable {
			connect(o, s)
		}
	}
	typ := []Type{TypeOffer, TypeAnswer, TypePranswer, TypeOffer}[mode>>2&3]
	before := imageOf(s.Session)
	if _, err := s.SetRemote(Description{typ, text}); err != nil {
		refuse(t, s.Session, before, err)
		return
	}
	if _, err := s.SetRemote(Description{typ, strings.Replace(text, "a=mid:0", "a=mid:x", 1)}); err != nil {
		checkInvariants(t, s.Session)
	}
	if s.State() == StateHaveRemoteOffer {
		settle(t, s.Session)
	}
	checkInvariants(t, s.Session)
}

// The same, without the fuzzer: recorded descriptions with lines removed, doubled, swapped and exchanged between them.
func TestMangledDescriptions(t *testing.T) {
	files, _ := filepath.Glob("../testdata/*.sdp")
	var texts []string
	for _, name := range files {
		texts = append(texts, recorded(t, filepath.Base(name)))
	}
	accepted := 0
	for seed := range 300 {
		r := rand.New(seeded(uint64(seed)))
		lines := strings.Split(texts[r.IntN(len(texts))], "\r\n")
		other := strings.Split(texts[r.IntN(len(texts))], "\r\n")
		for range 1 + r.IntN(4) {
			i, j := r.IntN(len(lines)), r.IntN(len(lines))
			switch r.IntN(5) {
			case 0:
				lines = append(lines[:i:i], lines[i+1:]...)
			case 1:
				lines[i], lines[j] = lines[j], lines[i]
			case 2:
				lines = append(lines[:i:i], append([]string{lines[j]}, lines[i:]...)...)
			case 3:
				lines[i] = other[r.IntN(len(other))]
			case 4:
				if n := len(lines[i]); n > 2 {
					b := []byte(lines[i])
					b[r.IntN(n)] = byte(' ' + r.IntN(95))
					lines[i] = string(b)
				}
			}
			if len(lines) == 0 {
				break
			}
		}
		fuzzOne(t, strings.Join(lines, "\r\n"), uint8(r.IntN(16)))
		s, err := New(Config{Capabilities: testCapabilities(), Rand: seeded(1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.SetRemote(Description{TypeOffer, strings.Join(lines, "\r\n")}); err == nil {
			accepted++
		}
	}
	t.Logf("%d of 300 accepted", accepted)
	if accepted < 30 {
		t.Fatal("the mangling leaves too little to test")
	}
}

// FuzzCandidate: any candidate is taken or refused.
func FuzzCandidate(f *testing.F) {
	f.Add(hostCandidate, "0", 0)
	f.Add("candidate:1 1 tcp 1 ::1 9 typ host tcptype active ufrag abcd", "", -1)
	f.Fuzz(func(t *testing.T, text, mid string, index int) {
		p := newPeer(t, "p", 1)
		p.remote(Description{TypeOffer, sessionHead + audioSection("0")})
		p.local(p.answer())
		if _, err := p.AddRemoteCandidate(Candidate{Candidate: text, MID: &mid, MLineIndex: &index}); err == nil {
			parse(t, p.RemoteDescription().SDP)
		}
		p.AddLocalCandidate(p.Snapshot().Transport.Local.Ufrag, text)
		parse(t, p.LocalDescription().SDP)
	})
}
