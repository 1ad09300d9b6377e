package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/ice/turn/turnserver"
)

// limit is far more than any of the tests needs.
const limit = 30 * time.Second

// program is the command, running.
type program struct {
	t     *testing.T
	addrs map[string]string // by what the program calls them
	stop  context.CancelFunc
	ended chan int
}

// start runs the command and waits until it has said where it listens.
func start(t *testing.T, names int, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	p := &program{t: t, addrs: make(map[string]string), stop: cancel, ended: make(chan int, 1)}
	go func() {
		status := run(ctx, args, in, t.Output())
		in.Close()
		p.ended <- status
	}()
	lines := bufio.NewScanner(out)
	for len(p.addrs) < names && lines.Scan() {
		name, addr, _ := strings.Cut(lines.Text(), " ")
		p.addrs[name] = addr
	}
	if len(p.addrs) < names {
		t.Fatalf("the program ended with %d, after %v", <-p.ended, p.addrs)
	}
	t.Cleanup(p.end)
	return p
}

func (p *program) end() {
	p.stop()
	select {
	case status := <-p.ended:
		p.ended <- status
		if status != 0 {
			p.t.Errorf("status %d", status)
		}
	case <-time.After(limit):
		p.t.Error("the program does not end")
	}
}

// client drives a TURN client over a connection until a condition holds.
type client struct {
	t    *testing.T
	c    *turn.Client
	conn net.Conn
	in   turn.Framer
	got  []turn.Data
}

func dial(t *testing.T, addr string, transport turn.Transport, config *tls.Config, username, password string) *client {
	t.Helper()
	conn, err := net.Dial(map[turn.Transport]string{turn.UDP: "udp"}[transport]+map[bool]string{true: "tcp"}[transport.Stream()], addr)
	if err != nil {
		t.Fatal(err)
	}
	if transport == turn.TLS {
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	c, err := turn.New(turn.Config{
		Server: netip.MustParseAddrPort(addr), Transport: transport, Username: username, Password: password, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, c: c, conn: conn}
}

func (c *client) flush() {
	for {
		pkt, ok := c.c.Next(nil)
		if !ok {
			return
		}
		c.write(pkt)
	}
}

func (c *client) write(pkt []byte) {
	if _, err := c.conn.Write(pkt); err != nil {
		c.t.Fatal(err)
	}
}

// until reads and answers; nothing is lost on the loopback interface, so that there are no timers.
func (c *client) until(cond func() bool) {
	c.t.Helper()
	for c.flush(); !cond(); c.flush() {
		n, err := c.conn.Read(c.in.Space())
		if err != nil {
			c.t.Fatal(err)
		}
		c.in.Put(n)
		for {
			pkt, err := c.in.Next()
			if err != nil {
				c.t.Fatal(err)
			}
			if pkt == nil {
				break
			}
			if d, ok, _ := c.c.HandlePacket(time.Now(), pkt); ok {
				d.Payload = append([]byte(nil), d.Payload...)
				c.got = append(c.got, d)
			}
		}
	}
}

func (c *client) allocate() turn.State {
	c.c.Allocate(time.Now())
	c.c.HandleDialResult(time.Now(), 1, nil)
	c.until(func() bool { return c.c.State() == turn.StateAllocated || c.c.State() == turn.StateFailed })
	return c.c.State()
}

// echo sends a packet through the relay to a peer that sends it back.
func (c *client) echo(text string) {
	c.t.Helper()
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	defer peer.Close()
	go func() {
		var buf [100]byte
		for {
			n, from, err := peer.ReadFrom(buf[:])
			if err != nil {
				return
			}
			_, _ = peer.WriteTo(buf[:n], from)
		}
	}()
	addr := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := c.c.Bind(time.Now(), addr); err != nil {
		c.t.Fatal(err)
	}
	c.until(func() bool { return c.c.Ready(addr) })
	buf := make([]byte, turn.MaxHeadroom+len(text)+turn.MaxTailroom)
	copy(buf[turn.MaxHeadroom:], text)
	pkt, ok := c.c.Wrap(buf, turn.MaxHeadroom, len(text), addr)
	if !ok {
		c.t.Fatal("no way to the peer")
	}
	c.write(pkt)
	n := len(c.got)
	c.until(func() bool { return len(c.got) > n })
	if string(c.got[n].Payload) != text || c.got[n].Peer != addr {
		c.t.Errorf("got %q from %v", c.got[n].Payload, c.got[n].Peer)
	}
}

// certificateFiles makes a throw-away certificate for 127.0.0.1, as files and as the configuration of a client that trusts it.
func certificateFiles(t *testing.T) (cert, key string, config *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// relayOverDTLS wants a relayed candidate by DTLS.
func relayOverDTLS(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	api, err := webrtc.NewAPI(webrtc.Settings{ServerTLS: config})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
		ICEServers: []webrtc.ICEServer{{
			URLs: []string{"turns:" + addr + "?transport=udp"}, Username: "alice", Credential: "wonderland",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	pc.OnICECandidateError(func(e webrtc.ICECandidateError) { t.Errorf("%+v", e) })
	if _, err := pc.CreateDataChannel("", nil); err != nil {
		t.Fatal(err)
	}
	complete := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(webrtc.SessionDescription{}); err != nil {
		t.Fatal(err)
	}
	<-complete
	if sdp := pc.LocalDescription().SDP; strings.Count(sdp, " typ relay ") != 1 {
		t.Errorf("one relay by DTLS is not in\n%s", sdp)
	}
}

// Certificates that last weeks are replaced under a running server.
func TestCertificateIsReplaced(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	c := &certificate{cert: cert, key: key}
	first, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.get(nil)
	if err != nil || again != first {
		t.Errorf("read again without need, %v", err)
	}
	otherCert, otherKey, _ := certificateFiles(t)
	if err := os.Rename(otherCert, cert); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	if half, err := c.get(nil); err != nil || half != first {
		t.Errorf("in the middle of a change: %v", err)
	}
	if err := os.Rename(otherKey, key); err != nil {
		t.Fatal(err)
	}
	if second, err := c.get(nil); err != nil || second == first {
		t.Errorf("the new one is not taken, %v", err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if last, err := c.get(nil); err != nil || last == first {
		t.Errorf("without the file: %v", err)
	}
	if none, err := (&certificate{cert: cert, key: key}).get(nil); err == nil {
		t.Errorf("%v of no file", none)
	}
}

func TestEveryTransport(t *testing.T) {
	cert, key, config := certificateFiles(t)
	p := start(t, 5, "-listen", "127.0.0.1:0", "-tls-listen", "127.0.0.1:0", "-cert", cert, "-key", key,
		"-user", "alice:wonderland", "-secret", "s3cret", "-allow-peer", "127.0.0.0/8", "-metrics", "127.0.0.1:0", "-v")
	for transport, name := range map[turn.Transport]string{turn.UDP: "udp", turn.TCP: "tcp", turn.TLS: "tls"} {
		c := dial(t, p.addrs[name], transport, config, "alice", "wonderland")
		if c.allocate() != turn.StateAllocated {
			t.Fatal(name)
		}
		c.echo("over " + name)
	}
	relayOverDTLS(t, p.addrs["dtls"], config)
	timed := turn.TimedUsername(time.Now().Add(time.Hour), "bob")
	if dial(t, p.addrs["udp"], turn.UDP, nil, timed, turn.TimedPassword("s3cret", timed)).allocate() != turn.StateAllocated {
		t.Error("time-limited credentials")
	}
	old := turn.TimedUsername(time.Now().Add(-time.Second), "bob")
	if dial(t, p.addrs["udp"], turn.UDP, nil, old, turn.TimedPassword("s3cret", old)).allocate() != turn.StateFailed {
		t.Error("credentials whose time is over")
	}
	response, err := http.Get("http://" + p.addrs["metrics"])
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var stats turnserver.Stats
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil || stats.ToPeers != 3 || stats.ToClients != 3 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"},
		{"more"},
		{"-cert", "x"},
		{"-tls-listen", ":1"},
		{"-user", "x"},
		{"-relay-ports", "x"},
		{"-allow-peer", "x"},
		{"-public-ip", "x"},
	} {
		if status := run(t.Context(), args, io.Discard, io.Discard); status != 2 {
			t.Errorf("%v: status %d", args, status)
		}
	}
	if status := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); status != 0 {
		t.Errorf("-h: status %d", status)
	}
	if status := run(t.Context(), []string{"-listen", "127.0.0.1:99999"}, io.Discard, io.Discard); status != 1 {
		t.Errorf("no address: status %d", status)
	}
}
