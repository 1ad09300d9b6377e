// Package e2e runs this library against real browsers, on a network of its own.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
	"github.com/openparley/webrtc/e2e/page"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(labPeerEnv) != "" {
		return serveLabPeer()
	}
	if lab.Inside() {
		return lab.Main(m.Run)
	}
	remove, err := buildExamples()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer remove()
	return lab.Main(m.Run)
}

var browsers = []browser.Kind{browser.Chromium, browser.Firefox}

// limit is how long one call may take on a busy machine; a good one takes a second or two.
const limit = 40 * time.Second

// launch starts a browser for the length of a test and returns it with the address of the page.
func launch(t *testing.T, kind browser.Kind, host lab.Host) (*browser.Browser, string) {
	t.Helper()
	return launchWith(t, kind, browser.Options{Host: host})
}

func launchWith(t *testing.T, kind browser.Kind, o browser.Options) (*browser.Browser, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	b, err := browser.Launch(ctx, kind, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", kind, b.Log())
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, page.Serve(t, o.Host)
}

// open opens the page in a tab of its own.
func open(ctx context.Context, t *testing.T, b *browser.Browser, url string) *browser.Page {
	t.Helper()
	tab, err := b.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		var log []string
		if t.Failed() && tab.Call(ctx, &log, "peer.log") == nil {
			t.Logf("the page: %s", strings.Join(log, ", "))
		}
		if err := tab.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return tab
}

// TestMatrix makes every kind of call with every browser: who offers, who is the DTLS client, with media or without.
func TestMatrix(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launch(t, kind, lab.Host{})
			for _, c := range calls() {
				t.Run(c.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					c.run(ctx, t, newGoPeer(t, c.media), open(ctx, t, b, url))
				})
			}
		})
	}
}

func calls() (all []call) {
	for i := range 8 {
		all = append(all, call{goOffers: i&4 == 0, goActive: i&2 == 0, media: i&1 != 0})
	}
	return all
}

// String names the call after what this library is in it.
func (c call) String() string {
	words := []string{"answerer", "server", "data"}
	if c.goOffers {
		words[0] = "offerer"
	}
	if c.goActive {
		words[1] = "client"
	}
	if c.media {
		words[2] = "media"
	}
	return strings.Join(words, ",")
}

// run makes the call and proves it: data both ways in both forms, frames decoded on both sides, the roles as asked for.
func (c call) run(ctx context.Context, t *testing.T, p *goPeer, tab *browser.Page) digest {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(c.connect(ctx, p, tab))
	for _, size := range []int{2, 1200, 64 << 10, 256 << 10} {
		check(tab.Call(ctx, nil, "peer.roundTrip", "string", size))
		check(tab.Call(ctx, nil, "peer.roundTrip", "binary", size))
		check(p.roundTrip(ctx, bytes.Repeat([]byte("ж"), size/2), true))
		check(p.roundTrip(ctx, bytes.Repeat([]byte{0, 1, 0xfe, 0xff}, size/4), false))
	}
	var s digest
	if c.media {
		check(p.received.wait(ctx, 20, 40))
		decoded, err := p.received.decode(ctx, t)
		check(err)
		if decoded < 20 {
			t.Errorf("%d of at least 20 received frames could be decoded", decoded)
		}
		check(tab.Call(ctx, &s, "peer.media", 20, 40))
		if s.Inbound["video"].Width != 160 || s.Inbound["video"].KeyFrames == 0 || s.SRTPCipher == "" {
			t.Errorf("the browser decodes %+v over %q", s.Inbound, s.SRTPCipher)
		}
	} else {
		check(tab.Call(ctx, &s, "peer.stats"))
	}
	c.checkRoles(t, p, s)

	// One of them hangs up, and the other one learns of it at once, not by a timeout.
	if c.goOffers {
		check(p.pc.Close())
		check(tab.Call(ctx, nil, "peer.closed", "go"))
	} else {
		check(tab.Call(ctx, nil, "peer.close"))
		check(await(ctx, "close", &p.closed))
	}
	return s
}

// checkRoles looks at what the browser says it has become.
func (c call) checkRoles(t *testing.T, p *goPeer, s digest) {
	t.Helper()
	dtls, ice := "client", "controlling"
	if c.goActive {
		dtls = "server"
	}
	if c.goOffers {
		ice = "controlled"
	}
	if s.DTLSState != "connected" || s.DTLSRole != dtls || s.ICERole != ice {
		t.Errorf("the browser is DTLS %s, %s and ICE %s; want connected, %s, %s", s.DTLSRole, s.DTLSState, s.ICERole, dtls, ice)
	}
	// Both sides' statistics tell of the same transport.
	ours := p.transport()
	if ours.TLSVersion != s.TLSVersion || ours.DTLSCipher != s.DTLSCipher || ours.SRTPCipher != s.SRTPCipher ||
		ours.DTLSState != s.DTLSState || ours.DTLSRole == s.DTLSRole || ours.ICERole == s.ICERole {
		t.Errorf("the browser reports %+v, and we %+v", s, ours)
	}
	t.Logf("DTLS %s %s, SRTP %s, %s to %s", s.TLSVersion, s.DTLSCipher, s.SRTPCipher, s.Local, s.Remote)
}

// digest is what peer.stats picks from the browser's getStats.
type digest struct {
	DTLSState, TLSVersion, TLSGroup, DTLSCipher, SRTPCipher, DTLSRole, ICERole string

	Local, Remote candidate
	Inbound       map[string]struct {
		Packets, Lost, Frames, KeyFrames, Width, Height int
		Energy                                          float64
	}
}

type candidate struct {
	Address, Protocol, CandidateType, RelayProtocol string
	Port                                            int
}

func (c candidate) String() string { return c.CandidateType + " " + c.Address }
