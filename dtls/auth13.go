package dtls

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// What both sides of DTLS 1.3 do alike: certificates, signatures, keys.

// The context strings of CertificateVerify (RFC 8446 §4.4.3).
const (
	contextServer = "TLS 1.3, server CertificateVerify"
	contextClient = "TLS 1.3, client CertificateVerify"
)

func signed13(context string, transcript []byte) []byte {
	return slices.Concat(bytes.Repeat([]byte{0x20}, 64), []byte(context), []byte{0}, transcript)
}

func (c *Conn) certificate13(m message) ([][]byte, error) {
	context, chain, err := parseCertificate(VersionDTLS13, m.body())
	if err == nil && len(context) > 0 {
		err = fatal(AlertIllegalParameter, "a certificate with a context in the handshake")
	}
	return chain, err
}

func (c *Conn) keepChain(m message, chain [][]byte) error {
	pub, err := c.peerKey(chain)
	if err != nil {
		return err
	}
	c.hs.chain, c.hs.peerKey = chain, pub
	c.hs.transcript.add(m.raw)
	return nil
}

// verify13 checks the peer's CertificateVerify and then asks the caller about the certificate.
func (c *Conn) verify13(m message, context string) error {
	if err := c.expect(m, typeCertificateVerify); err != nil {
		return err
	}
	s := m.body()
	id, sig, ok := readSignature(&s)
	if !ok {
		return errDecode
	}
	content := signed13(context, c.hs.transcript.sum())
	if err := c.checkSignature(id, c.hs.peerKey, VersionDTLS13, content, sig); err != nil {
		return err
	}
	if err := c.verifyChain(c.hs.chain); err != nil {
		return err
	}
	c.scheme, c.chain = id, c.hs.chain
	c.hs.transcript.add(m.raw)
	return nil
}

// sendCertificate13 sends Certificate and, unless it is empty, CertificateVerify.
func (c *Conn) sendCertificate13(requestContext []byte, context string) error {
	var chain [][]byte
	s := c.hs.scheme
	if s != nil {
		chain = c.cert.Chain
	}
	body, err := marshalCertificate(VersionDTLS13, requestContext, chain)
	if err := c.queue(typeCertificate, body, err); err != nil || s == nil {
		return err
	}
	sig, err := c.sign(s, signed13(context, c.hs.transcript.sum()))
	if err != nil {
		return err
	}
	var b cryptobyte.Builder
	addSignature(&b, s.id, sig)
	body, err = b.Bytes()
	return c.queue(typeCertificateVerify, body, err)
}

// handshakeKeys begins epoch 2 in both directions.
func (c *Conn) handshakeKeys(shared []byte) error {
	k := &schedule13{suite: c.suite}
	if err := k.handshake(shared, c.hs.transcript.sum()); err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.sched13 = k
	c.logSecret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", c.hs.clientRandom[:], k.clientTraffic)
	c.logSecret("SERVER_HANDSHAKE_TRAFFIC_SECRET", c.hs.clientRandom[:], k.serverTraffic)
	own, peer := k.clientTraffic, k.serverTraffic
	if c.cfg.Role == RoleServer {
		own, peer = peer, own
	}
	write, err := k.protection(own)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	read, err := k.protection(peer)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.setWriteEpoch(epochHandshake, write)
	c.addReadEpoch(epochHandshake, read)
	return nil
}

// applicationKeys derives the secrets of epoch 3 from the transcript up to the server's Finished.
func (c *Conn) applicationKeys(transcript []byte) error {
	k := c.sched13
	if err := k.application(transcript); err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.logSecret("CLIENT_TRAFFIC_SECRET_0", c.hs.clientRandom[:], k.clientTraffic)
	c.logSecret("SERVER_TRAFFIC_SECRET_0", c.hs.clientRandom[:], k.serverTraffic)
	c.logSecret("EXPORTER_SECRET", c.hs.clientRandom[:], k.exporter)
	return nil
}

// installApplicationKeys begins epoch 3; nil leaves a direction as it is.
func (c *Conn) installApplicationKeys(own, peer []byte) error {
	if own != nil {
		p, err := c.sched13.protection(own)
		if err != nil {
			return &AlertError{Alert: AlertInternalError, Err: err}
		}
		c.setWriteEpoch(epochApplication, p)
	}
	if peer != nil {
		p, err := c.sched13.protection(peer)
		if err != nil {
			return &AlertError{Alert: AlertInternalError, Err: err}
		}
		c.addReadEpoch(epochApplication, p)
	}
	return nil
}
