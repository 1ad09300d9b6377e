package webrtc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

// TestMain fails when a goroutine outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines of this package. Every test waits for Done, so none may be there; the runtime
// may still be taking a finished one away, hence the few looks.
func leaked() (left string) {
	for range 100 {
		buf := make([]byte, 1<<20)
		left = ""
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "openparley/webrtc") && !strings.Contains(g, "TestMain") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		runtime.Gosched()
	}
	return left
}

// pair is two connections on a simulated network, in a bubble of virtual time.
type pair struct {
	t    *testing.T
	net  *netsim.Network
	live *netsim.Live
	a, b *PeerConnection
}

// pairOptions change what newPair makes. The zero value is a fast, clean network and default settings.
type pairOptions struct {
	seed     uint64
	link     *netsim.LinkConfig // nil: testLink
	settings func(name string, s *Settings)
	// quiet leaves the candidates to the test.
	quiet bool
	// streams gives the hosts TCP.
	streams bool
}

var testLink = netsim.LinkConfig{Delay: 5 * time.Millisecond}

// inBubble runs a test in virtual time with a pair that is closed at its end.
func inBubble(t *testing.T, o pairOptions, test func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, o)
		defer p.close()
		test(p)
	})
}

func newPair(t *testing.T, o pairOptions) *pair {
	t.Helper()
	if o.seed == 0 {
		o.seed = 1
	}
	link := testLink
	if o.link != nil {
		link = *o.link
	}
	p := &pair{t: t, net: netsim.New(o.seed)}
	p.live = netsim.NewLive(p.net)
	p.a = p.connection("a", "10.0.0.1", link, o)
	p.b = p.connection("b", "10.0.0.2", link, o)
	if !o.quiet {
		trickle(t, p.a, p.b)
		trickle(t, p.b, p.a)
	}
	return p
}

func (p *pair) connection(name, addr string, link netsim.LinkConfig, o pairOptions) *PeerConnection {
	p.t.Helper()
	host := p.net.Connect(name, link, addr)
	s := Settings{network: p.live.Host(host)}
	if o.streams {
		s.network = p.live.StreamHost(host)
	}
	if o.settings != nil {
		o.settings(name, &s)
	}
	api, err := NewAPI(s)
	if err != nil {
		p.t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{testCertificate(p.t)}})
	if err != nil {
		p.t.Fatal(err)
	}
	return pc
}

// testCertificate is valid at the virtual clock's beginning and now.
func testCertificate(t testing.TB) Certificate {
	t.Helper()
	cert, err := GenerateCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return *cert
}

// trickle carries candidates from one connection to the other, in order; those that come before the description wait.
func trickle(t *testing.T, from, to *PeerConnection) {
	var early []ICECandidateInit
	from.OnICECandidate(func(c *ICECandidate) {
		if c == nil {
			return
		}
		early = append(early, c.ToJSON())
		for len(early) > 0 {
			err := to.AddICECandidate(early[0])
			if errors.Is(err, ErrNoRemoteDescription) || ofAnotherGeneration(early[0], err) {
				// Signaling would deliver it behind the description; look again a moment later.
				time.AfterFunc(time.Millisecond, func() {
					from.Post(func() {
						for len(early) > 0 {
							err := to.AddICECandidate(early[0])
							if err != nil && !ofAnotherGeneration(early[0], err) {
								return
							}
							early = early[1:] // refused again, and rightly: a restart has ended its generation meanwhile
						}
					})
				})
				return
			}
			if err != nil && !errors.Is(err, ErrConnectionClosed) {
				t.Errorf("AddICECandidate: %v", err)
			}
			early = early[1:]
		}
	})
}

// ofAnotherGeneration says whether a candidate was refused since its ICE credentials are not those of the description.
func ofAnotherGeneration(c ICECandidateInit, err error) bool {
	return c.UsernameFragment != nil && errors.Is(err, &OperationError{}) && !errors.Is(err, &RTCError{})
}

// close ends both connections and waits for everything that belongs to them.
func (p *pair) close() {
	p.t.Helper()
	for _, pc := range []*PeerConnection{p.a, p.b} {
		if err := pc.Close(); err != nil {
			p.t.Error(err)
		}
		<-pc.Done()
	}
	p.live.Close()
}

// negotiate makes one exchange of offer and answer.
func (p *pair) negotiate(offerer, answerer *PeerConnection) {
	p.t.Helper()
	offer, err := offerer.CreateOffer(nil)
	p.must(err)
	p.must(offerer.SetLocalDescription(offer))
	p.must(answerer.SetRemoteDescription(offer))
	answer, err := answerer.CreateAnswer(nil)
	p.must(err)
	p.must(answerer.SetLocalDescription(answer))
	p.must(offerer.SetRemoteDescription(answer))
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// within waits for a value for at most d of virtual time.
func within[T any](p *pair, d time.Duration, what string, c <-chan T) (v T) {
	p.t.Helper()
	select {
	case v = <-c:
	case <-time.After(d):
		p.t.Fatalf("%s: nothing within %v", what, d)
	}
	return v
}

// opened returns a channel that is closed when dc is open.
func opened(dc *DataChannel) <-chan struct{} {
	open := make(chan struct{})
	dc.OnOpen(func() { close(open) })
	return open
}

// dataPair connects the pair with one data channel, open on both sides.
func (p *pair) dataPair(init *DataChannelInit) (a, b *DataChannel) {
	p.t.Helper()
	remote := make(chan *DataChannel, 1)
	p.b.OnDataChannel(func(d *DataChannel) { remote <- d })
	a, err := p.a.CreateDataChannel("test", init)
	p.must(err)
	open := opened(a)
	p.negotiate(p.a, p.b)
	within(p, 10*time.Second, "open", open)
	b = within(p, 10*time.Second, "channel at the other side", remote)
	return a, b
}

// rejectSection makes the port of the section of a kind zero, and takes it out of the BUNDLE group.
func rejectSection(d SessionDescription, kind string) SessionDescription {
	parts := strings.Split(d.SDP, "\r\nm=")
	for i, m := range parts[1:] {
		if !strings.HasPrefix(m, kind) {
			continue
		}
		fields := strings.SplitN(m, " ", 3)
		parts[i+1] = fields[0] + " 0 " + fields[2]
		_, mid, _ := strings.Cut(m, "a=mid:")
		mid, _, _ = strings.Cut(mid, "\r\n")
		group, rest, _ := strings.Cut(parts[0], "a=group:BUNDLE")
		mids, rest, _ := strings.Cut(rest, "\r\n")
		parts[0] = group + "a=group:BUNDLE" + strings.Replace(mids, " "+mid, "", 1) + "\r\n" + rest
	}
	d.SDP = strings.Join(parts, "\r\nm=")
	return d
}
