package jsep

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// seeded is a repeatable source of bytes.
func seeded(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(s)
}

var testFingerprint = sdp.Fingerprint{Algorithm: "sha-256", Value: strings.Repeat("AB:", 31) + "AB"}

var testLocal = LocalParams{Fingerprints: []sdp.Fingerprint{testFingerprint}}

// testCapabilities is a large set: everything that the package can match.
func testCapabilities() Capabilities {
	video := []string{"nack", "nack pli", "ccm fir", "transport-cc"}
	return Capabilities{
		ExtmapAllowMixed: true, RTCPRsize: true,
		Audio: KindCapabilities{
			Codecs: []sdp.Codec{
				{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1", Feedback: []string{"transport-cc"}},
				{PayloadType: 9, Name: "G722", ClockRate: 8000},
				{PayloadType: 0, Name: "PCMU", ClockRate: 8000},
				{PayloadType: 8, Name: "PCMA", ClockRate: 8000},
			},
			Extensions: []sdp.Extension{{ID: 4, URI: ExtensionMID}},
		},
		Video: KindCapabilities{
			RTX: true,
			Codecs: []sdp.Codec{
				{PayloadType: 96, Name: "VP8", ClockRate: 90000, Feedback: video},
				{PayloadType: 98, Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=0", Feedback: video},
				{PayloadType: 100, Name: "VP9", ClockRate: 90000, Fmtp: "profile-id=2", Feedback: video},
				{PayloadType: 102, Name: "H264", ClockRate: 90000, Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", Feedback: video},
				{PayloadType: 104, Name: "H264", ClockRate: 90000, Fmtp: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f", Feedback: video},
				{PayloadType: 45, Name: "AV1", ClockRate: 90000, Fmtp: "level-idx=5;profile=0;tier=0", Feedback: video},
			},
			Extensions: []sdp.Extension{{ID: 4, URI: ExtensionMID}, {ID: 10, URI: ExtensionRID}, {ID: 11, URI: ExtensionRepairedRID}},
		},
	}
}

// peer is one side of a story.
type peer struct {
	*Session
	t    *testing.T
	name string
}

func newPeer(t *testing.T, name string, seed uint64) *peer {
	return newPeerWith(t, name, Config{Rand: seeded(seed)})
}

func newPeerWith(t *testing.T, name string, cfg Config) *peer {
	t.Helper()
	if len(cfg.Capabilities.Audio.Codecs) == 0 && len(cfg.Capabilities.Video.Codecs) == 0 {
		cfg.Capabilities = testCapabilities()
	}
	if cfg.Rand == nil {
		cfg.Rand = seeded(1)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &peer{Session: s, t: t, name: name}
}

func (p *peer) add(kind string, d sdp.Direction, streams ...string) *Transceiver {
	p.t.Helper()
	t, err := p.AddTransceiver(kind, TransceiverInit{Direction: d, Streams: streams})
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

func (p *peer) data() *peer {
	p.t.Helper()
	if err := p.EnableData(); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *peer) offer() Description {
	p.t.Helper()
	d, err := p.CreateOffer(OfferOptions{}, testLocal)
	if err != nil {
		p.t.Fatalf("%s: create offer: %v", p.name, err)
	}
	return d
}

func (p *peer) answer() Description {
	p.t.Helper()
	d, err := p.CreateAnswer(AnswerOptions{}, testLocal)
	if err != nil {
		p.t.Fatalf("%s: create answer: %v", p.name, err)
	}
	return d
}

func (p *peer) local(d Description) *Effects {
	p.t.Helper()
	fx, err := p.SetLocal(d, testLocal)
	if err != nil {
		p.t.Fatalf("%s: set local %s: %v", p.name, d.Type, err)
	}
	return fx
}

func (p *peer) remote(d Description) *Effects {
	p.t.Helper()
	fx, err := p.SetRemote(d)
	if err != nil {
		p.t.Fatalf("%s: set remote %s: %v\n%s", p.name, d.Type, err, d.SDP)
	}
	return fx
}

// wantRemoteError sets a description that must be refused with an error of that name.
func (p *peer) wantRemoteError(d Description, want *Error) {
	p.t.Helper()
	if _, err := p.SetRemote(d); !errors.Is(err, want) {
		p.t.Fatalf("%s: set remote %s: error %v, want %s", p.name, d.Type, err, want.Name)
	}
}

func (p *peer) wantState(st SignalingState) {
	p.t.Helper()
	if p.State() != st {
		p.t.Fatalf("%s: state %s, want %s", p.name, p.State(), st)
	}
}

func (p *peer) wantNeeded(want bool) {
	p.t.Helper()
	if got := p.CheckNegotiationNeeded(); got != want {
		p.t.Fatalf("%s: negotiation needed: %v, want %v", p.name, got, want)
	}
}

// connect negotiates once, a offering. The effects are those of a's answer, then of b's.
func connect(a, b *peer) (*Effects, *Effects) {
	a.t.Helper()
	o := a.offer()
	a.local(o)
	b.remote(o)
	an := b.answer()
	fb := b.local(an)
	fa := a.remote(an)
	a.wantState(StateStable)
	b.wantState(StateStable)
	return fa, fb
}

func parse(t testing.TB, text string) *sdp.Session {
	t.Helper()
	s, err := sdp.Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

func recorded(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// edit changes the text of a description: old, new pairs.
func edit(d Description, pairs ...string) Description {
	d.SDP = strings.NewReplacer(pairs...).Replace(d.SDP)
	return d
}
