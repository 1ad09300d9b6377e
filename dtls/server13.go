package dtls

import (
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// server13Retry asks for another ClientHello: with a key share that can be used, or with a cookie.
func (c *Conn) server13Retry(now time.Time, m message, ch *clientHello, p parameters) error {
	hs := c.hs
	hs.helloRaw, hs.clientRandom = m.raw, ch.random
	hs.retried, hs.retrySuite = true, p.suite
	if ch.share(p.group.id) == nil {
		hs.retryGroup = p.group.id
	}
	hash := helloHash(p.suite.hash, m.raw)
	var cookie []byte
	if c.cfg.Cookies {
		cookie = c.cookie13(p.suite.id, hs.retryGroup, hash, ch.random)
	} else {
		c.setVersion(VersionDTLS13, p.suite)
	}
	body, err := retryRequest(p.suite.id, hs.retryGroup, cookie)
	c.beginFlight()
	msg, err := c.send(typeServerHello, body, err)
	if err != nil {
		return err
	}
	hs.transcript.begin(VersionDTLS13, p.suite.hash)
	hs.transcript.retry(hash)
	hs.transcript.add(msg.raw)
	hs.step = stepServerHelloAgain
	c.retried = true
	c.setState(StateConnecting, nil)
	c.endFlight(now, false)
	if c.cfg.Cookies {
		// Nothing is sent twice to an address that has not answered; a client that hears nothing asks again.
		c.timer.stop()
	}
	return nil
}

// retryRequest is the body of HelloRetryRequest. It is made of the same bytes whenever the cookie comes back.
func retryRequest(id CipherSuite, g Group, cookie []byte) ([]byte, error) {
	sh := &serverHello{
		version: VersionDTLS12, random: helloRetryRandom, suite: id, selected: VersionDTLS13, cookie: cookie,
		share: shareEntry{group: g}, hasShare: g != 0,
	}
	return sh.marshal()
}

// cookie13 is bound to the client's random, so that no forger's hello can be continued by another's. It carries all that HelloRetryRequest has decided, so that the first ClientHello need not be remembered (RFC 8446 §4.2.2).
func (c *Conn) cookie13(id CipherSuite, g Group, hash []byte, clientRandom [32]byte) []byte {
	var b cryptobyte.Builder
	b.AddUint16(uint16(id))
	b.AddUint16(uint16(g))
	addBytes8(&b, hash)
	content := b.BytesOrPanic() // a hash is shorter than 256 bytes
	return append(content, c.mac([]byte("hello retry"), clientRandom[:], content)...)
}

// restoreRetry takes the state of the handshake from a cookie.
func (c *Conn) restoreRetry(cookie []byte, clientRandom [32]byte) error {
	s := cryptobyte.String(cookie)
	var id, g uint16
	var hash cryptobyte.String
	var mac []byte
	if !s.ReadUint16(&id) || !s.ReadUint16(&g) || !s.ReadUint8LengthPrefixed(&hash) || !s.ReadBytes(&mac, sha256.Size) || !s.Empty() ||
		!equal(cookie, c.cookie13(CipherSuite(id), Group(g), hash, clientRandom)) {
		return fatal(AlertHandshakeFailure, "wrong cookie")
	}
	hs := c.hs
	hs.retried, hs.retrySuite, hs.retryGroup = true, suiteByID(CipherSuite(id)), Group(g)
	body, err := retryRequest(CipherSuite(id), Group(g), cookie)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	hs.transcript.begin(VersionDTLS13, hs.retrySuite.hash)
	hs.transcript.retry(hash)
	m := newMessage(typeServerHello, 0, body)
	hs.transcript.add(m.raw)
	return nil
}

// server13HelloAgain checks that the client did what it was asked for.
func (c *Conn) server13HelloAgain(now time.Time, m message, ch *clientHello, p parameters) error {
	hs := c.hs
	if c.cfg.Cookies {
		if err := c.restoreRetry(ch.cookie13, ch.random); err != nil {
			return err
		}
	}
	switch {
	case !hs.retried:
		return fatal(AlertIllegalParameter, "the client took up DTLS 1.3 in its second ClientHello")
	case !c.cfg.Cookies && ch.random != hs.clientRandom:
		return fatal(AlertIllegalParameter, "the client changed its random")
	case p.suite != hs.retrySuite:
		return fatal(AlertIllegalParameter, "the client changed its cipher suites")
	case hs.retryGroup != 0 && (len(ch.shares) != 1 || ch.shares[0].group != hs.retryGroup || p.group.id != hs.retryGroup):
		return fatal(AlertIllegalParameter, "the client did not send the key share that it was asked for")
	case ch.share(p.group.id) == nil:
		return fatal(AlertIllegalParameter, "the client changed its key shares")
	}
	return c.server13Flight(now, m, ch, p)
}

// server13Flight answers with ServerHello, EncryptedExtensions, CertificateRequest, Certificate, CertificateVerify, Finished.
func (c *Conn) server13Flight(now time.Time, m message, ch *clientHello, p parameters) error {
	hs := c.hs
	sh := &serverHello{version: VersionDTLS12, suite: p.suite.id, selected: VersionDTLS13, hasShare: true}
	if err := c.random(sh.random[:]); err != nil {
		return err
	}
	public, shared, err := c.answer(p.group, ch.share(p.group.id))
	if err != nil {
		return &AlertError{Alert: AlertIllegalParameter, Err: err}
	}
	sh.share = shareEntry{p.group.id, public}
	hs.clientRandom, hs.serverRandom, hs.scheme, hs.helloRaw = ch.random, sh.random, p.scheme, m.raw
	c.cert = p.cert
	if !hs.retried {
		hs.transcript.begin(VersionDTLS13, p.suite.hash)
	}
	hs.transcript.add(m.raw)
	c.setVersion(VersionDTLS13, p.suite)
	c.group, c.profile, c.protocol = p.group.id, p.profile, p.protocol
	c.setState(StateConnecting, nil)

	c.beginFlight()
	body, err := sh.marshal()
	if err := c.queue(typeServerHello, body, err); err != nil {
		return err
	}
	if err := c.handshakeKeys(shared); err != nil {
		return err
	}
	if err := c.server13Messages(p); err != nil {
		return err
	}
	c.endFlight(now, false)
	hs.step = stepServer13Certificate
	if c.cfg.ClientAuth == NoCertificate {
		hs.step = stepServer13Finished
	}
	return nil
}

// server13Messages are the protected part of the flight. After it the server writes in epoch 3; the client reads there as soon
// as it has the flight.
func (c *Conn) server13Messages(p parameters) error {
	hs, k := c.hs, c.sched13
	ee := encryptedExtensions{srtpProfile: p.profile, protocol: p.protocol}
	body, err := ee.marshal()
	if err := c.queue(typeEncryptedExtensions, body, err); err != nil {
		return err
	}
	if c.cfg.ClientAuth != NoCertificate {
		req := certificateRequest{schemes: c.cfg.SignatureSchemes}
		body, err := req.marshal(VersionDTLS13)
		if err := c.queue(typeCertificateRequest, body, err); err != nil {
			return err
		}
	}
	if err := c.sendCertificate13(nil, contextServer); err != nil {
		return err
	}
	own, err := k.finished(k.serverTraffic, hs.transcript.sum())
	if err := c.queue(typeFinished, own, err); err != nil {
		return err
	}
	hs.peerTraffic = k.clientTraffic
	if err := c.applicationKeys(hs.transcript.sum()); err != nil {
		return err
	}
	return c.installApplicationKeys(k.serverTraffic, nil)
}

func (c *Conn) server13Certificate(_ time.Time, m message) error {
	if err := c.expect(m, typeCertificate); err != nil {
		return err
	}
	chain, err := c.certificate13(m)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		if c.cfg.ClientAuth == RequireCertificate {
			return fatal(AlertCertificateRequired, "the client sent no certificate")
		}
		c.hs.transcript.add(m.raw)
		c.hs.step = stepServer13Finished
		return nil
	}
	if err := c.keepChain(m, chain); err != nil {
		return err
	}
	c.hs.step = stepServer13Verify
	return nil
}

func (c *Conn) server13Verify(_ time.Time, m message) error {
	if err := c.verify13(m, contextClient); err != nil {
		return err
	}
	c.hs.step = stepServer13Finished
	return nil
}

// server13Finished ends the handshake; the client waits for the acknowledgement.
func (c *Conn) server13Finished(_ time.Time, m message) error {
	if err := c.expect(m, typeFinished); err != nil {
		return err
	}
	if c.in.excess() {
		return errExcess
	}
	want, err := c.sched13.finished(c.hs.peerTraffic, c.hs.transcript.sum())
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	if err := checkFinished(m, want); err != nil {
		return err
	}
	if err := c.installApplicationKeys(nil, c.sched13.clientTraffic); err != nil {
		return err
	}
	c.flight.clear()
	c.timer.stop()
	c.acks.schedule()
	c.connected()
	return nil
}
