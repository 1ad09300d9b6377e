package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openparley/webrtc/dtls"
)

// exporter is the label of DTLS-SRTP (RFC 5764 §4.2), and keyMaterial what AES128_CM_SHA1_80 takes: two keys, two salts.
const (
	exporter    = "EXTRACTOR-dtls_srtp"
	keyMaterial = 2 * (16 + 14)
)

// TestTools lets the command line programs of OpenSSL and GnuTLS shake hands with the engine over UDP, in both roles,
// with ECDSA and RSA certificates on either side, and compares what was derived. They speak DTLS 1.2.
func TestTools(t *testing.T) {
	identities := []*identity{newIdentity(t, "ecdsa"), newIdentity(t, "rsa")}
	for _, tool := range tools() {
		for _, theirs := range identities {
			for _, ours := range identities {
				t.Run(fmt.Sprintf("%s,%s,%s,%s", tool.name, tool.role, theirs.kind, ours.kind), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					tool.run(ctx, t, theirs, ours)
				})
			}
		}
	}
}

// tool is a program that speaks DTLS.
type tool struct {
	name string
	role string // the program's
	// command is the program with its arguments, of which CERT, KEY and PORT are replaced.
	command string
	// ready is what a server says when it listens.
	ready string
	group dtls.Group // what is agreed on; all but one of them are allowed this one alone
	// echo: the server sends back what it gets, instead of showing it and reading what to send. It tells no secrets.
	echo bool
}

func tools() []tool {
	openssl := "-dtls1_2 -cert CERT -key KEY -use_srtp SRTP_AES128_CM_SHA1_80 -keymatexport " + exporter +
		" -keymatexportlen " + strconv.Itoa(keyMaterial)
	gnutls := "--udp --x509certfile CERT --x509keyfile KEY --srtp-profiles SRTP_AES128_CM_HMAC_SHA1_80 --keymatexport " + exporter +
		" --keymatexportsize " + strconv.Itoa(keyMaterial)
	return []tool{
		{
			name: "openssl", role: "server", ready: "ACCEPT", group: dtls.GroupP256,
			command: "openssl s_server -accept 127.0.0.1:PORT -Verify 1 -groups P-256 " + openssl,
		},
		{
			name: "openssl", role: "client", group: dtls.GroupP256,
			command: "openssl s_client -connect 127.0.0.1:PORT -groups P-256 " + openssl,
		},
		{
			name: "gnutls", role: "server", ready: "listening on", group: dtls.GroupP384, echo: true,
			command: "stdbuf -oL -eL gnutls-serv --echo -r -p PORT --priority NORMAL:-GROUP-ALL:+GROUP-SECP384R1 " + gnutls,
		},
		{
			name: "gnutls", role: "client", group: dtls.GroupX25519,
			command: "stdbuf -oL -eL gnutls-cli --insecure -p PORT " + gnutls + " 127.0.0.1",
		},
	}
}

func (tool tool) run(ctx context.Context, t *testing.T, theirs, ours *identity) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	port := socket.LocalAddr().(*net.UDPAddr).Port
	if tool.role == "server" { // it takes a port that was free a moment ago
		port = freePort(t)
	}
	p := tool.start(ctx, t, theirs, port)
	cfg := dtls.Config{
		Role: dtls.RoleServer, Certificate: ours.certificate, Cookies: true, Rand: rand.Reader, VerifyPeer: theirs.verify,
		SRTPProfiles: []dtls.SRTPProfile{dtls.SRTPAEADAES256GCM, dtls.SRTPAES128CMSHA1_80},
	}
	e := &endpoint{socket: socket}
	if tool.role == "server" {
		cfg.Role, cfg.Cookies = dtls.RoleClient, false
		e.peer = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		if err := p.await(ctx, tool.ready); err != nil {
			t.Fatal(err)
		}
	}
	if e.conn, err = dtls.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := tool.talk(ctx, e, p); err != nil {
		t.Fatalf("%v; it says:\n%s", err, p)
	}
	s := e.conn.ConnectionState()
	if s.Version != dtls.VersionDTLS12 || s.Group != tool.group || s.SRTPProfile != dtls.SRTPAES128CMSHA1_80 {
		t.Errorf("agreed on %+v", s)
	}
	t.Logf("%v, %v, signed with %#04x", s.CipherSuite, s.Group, uint16(s.SignatureScheme))
	if tool.echo {
		return
	}
	secret, err := e.conn.ExportKeyingMaterial(exporter, nil, keyMaterial)
	if err != nil {
		t.Fatal(err)
	}
	if said := p.String(); !strings.Contains(strings.ToLower(said), hex.EncodeToString(secret)) || !strings.Contains(said, "SRTP_AES128_CM") {
		t.Errorf("not what was derived here, %x, or not the same profile:\n%s", secret, said)
	}
}

// talk shakes hands and has a line sent each way.
func (tool tool) talk(ctx context.Context, e *endpoint, p *program) error {
	e.conn.Start(time.Now())
	if err := e.until(ctx, func() bool { return e.state == dtls.StateConnected }); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	const here, there = "hello from here\n", "hello from there\n"
	if err := e.send([]byte(here)); err != nil {
		return err
	}
	if tool.echo {
		return e.until(ctx, func() bool { return slices.Contains(e.received, here) })
	}
	if _, err := io.WriteString(p.stdin, there); err != nil {
		return err
	}
	return e.until(ctx, func() bool { return slices.Contains(e.received, there) && strings.Contains(p.String(), here) })
}

// start runs the program until the test ends.
func (tool tool) start(ctx context.Context, t *testing.T, id *identity, port int) *program {
	t.Helper()
	args := strings.Fields(strings.NewReplacer("CERT", id.certFile, "KEY", id.keyFile, "PORT", strconv.Itoa(port)).Replace(tool.command))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	p := &program{}
	cmd.Stdout, cmd.Stderr = p, p
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	return p
}

// program is what a running one says, on both of its outputs.
type program struct {
	stdin io.Writer

	mu   sync.Mutex
	said bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// await waits until the program has said something.
func (p *program) await(ctx context.Context, what string) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.String(), what) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it did not say %q: %w; but:\n%s", what, context.Cause(ctx), p)
		}
	}
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.LocalAddr().(*net.UDPAddr).Port
}

// endpoint drives an engine over a UDP socket.
type endpoint struct {
	conn     *dtls.Conn
	socket   *net.UDPConn
	peer     *net.UDPAddr // nil: who speaks first
	state    dtls.State
	received []string
}

// until runs the connection until the condition holds, which is looked at after each datagram, and each 20 ms.
func (e *endpoint) until(ctx context.Context, condition func() bool) error {
	buf := make([]byte, 1<<16)
	for !condition() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := e.flush(); err != nil {
			return err
		}
		wake := time.Now().Add(20 * time.Millisecond)
		if d := e.conn.Deadline(); !d.IsZero() && d.Before(wake) {
			wake = d
		}
		if err := e.socket.SetReadDeadline(wake); err != nil {
			return err
		}
		n, from, err := e.socket.ReadFromUDP(buf)
		if err != nil { // the time is over, or the port was refused
			e.conn.Advance(time.Now())
			continue
		}
		e.peer = from
		for pkt := buf[:n]; len(pkt) > 0; {
			var app []byte
			if app, pkt, _ = e.conn.Open(time.Now(), pkt); app != nil { // what is dropped is sent again
				e.received = append(e.received, string(app))
			}
		}
	}
	return e.flush()
}

// flush sends what the connection has to say, and takes its events.
func (e *endpoint) flush() error {
	for {
		pkt, ok := e.conn.Next(nil)
		if !ok {
			break
		}
		if _, err := e.socket.WriteToUDP(pkt, e.peer); err != nil {
			return err
		}
	}
	for app, ok := e.conn.Pending(); ok; app, ok = e.conn.Pending() {
		e.received = append(e.received, string(app))
	}
	for ev, ok := e.conn.Event(); ok; ev, ok = e.conn.Event() {
		if s, is := ev.(dtls.EventState); is {
			if e.state = s.State; s.Err != nil {
				return s.Err
			}
		}
	}
	return nil
}

func (e *endpoint) send(app []byte) error {
	front, back := e.conn.Overhead()
	buf := make([]byte, front+len(app)+back)
	copy(buf[front:], app)
	rec, err := e.conn.Seal(buf, front, len(app))
	if err != nil {
		return err
	}
	_, err = e.socket.WriteToUDP(rec, e.peer)
	return err
}

// identity is a self-signed certificate, here and in files.
type identity struct {
	kind              string
	certificate       dtls.Certificate
	certFile, keyFile string
}

func newIdentity(t *testing.T, kind string) *identity { return newIdentityFor(t, kind) }

// newIdentityFor makes one for some names and addresses.
func newIdentityFor(t *testing.T, kind string, names ...string) *identity {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var key crypto.Signer
	var err error
	if kind == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: kind},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	dir := t.TempDir()
	id := &identity{
		kind: kind, certificate: dtls.Certificate{Chain: [][]byte{cert}, PrivateKey: key},
		certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"),
	}
	check(os.WriteFile(id.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	check(os.WriteFile(id.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return id
}

// verify accepts this identity alone.
func (id *identity) verify(chain [][]byte) error {
	if len(chain) != 1 || !bytes.Equal(chain[0], id.certificate.Chain[0]) {
		return fmt.Errorf("another certificate than the program's")
	}
	return nil
}
