package dtls

import (
	"slices"
	"time"
)

// client13Retry says hello again as HelloRetryRequest wants it (RFC 8446 §4.1.4).
func (c *Conn) client13Retry(now time.Time, m message, sh *serverHello, s *suite) error {
	hs := c.hs
	if hs.retried {
		return fatal(AlertUnexpectedMessage, "a second HelloRetryRequest")
	}
	if err := unsolicited(sh.seen, []extension{extSupportedVersions, extKeyShare, extCookie}); err != nil {
		return err
	}
	hello := *hs.hello
	switch {
	case len(sh.sessionID) > 0:
		return fatal(AlertIllegalParameter, "a session id that was not sent")
	case !sh.hasShare && sh.cookie == nil:
		return fatal(AlertIllegalParameter, "HelloRetryRequest changes nothing")
	case sh.hasShare && (!slices.Contains(c.cfg.Groups, sh.share.group) || hello.share(sh.share.group) != nil):
		return fatal(AlertIllegalParameter, "HelloRetryRequest for %v", sh.share.group)
	}
	if sh.hasShare {
		hello.shares, hs.shares = nil, nil
		if err := c.addShare(&hello, sh.share.group); err != nil {
			return err
		}
		hs.retryGroup = sh.share.group
	}
	hello.cookie13 = sh.cookie
	hs.hello, hs.retrySuite, hs.retried = &hello, s, true
	c.retried = true
	c.setVersion(VersionDTLS13, s)
	hs.transcript.begin(VersionDTLS13, s.hash)
	hs.transcript.retry(helloHash(s.hash, hs.helloRaw))
	hs.transcript.add(m.raw)
	if err := c.sendClientHello(now); err != nil {
		return err
	}
	hs.transcript.add(hs.helloRaw)
	return nil
}

// client13ServerHello derives the keys of epoch 2.
func (c *Conn) client13ServerHello(_ time.Time, m message, sh *serverHello, s *suite) error {
	hs := c.hs
	if err := unsolicited(sh.seen, []extension{extSupportedVersions, extKeyShare}); err != nil {
		return err
	}
	i := slices.IndexFunc(hs.shares, func(ks *keyShare) bool { return ks.group.id == sh.share.group })
	switch {
	case len(sh.sessionID) > 0:
		return fatal(AlertIllegalParameter, "a session id that was not sent")
	case !sh.hasShare:
		return fatal(AlertMissingExtension, "ServerHello without a key share")
	case i < 0:
		return fatal(AlertIllegalParameter, "a key share for %v, which was not offered", sh.share.group)
	case hs.retried && s != hs.retrySuite:
		return fatal(AlertIllegalParameter, "the server changed the cipher suite")
	}
	shared, err := hs.shares[i].finish(sh.share.data)
	if err != nil {
		return &AlertError{Alert: AlertIllegalParameter, Err: err}
	}
	if !hs.retried {
		hs.transcript.begin(VersionDTLS13, s.hash)
		hs.transcript.add(hs.helloRaw)
	}
	hs.transcript.add(m.raw)
	hs.serverRandom = sh.random
	hs.shares = nil
	c.setVersion(VersionDTLS13, s)
	c.group = sh.share.group
	if err := c.handshakeKeys(shared); err != nil {
		return err
	}
	hs.step = stepClient13Extensions
	return nil
}

func (c *Conn) client13Extensions(_ time.Time, m message) error {
	if err := c.expect(m, typeEncryptedExtensions); err != nil {
		return err
	}
	ee, err := parseEncryptedExtensions(m.body())
	if err != nil {
		return err
	}
	// A server may tell its groups for the next time (RFC 8446 §4.2.7).
	if err := unsolicited(ee.seen, append(c.offeredParameters(), extSupportedGroups)); err != nil {
		return err
	}
	if err := c.checkParameters(ee.srtpProfile, ee.protocol); err != nil {
		return err
	}
	c.profile, c.protocol = ee.srtpProfile, ee.protocol
	c.hs.transcript.add(m.raw)
	c.hs.step = stepClient13RequestOrCertificate
	return nil
}

func (c *Conn) client13RequestOrCertificate(now time.Time, m message) error {
	if m.typ != typeCertificateRequest {
		return c.client13Certificate(now, m)
	}
	req, err := parseCertificateRequest(VersionDTLS13, m.body())
	if err != nil {
		return err
	}
	if len(req.context) > 0 {
		return fatal(AlertIllegalParameter, "CertificateRequest with a context in the handshake")
	}
	c.hs.request = req
	c.hs.transcript.add(m.raw)
	c.hs.step = stepClient13Certificate
	return nil
}

func (c *Conn) client13Certificate(_ time.Time, m message) error {
	if err := c.expect(m, typeCertificate); err != nil {
		return err
	}
	chain, err := c.certificate13(m)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return fatal(AlertDecodeError, "the server sent no certificate")
	}
	if err := c.keepChain(m, chain); err != nil {
		return err
	}
	c.hs.step = stepClient13Verify
	return nil
}

func (c *Conn) client13Verify(_ time.Time, m message) error {
	if err := c.verify13(m, contextServer); err != nil {
		return err
	}
	c.hs.step = stepClient13Finished
	return nil
}

// client13Finished answers with Certificate, CertificateVerify and Finished. The connection stands; the flight is sent again
// until the server acknowledges it.
func (c *Conn) client13Finished(now time.Time, m message) error {
	if err := c.expect(m, typeFinished); err != nil {
		return err
	}
	if c.in.excess() {
		return errExcess
	}
	hs, k := c.hs, c.sched13
	want, err := k.finished(k.serverTraffic, hs.transcript.sum())
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	if err := checkFinished(m, want); err != nil {
		return err
	}
	hs.transcript.add(m.raw)
	ownTraffic := k.clientTraffic
	transcript := hs.transcript.sum()
	c.beginFlight()
	if hs.request != nil {
		if hs.scheme, err = c.clientCertificate(VersionDTLS13); err != nil {
			return err
		}
		if err := c.sendCertificate13(hs.request.context, contextClient); err != nil {
			return err
		}
	}
	own, err := k.finished(ownTraffic, hs.transcript.sum())
	if err := c.queue(typeFinished, own, err); err != nil {
		return err
	}
	if err := c.applicationKeys(transcript); err != nil {
		return err
	}
	if err := c.installApplicationKeys(k.clientTraffic, k.serverTraffic); err != nil {
		return err
	}
	c.endFlight(now, false)
	c.connected()
	return nil
}
