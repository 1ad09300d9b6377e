package dtls

import (
	"crypto"
	"crypto/subtle"
	"slices"
	"time"
)

// step is where a handshake stands: the message that it waits for.
//
//	client        ServerHello ─┬─ 1.2: Certificate, KeyExchange, RequestOrDone, Done, Finished
//	                           └─ 1.3: EncryptedExtensions, RequestOrCertificate, Certificate, Verify, Finished
//	server  Hello, HelloAgain ─┬─ 1.2: Certificate, KeyExchange, Verify, Finished
//	                           └─ 1.3: Certificate, Verify, Finished
type step uint8

const (
	stepClientStart step = iota
	stepClientServerHello

	stepClient12Certificate
	stepClient12KeyExchange
	stepClient12RequestOrDone
	stepClient12Done
	stepClient12Finished

	stepClient13Extensions
	stepClient13RequestOrCertificate
	stepClient13Certificate
	stepClient13Verify
	stepClient13Finished

	stepServerHello
	stepServerHelloAgain

	stepServer12Certificate
	stepServer12KeyExchange
	stepServer12Verify
	stepServer12Finished

	stepServer13Certificate
	stepServer13Verify
	stepServer13Finished
)

// handler returns what handles the next message.
func (s step) handler() func(*Conn, time.Time, message) error {
	switch s {
	case stepClientServerHello:
		return (*Conn).clientServerHello
	case stepClient12Certificate:
		return (*Conn).client12Certificate
	case stepClient12KeyExchange:
		return (*Conn).client12KeyExchange
	case stepClient12RequestOrDone:
		return (*Conn).client12RequestOrDone
	case stepClient12Done:
		return (*Conn).client12Done
	case stepClient12Finished:
		return (*Conn).client12Finished
	case stepClient13Extensions:
		return (*Conn).client13Extensions
	case stepClient13RequestOrCertificate:
		return (*Conn).client13RequestOrCertificate
	case stepClient13Certificate:
		return (*Conn).client13Certificate
	case stepClient13Verify:
		return (*Conn).client13Verify
	case stepClient13Finished:
		return (*Conn).client13Finished
	case stepServerHello:
		return (*Conn).serverHello
	case stepServerHelloAgain:
		return (*Conn).serverHelloAgain
	case stepServer12Certificate:
		return (*Conn).server12Certificate
	case stepServer12KeyExchange:
		return (*Conn).server12KeyExchange
	case stepServer12Verify:
		return (*Conn).server12Verify
	case stepServer12Finished:
		return (*Conn).server12Finished
	case stepServer13Certificate:
		return (*Conn).server13Certificate
	case stepServer13Verify:
		return (*Conn).server13Verify
	case stepServer13Finished:
		return (*Conn).server13Finished
	}
	return func(_ *Conn, _ time.Time, m message) error { return unexpected(m) }
}

// epoch12 is the epoch in which DTLS 1.2 sends the message: only Finished is protected.
func (s step) epoch12() uint64 {
	if s == stepClient12Finished || s == stepServer12Finished {
		return 1
	}
	return 0
}

// The epochs of DTLS 1.3 (RFC 9147 §6.1).
const (
	epochHandshake   = 2
	epochApplication = 3
)

// handshake is what is forgotten once the connection stands.
type handshake struct {
	step       step
	transcript transcript

	clientRandom, serverRandom [32]byte
	shares                     []*keyShare
	hello                      *clientHello // a client's own
	helloRaw                   []byte
	verified                   bool       // HelloVerifyRequest was answered
	first                      *handshake // a client's as it was after its first ClientHello
	answers                    [][]byte   // the messages that answered it
	current                    int        // and the one that was taken

	scheme     *scheme // what we sign with
	request    *certificateRequest
	chain      [][]byte
	peerKey    crypto.PublicKey
	ecdh       *keyShare // DTLS 1.2: ours
	peerPublic []byte    // DTLS 1.2: the server's

	retried     bool   // DTLS 1.3: HelloRetryRequest was sent or answered
	retrySuite  *suite // and what it named
	retryGroup  Group  // 0: none
	peerTraffic []byte // DTLS 1.3: the client's secret of epoch 2
}

// errUnexpected tells a message out of order. Two clients, or two servers, are told apart from mere confusion.
func unexpected(m message) error {
	return fatal(AlertUnexpectedMessage, "unexpected handshake message of type %d", m.typ)
}

// expect checks a message's type.
func (c *Conn) expect(m message, typ messageType) error {
	if m.typ == typ {
		return nil
	}
	if c.cfg.Role == RoleClient && m.typ == typeClientHello || c.cfg.Role == RoleServer && m.typ == typeServerHello {
		return fatal(AlertUnexpectedMessage, "%w", ErrRoleConflict)
	}
	return unexpected(m)
}

// handleMessage gives a message to its step. A handler checks everything before it changes anything: a message in the clear may
// be forged, and the honest one shall find the handshake as it was.
func (c *Conn) handleMessage(now time.Time, m message) error {
	if c.hs != nil {
		return c.hs.step.handler()(c, now, m)
	}
	return c.handlePostHandshake(now, m)
}

// beginFlight forgets the flight before, which the peer's answer has acknowledged.
func (c *Conn) beginFlight() { c.flight.clear() }

// queue adds a message to the flight and to the transcript.
func (c *Conn) queue(typ messageType, body []byte, err error) error {
	m, err := c.send(typ, body, err)
	if err == nil {
		c.hs.transcript.add(m.raw)
	}
	return err
}

// send adds a message to the flight alone.
func (c *Conn) send(typ messageType, body []byte, err error) (message, error) {
	if err != nil {
		return message{}, fatal(AlertInternalError, "message of type %d: %w", typ, err)
	}
	if c.sendSeq > maxMessageSeq {
		return message{}, fatal(AlertInternalError, "out of message numbers")
	}
	m := newMessage(typ, uint16(c.sendSeq), body)
	c.sendSeq++
	c.flight.add(c.write, m.raw)
	return m, nil
}

// endFlight lets the flight go. Unless it is DTLS 1.2's last it is sent again until it is answered.
func (c *Conn) endFlight(now time.Time, final bool) {
	c.flight.final = final
	c.timer.stop()
	if !final {
		c.timer.start(now)
	}
	// A flight of the handshake acknowledges everything before it (RFC 9147 §7.1).
	c.acks.clear()
}

// connected ends the handshake.
func (c *Conn) connected() {
	c.hs = nil
	c.again = reassembler{}
	c.suspect = suspicion{}
	// Nothing in the clear means anything from here on.
	c.reads = slices.DeleteFunc(c.reads, func(r *readEpoch) bool { return r.prot == nil })
	// What is in the queue was for keys that never came.
	if !c.early.ready {
		c.early.records = nil
	}
	c.setState(StateConnected, nil)
}

// setWriteEpoch begins a new epoch of the outgoing records.
func (c *Conn) setWriteEpoch(epoch uint64, p *protection) {
	c.write = &writeEpoch{epoch: epoch, version: VersionDTLS12, prot: p}
}

// setVersion is called once the version is agreed on.
func (c *Conn) setVersion(v Version, s *suite) {
	c.version, c.suite = v, s
	c.write.version = VersionDTLS12
	c.flight.track = v == VersionDTLS13
}

// sign signs with our certificate's key.
func (c *Conn) sign(s *scheme, content []byte) ([]byte, error) {
	sig, err := s.sign(c.cert.PrivateKey, c.cfg.Rand, content)
	if err != nil {
		return nil, &AlertError{Alert: AlertInternalError, Err: err}
	}
	return sig, nil
}

// clientCertificate chooses what a client answers to a CertificateRequest; no certificate at all is an answer, too.
func (c *Conn) clientCertificate(v Version) (*scheme, error) {
	own := c.cfg.certificates()
	for _, cert := range own {
		if v == VersionDTLS12 && !c.hs.request.takes(cert.PrivateKey.Public()) {
			continue
		}
		if s := c.cfg.signing(cert, c.hs.request.schemes, v); s != nil {
			c.cert = cert
			return s, nil
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	return nil, fatal(AlertHandshakeFailure, "no certificate suits the server")
}

// checkSignature verifies what the peer signed.
func (c *Conn) checkSignature(id SignatureScheme, pub crypto.PublicKey, v Version, content, sig []byte) error {
	s := schemeByID(id)
	known := false
	for _, ours := range c.cfg.SignatureSchemes {
		known = known || ours == id
	}
	if s == nil || !known || !s.fits(pub, v) {
		return fatal(AlertIllegalParameter, "signature scheme %#04x was not offered or does not go with the key", uint16(id))
	}
	if err := s.verify(pub, v, content, sig); err != nil {
		return &AlertError{Alert: AlertDecryptError, Err: err}
	}
	return nil
}

// errExcess: the keys change after Finished, so nothing of a later message can have come under the old ones.
var errExcess = fatal(AlertUnexpectedMessage, "handshake data after Finished")

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// checkFinished compares verify_data in constant time.
func checkFinished(m message, want []byte) error {
	got := m.body()
	if len(got) != len(want) {
		return fatal(AlertDecryptError, "Finished of %d bytes", len(got))
	}
	if !equal(got, want) {
		return fatal(AlertDecryptError, "Finished does not match")
	}
	return nil
}
