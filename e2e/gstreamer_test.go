package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"sync"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestGStreamer makes calls with GStreamer's webrtcbin, which has an RSA certificate, DTLS 1.2, SRTP with AES128_CM_SHA1_80
// alone, and data channels.
func TestGStreamer(t *testing.T) {
	lab.Alone(t)
	for _, goOffers := range []bool{false, true} {
		c := call{goOffers: goOffers, goActive: !goOffers, media: true} // who answers is the DTLS client
		t.Run(c.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, g := newGoPeer(t, true), startGStreamer(ctx, t)
			if err := g.call(ctx, p, goOffers); err != nil {
				t.Fatalf("%v; here ICE is %v, DTLS %v; statistics: %s\nits description:\n%s\nours:\n%s",
					err, p.pc.ICEConnectionState(), p.pc.DTLSState(), dump(p), g.description(), p.pc.LocalDescription().SDP)
			}
			if err := p.roundTrip(ctx, []byte("echo, please"), true); err != nil {
				t.Error(err)
			}
			if err := g.roundTrip(ctx, "and back"); err != nil {
				t.Error(err)
			}
			if err := p.received.wait(ctx, 20, 40); err != nil {
				t.Error(err)
			}
			if decoded, err := p.received.decode(ctx, t); err != nil || decoded < 20 {
				t.Errorf("%d of at least 20 received frames could be decoded: %v", decoded, err)
			}
			if err := g.wait(ctx, func() bool { return g.frames["VP8"] >= 20 && g.frames["OPUS"] >= 40 }); err != nil {
				t.Errorf("it has decoded %v: %v", g.decoded(), err)
			}
			s := p.transport()
			cipher := "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" // named after the server's certificate
			if goOffers {
				cipher = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
			}
			if s.TLSVersion != "FEFD" || s.DTLSCipher != cipher || s.SRTPCipher != "SRTP_AES128_CM_HMAC_SHA1_80" {
				t.Errorf("DTLS %s %s, SRTP %s", s.TLSVersion, s.DTLSCipher, s.SRTPCipher)
			}
			t.Logf("DTLS %s %s %s as %s, SRTP %s; it has decoded %v", s.TLSVersion, s.DTLSCipher, s.DTLSGroup, s.DTLSRole, s.SRTPCipher, g.decoded())
		})
	}
}

// dump returns the statistics of the transport and its pairs, for a log.
func dump(p *goPeer) string {
	text, err := json.MarshalIndent(p.pc.GetStats(), "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// gstreamer is a running gstreamer/peer.py.
type gstreamer struct {
	stdin *json.Encoder

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced by each event
	sdp      string
	open     bool
	messages []string
	frames   map[string]int
	cands    []webrtc.ICECandidateInit
}

type gstreamerEvent struct {
	Event, SDP, Candidate, Text, Media string
	Line                               uint16
}

func startGStreamer(ctx context.Context, t *testing.T) *gstreamer {
	t.Helper()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "gstreamer/peer.py") // the distribution's, which has the bindings
	stderr := &program{}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &gstreamer{stdin: json.NewEncoder(stdin), changed: make(chan struct{}), frames: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.read(stdout)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("GStreamer said:\n%s", stderr)
		}
	})
	return g
}

func (g *gstreamer) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e gstreamerEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // a library's own words
		}
		g.mu.Lock()
		switch e.Event {
		case "offer", "answer":
			g.sdp = e.SDP
		case "candidate":
			g.cands = append(g.cands, webrtc.ICECandidateInit{Candidate: e.Candidate, SDPMLineIndex: &e.Line})
		case "open":
			g.open = true
		case "message":
			g.messages = append(g.messages, e.Text)
		case "frame":
			g.frames[e.Media]++
		}
		close(g.changed)
		g.changed = make(chan struct{})
		g.mu.Unlock()
	}
}

// wait waits until the condition, which is looked at under the lock, holds.
func (g *gstreamer) wait(ctx context.Context, condition func() bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !condition() {
		changed := g.changed
		g.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		g.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *gstreamer) description() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sdp
}

// decoded returns how many frames it has decoded, by codec.
func (g *gstreamer) decoded() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.frames)
}

func (g *gstreamer) do(what string, fields map[string]any) error {
	command := map[string]any{"do": what}
	for k, v := range fields {
		command[k] = v
	}
	return g.stdin.Encode(command)
}

// call negotiates, and lets candidates trickle both ways until the peers are connected.
func (g *gstreamer) call(ctx context.Context, p *goPeer, goOffers bool) error {
	var err error
	if goOffers {
		err = g.answer(ctx, p)
	} else {
		err = g.offer(ctx, p)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 2)
	go func() { done <- g.trickleTo(ctx, p) }()
	go func() { done <- g.trickleFrom(ctx, p) }()
	err = await(ctx, "connect", &p.connected, &p.failed)
	cancel()
	return errors.Join(err, <-done, <-done)
}

func (g *gstreamer) offer(ctx context.Context, p *goPeer) error {
	if err := g.do("offer", nil); err != nil {
		return err
	}
	if err := g.wait(ctx, func() bool { return g.sdp != "" }); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	answer, err := p.answer(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: g.description()})
	if err != nil {
		return fmt.Errorf("%w of\n%s", err, g.description())
	}
	return g.do("accept", map[string]any{"sdp": answer.SDP})
}

func (g *gstreamer) answer(ctx context.Context, p *goPeer) error {
	offer, err := p.offer()
	if err != nil {
		return err
	}
	if err := g.do("answer", map[string]any{"sdp": offer.SDP}); err != nil {
		return err
	}
	if err := g.wait(ctx, func() bool { return g.sdp != "" }); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: g.description()}); err != nil {
		return fmt.Errorf("%w of\n%s", err, g.description())
	}
	return nil
}

// trickleTo carries this library's candidates until it has gathered all of them, or the context ends.
func (g *gstreamer) trickleTo(ctx context.Context, p *goPeer) error {
	for {
		select {
		case c := <-p.candidates:
			if c.Candidate == "" {
				return nil
			}
			if err := g.do("candidate", map[string]any{"line": 0, "candidate": c.Candidate}); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// trickleFrom carries the other side's candidates until the context ends.
func (g *gstreamer) trickleFrom(ctx context.Context, p *goPeer) error {
	for {
		if g.wait(ctx, func() bool { return len(g.cands) > 0 }) != nil {
			return nil
		}
		g.mu.Lock()
		cands := g.cands
		g.cands = nil
		g.mu.Unlock()
		for _, c := range cands {
			if c.Candidate == "" {
				continue
			}
			if err := p.pc.AddICECandidate(c); err != nil {
				return fmt.Errorf("%s: %w", c.Candidate, err)
			}
		}
	}
}

// roundTrip sends a text on its channel and waits for the same to come back.
func (g *gstreamer) roundTrip(ctx context.Context, text string) error {
	if err := g.wait(ctx, func() bool { return g.open }); err != nil {
		return fmt.Errorf("its channel does not open: %w", err)
	}
	if err := g.do("send", map[string]any{"text": text}); err != nil {
		return err
	}
	err := g.wait(ctx, func() bool {
		for _, m := range g.messages {
			if m == text {
				return true
			}
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("its message does not come back: %w", err)
	}
	return nil
}
