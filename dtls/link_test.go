package dtls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// selfSigned makes a certificate of a key.
func selfSigned(t testing.TB, key crypto.Signer) Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, NotBefore: epoch0, NotAfter: epoch0.AddDate(1, 0, 0),
	}
	// Without randomness ECDSA signs the same every time.
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{Chain: [][]byte{der}, PrivateKey: key}
}

var testKeys = sync.OnceValue(func() (k struct {
	p256, p384 *ecdsa.PrivateKey
	rsa        *rsa.PrivateKey
},
) {
	k.p256, _ = ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	k.p384, _ = ecdsa.ParseRawPrivateKey(elliptic.P384(), bytes.Repeat([]byte{7}, 48))
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	return k
})

// seeded is a source of "random" bytes that repeats.
func seeded(seed uint64) *mrand.ChaCha8 {
	var key [32]byte
	h := fnv.New64a()
	fmt.Fprint(h, seed)
	copy(key[:], h.Sum(nil))
	return mrand.NewChaCha8(key)
}

// testConfig accepts the certificates of the tests.
func testConfig(t testing.TB, role Role, seed uint64) Config {
	return Config{
		Role: role, Certificate: selfSigned(t, testKeys().p256), Rand: seeded(seed*2 + uint64(role)),
		Encapsulate: seededEncapsulation(seed),
		VerifyPeer: func(chain [][]byte) error {
			if len(chain) == 0 {
				return errors.New("no certificate")
			}
			return nil
		},
	}
}

// peer is a side of the link with what it has seen.
type peer struct {
	conn   *Conn
	name   string
	events []EventState
	got    [][]byte
	errs   []error
}

type delivery struct {
	at   time.Time
	to   int
	data []byte
}

// link is two connections and a network in fake time, all in one goroutine.
type link struct {
	t       testing.TB
	now     time.Time
	rng     *mrand.Rand
	peers   [2]*peer
	flying  []delivery
	loss    float64
	dup     float64
	delay   time.Duration
	jitter  time.Duration
	trace   []string
	forward func(from int, pkt []byte) bool // nil: all pass
}

func newLink(t testing.TB, seed uint64, client, server Config) *link {
	t.Helper()
	l := &link{t: t, now: epoch0, rng: mrand.New(seeded(seed)), delay: 10 * time.Millisecond}
	for i, cfg := range []Config{client, server} {
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l.peers[i] = &peer{conn: c, name: cfg.Role.String()}
	}
	return l
}

func (l *link) client() *peer { return l.peers[0] }
func (l *link) server() *peer { return l.peers[1] }

func (l *link) log(format string, args ...any) {
	l.trace = append(l.trace, fmt.Sprintf("%8s ", l.now.Sub(epoch0))+fmt.Sprintf(format, args...))
}

func (l *link) start() {
	l.client().conn.Start(l.now)
	l.pump()
}

// send puts a datagram on the way.
func (l *link) send(from int, pkt []byte) {
	l.log("%s sends %d bytes", l.peers[from].name, len(pkt))
	if l.forward != nil && !l.forward(from, pkt) {
		return
	}
	copies := 1
	if l.rng.Float64() < l.loss {
		copies = 0
	}
	if l.rng.Float64() < l.dup {
		copies++
	}
	for range copies {
		at := l.now.Add(l.delay)
		if l.jitter > 0 {
			at = at.Add(time.Duration(l.rng.Int64N(int64(l.jitter))))
		}
		l.flying = append(l.flying, delivery{at, 1 - from, bytes.Clone(pkt)})
	}
}

// pump moves outputs until both sides are dry.
func (l *link) pump() {
	for i, p := range l.peers {
		for {
			pkt, ok := p.conn.Next(nil)
			if !ok {
				break
			}
			l.send(i, pkt)
		}
		for {
			e, ok := p.conn.Event()
			if !ok {
				break
			}
			s := e.(EventState)
			l.log("%s is %v (%v)", p.name, s.State, s.Err)
			p.events = append(p.events, s)
		}
		for {
			app, ok := p.conn.Pending()
			if !ok {
				break
			}
			p.got = append(p.got, app)
		}
	}
}

// deliver feeds a datagram.
func (l *link) deliver(to int, pkt []byte) {
	p := l.peers[to]
	for len(pkt) > 0 {
		app, rest, err := p.conn.Open(l.now, pkt)
		if app != nil {
			p.got = append(p.got, bytes.Clone(app))
		}
		if err != nil {
			p.errs = append(p.errs, err)
		}
		if len(rest) >= len(pkt) {
			l.t.Fatal("Open makes no progress")
		}
		pkt = rest
	}
}

// step runs what happens next, no later than until; false: nothing is left before that.
func (l *link) step(until time.Time) bool {
	next := earliest(l.peers[0].conn.Deadline(), l.peers[1].conn.Deadline())
	for _, d := range l.flying {
		next = earliest(next, d.at)
	}
	if next.IsZero() || next.After(until) {
		return false
	}
	l.now = next
	for i := 0; i < len(l.flying); {
		if d := l.flying[i]; !d.at.After(l.now) {
			l.flying = slices.Delete(l.flying, i, i+1)
			l.deliver(d.to, d.data)
			l.pump()
			continue
		}
		i++
	}
	for _, p := range l.peers {
		if due(l.now, p.conn.Deadline()) {
			p.conn.Advance(l.now)
		}
		if d := p.conn.Deadline(); !d.IsZero() && !d.After(l.now) {
			l.t.Fatalf("%s: deadline %v is not after now", p.name, d.Sub(epoch0))
		}
	}
	l.pump()
	return true
}

// run lets time pass until cond holds, at most for d.
func (l *link) run(d time.Duration, cond func() bool) bool {
	until := l.now.Add(d)
	for !cond() {
		if !l.step(until) {
			return cond()
		}
	}
	return true
}

func (l *link) bothConnected() bool {
	return l.client().conn.state == StateConnected && l.server().conn.state == StateConnected
}

func (l *link) mustConnect() {
	l.t.Helper()
	l.start()
	if !l.run(10*time.Minute, l.bothConnected) {
		l.dump()
		l.t.Fatalf("not connected: client %v, server %v", l.client().events, l.server().events)
	}
}

func (l *link) dump() {
	for _, line := range l.trace {
		l.t.Log(line)
	}
	for _, p := range l.peers {
		l.t.Logf("%s: stats %+v errors %v", p.name, p.conn.Stats(), p.errs)
	}
}

// say sends application data from one side to the other and wants it to arrive.
func (l *link) say(from int, text string) {
	l.t.Helper()
	c := l.peers[from].conn
	front, back := c.Overhead()
	buf := make([]byte, front+len(text)+back)
	copy(buf[front:], text)
	rec, err := c.Seal(buf, front, len(text))
	if err != nil {
		l.t.Fatal(err)
	}
	to := l.peers[1-from]
	before := len(to.got)
	l.deliver(1-from, rec)
	l.pump()
	if len(to.got) != before+1 || string(to.got[before]) != text {
		l.t.Fatalf("%s got %q, want %q", to.name, to.got[before:], text)
	}
}

// agree checks that both sides have come to the same result.
func (l *link) agree() ConnectionState {
	l.t.Helper()
	a, b := l.client().conn.ConnectionState(), l.server().conn.ConnectionState()
	if a.Version != b.Version || a.CipherSuite != b.CipherSuite || a.Group != b.Group || a.SRTPProfile != b.SRTPProfile ||
		a.Protocol != b.Protocol {
		l.t.Fatalf("client %+v, server %+v", a, b)
	}
	x, err1 := l.client().conn.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 60)
	y, err2 := l.server().conn.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 60)
	if err1 != nil || err2 != nil || !bytes.Equal(x, y) || len(x) != 60 {
		l.t.Fatalf("exporters differ: %x %x %v %v", x, y, err1, err2)
	}
	l.say(0, "from the client")
	l.say(1, "from the server")
	return a
}
