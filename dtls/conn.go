package dtls

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"time"
)

// Conn is one side of a DTLS connection: an engine in the sense of docs/engines.md.
//
// Not safe for concurrent use; driven by its owner, who feeds Open with every datagram from the peer, sends what Next
// has, calls Advance at Deadline, and takes the events.
type Conn struct {
	// Immutable after New.
	cfg    Config
	secret [32]byte // of cookies

	// Life.
	state   State
	events  []Event
	suspect suspicion

	// Records.
	version       Version // 0 until negotiated
	reads         []*readEpoch
	write         *writeEpoch
	plain         *writeEpoch // epoch 0
	authenticated bool        // a record that decrypts has come
	rec           recordHeader
	early         earlyQueue
	pending       [][]byte
	warnings      int
	limit         int // MTU
	stats         Stats

	// Handshake.
	hs      *handshake // nil when it is over
	sendSeq uint32
	in      reassembler
	again   reassembler // a server's: first ClientHellos after the first
	flight  flight
	timer   retransmitTimer
	acks    ackList
	alert   alertQueue
	update  keyUpdate

	// Agreed.
	suite    *suite
	group    Group
	scheme   SignatureScheme
	profile  SRTPProfile
	protocol string
	retried  bool
	chain    [][]byte
	cert     *Certificate // ours
	sched12  *schedule12
	sched13  *schedule13
}

// ConnectionState describes what was agreed on. Zero values stand for what was not, or not yet.
type ConnectionState struct {
	State       State
	Role        Role
	Version     Version
	CipherSuite CipherSuite
	// Group is the key exchange.
	Group Group
	// SignatureScheme is what the peer signed with.
	SignatureScheme SignatureScheme
	SRTPProfile     SRTPProfile
	// Protocol is what ALPN agreed on.
	Protocol string
	// HelloRetried: the server asked for a second ClientHello (HelloRetryRequest, HelloVerifyRequest).
	HelloRetried bool
	// LocalCertificates is the chain that was shown to the peer; nil: none.
	LocalCertificates [][]byte
	// PeerCertificates are DER, leaf first. They belong to the connection and must not be modified.
	PeerCertificates [][]byte
}

// New makes a connection in StateNew. A client says nothing before Start; a server waits for a ClientHello.
func New(cfg Config) (*Conn, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, limit: cfg.MTU}
	c.timer.initial = cfg.InitialTimeout
	c.flight.track = cfg.MaxVersion == VersionDTLS13
	c.reads = []*readEpoch{{}}
	c.plain = &writeEpoch{version: wireVersion10}
	c.write = c.plain
	c.hs = &handshake{step: stepClientStart}
	if cfg.Role == RoleServer {
		c.hs.step = stepServerHello
		if err := c.random(c.secret[:]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// wireVersion10 stands in plaintext records until the version is known, for old peers (RFC 6347 §4.2.1).
const wireVersion10 Version = 0xfeff

// Start sends a client's first flight. It does nothing on a server, or the second time.
func (c *Conn) Start(now time.Time) {
	if c.cfg.Role != RoleClient || c.state != StateNew {
		return
	}
	c.setState(StateConnecting, nil)
	if err := c.startClient(now); err != nil {
		c.fail(err)
	}
}

// Close says goodbye and ends the connection; close_notify leaves through Next. Idempotent. No event is lost by it.
func (c *Conn) Close(now time.Time) {
	if c.state.terminal() {
		return
	}
	if c.state != StateNew {
		c.alert.push(AlertCloseNotify)
	}
	c.end(StateClosed, nil)
}

// Event returns the next event. Called until it says that nothing is left.
func (c *Conn) Event() (Event, bool) {
	if len(c.events) == 0 {
		return nil, false
	}
	e := c.events[0]
	c.events = c.events[1:]
	if len(c.events) == 0 {
		c.events = nil
	}
	return e, true
}

// Pending returns application data that arrived ahead of the end of the handshake, in order of arrival: at most eight
// records. Its owner takes it after EventState{StateConnected}, until it says that nothing is left. The slice is the caller's.
func (c *Conn) Pending() (app []byte, ok bool) {
	if c.state != StateConnected || len(c.pending) == 0 {
		return nil, false
	}
	app = c.pending[0]
	c.pending = c.pending[1:]
	if len(c.pending) == 0 {
		c.pending = nil
	}
	return app, true
}

// ConnectionState returns a snapshot.
func (c *Conn) ConnectionState() ConnectionState {
	s := ConnectionState{
		State: c.state, Role: c.cfg.Role, Version: c.version, Group: c.group, SignatureScheme: c.scheme, SRTPProfile: c.profile,
		Protocol: c.protocol, HelloRetried: c.retried, PeerCertificates: c.chain,
	}
	if c.suite != nil {
		s.CipherSuite = c.suite.id
	}
	if c.cert != nil {
		s.LocalCertificates = c.cert.Chain
	}
	return s
}

// ExportKeyingMaterial derives n bytes for another protocol (RFC 5705, RFC 8446 §7.5): DTLS-SRTP uses the label
// "EXTRACTOR-dtls_srtp" and a nil context (RFC 5764 §4.2). It fails with ErrNotConnected before the handshake is over.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	switch {
	case c.state == StateClosed || c.state == StateFailed:
		return nil, ErrClosed
	case c.state != StateConnected:
		return nil, ErrNotConnected
	case n < 0 || n > 1<<13:
		return nil, fmt.Errorf("dtls: exporter of %d bytes", n)
	case c.sched13 != nil:
		return c.sched13.export(label, context, n)
	}
	return c.sched12.export(label, context, n)
}

// SetMTU limits handshake datagrams from now on, in bytes of UDP payload; below MinMTU counts as MinMTU.
func (c *Conn) SetMTU(n int) { c.limit = max(n, MinMTU) }

// SetRTT tells the round-trip time that ICE has measured. The retransmission timeout begins at twice that, between 50 ms and
// 3 s; a running timer follows.
func (c *Conn) SetRTT(d time.Duration) {
	if d > 0 {
		c.timer.initial = min(max(2*d, minRTTTimeout), maxRTTTimeout)
	}
}

// SetInitialTimeout sets the first retransmission timeout itself. A running timer follows.
func (c *Conn) SetInitialTimeout(d time.Duration) {
	if d > 0 {
		c.timer.initial = d
	}
}

// setState moves the state along the diagram of State and tells the owner.
func (c *Conn) setState(s State, err error) {
	if c.state == s || c.state.terminal() {
		return
	}
	c.state = s
	c.events = append(c.events, EventState{State: s, Err: err})
}

// end drops everything but what Next still has to say.
func (c *Conn) end(s State, err error) {
	c.setState(s, err)
	c.hs = nil
	c.in, c.again = reassembler{}, reassembler{}
	c.flight.clear()
	c.timer.stop()
	c.acks.clear()
	c.suspect = suspicion{}
	c.early, c.pending = earlyQueue{}, nil
}

// fail ends the connection for a reason that was authenticated, or that has outlived its grace.
func (c *Conn) fail(err error) {
	if c.state.terminal() {
		return
	}
	var a *AlertError
	if errors.As(err, &a) && !a.Remote {
		c.alert.push(a.Alert)
	}
	c.end(StateFailed, err)
}

// suspicion is a reason to fail that anybody might have made up. It becomes the verdict when nothing disproves it in time.
type suspicion struct {
	err   error
	until time.Time
}

func (c *Conn) suspectReason(now time.Time, err error) {
	if c.cfg.Grace < 0 {
		c.fail(err)
		return
	}
	c.stats.Suspicions++
	if c.suspect.err == nil {
		// An honest peer gets the time to send its flight again.
		c.suspect = suspicion{err: err, until: now.Add(max(c.cfg.Grace, 2*c.timer.timeout()))}
	}
}

func (c *Conn) random(b []byte) error {
	if _, err := readFull(c.cfg.Rand, b); err != nil {
		return fatal(AlertInternalError, "random: %w", err)
	}
	return nil
}

// verifyChain asks the caller about the peer's certificate, whose key the peer has proved to hold.
func (c *Conn) verifyChain(chain [][]byte) error {
	if c.cfg.VerifyPeer == nil {
		return fatal(AlertBadCertificate, "no VerifyPeer to accept the certificate")
	}
	if err := c.cfg.VerifyPeer(chain); err != nil {
		var a *AlertError
		if errors.As(err, &a) {
			return err
		}
		return fatal(AlertBadCertificate, "certificate refused: %w", err)
	}
	return nil
}

// peerKey reads the key of a leaf that is about to sign.
func (c *Conn) peerKey(chain [][]byte) (crypto.PublicKey, error) {
	pub, err := leafKey(chain[0])
	if err != nil {
		return nil, &AlertError{Alert: AlertDecodeError, Err: err}
	}
	return pub, nil
}

// logSecret writes a line of the NSS key log format.
func (c *Conn) logSecret(label string, clientRandom, secret []byte) {
	if c.cfg.KeyLog == nil {
		return
	}
	var line bytes.Buffer
	fmt.Fprintf(&line, "%s %x %x\n", label, clientRandom, secret)
	// A key log that cannot be written is the debugger's loss, not the connection's.
	_, _ = c.cfg.KeyLog.Write(line.Bytes())
}
