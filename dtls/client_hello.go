package dtls

import (
	"slices"
	"time"
)

// startClient sends the first ClientHello.
func (c *Conn) startClient(now time.Time) error {
	h := &clientHello{
		version: VersionDTLS12, groups: c.offeredGroups(), schemes: c.cfg.SignatureSchemes, srtpProfiles: c.cfg.SRTPProfiles,
		protocols: c.cfg.Protocols, serverName: c.cfg.ServerName,
	}
	if err := c.random(h.random[:]); err != nil {
		return err
	}
	h.extendedMaster = c.cfg.allows(VersionDTLS12)
	for _, id := range c.cfg.CipherSuites {
		if c.cfg.allows(suiteByID(id).version) {
			h.suites = append(h.suites, id)
		}
	}
	if c.cfg.allows(VersionDTLS13) {
		h.versions = append(h.versions, VersionDTLS13)
		if c.cfg.allows(VersionDTLS12) {
			h.versions = append(h.versions, VersionDTLS12)
		}
		h.hasShares = true
		for _, g := range c.firstShares() {
			if err := c.addShare(h, g); err != nil {
				return err
			}
		}
	}
	c.hs.hello, c.hs.clientRandom = h, h.random
	c.hs.step = stepClientServerHello
	if err := c.sendClientHello(now); err != nil {
		return err
	}
	first := *c.hs
	c.hs.first = &first
	return nil
}

// offeredGroups leaves out what only DTLS 1.3 can use.
func (c *Conn) offeredGroups() []Group {
	if c.cfg.allows(VersionDTLS13) {
		return c.cfg.Groups
	}
	return classicGroups(c.cfg.Groups)
}

// classicGroups are those that DTLS 1.2 knows.
func classicGroups(list []Group) []Group {
	return slices.DeleteFunc(slices.Clone(list), func(g Group) bool { return groupByID(g).hybrid })
}

// firstShares are the guesses of the first ClientHello.
func (c *Conn) firstShares() []Group {
	if c.cfg.KeyShares != nil {
		return c.cfg.KeyShares
	}
	var out []Group
	for _, g := range c.cfg.Groups {
		if g == GroupX25519MLKEM768 || g == GroupX25519 {
			out = append(out, g)
		}
	}
	if out == nil {
		out = c.cfg.Groups[:1]
	}
	return out
}

func (c *Conn) addShare(h *clientHello, id Group) error {
	ks, err := newKeyShare(groupByID(id), c.cfg.Rand)
	if err != nil {
		return &AlertError{Alert: AlertInternalError, Err: err}
	}
	c.hs.shares = append(c.hs.shares, ks)
	h.shares = append(h.shares, shareEntry{id, ks.public()})
	return nil
}

// sendClientHello sends the hello as it is now.
func (c *Conn) sendClientHello(now time.Time) error {
	c.beginFlight()
	body, err := c.hs.hello.marshal()
	m, err := c.send(typeClientHello, body, err)
	if err != nil {
		return err
	}
	c.hs.helloRaw = m.raw
	c.endFlight(now, false)
	return nil
}

// clientServerHello handles the server's first answer, whichever of four it is.
func (c *Conn) clientServerHello(now time.Time, m message) error {
	if m.typ == typeHelloVerifyRequest {
		return c.clientHelloVerify(now, m)
	}
	if err := c.expect(m, typeServerHello); err != nil {
		return err
	}
	sh, err := parseServerHello(m.body())
	if err != nil {
		return err
	}
	v := sh.version
	if sh.selected != 0 {
		if v != VersionDTLS12 || sh.selected != VersionDTLS13 {
			return fatal(AlertIllegalParameter, "ServerHello selects %v in supported_versions", sh.selected)
		}
		v = sh.selected
	}
	if v != VersionDTLS12 && v != VersionDTLS13 || v == VersionDTLS13 && sh.selected == 0 || !c.cfg.allows(v) {
		return fatal(AlertProtocolVersion, "the server chose %v", v)
	}
	if c.hs.verified && v == VersionDTLS13 {
		// HelloVerifyRequest is a message of DTLS 1.2 (RFC 9147 §5.1).
		return fatal(AlertIllegalParameter, "DTLS 1.3 after HelloVerifyRequest")
	}
	if c.version != 0 && c.version != v {
		return fatal(AlertProtocolVersion, "the server changed its version to %v", v)
	}
	s := suiteByID(sh.suite)
	switch {
	case s == nil || s.version != v || !slices.Contains(c.hs.hello.suites, sh.suite):
		return fatal(AlertIllegalParameter, "the server chose %v, which was not offered", sh.suite)
	case sh.method != 0:
		return fatal(AlertIllegalParameter, "the server chose compression")
	case v == VersionDTLS13 && sh.retry():
		return c.client13Retry(now, m, sh, s)
	case v == VersionDTLS13:
		return c.client13ServerHello(now, m, sh, s)
	}
	return c.client12ServerHello(m, sh, s)
}

// clientHelloVerify says hello again with the cookie. Neither message is a part of the transcript (RFC 6347 §4.2.1).
func (c *Conn) clientHelloVerify(now time.Time, m message) error {
	if c.hs.verified || c.version != 0 {
		return unexpected(m)
	}
	if !c.cfg.allows(VersionDTLS12) {
		return fatal(AlertProtocolVersion, "the server speaks DTLS 1.2 only")
	}
	hv, err := parseHelloVerifyRequest(m.body())
	if err != nil {
		return err
	}
	hello := *c.hs.hello
	hello.cookie = hv.cookie
	c.hs.hello = &hello
	c.hs.verified, c.retried = true, true
	return c.sendClientHello(now)
}

// unsolicited refuses an extension of the server that was not offered (RFC 8446 §4.2).
func unsolicited(seen, allowed []extension) error {
	for _, e := range seen {
		if !slices.Contains(allowed, e) {
			return fatal(AlertUnsupportedExtension, "the server answered extension %d, which was not offered", e)
		}
	}
	return nil
}

// offeredParameters are the extensions that a server may answer beside its keys: with a value, as addServerParameters does,
// or, for the server's name, with a nod.
func (c *Conn) offeredParameters() []extension {
	var out []extension
	if c.cfg.ServerName != "" {
		out = append(out, extServerName)
	}
	if len(c.cfg.SRTPProfiles) > 0 {
		out = append(out, extUseSRTP)
	}
	if len(c.cfg.Protocols) > 0 {
		out = append(out, extALPN)
	}
	return out
}

// checkParameters checks what the server chose of what was offered.
func (c *Conn) checkParameters(profile SRTPProfile, protocol string) error {
	if profile != 0 && !slices.Contains(c.cfg.SRTPProfiles, profile) {
		return fatal(AlertIllegalParameter, "the server chose %v, which was not offered", profile)
	}
	if protocol != "" && !slices.Contains(c.cfg.Protocols, protocol) {
		return fatal(AlertIllegalParameter, "the server chose a protocol that was not offered")
	}
	return nil
}
