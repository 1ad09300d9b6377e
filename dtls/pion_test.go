package dtls

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	piondtls "github.com/pion/dtls/v3"
)

// pipe is one end of a network that carries packets from goroutine to goroutine.
type pipe struct {
	in, out  chan []byte
	closed   chan struct{}
	once     sync.Once
	deadline time.Time
	mu       sync.Mutex
}

func newPipes() (a, b *pipe) {
	x, y := make(chan []byte, 64), make(chan []byte, 64)
	return &pipe{in: x, out: y, closed: make(chan struct{})}, &pipe{in: y, out: x, closed: make(chan struct{})}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func (p *pipe) LocalAddr() net.Addr                { return pipeAddr{} }
func (p *pipe) SetDeadline(t time.Time) error      { return p.SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(_ time.Time) error { return nil }

func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	var expire <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		expire = t.C
	}
	select {
	case pkt := <-p.in:
		return copy(b, pkt), pipeAddr{}, nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	case <-expire:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case p.out <- bytes.Clone(b):
	default: // a full network loses packets
	}
	return len(b), nil
}

// drive runs an engine on a pipe until done is closed, echoing application data.
func drive(c *Conn, p *pipe, done <-chan struct{}) {
	c.Start(time.Now())
	for {
		for {
			pkt, ok := c.Next(nil)
			if !ok {
				break
			}
			_, _ = p.WriteTo(pkt, nil)
		}
		for app, ok := c.Pending(); ok; app, ok = c.Pending() {
			echo(c, p, app)
		}
		var timer <-chan time.Time
		if d := c.Deadline(); !d.IsZero() {
			timer = time.After(time.Until(d))
		}
		select {
		case pkt := <-p.in:
			for len(pkt) > 0 {
				var app []byte
				app, pkt, _ = c.Open(time.Now(), pkt)
				if app != nil {
					echo(c, p, app)
				}
			}
		case <-timer:
			c.Advance(time.Now())
		case <-done:
			return
		}
	}
}

func echo(c *Conn, p *pipe, app []byte) {
	front, back := c.Overhead()
	buf := make([]byte, front+len(app)+back)
	copy(buf[front:], app)
	if rec, err := c.Seal(buf, front, len(app)); err == nil {
		_, _ = p.WriteTo(rec, nil)
	}
}

// TestPion shakes hands with an independent implementation in both roles, with every suite that both know.
func TestPion(t *testing.T) {
	for _, role := range []Role{RoleClient, RoleServer} {
		for _, id := range []CipherSuite{
			ECDHEECDSAAES128GCMSHA256, ECDHEECDSAAES256GCMSHA384, ECDHEECDSAChaCha20Poly1305, ECDHERSAAES128GCMSHA256,
			ECDHERSAAES256GCMSHA384,
		} {
			t.Run(fmt.Sprintf("%v/%v", role, id), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { withPion(t, role, id) })
			})
		}
	}
}

func withPion(t *testing.T, role Role, id CipherSuite) {
	certificate := selfSigned(t, testKeys().p256)
	if suiteByID(id).auth == authRSA {
		certificate = selfSigned(t, testKeys().rsa)
	}
	cfg := testConfig(t, role, 1)
	cfg.Certificate = certificate
	cfg.CipherSuites = []CipherSuite{id, AES128GCMSHA256}
	cfg.SRTPProfiles = []SRTPProfile{SRTPAEADAES128GCM}
	ours, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, b := newPipes()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { drive(ours, a, done) })
	conn, err := pionConn(b, role, certificate)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("echo: %q %v", buf[:n], err)
	}
	state, ok := conn.ConnectionState()
	if !ok {
		t.Fatal("no state")
	}
	theirKeys, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	if err != nil {
		t.Fatal(err)
	}
	close(done)
	wg.Wait()
	ourKeys, err := ours.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	if err != nil || !bytes.Equal(ourKeys, theirKeys) {
		t.Fatalf("exporters differ: %x %x %v", ourKeys, theirKeys, err)
	}
	got := ours.ConnectionState()
	if profile, ok := conn.SelectedSRTPProtectionProfile(); !ok || SRTPProfile(profile) != got.SRTPProfile ||
		got.SRTPProfile != SRTPAEADAES128GCM {
		t.Fatalf("SRTP: pion %v, here %v", profile, got.SRTPProfile)
	}
	if got.CipherSuite != id || len(got.PeerCertificates) != 1 || !bytes.Equal(got.PeerCertificates[0], certificate.Chain[0]) {
		t.Fatalf("%+v", got)
	}
	_ = conn.Close()
	_ = b.Close()
}

func pionConn(p *pipe, role Role, cert Certificate) (*piondtls.Conn, error) {
	options := []piondtls.Option{
		piondtls.WithCertificates(tls.Certificate{Certificate: cert.Chain, PrivateKey: cert.PrivateKey}),
		piondtls.WithSRTPProtectionProfiles(piondtls.SRTP_AEAD_AES_128_GCM),
		piondtls.WithExtendedMasterSecret(piondtls.RequireExtendedMasterSecret),
		piondtls.WithInsecureSkipVerify(true),
	}
	if _, ok := cert.PrivateKey.(*ecdsa.PrivateKey); ok {
		options = append(options, piondtls.WithCipherSuites(
			piondtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, piondtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			piondtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		))
	}
	if role == RoleServer {
		var list []piondtls.ClientOption
		for _, o := range options {
			list = append(list, o)
		}
		return piondtls.ClientWithOptions(p, pipeAddr{}, list...)
	}
	list := []piondtls.ServerOption{piondtls.WithClientAuth(piondtls.RequireAnyClientCert)}
	for _, o := range options {
		list = append(list, o)
	}
	return piondtls.ServerWithOptions(p, pipeAddr{}, list...)
}
