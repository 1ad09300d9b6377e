package webrtc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

func TestICEServerURLs(t *testing.T) {
	for text, want := range map[string]*iceServerURL{
		"stun:example.org":                      {scheme: "stun", host: "example.org", port: 3478},
		"STUN:example.org:19302":                {scheme: "stun", host: "example.org", port: 19302},
		"stun:192.0.2.1":                        {scheme: "stun", host: "192.0.2.1", port: 3478},
		"stun:[2001:db8::1]:3479":               {scheme: "stun", host: "2001:db8::1", port: 3479},
		"stun:[2001:db8::1]":                    {scheme: "stun", host: "2001:db8::1", port: 3478},
		"stuns:example.org":                     {scheme: "stuns", host: "example.org", port: 5349, tcp: true},
		"turn:example.org":                      {scheme: "turn", host: "example.org", port: 3478},
		"turn:example.org?transport=udp":        {scheme: "turn", host: "example.org", port: 3478},
		"turn:example.org:80?transport=tcp":     {scheme: "turn", host: "example.org", port: 80, tcp: true},
		"turns:example.org":                     {scheme: "turns", host: "example.org", port: 5349, tcp: true},
		"turns:[2001:db8::1]:443?transport=tcp": {scheme: "turns", host: "2001:db8::1", port: 443, tcp: true},
		"turns:example.org?transport=udp":       {scheme: "turns", host: "example.org", port: 5349},
		"":                                      nil,
		"example.org":                           nil,
		"stun":                                  nil,
		"stun:":                                 nil,
		"stun://example.org":                    nil,
		"turn://example.org":                    nil,
		"http:example.org":                      nil,
		"stunx:example.org":                     nil,
		"stun:example.org?transport=udp":        nil,
		"stun:example.org?":                     nil,
		"turn:example.org?transport=sctp":       nil,
		"turn:example.org?protocol=udp":         nil,
		"turn:example.org?transport=udp&x=1":    nil,
		"turn:example.org?transport=udp?":       nil,
		"stun:user@example.org":                 nil,
		"turn:user:secret@example.org":          nil,
		"stun:example.org:0":                    nil,
		"stun:example.org:65536":                nil,
		"stun:example.org:-1":                   nil,
		"stun:example.org:abc":                  nil,
		"stun:example.org:":                     nil,
		"stun:example.org:1:2":                  nil,
		"stun:2001:db8::1":                      nil,
		"stun:[2001:db8::1":                     nil,
		"stun:[hello]":                          nil,
		"stun: example.org":                     nil,
		"stun:exam ple.org":                     nil,
		"stun:example.org#x":                    nil,
		"stun:example.org/path":                 nil,
		"stun::3478":                            nil,
		"turn:example.org?transport=udp#x":      nil,
		"stun:" + strings.Repeat("a", 254):      nil,
		"stun:exämple.org":                      {scheme: "stun", host: "exämple.org", port: 3478},
		"stun:\x00":                             nil,
		"stun:example.org\n":                    nil,
		"stun:%65xample.org":                    nil,
	} {
		got, err := parseICEServerURL(text)
		if want == nil {
			wantError(t, text, err, &SyntaxError{})
			continue
		}
		want.text = text
		if err != nil || got != *want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		config Configuration
		want   error
	}{
		"zero":           {Configuration{}, nil},
		"STUN":           {Configuration{ICEServers: []ICEServer{{URLs: []string{"stun:example.org"}}}}, nil},
		"no URLs":        {Configuration{ICEServers: []ICEServer{{}}}, &SyntaxError{}},
		"an empty URL":   {Configuration{ICEServers: []ICEServer{{URLs: []string{""}}}}, &SyntaxError{}},
		"a bad second":   {Configuration{ICEServers: []ICEServer{{URLs: []string{"stun:example.org", "x"}}}}, &SyntaxError{}},
		"no credentials": {Configuration{ICEServers: []ICEServer{{URLs: []string{"turn:example.org"}}}}, &InvalidAccessError{}},
		"no password": {
			Configuration{ICEServers: []ICEServer{{URLs: []string{"turns:example.org"}, Username: "u"}}}, &InvalidAccessError{},
		},
		"TURN": {Configuration{ICEServers: []ICEServer{{URLs: []string{"turn:example.org"}, Username: "u", Credential: "c"}}}, nil},
		"a long name": {
			Configuration{ICEServers: []ICEServer{{URLs: []string{"turn:example.org"}, Username: strings.Repeat("u", 510), Credential: "c"}}},
			&InvalidAccessError{},
		},
		"policies": {Configuration{
			ICETransportPolicy: ICETransportPolicyRelay, BundlePolicy: BundlePolicyMaxBundle, ICECandidatePoolSize: 255,
		}, nil},
		"peer identity":       {Configuration{PeerIdentity: "someone"}, &NotSupportedError{}},
		"no transport policy": {Configuration{ICETransportPolicy: 2}, &TypeError{}},
		"no bundle policy":    {Configuration{BundlePolicy: 3}, &TypeError{}},
		"no RTCP policy":      {Configuration{RTCPMuxPolicy: 1}, &TypeError{}},
		"many servers": {
			Configuration{ICEServers: []ICEServer{{URLs: make1000("stun:example.org")}}}, &TypeError{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				pc, err := p.a.api.NewPeerConnection(c.config)
				wantError(t, "NewPeerConnection", err, c.want)
				if err == nil {
					p.must(pc.Close())
					<-pc.Done()
				}
				if c.config.BundlePolicy != 0 {
					c.want = &InvalidModificationError{}
					if c.config.BundlePolicy > 2 {
						c.want = &TypeError{}
					}
				}
				wantError(t, "SetConfiguration", p.a.SetConfiguration(c.config), c.want)
			})
		})
	}
}

func make1000(s string) (out []string) {
	for range 1000 {
		out = append(out, s)
	}
	return out
}

func TestConfigurationsInJSON(t *testing.T) {
	text := `{"iceServers":[{"urls":["turn:example.org"],"username":"u","credential":"c"},{"urls":"stun:example.org"}],` +
		`"iceTransportPolicy":"relay","bundlePolicy":"max-bundle","rtcpMuxPolicy":"require","iceCandidatePoolSize":3}`
	var c Configuration
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.ICEServers) != 2 || c.ICEServers[0].Username != "u" || len(c.ICEServers[1].URLs) != 1 ||
		c.ICEServers[1].URLs[0] != "stun:example.org" || c.ICETransportPolicy != ICETransportPolicyRelay ||
		c.BundlePolicy != BundlePolicyMaxBundle || c.ICECandidatePoolSize != 3 {
		t.Errorf("%+v", c)
	}
	var again Configuration
	out, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(out, &again)
	}
	if err != nil || again.ICEServers[0].URLs[0] != "turn:example.org" || again.ICETransportPolicy != c.ICETransportPolicy {
		t.Errorf("%s: %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"iceTransportPolicy":"none"}`), &c); err == nil {
		t.Error("a policy that there is none of")
	}
}

func TestSetConfiguration(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		certificates := p.a.GetConfiguration().Certificates
		wantError(t, "other certificates", p.a.SetConfiguration(Configuration{Certificates: []Certificate{testCertificate(t)}}),
			&InvalidModificationError{})
		wantError(t, "another bundle policy", p.a.SetConfiguration(Configuration{BundlePolicy: BundlePolicyMaxCompat}),
			&InvalidModificationError{})
		servers := []ICEServer{{URLs: []string{"stun:example.org"}}}
		p.must(p.a.SetConfiguration(Configuration{Certificates: certificates, ICEServers: servers, ICECandidatePoolSize: 4}))
		servers[0].URLs[0] = "changed"
		c := p.a.GetConfiguration()
		if c.ICEServers[0].URLs[0] != "stun:example.org" || c.ICECandidatePoolSize != 4 || !c.Certificates[0].Equals(certificates[0]) {
			t.Errorf("%+v", c)
		}
		c.ICEServers[0].URLs[0] = "changed"
		if p.a.GetConfiguration().ICEServers[0].URLs[0] != "stun:example.org" {
			t.Error("GetConfiguration gives the configuration away")
		}
		p.must(p.a.SetConfiguration(Configuration{ICECandidatePoolSize: 5}))
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		wantError(t, "the pool after a local description", p.a.SetConfiguration(Configuration{ICECandidatePoolSize: 6}),
			&InvalidModificationError{})
		p.must(p.a.SetConfiguration(Configuration{ICECandidatePoolSize: 5}))
		p.must(p.a.Close())
		wantError(t, "after Close", p.a.SetConfiguration(Configuration{}), &InvalidStateError{})
		if len(p.a.GetConfiguration().Certificates) != 1 {
			t.Error("a closed connection has forgotten its configuration")
		}
	})
}

func TestTheTransportPolicyCanBeChanged(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		candidates := 0
		p.a.OnICECandidate(func(c *ICECandidate) {
			if c != nil {
				candidates++
			}
		})
		p.must(p.a.SetConfiguration(Configuration{ICETransportPolicy: ICETransportPolicyRelay}))
		p.must(p.a.SetLocalDescription(p.offer(p.a)))
		within(p, time.Minute, "complete", GatheringCompletePromise(p.a))
		if candidates != 0 {
			t.Errorf("%d candidates without any relay", candidates)
		}
		p.must(p.a.SetConfiguration(Configuration{}))
		offer, err := p.a.CreateOffer(&OfferOptions{ICERestart: true})
		p.must(err)
		p.must(p.a.SetLocalDescription(offer))
		within(p, time.Minute, "complete", GatheringCompletePromise(p.a))
		if candidates == 0 {
			t.Error("no candidates after the policy was changed back")
		}
	})
}

func TestSettingsAreChecked(t *testing.T) {
	bad := func(c RTPCodecParameters) Settings { return Settings{Codecs: []RTPCodecParameters{c}} }
	for name, c := range map[string]struct {
		settings Settings
		want     error
	}{
		"zero":                  {Settings{}, nil},
		"ports":                 {Settings{UDPPortMin: 5000, UDPPortMax: 5000}, nil},
		"ports upside down":     {Settings{UDPPortMin: 5001, UDPPortMax: 5000}, &RangeError{}},
		"half a range":          {Settings{UDPPortMax: 5000}, &RangeError{}},
		"negative message size": {Settings{MaxMessageSize: -1}, &RangeError{}},
		"negative send buffer":  {Settings{DataChannelSendBuffer: -1}, &RangeError{}},
		"negative track buffer": {Settings{TrackBuffer: -1}, &RangeError{}},
		"negative timeout":      {Settings{ICEDisconnectedTimeout: -1}, &RangeError{}},
		"another timeout":       {Settings{ICEFailedTimeout: -1}, &RangeError{}},
		"no patience":           {Settings{ICEDisconnectedTimeout: time.Millisecond}, &RangeError{}},
		"patience":              {Settings{ICEDisconnectedTimeout: 15 * time.Second, ICEFailedTimeout: 15 * time.Second}, nil},
		"too much patience":     {Settings{ICEDisconnectedTimeout: 15 * time.Second, ICEFailedTimeout: 16 * time.Second}, &RangeError{}},
		"by default too much":   {Settings{ICEFailedTimeout: 23 * time.Second}, &RangeError{}},
		"one that is too long":  {Settings{ICEDisconnectedTimeout: 31 * time.Second}, &RangeError{}},
		"SRTP profiles":         {Settings{SRTPProfiles: []SRTPProfile{SRTPAEADAES256GCM}}, nil},
		"no SRTP profile":       {Settings{SRTPProfiles: []SRTPProfile{2}}, &TypeError{}},
		"versions":              {Settings{DTLSMinVersion: DTLS13, DTLSMaxVersion: DTLS13}, nil},
		"versions upside down":  {Settings{DTLSMinVersion: DTLS13, DTLSMaxVersion: DTLS12}, &RangeError{}},
		"DTLS 1.0":              {Settings{DTLSMinVersion: 0xfeff}, &TypeError{}},
		"no DTLS role":          {Settings{AnsweringDTLSRole: 3}, &TypeError{}},
		"a payload type": {
			bad(RTPCodecParameters{RTPCodecCapability{MimeType: "audio/x", ClockRate: 8000}, 128}), &TypeError{},
		},
		"no clock rate": {bad(RTPCodecParameters{RTPCodecCapability{MimeType: "audio/x"}, 96}), &TypeError{}},
		"no kind":       {bad(RTPCodecParameters{RTPCodecCapability{MimeType: "text/x", ClockRate: 1}, 96}), &TypeError{}},
		"a line break": {
			bad(RTPCodecParameters{RTPCodecCapability{MimeType: "audio/x\r\na=y", ClockRate: 8000}, 96}), &TypeError{},
		},
		"a line break in fmtp": {
			bad(RTPCodecParameters{RTPCodecCapability{MimeType: "audio/x", ClockRate: 8000, SDPFmtpLine: "a=1\r\nb=2"}, 96}), &TypeError{},
		},
		"no codecs": {Settings{Codecs: []RTPCodecParameters{}}, nil},
	} {
		_, err := NewAPI(c.settings)
		wantError(t, name, err, c.want)
	}
}

func TestSettingsDoNotChangeAfterwards(t *testing.T) {
	codecs := DefaultCodecs()[:1]
	api, err := NewAPI(Settings{Codecs: codecs})
	if err != nil {
		t.Fatal(err)
	}
	codecs[0].MimeType = "audio/changed"
	got := api.GetCapabilities(RTPCodecTypeAudio)
	if len(got.Codecs) != 1 || got.Codecs[0].MimeType != MimeTypeOpus {
		t.Errorf("%v", got.Codecs)
	}
	got.Codecs[0].MimeType = "audio/changed"
	if again := api.GetCapabilities(RTPCodecTypeAudio); again.Codecs[0].MimeType != MimeTypeOpus {
		t.Error("GetCapabilities gives the capabilities away")
	}
	if v := api.GetCapabilities(RTPCodecTypeVideo); len(v.Codecs) != 0 {
		t.Errorf("%v", v)
	}
}

func TestAnAPIWithoutVideo(t *testing.T) {
	inBubble(t, limitedBy("b", func(s *Settings) { s.Codecs = DefaultCodecs()[:1] }), func(p *pair) {
		_, err := p.b.AddTransceiverFromKind(RTPCodecTypeVideo)
		wantError(t, "AddTransceiver", err, &NotSupportedError{})
		for _, track := range []TrackLocal{p.staticRTP(opus, "audio"), p.staticRTP(vp8, "video")} {
			_, err := p.a.AddTrack(track)
			p.must(err)
		}
		p.connectMedia()
		if got := sections(p.b.LocalDescription()); len(got) != 2 || strings.HasSuffix(got[0], "rejected") || !strings.HasSuffix(got[1], "rejected") {
			t.Errorf("%v", got)
		}
	})
}

func TestPortRange(t *testing.T) {
	inBubble(t, pairOptions{settings: func(_ string, s *Settings) { s.UDPPortMin, s.UDPPortMax = 40000, 40003 }}, func(p *pair) {
		p.dataPair(nil)
		for _, pc := range []*PeerConnection{p.a, p.b} {
			pair := (&ICETransport{pc}).GetSelectedCandidatePair()
			if pair == nil || pair.Local.Port < 40000 || pair.Local.Port > 40003 {
				t.Errorf("%+v", pair)
			}
		}
	})
}

func TestDisconnectedAndFailedTimeouts(t *testing.T) {
	settings := func(_ string, s *Settings) {
		s.ICEDisconnectedTimeout, s.ICEFailedTimeout = 2*time.Second, 7*time.Second
	}
	inBubble(t, pairOptions{settings: settings}, func(p *pair) {
		a, _ := p.dataPair(nil)
		states := make(chan PeerConnectionState, 10)
		p.a.OnConnectionStateChange(func(s PeerConnectionState) { states <- s })
		time.Sleep(time.Minute)
		if len(states) > 0 {
			t.Fatalf("%v without any trouble", <-states)
		}
		p.live.Do(func(n *netsim.Network) {
			for _, h := range n.Hosts() {
				h.Interfaces()[0].Up.SetDown(true)
			}
		})
		began := time.Now()
		if s := within(p, 10*time.Second, "state", states); s != PeerConnectionStateDisconnected || time.Since(began) < 200*time.Millisecond ||
			time.Since(began) > 4*time.Second { // the silence counts from the last check before the trouble
			t.Errorf("%v after %v", s, time.Since(began))
		}
		began = time.Now()
		if s := within(p, 20*time.Second, "state", states); s != PeerConnectionStateFailed || time.Since(began) < 4*time.Second ||
			time.Since(began) > 9*time.Second {
			t.Errorf("%v after %v", s, time.Since(began))
		}
		if s := a.ReadyState(); s != DataChannelStateOpen {
			t.Errorf("the channel is %v: an ICE restart could still save it", s)
		}
	})
}
