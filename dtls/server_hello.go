package dtls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"time"
)

// maxRestarts bounds how often a server takes up a different ClientHello before one of them has proved to be meant.
const maxRestarts = 16

// parameters are what a ClientHello leads to.
type parameters struct {
	version  Version
	suite    *suite
	group    *group
	cert     *Certificate
	scheme   *scheme
	profile  SRTPProfile
	protocol string
}

// serverHello handles the first ClientHello.
func (c *Conn) serverHello(now time.Time, m message) error {
	if err := c.expect(m, typeClientHello); err != nil {
		return err
	}
	ch, err := parseClientHello(m.body())
	if err != nil {
		return err
	}
	p, err := c.negotiate(ch)
	if err != nil {
		return err
	}
	switch {
	case p.version == VersionDTLS13 && (c.cfg.Cookies || ch.share(p.group.id) == nil):
		return c.server13Retry(now, m, ch, p)
	case p.version == VersionDTLS12 && c.cfg.Cookies:
		return c.server12Retry(now, m, ch)
	case p.version == VersionDTLS13:
		return c.server13Flight(now, m, ch, p)
	}
	return c.server12Flight(now, m, ch, p)
}

// serverHelloAgain handles the second ClientHello, after HelloVerifyRequest or HelloRetryRequest.
func (c *Conn) serverHelloAgain(now time.Time, m message) error {
	if err := c.expect(m, typeClientHello); err != nil {
		return err
	}
	ch, err := parseClientHello(m.body())
	if err != nil {
		return err
	}
	p, err := c.negotiate(ch)
	if err != nil {
		return err
	}
	if p.version == VersionDTLS13 {
		return c.server13HelloAgain(now, m, ch, p)
	}
	if c.version == VersionDTLS13 {
		return fatal(AlertIllegalParameter, "the client gave up DTLS 1.3 in its second ClientHello")
	}
	if !equal(ch.cookie, c.cookie12()) {
		return fatal(AlertHandshakeFailure, "wrong cookie")
	}
	return c.server12Flight(now, m, ch, p)
}

// takeHelloAgain collects first ClientHellos that come after the first, in the clear and from nobody knows whom. The same again is
// answered again if its answer was a request to come back; another one starts over, until a client has proved itself.
func (c *Conn) takeHelloAgain(now time.Time, h fragmentHeader, body []byte) error {
	if h.length > maxMessageLen {
		return nil
	}
	if repeats(c.hs.helloRaw, h, body) {
		// The beginning is enough to know that the client has not heard the request to come back.
		if h.offset == 0 {
			c.repeatRetry()
		}
		return nil
	}
	c.again.add(h, body, 0)
	m, ok := c.again.peek()
	if !ok {
		return nil
	}
	c.again.reject()
	// A hello that makes no sense, or that leads nowhere, changes nothing.
	ch, err := parseClientHello(m.body())
	if err != nil {
		return nil
	}
	if _, err := c.negotiate(ch); err != nil {
		return nil
	}
	if ch.random == c.hs.clientRandom {
		return nil
	}
	if c.cfg.Cookies {
		// A client that has shown a cookie is not given up for one that has not; before that, starting over costs nothing.
		if c.hs.step == stepServerHelloAgain {
			return c.restart(now, m)
		}
		return nil
	}
	// A client that does not answer in time may have been a forger, or may have gone; one that does is not disturbed.
	if c.timer.count > 0 && c.stats.Restarts < maxRestarts {
		return c.restart(now, m)
	}
	return nil
}

// repeats says whether a fragment is a part of a message that has been handled.
func repeats(raw []byte, h fragmentHeader, body []byte) bool {
	return len(raw) == messageHeaderLen+h.length && bytes.HasPrefix(raw[messageHeaderLen+h.offset:], body)
}

// repeatRetry sends HelloVerifyRequest or HelloRetryRequest again, unless a timer does.
func (c *Conn) repeatRetry() {
	if c.hs.step == stepServerHelloAgain && !c.timer.running() && !c.flight.unsent() {
		c.stats.Retransmissions++
		c.flight.rewind()
	}
}

// restart forgets the handshake in progress for another ClientHello.
func (c *Conn) restart(now time.Time, m message) error {
	c.stats.Restarts++
	c.hs, c.sendSeq = &handshake{step: stepServerHello}, 0
	c.forget()
	return c.handleFirst(now, m)
}

// forget drops what an unproved peer has led to.
func (c *Conn) forget() {
	c.reads, c.write = c.reads[:1], c.plain
	c.write.version = wireVersion10
	c.version, c.suite, c.retried = 0, nil, false
	c.group, c.profile, c.protocol, c.scheme, c.chain = 0, 0, "", 0, nil
	c.sched12, c.sched13 = nil, nil
	c.flight = flight{track: c.cfg.MaxVersion == VersionDTLS13}
	c.timer.stop()
	c.acks.clear()
	c.in = reassembler{}
}

// handleFirst handles the first message of the peer once more, after forget. If it is no good, the next may be.
func (c *Conn) handleFirst(now time.Time, m message) error {
	if err := c.handleMessage(now, m); err != nil {
		return err
	}
	c.in.next = 1
	return nil
}

// negotiate chooses all parameters, or says what is missing. It changes nothing.
func (c *Conn) negotiate(ch *clientHello) (parameters, error) {
	var p parameters
	switch {
	case ch.offers(VersionDTLS13) && c.cfg.allows(VersionDTLS13):
		p.version = VersionDTLS13
	case ch.offers(VersionDTLS12) && c.cfg.allows(VersionDTLS12):
		p.version = VersionDTLS12
	default:
		return p, fatal(AlertProtocolVersion, "no version in common")
	}
	if !slices.Contains(ch.methods, 0) || p.version == VersionDTLS13 && len(ch.methods) != 1 {
		return p, fatal(AlertIllegalParameter, "bad compression methods")
	}
	if err := c.checkHello(ch, p.version); err != nil {
		return p, err
	}
	if err := c.chooseSuite(ch, &p); err != nil {
		return p, err
	}
	for _, mine := range c.cfg.SRTPProfiles {
		if p.profile == 0 && slices.Contains(ch.srtpProfiles, mine) {
			p.profile = mine
		}
	}
	return p, c.chooseProtocol(ch, &p)
}

func (c *Conn) chooseProtocol(ch *clientHello, p *parameters) error {
	if len(c.cfg.Protocols) == 0 || len(ch.protocols) == 0 {
		return nil
	}
	for _, mine := range c.cfg.Protocols {
		if slices.Contains(ch.protocols, mine) {
			p.protocol = mine
			return nil
		}
	}
	return fatal(AlertNoApplicationProtocol, "no application protocol in common")
}

// checkHello checks what a version demands.
func (c *Conn) checkHello(ch *clientHello, v Version) error {
	if v == VersionDTLS12 {
		switch {
		case slices.Contains(ch.suites, fallbackSCSV) && c.cfg.allows(VersionDTLS13):
			return fatal(AlertInappropriateFallback, "the client fell back although it need not")
		case len(ch.renegotiation) > 0:
			return fatal(AlertHandshakeFailure, "renegotiation_info is not empty")
		case !ch.extendedMaster:
			return fatal(AlertHandshakeFailure, "the client lacks extended_master_secret")
		case ch.pointFormats != nil && !bytes.Contains(ch.pointFormats, []byte{0}):
			return fatal(AlertIllegalParameter, "no uncompressed points")
		case ch.schemes == nil:
			return fatal(AlertHandshakeFailure, "the client signs with SHA-1 only")
		}
		return nil
	}
	switch {
	case len(ch.cookie) > 0:
		return fatal(AlertIllegalParameter, "a legacy cookie in DTLS 1.3")
	case ch.schemes == nil:
		return fatal(AlertMissingExtension, "no signature_algorithms")
	case ch.groups == nil || !ch.hasShares:
		return fatal(AlertMissingExtension, "no supported_groups or no key_share")
	}
	return nil
}

// chooseSuite chooses suite and group, in the server's order.
func (c *Conn) chooseSuite(ch *clientHello, p *parameters) error {
	own := c.cfg.Groups
	offered := ch.groups
	if p.version == VersionDTLS12 {
		own = classicGroups(own)
		if offered == nil {
			offered = []Group{GroupP256} // RFC 8422 §4: a client without the extension leaves the choice to the server
		}
	}
	for _, g := range own {
		if p.group == nil && slices.Contains(offered, g) {
			p.group = groupByID(g)
		}
	}
	if p.group == nil {
		return fatal(AlertHandshakeFailure, "no group in common")
	}
	for _, cert := range c.cfg.certificates() {
		if c.chooseFor(cert, ch, offered, p) {
			return nil
		}
	}
	return fatal(AlertHandshakeFailure, "no cipher suite or no signature scheme in common")
}

// chooseFor chooses the suite and the signature that go with a certificate, if the client knows any.
func (c *Conn) chooseFor(cert *Certificate, ch *clientHello, groups []Group, p *parameters) bool {
	pub := cert.PrivateKey.Public()
	// In DTLS 1.2 the groups are also the curves that the client can verify with (RFC 8422 §5.1.1).
	if k, ok := pub.(*ecdsa.PublicKey); ok && p.version == VersionDTLS12 && !slices.Contains(groups, groupOf(k.Curve)) {
		return false
	}
	s := c.cfg.signing(cert, ch.schemes, p.version)
	if s == nil {
		return false
	}
	for _, id := range c.cfg.CipherSuites {
		suite := suiteByID(id)
		fits := suite.version == p.version && (suite.auth == authAny || suite.suits(pub))
		if fits && slices.Contains(ch.suites, id) {
			p.suite, p.scheme, p.cert = suite, s, cert
			return true
		}
	}
	return false
}

// mac authenticates a cookie. A connection talks to one address, so the secret of the connection stands for it.
func (c *Conn) mac(parts ...[]byte) []byte {
	h := hmac.New(sha256.New, c.secret[:])
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (c *Conn) cookie12() []byte { return c.mac([]byte("hello verify")) }

// server12Retry asks a DTLS 1.2 client to show that it receives here. There is no timer: a client that hears nothing asks again.
func (c *Conn) server12Retry(now time.Time, m message, ch *clientHello) error {
	c.hs.helloRaw, c.hs.clientRandom = m.raw, ch.random
	hv := helloVerifyRequest{version: wireVersion10, cookie: c.cookie12()}
	body, err := hv.marshal()
	c.beginFlight()
	if _, err := c.send(typeHelloVerifyRequest, body, err); err != nil {
		return err
	}
	c.hs.step = stepServerHelloAgain
	c.retried = true
	c.setState(StateConnecting, nil)
	c.endFlight(now, false)
	c.timer.stop()
	return nil
}
