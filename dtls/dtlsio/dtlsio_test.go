package dtlsio

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

var serverAddr = netip.MustParseAddrPort("10.0.0.9:5349")

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	chain := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.key = chain.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	if a.cert, err = x509.ParseCertificate(chain.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate that is valid from 1990 on, when no bubble's clock has begun.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Unix(631152000, 0), time.Unix(4102444800, 0)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) server(t *testing.T) tls.Certificate {
	t.Helper()
	return a.issue(t, &x509.Certificate{DNSNames: []string{"turn.example"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 9)}})
}

// world is a server that echoes, and a host for clients, on a simulated network.
type world struct {
	t       *testing.T
	net     *netsim.Network
	live    *netsim.Live
	ca      *authority
	server  *Server
	socket  netio.PacketConn // the server's
	clients netio.Network
	host    *netsim.Host

	mu    sync.Mutex
	ended []netip.AddrPort
}

// inWorld runs a test in virtual time.
func inWorld(t *testing.T, link netsim.LinkConfig, tc *tls.Config, cfg ServerConfig, test func(w *world)) {
	t.Helper()
	ca := newAuthority(t)
	if tc.Certificates == nil && tc.GetCertificate == nil {
		tc.Certificates = []tls.Certificate{ca.server(t)}
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: netsim.New(1), ca: ca}
		w.live = netsim.NewLive(w.net)
		defer w.live.Close()
		w.host = w.net.Connect("client", link, "10.0.0.1")
		w.clients = w.live.Host(w.host)
		under, err := w.live.Host(w.net.Connect("server", link, "10.0.0.9")).ListenUDP(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Config = func() (dtls.Config, error) { return ServerFromTLS(tc) }
		cfg.Ended = func(local netip.Addr, remote netip.AddrPort) {
			if local != serverAddr.Addr() {
				t.Errorf("a client of %v has ended", local)
			}
			w.mu.Lock()
			w.ended = append(w.ended, remote)
			w.mu.Unlock()
		}
		w.server = NewServer(cfg)
		w.socket = w.server.Wrap(under)
		var echoing sync.WaitGroup
		echoing.Go(func() {
			var b netio.Batch
			for w.socket.ReadBatch(&b) == nil {
				if n, err := w.socket.WriteBatch(b.Messages); n != len(b.Messages) || err != nil {
					t.Errorf("the echo: %d of %d, %v", n, len(b.Messages), err)
				}
			}
		})
		test(w)
		w.server.Close()
		_ = w.socket.Close()
		echoing.Wait()
	})
}

func (w *world) hasEnded() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended)
}

func (w *world) listen(port uint16) netio.PacketConn {
	w.t.Helper()
	under, err := w.clients.ListenUDP(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		w.t.Fatal(err)
	}
	return under
}

// dial connects for ten seconds at most.
func (w *world) dial(port uint16, tc *tls.Config) (netio.PacketConn, error) {
	w.t.Helper()
	cfg, err := ClientFromTLS(tc)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	return Client(ctx, w.listen(port), serverAddr, cfg)
}

func (w *world) mustDial(port uint16) netio.PacketConn {
	w.t.Helper()
	c, err := w.dial(port, &tls.Config{RootCAs: w.ca.pool, ServerName: "turn.example"})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// echo sends packets, as a burst if there are several, and wants them back.
func (w *world) echo(c netio.PacketConn, sizes ...int) {
	w.t.Helper()
	m := netio.Message{}
	for i, size := range sizes {
		m.Data = append(m.Data, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	if len(sizes) > 1 {
		m.Segment = sizes[0]
	}
	if n, err := c.WriteBatch([]netio.Message{m}); n != 1 || err != nil {
		w.t.Fatalf("%d, %v", n, err)
	}
	var b netio.Batch
	defer b.Release()
	for got := 0; got < len(sizes); {
		if err := c.ReadBatch(&b); err != nil {
			w.t.Fatal(err)
		}
		for i := range b.Messages {
			m := &b.Messages[i]
			for k := range m.Count() {
				if data := m.At(k); len(data) != sizes[got] || data[0] != byte(got) || m.Remote != serverAddr {
					w.t.Fatalf("packet %d: %d bytes from %v", got, len(data), m.Remote)
				}
				got++
			}
		}
	}
}

func TestPacketsAreCarried(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"turn.example", "10.0.0.9"} {
			t.Run(fmt.Sprintf("%s,%s", tls.VersionName(version), name), func(t *testing.T) {
				link := netsim.LinkConfig{Delay: 10 * time.Millisecond}
				inWorld(t, link, &tls.Config{MaxVersion: version}, ServerConfig{}, func(w *world) {
					var told tls.ConnectionState
					start := time.Now()
					c, err := w.dial(0, &tls.Config{RootCAs: w.ca.pool, ServerName: name, VerifyConnection: func(s tls.ConnectionState) error {
						told = s
						return nil
					}})
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("connected after %v, round trip 40ms", time.Since(start))
					if told.ServerName != name || len(told.VerifiedChains) != 1 || len(told.PeerCertificates) != 1 {
						t.Errorf("verified %+v", told)
					}
					if local := c.LocalAddr(); local.Addr() != netip.MustParseAddr("10.0.0.1") || local.Port() == 0 {
						t.Errorf("at %v", local)
					}
					w.echo(c, 1)
					w.echo(c, 1200)
					w.echo(c, 1000, 1000, 1000, 10)
					if err := c.Close(); err != nil {
						t.Error(err)
					}
					synctest.Wait()
					time.Sleep(time.Second)
					if n, _ := w.server.Sessions(); n != 0 || w.hasEnded() != 1 {
						t.Errorf("%d sessions after the goodbye, %d told of", n, w.hasEnded())
					}
				})
			})
		}
	}
}

func TestHandshakesSurviveLoss(t *testing.T) {
	inWorld(t, netsim.LinkConfig{Delay: 10 * time.Millisecond, Loss: 0.15, Duplicate: 0.1}, &tls.Config{}, ServerConfig{}, func(w *world) {
		for range 20 {
			c := w.mustDial(0)
			_ = c.Close()
		}
	})
}

func TestCertificatesAreVerified(t *testing.T) {
	expired := time.Unix(4102444801, 0)
	refusal := errors.New("not this one")
	for name, c := range map[string]struct {
		config func(ca *authority) *tls.Config
		want   func(error) bool
	}{
		"name": {
			func(ca *authority) *tls.Config { return &tls.Config{RootCAs: ca.pool, ServerName: "other.example"} },
			func(err error) bool { var e x509.HostnameError; return errors.As(err, &e) },
		},
		"authority": {
			func(*authority) *tls.Config {
				return &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "turn.example"}
			},
			func(err error) bool {
				var e x509.UnknownAuthorityError
				var v *tls.CertificateVerificationError
				return errors.As(err, &e) && errors.As(err, &v)
			},
		},
		"time": {
			func(ca *authority) *tls.Config {
				return &tls.Config{RootCAs: ca.pool, ServerName: "turn.example", Time: func() time.Time { return expired }}
			},
			func(err error) bool {
				var e x509.CertificateInvalidError
				return errors.As(err, &e) && e.Reason == x509.Expired
			},
		},
		"the caller": {
			func(*authority) *tls.Config {
				return &tls.Config{InsecureSkipVerify: true, VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return refusal }}
			},
			func(err error) bool { return errors.Is(err, refusal) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, netsim.LinkConfig{}, &tls.Config{}, ServerConfig{}, func(w *world) {
				conn, err := w.dial(0, c.config(w.ca))
				if conn != nil || !c.want(err) {
					t.Errorf("%v, %v", conn, err)
				}
				if n, _ := w.server.Sessions(); n != 0 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	inWorld(t, netsim.LinkConfig{}, &tls.Config{}, ServerConfig{}, func(w *world) {
		w.live.Do(func(*netsim.Network) { w.host.Interfaces()[0].SetUp(false) })
		start := time.Now()
		if c, err := w.dial(0, &tls.Config{InsecureSkipVerify: true}); c != nil || !errors.Is(err, dtls.ErrTimeout) ||
			!errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v, %v after %v", c, err, time.Since(start))
		}
	})
}

func TestServerSaysGoodbye(t *testing.T) {
	inWorld(t, netsim.LinkConfig{Delay: time.Millisecond}, &tls.Config{}, ServerConfig{}, func(w *world) {
		c := w.mustDial(0)
		w.server.Close()
		var b netio.Batch
		if err := c.ReadBatch(&b); !errors.Is(err, dtls.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.WriteBatch([]netio.Message{{Data: []byte("x")}}); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		_ = c.Close()
	})
}

// A client that was restarted has no keys to say goodbye with, and may get the same port again (RFC 6347 §4.2.8).
func TestClientThatBeginsAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		inWorld(t, netsim.LinkConfig{Delay: time.Millisecond}, &tls.Config{MaxVersion: version}, ServerConfig{}, func(w *world) {
			c := w.mustDial(4000)
			w.echo(c, 100)
			_ = c.(*client).writer.under.Close() // in silence
			c = w.mustDial(4000)
			w.echo(c, 100)
			synctest.Wait()
			if n, _ := w.server.Sessions(); n != 1 || w.hasEnded() != 1 {
				t.Errorf("%d sessions, %d ended", n, w.hasEnded())
			}
			t.Log("# a hello in the client's name changes nothing")
			hello := firstHello(t)
			w.write(c.(*client).writer.under, hello)
			time.Sleep(time.Minute)
			w.echo(c, 100)
			if n, _ := w.server.Sessions(); n != 1 || w.hasEnded() != 1 {
				t.Errorf("%d sessions, %d ended", n, w.hasEnded())
			}
			_ = c.Close()
		})
	}
}

// firstHello is a client's first datagram.
func firstHello(t *testing.T) []byte {
	t.Helper()
	cfg, err := ClientFromTLS(&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Role = dtls.RoleClient
	conn, err := dtls.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn.Start(time.Now())
	pkt, _ := conn.Next(nil)
	if _, more := conn.Next(nil); more {
		t.Fatal("the first flight does not fit into one datagram")
	}
	return pkt
}

func (w *world) write(c netio.PacketConn, pkt []byte) {
	w.t.Helper()
	if _, err := c.WriteBatch([]netio.Message{{Data: pkt, Remote: serverAddr}}); err != nil {
		w.t.Fatal(err)
	}
}

func TestHellosInTheNameOfOthers(t *testing.T) {
	limits := ServerConfig{MaxHandshakes: 50, MaxSessions: 3, MaxPerAddress: 2}
	inWorld(t, netsim.LinkConfig{Delay: time.Millisecond}, &tls.Config{}, limits, func(w *world) {
		hello := firstHello(t)
		for port := range uint16(400) {
			socket := w.listen(10000 + port)
			w.write(socket, hello)
			w.write(socket, []byte("not a hello at all"))
			defer socket.Close()
		}
		time.Sleep(100 * time.Millisecond)
		if n, rejected := w.server.Sessions(); n != 0 || rejected != 350 {
			t.Errorf("%d sessions, %d turned away", n, rejected)
		}
		t.Log("# who is there connects all the same")
		a, b := w.mustDial(0), w.mustDial(0)
		w.echo(a, 10)
		w.echo(b, 10)
		t.Log("# but not more than two of one address")
		if c, err := w.dial(0, &tls.Config{InsecureSkipVerify: true}); c != nil || !errors.Is(err, dtls.ErrTimeout) {
			t.Errorf("%v, %v", c, err)
		}
		time.Sleep(11 * time.Second)
		w.server.mu.Lock()
		young := len(w.server.young)
		w.server.mu.Unlock()
		if young != 0 {
			t.Errorf("%d handshakes go on for ever", young)
		}
		w.echo(a, 10)
		_ = a.Close()
		_ = b.Close()
	})
}

func TestManyClientsAtOnce(t *testing.T) {
	inWorld(t, netsim.LinkConfig{Delay: time.Millisecond}, &tls.Config{}, ServerConfig{MaxPerAddress: 2}, func(w *world) {
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				c, err := w.dial(0, &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					return // the server has said goodbye at once
				}
				var b netio.Batch
				_ = c.ReadBatch(&b) // until the server says goodbye
				_ = c.Close()
			})
		}
		time.Sleep(time.Second)
		if n, rejected := w.server.Sessions(); n != 2 || rejected != 3 {
			t.Errorf("%d sessions, %d turned away", n, rejected)
		}
		w.server.Close()
		all.Wait()
	})
}

func TestSilentClientsAreForgotten(t *testing.T) {
	inWorld(t, netsim.LinkConfig{}, &tls.Config{}, ServerConfig{}, func(w *world) {
		c := w.mustDial(0)
		w.echo(c, 10)
		for range 3 {
			time.Sleep(14 * time.Minute)
			w.echo(c, 10)
		}
		w.live.Do(func(*netsim.Network) { w.host.Interfaces()[0].SetUp(false) })
		time.Sleep(16 * time.Minute)
		if n, _ := w.server.Sessions(); n != 0 || w.hasEnded() != 1 {
			t.Errorf("%d sessions, %d ended", n, w.hasEnded())
		}
		_ = c.Close()
	})
}

// narrow is a socket that takes what it is told to, and cuts bursts.
type narrow struct {
	netio.PacketConn
	take int // datagrams
	got  [][]byte
	err  error
}

func (n *narrow) WriteBatch(msgs []netio.Message) (int, error) {
	for i := range msgs {
		m := &msgs[i]
		for k := range m.Count() {
			if n.take == 0 {
				m.Data = m.Data[k*m.Segment:]
				return i, nil
			}
			n.take--
			n.got = append(n.got, bytes.Clone(m.At(k)))
		}
	}
	return len(msgs), n.err
}

// What was sealed has a number, and cannot be given back: it goes first, and nothing is lost or comes twice.
func TestFullSocket(t *testing.T) {
	inWorld(t, netsim.LinkConfig{}, &tls.Config{}, ServerConfig{}, func(w *world) {
		c := w.mustDial(0).(*client)
		under := c.writer.under
		n := &narrow{PacketConn: under, take: 2}
		c.writer.under = n
		burst := func() []netio.Message { return []netio.Message{{Data: make([]byte, 450), Segment: 100}} }
		if took, err := c.WriteBatch(burst()); took != 1 || err != nil {
			t.Fatalf("%d, %v", took, err)
		}
		n.take = 1
		if took, err := c.WriteBatch(burst()); took != 0 || err != nil {
			t.Fatalf("a full socket takes %d, %v", took, err)
		}
		n.take = 100
		if took, err := c.WriteBatch(burst()); took != 1 || err != nil || len(n.got) != 10 {
			t.Fatalf("%d, %v, and %d datagrams", took, err, len(n.got))
		}
		c.writer.under = under
		for _, pkt := range n.got {
			w.write(under, pkt)
		}
		var b netio.Batch
		for got := 0; got < 10; {
			if err := c.ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			got += len(b.Messages)
		}
		b.Release()
		t.Log("# a datagram that is too large is reported in the size that the caller knows")
		n.err = &netio.SizeError{Size: 1200 + len(n.got[0]) - 100, Remote: serverAddr}
		c.writer.under = n
		var size *netio.SizeError
		if took, err := c.WriteBatch([]netio.Message{{Data: make([]byte, 1200)}}); took != 1 || !errors.As(err, &size) || size.Size != 1200 {
			t.Errorf("%d, %v", took, err)
		}
		c.writer.under = under
		_ = c.Close()
	})
}

func TestUnusableConfigurations(t *testing.T) {
	for _, tc := range []*tls.Config{
		{},
		{ServerName: "x", MaxVersion: tls.VersionTLS11},
		{ServerName: "x", Certificates: []tls.Certificate{{}}},
	} {
		if _, err := ClientFromTLS(tc); !errors.Is(err, errConfig) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	broken := errors.New("no file")
	for _, tc := range []*tls.Config{
		{},
		{MaxVersion: tls.VersionTLS11},
		{Certificates: []tls.Certificate{{}}},
		{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, broken }},
	} {
		if _, err := ServerFromTLS(tc); !errors.Is(err, errConfig) && !errors.Is(err, broken) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
