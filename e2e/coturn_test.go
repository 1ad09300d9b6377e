package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// The addresses that lab.Alone gives this host.
const (
	labAddr  = "10.77.0.1"
	labAddr6 = "fd77::1"
)

// The ports and the user of TURN servers in the lab.
const (
	turnPort, turnSecurePort = "3478", "5349"
	turnUser, turnPassword   = "lab", "wonderland"
)

// turnCertificate is a self-signed certificate of the name turn.lab and of the lab's addresses, and who trusts it.
func turnCertificate(t *testing.T) (cert tls.Certificate, certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	id := newIdentityFor(t, "ecdsa", "turn.lab", labAddr, labAddr6)
	parsed, err := x509.ParseCertificate(id.certificate.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(parsed)
	return tls.Certificate{Certificate: id.certificate.Chain, PrivateKey: id.certificate.PrivateKey}, id.certFile, id.keyFile, trust
}

// coturn is a running one, which may be restarted.
type coturn struct {
	t    *testing.T
	args []string
	cmd  *exec.Cmd
	said *program
}

// startCoturn runs coturn on this host until the test ends: UDP and TCP on one port, TLS and DTLS on another.
func startCoturn(t *testing.T, certFile, keyFile string) *coturn {
	t.Helper()
	dir := t.TempDir()
	c := &coturn{t: t, args: []string{
		"-n", "--no-cli", "--lt-cred-mech", "--realm", "lab", "--user", turnUser + ":" + turnPassword,
		"--listening-ip", labAddr, "--relay-ip", labAddr, "--listening-port", turnPort, "--tls-listening-port", turnSecurePort,
		"--cert", certFile, "--pkey", keyFile, "--userdb", filepath.Join(dir, "db"), "--pidfile", filepath.Join(dir, "pid"),
		"--log-file", "stdout", "--simple-log", "--no-multicast-peers", "--relay-threads", "1",
	}}
	c.start()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("coturn said:\n%s", c.said)
		}
		c.kill()
	})
	return c
}

// start starts it and waits until it answers.
func (c *coturn) start() {
	c.t.Helper()
	c.cmd, c.said = exec.Command("turnserver", c.args...), &program{}
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	conn, err := net.Dial("udp4", labAddr+":"+turnPort)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	// A Binding request (RFC 8489 §5): type, length, magic cookie, transaction id.
	request := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, "is it there?"...)
	for end := time.Now().Add(limit); time.Now().Before(end); {
		_, _ = conn.Write(request) // refused until it listens
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 100)); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("coturn does not answer; it said:\n%s", c.said)
}

// kill ends it without a word to anybody.
func (c *coturn) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed
}

// turnTransports are the ways to a TURN server, and the URL of each.
var turnTransports = []struct{ name, url string }{
	{"udp", "turn:" + labAddr},
	{"tcp", "turn:" + labAddr + "?transport=tcp"},
	{"tls", "turns:" + labAddr + "?transport=tcp"},
	{"dtls", "turns:" + labAddr + "?transport=udp"},
}

func turnServer(url string) webrtc.ICEServer {
	return webrtc.ICEServer{URLs: []string{url}, Username: turnUser, Credential: turnPassword}
}

// relayOnly makes a peer that can be reached through a server alone.
func relayOnly(t *testing.T, url string, trust *x509.CertPool, media bool) *goPeer {
	t.Helper()
	return relayOnlyWith(t, webrtc.Settings{ServerTLS: &tls.Config{RootCAs: trust}}, url, media)
}

// relayOnlyWith is relayOnly with other settings.
func relayOnlyWith(t *testing.T, settings webrtc.Settings, url string, media bool) *goPeer {
	t.Helper()
	p := newGoPeerWith(t, settings, media)
	err := p.pc.SetConfiguration(webrtc.Configuration{
		Certificates: p.pc.GetConfiguration().Certificates, ICETransportPolicy: webrtc.ICETransportPolicyRelay,
		ICEServers: []webrtc.ICEServer{turnServer(url)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dial connects two peers, whose candidates go on to trickle until the test ends.
func (p *goPeer) dial(ctx context.Context, q *goPeer) error {
	offer, err := p.offer()
	if err != nil {
		return err
	}
	answer, err := q.answer(offer)
	if err != nil {
		return err
	}
	if err := p.pc.SetRemoteDescription(answer); err != nil {
		return err
	}
	for _, each := range [][2]*goPeer{{p, q}, {q, p}} {
		from, to := each[0], each[1]
		from.playing.Go(func() {
			for {
				select {
				case c := <-from.candidates:
					if err := to.pc.AddICECandidate(c); err != nil && from.ctx.Err() == nil && to.ctx.Err() == nil {
						from.t.Error(err)
					}
				case <-from.ctx.Done():
					return
				}
			}
		})
	}
	return await(ctx, "connect", &p.connected, &p.failed)
}

// selected is the pair that a peer uses.
func (p *goPeer) selected() string {
	pair := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if pair == nil {
		return "none"
	}
	return fmt.Sprintf("%s by %s to %s", pair.Local.Typ, pair.Local.RelayProtocol, pair.Remote.Typ)
}

// TestRelayThroughCoturn makes calls between two peers of which each can be reached through coturn alone, and kills it in
// mid-call: what it relayed for us is gone, and it knows nobody when it is there again.
func TestRelayThroughCoturn(t *testing.T) {
	lab.Alone(t)
	_, certFile, keyFile, trust := turnCertificate(t)
	server := startCoturn(t, certFile, keyFile)
	for _, way := range turnTransports {
		t.Run(way.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, q := relayOnly(t, way.url, trust, true), relayOnly(t, way.url, trust, true)
			began := time.Now()
			if err := p.dial(ctx, q); err != nil {
				t.Fatal(err)
			}
			t.Logf("connected after %v", time.Since(began).Round(time.Millisecond))
			for _, each := range []*goPeer{p, q} {
				for _, size := range []int{2, 64 << 10} {
					if err := each.roundTrip(ctx, make([]byte, size), false); err != nil {
						t.Fatal(err)
					}
				}
				if err := each.received.wait(ctx, 10, 20); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.selected(); got != "relay by "+way.name+" to relay" {
				t.Errorf("the call goes from %s", got)
			}
			server.kill()
			killed := time.Now()
			server.start()
			up := time.Now()
			for _, each := range []*goPeer{p, q} {
				if err := each.received.more(ctx, 5); err != nil {
					t.Fatal(err)
				}
			}
			took := time.Since(up)
			t.Logf("coturn was away for %v; media is back %v after that", up.Sub(killed).Round(time.Millisecond), took.Round(time.Millisecond))
			if took > 3*time.Second {
				t.Errorf("media is back after %v, want 3 s", took)
			}
			if err := p.roundTrip(ctx, []byte(strings.Repeat("again", 1000)), true); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestServerCertificatesAreVerified offers a certificate that nobody trusts: there is no relay, and an error that says so.
func TestServerCertificatesAreVerified(t *testing.T) {
	lab.Alone(t)
	_, certFile, keyFile, _ := turnCertificate(t)
	startCoturn(t, certFile, keyFile)
	for _, way := range turnTransports[2:] {
		t.Run(way.name, func(t *testing.T) {
			p := relayOnly(t, way.url, x509.NewCertPool(), false)
			errs := make(chan webrtc.ICECandidateError, 10)
			p.pc.OnICECandidateError(func(e webrtc.ICECandidateError) { errs <- e })
			if _, err := p.offer(); err != nil {
				t.Fatal(err)
			}
			select {
			case e := <-errs:
				if e.ErrorCode != 701 || e.URL != way.url || !strings.Contains(e.ErrorText, "unknown authority") {
					t.Errorf("%+v", e)
				}
			case c := <-p.candidates:
				t.Errorf("a candidate: %+v", c)
			case <-time.After(limit):
				t.Error("no error")
			}
		})
	}
}

// tunnels is an HTTP proxy with a password that knows where turn.lab is.
func tunnels(t *testing.T) (proxy *url.URL, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var hosts []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts = append(hosts, r.Method+" "+r.Host)
		mu.Unlock()
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("bob:builder")) {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		far, err := net.Dial("tcp", strings.Replace(r.Host, "turn.lab", labAddr, 1))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		w.WriteHeader(http.StatusOK)
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer near.Close()
		go func() { _, _ = io.Copy(near, far) }() // until one of them is closed
		_, _ = io.Copy(far, buffered)
	}))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(strings.Replace(server.URL, "://", "://bob:builder@", 1))
	if err != nil {
		t.Fatal(err)
	}
	return proxy, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(hosts)
	}
}

// TestRelayBehindAProxy calls by coturn, whose name only an HTTP proxy knows.
func TestRelayBehindAProxy(t *testing.T) {
	lab.Alone(t)
	_, certFile, keyFile, trust := turnCertificate(t)
	startCoturn(t, certFile, keyFile)
	proxy, asked := tunnels(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	settings := webrtc.Settings{
		ServerTLS: &tls.Config{RootCAs: trust}, ServerProxy: func(*url.URL) (*url.URL, error) { return proxy, nil },
	}
	const server = "turns:turn.lab"
	p, q := relayOnlyWith(t, settings, server, true), relayOnlyWith(t, settings, server, true)
	if err := p.dial(ctx, q); err != nil {
		t.Fatal(err)
	}
	for _, each := range []*goPeer{p, q} {
		if err := each.roundTrip(ctx, make([]byte, 64<<10), false); err != nil {
			t.Fatal(err)
		}
		if err := each.received.wait(ctx, 5, 10); err != nil {
			t.Fatal(err)
		}
	}
	want := "CONNECT turn.lab:" + turnSecurePort
	if got := asked(); !slices.Equal(got, []string{want, want}) || p.selected() != "relay by tls to relay" {
		t.Errorf("the proxy was asked for %q, and the call goes from %s", got, p.selected())
	}
}
