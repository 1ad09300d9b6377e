package dtls

import (
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// server12Flight answers with ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone.
func (c *Conn) server12Flight(now time.Time, m message, ch *clientHello, p parameters) error {
	hs := c.hs
	sh := &serverHello{
		version: VersionDTLS12, suite: p.suite.id, extendedMaster: true, srtpProfile: p.profile, protocol: p.protocol,
		pointFormats: ch.pointFormats != nil,
	}
	if ch.renegotiation != nil || slices.Contains(ch.suites, scsv) {
		sh.renegotiation = []byte{}
	}
	if err := c.random(sh.random[:]); err != nil {
		return err
	}
	if c.cfg.allows(VersionDTLS13) {
		copy(sh.random[24:], downgrade12[:])
	}
	ks, err := newKeyShare(p.group, c.cfg.Rand)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	hs.clientRandom, hs.serverRandom = ch.random, sh.random
	hs.scheme, hs.ecdh, hs.helloRaw = p.scheme, ks, m.raw
	c.cert = p.cert
	hs.transcript.begin(VersionDTLS12, p.suite.hash)
	hs.transcript.add(m.raw)
	c.setVersion(VersionDTLS12, p.suite)
	c.group, c.profile, c.protocol = p.group.id, p.profile, p.protocol
	c.setState(StateConnecting, nil)

	c.beginFlight()
	if err := c.server12Messages(sh); err != nil {
		return err
	}
	c.endFlight(now, false)
	hs.step = stepServer12Certificate
	if c.cfg.ClientAuth == NoCertificate {
		hs.step = stepServer12KeyExchange
	}
	return nil
}

func (c *Conn) server12Messages(sh *serverHello) error {
	body, err := sh.marshal()
	if err := c.queue(typeServerHello, body, err); err != nil {
		return err
	}
	body, err = marshalCertificate(VersionDTLS12, nil, c.cert.Chain)
	if err := c.queue(typeCertificate, body, err); err != nil {
		return err
	}
	body, err = c.server12KeyShare()
	if err := c.queue(typeServerKeyExchange, body, err); err != nil {
		return err
	}
	if c.cfg.ClientAuth != NoCertificate {
		req := certificateRequest{schemes: c.cfg.SignatureSchemes}
		body, err = req.marshal(VersionDTLS12)
		if err := c.queue(typeCertificateRequest, body, err); err != nil {
			return err
		}
	}
	return c.queue(typeServerHelloDone, nil, nil)
}

func (c *Conn) server12KeyShare() ([]byte, error) {
	params, err := marshalECDHParams(c.group, c.hs.ecdh.public())
	if err != nil {
		return nil, err
	}
	s := c.hs.scheme
	sig, err := c.sign(s, c.hs.signed12(params))
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddBytes(params)
	addSignature(&b, s.id, sig)
	return b.Bytes()
}

func (c *Conn) server12Certificate(_ time.Time, m message) error {
	if err := c.expect(m, typeCertificate); err != nil {
		return err
	}
	_, chain, err := parseCertificate(VersionDTLS12, m.body())
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		if c.cfg.ClientAuth == RequireCertificate {
			return fatal(AlertHandshakeFailure, "the client sent no certificate")
		}
		c.hs.transcript.add(m.raw)
		c.hs.step = stepServer12KeyExchange
		return nil
	}
	pub, err := c.peerKey(chain)
	if err != nil {
		return err
	}
	c.hs.chain, c.hs.peerKey = chain, pub
	c.hs.transcript.add(m.raw)
	c.hs.step = stepServer12KeyExchange
	return nil
}

// server12KeyExchange learns the master secret. The keys of epoch 1 are installed now, so that a Finished that overtakes the
// CertificateVerify is not lost.
func (c *Conn) server12KeyExchange(_ time.Time, m message) error {
	if err := c.expect(m, typeClientKeyExchange); err != nil {
		return err
	}
	s := m.body()
	var public cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&public) || !s.Empty() {
		return errDecode
	}
	shared, err := c.hs.ecdh.finish(public)
	if err != nil {
		return &AlertError{Alert: AlertIllegalParameter, Err: err}
	}
	c.hs.transcript.add(m.raw)
	c.setMaster(shared)
	client, _, err := c.sched12.protections()
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.addReadEpoch(1, client)
	c.hs.step = stepServer12Verify
	if c.hs.peerKey == nil {
		c.hs.step = stepServer12Finished
	}
	return nil
}

func (c *Conn) server12Verify(_ time.Time, m message) error {
	if err := c.expect(m, typeCertificateVerify); err != nil {
		return err
	}
	s := m.body()
	id, sig, ok := readSignature(&s)
	if !ok {
		return errDecode
	}
	// The signature covers the messages themselves, with the scheme's own hash (RFC 5246 §7.4.8).
	if err := c.checkSignature(id, c.hs.peerKey, VersionDTLS12, c.hs.transcript.buf, sig); err != nil {
		return err
	}
	if err := c.verifyChain(c.hs.chain); err != nil {
		return err
	}
	c.scheme, c.chain = id, c.hs.chain
	c.hs.transcript.add(m.raw)
	c.hs.step = stepServer12Finished
	return nil
}

// server12Finished answers with the last flight, which is kept for a client that has not heard it.
func (c *Conn) server12Finished(now time.Time, m message) error {
	if err := c.expect(m, typeFinished); err != nil {
		return err
	}
	if c.in.excess() {
		return errExcess
	}
	if err := checkFinished(m, c.sched12.finished(labelClient, c.hs.transcript.sum())); err != nil {
		return err
	}
	c.hs.transcript.add(m.raw)
	_, server, err := c.sched12.protections()
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.beginFlight()
	c.changeCipherSpec(server)
	if err := c.queue(typeFinished, c.sched12.finished(labelServer, c.hs.transcript.sum()), nil); err != nil {
		return err
	}
	c.endFlight(now, true)
	c.connected()
	return nil
}
