package turnserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/dtls/dtlsio"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// throwAway is a certificate that nobody looks at.
func throwAway(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// dtls makes a client over DTLS, on the connection that is returned too.
func (l *lab) dtls(server string) (*driver, netio.PacketConn) {
	l.t.Helper()
	cfg, err := dtlsio.ClientFromTLS(&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		l.t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(server)
	conn, err := dtlsio.Client(l.t.Context(), l.listen("client", "31.0.0.1:0"), addr, cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	d := l.driver(turn.Config{
		Server: addr, Transport: turn.DTLS, Username: user, Password: password, Rand: l.net.Rand(conn.LocalAddr().String()),
	})
	d.write = func(pkt []byte) { _, _ = conn.WriteBatch([]netio.Message{{Data: pkt}}) }
	go func() {
		defer close(d.in)
		var b netio.Batch
		for conn.ReadBatch(&b) == nil {
			for i := range b.Messages {
				d.in <- bytes.Clone(b.Messages[i].Data)
			}
		}
	}()
	return d, conn
}

func TestDTLSIsRelayed(t *testing.T) {
	cert := throwAway(t)
	for name, change := range map[string]func(*Config){
		"address": func(c *Config) {
			c.DTLS, c.TLS = []netip.AddrPort{netip.MustParseAddrPort("30.0.0.1:5349")}, &tls.Config{Certificates: []tls.Certificate{cert}}
		},
		"wildcard": func(c *Config) {
			c.UDP, c.DTLS = nil, []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:5349")}
			c.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, change)
				defer l.close()
				peer := l.listen("peer", "32.0.0.1:6000")
				defer peer.Close()
				d, conn := l.dtls("30.0.0.1:5349")
				d.allocate()
				if err := d.c.Bind(time.Now(), peer.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				d.until(func() bool { return d.c.Ready(peer.LocalAddr()) })
				for _, text := range []string{"a", "ab", "abc", "abcd"} { // without padding
					d.echo(peer, text)
				}
				if s := l.server.Stats(); s.Sessions != 1 || s.Allocations != 1 || s.ToPeers != 4 {
					t.Errorf("%+v", s)
				}
				_ = conn.Close()
				synctest.Wait()
				time.Sleep(time.Second)
				if s := l.server.Stats(); s.Sessions != 0 || s.Allocations != 0 || s.ClosedByDisconnection != 1 {
					t.Errorf("after the goodbye: %+v", s)
				}
				t.Log("# the server's end ends the connection")
				d, conn = l.dtls("30.0.0.1:5349")
				d.allocate()
				if err := l.server.Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if _, open := <-d.in; open {
					t.Error("the connection is open")
				}
				_ = conn.Close()
			})
		})
	}
}

func TestDTLSNeedsCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		for _, secure := range []*tls.Config{nil, {}} {
			cfg := Config{
				DTLS: []netip.AddrPort{netip.MustParseAddrPort("30.0.0.1:5349")}, TLS: secure,
				network: l.live.Host(l.hosts["server"]),
			}
			if s, err := Start(cfg); s != nil || err == nil || secure == nil && !errors.Is(err, ErrConfig) {
				t.Errorf("%+v: %v, %v", secure, s, err)
			}
		}
	})
}
