package dtls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// client12ServerHello opens the server's flight: ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone.
func (c *Conn) client12ServerHello(m message, sh *serverHello, s *suite) error {
	allowed := append(c.offeredParameters(), extExtendedMaster, extRenegotiationInfo, extPointFormats)
	if err := unsolicited(sh.seen, allowed); err != nil {
		return err
	}
	tail := sh.random[24:]
	switch {
	case !sh.extendedMaster:
		return fatal(AlertHandshakeFailure, "the server lacks extended_master_secret")
	case len(sh.renegotiation) > 0:
		return fatal(AlertHandshakeFailure, "renegotiation_info is not empty")
	case c.cfg.allows(VersionDTLS13) && (bytes.Equal(tail, downgrade12[:]) || bytes.Equal(tail, downgrade11[:])):
		return fatal(AlertIllegalParameter, "the server speaks DTLS 1.3: somebody tampers with the handshake")
	}
	if err := c.checkParameters(sh.srtpProfile, sh.protocol); err != nil {
		return err
	}
	hs := c.hs
	hs.serverRandom = sh.random
	hs.transcript.begin(VersionDTLS12, s.hash)
	hs.transcript.add(hs.helloRaw)
	hs.transcript.add(m.raw)
	hs.shares = nil
	c.setVersion(VersionDTLS12, s)
	c.profile, c.protocol = sh.srtpProfile, sh.protocol
	hs.step = stepClient12Certificate
	return nil
}

// suits says whether a key can be the one of a suite's name.
func (s *suite) suits(pub crypto.PublicKey) bool {
	switch pub.(type) {
	case *rsa.PublicKey:
		return s.auth == authRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return s.auth == authECDSA
	}
	return false
}

func (c *Conn) client12Certificate(_ time.Time, m message) error {
	if err := c.expect(m, typeCertificate); err != nil {
		return err
	}
	_, chain, err := parseCertificate(VersionDTLS12, m.body())
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return fatal(AlertDecodeError, "the server sent no certificate")
	}
	pub, err := c.peerKey(chain)
	if err != nil {
		return err
	}
	if !c.suite.suits(pub) {
		return fatal(AlertIllegalParameter, "a key of type %T does not go with %v", pub, c.suite.id)
	}
	c.hs.chain, c.hs.peerKey = chain, pub
	c.hs.transcript.add(m.raw)
	c.hs.step = stepClient12KeyExchange
	return nil
}

// signed12 is what a DTLS 1.2 server signs (RFC 8422 §5.4).
func (hs *handshake) signed12(params []byte) []byte {
	return slices.Concat(hs.clientRandom[:], hs.serverRandom[:], params)
}

func (c *Conn) client12KeyExchange(_ time.Time, m message) error {
	if err := c.expect(m, typeServerKeyExchange); err != nil {
		return err
	}
	s := m.body()
	g, public, params, ok := parseECDHParams(&s)
	if !ok {
		return errDecode
	}
	id, sig, ok := readSignature(&s)
	if !ok {
		return errDecode
	}
	if !slices.Contains(classicGroups(c.cfg.Groups), g) {
		return fatal(AlertIllegalParameter, "the server chose %v, which was not offered", g)
	}
	if err := c.checkSignature(id, c.hs.peerKey, VersionDTLS12, c.hs.signed12(params), sig); err != nil {
		return err
	}
	if err := c.verifyChain(c.hs.chain); err != nil {
		return err
	}
	ks, err := newKeyShare(groupByID(g), c.cfg.Rand)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	if _, err := ks.group.curve.NewPublicKey(public); err != nil {
		return fatal(AlertIllegalParameter, "bad public key for %v", g)
	}
	c.hs.ecdh, c.hs.peerPublic = ks, public
	c.group, c.scheme, c.chain = g, id, c.hs.chain
	c.hs.transcript.add(m.raw)
	c.hs.step = stepClient12RequestOrDone
	return nil
}

func (c *Conn) client12RequestOrDone(now time.Time, m message) error {
	if m.typ != typeCertificateRequest {
		return c.client12Done(now, m)
	}
	req, err := parseCertificateRequest(VersionDTLS12, m.body())
	if err != nil {
		return err
	}
	c.hs.request = req
	c.hs.transcript.add(m.raw)
	c.hs.step = stepClient12Done
	return nil
}

// client12Done answers with the client's second flight: Certificate, ClientKeyExchange, CertificateVerify, Finished.
func (c *Conn) client12Done(now time.Time, m message) error {
	if err := c.expect(m, typeServerHelloDone); err != nil {
		return err
	}
	if body := m.body(); !body.Empty() {
		return errDecode
	}
	shared, err := c.hs.ecdh.finish(c.hs.peerPublic)
	if err != nil {
		return &AlertError{Alert: AlertIllegalParameter, Err: err}
	}
	if c.hs.request != nil {
		if c.hs.scheme, err = c.clientCertificate(VersionDTLS12); err != nil {
			return err
		}
	}
	c.hs.transcript.add(m.raw)
	c.beginFlight()
	if err := c.client12Exchange(shared); err != nil {
		return err
	}
	if err := c.client12Verify(c.hs.scheme); err != nil {
		return err
	}
	client, server, err := c.sched12.protections()
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.changeCipherSpec(client)
	err = c.queue(typeFinished, c.sched12.finished(labelClient, c.hs.transcript.sum()), nil)
	if err != nil {
		return err
	}
	c.addReadEpoch(1, server)
	c.endFlight(now, false)
	c.hs.step = stepClient12Finished
	return nil
}

// client12Exchange sends Certificate and ClientKeyExchange, after which the master secret is known (RFC 7627 §4).
func (c *Conn) client12Exchange(shared []byte) error {
	if c.hs.request != nil {
		var chain [][]byte
		if c.hs.scheme != nil {
			chain = c.cert.Chain
		}
		body, err := marshalCertificate(VersionDTLS12, nil, chain)
		if err := c.queue(typeCertificate, body, err); err != nil {
			return err
		}
	}
	var b cryptobyte.Builder
	addBytes8(&b, c.hs.ecdh.public())
	body, err := b.Bytes()
	if err := c.queue(typeClientKeyExchange, body, err); err != nil {
		return err
	}
	c.setMaster(shared)
	return nil
}

func (c *Conn) client12Verify(s *scheme) error {
	if s == nil {
		return nil
	}
	sig, err := c.sign(s, c.hs.transcript.buf)
	if err != nil {
		return err
	}
	var b cryptobyte.Builder
	addSignature(&b, s.id, sig)
	body, err := b.Bytes()
	return c.queue(typeCertificateVerify, body, err)
}

// setMaster derives the master secret from the session hash, which is the transcript up to ClientKeyExchange.
func (c *Conn) setMaster(shared []byte) {
	hs := c.hs
	c.sched12 = &schedule12{
		suite: c.suite, client: hs.clientRandom, server: hs.serverRandom,
		master: prf(c.suite.hash, shared, labelMaster, hs.transcript.sum(), masterLen),
	}
	c.logSecret("CLIENT_RANDOM", hs.clientRandom[:], c.sched12.master)
}

// changeCipherSpec begins epoch 1 of the outgoing records.
func (c *Conn) changeCipherSpec(p *protection) {
	c.flight.add(c.write, nil)
	c.setWriteEpoch(1, p)
}

// client12Finished ends the handshake. The server will send its flight again if it must, so ours is not kept.
func (c *Conn) client12Finished(_ time.Time, m message) error {
	if err := c.expect(m, typeFinished); err != nil {
		return err
	}
	if c.in.excess() {
		return errExcess
	}
	if err := checkFinished(m, c.sched12.finished(labelServer, c.hs.transcript.sum())); err != nil {
		return err
	}
	c.flight.clear()
	c.timer.stop()
	c.connected()
	return nil
}
