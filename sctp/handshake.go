package sctp

import (
	"errors"
	"fmt"
	"time"
)

// errStop ends the walk over a packet's chunks.
var errStop = errors.New("sctp: stop")

// localFeatures are the extensions that this side offers.
func (a *Association) localFeatures() features {
	f := featForwardTSN | featReconfig | featPad
	if !a.cfg.DisableInterleaving {
		f |= featInterleaving
	}
	if a.cfg.EnableZeroChecksum {
		f |= featZeroChecksum
	}
	return f
}

// localChunk is our side of INIT and INIT ACK.
func (a *Association) localChunk() initChunk {
	return initChunk{
		tag: a.localTag, window: uint32(a.cfg.ReceiveWindow), outStreams: 65535, inStreams: 65535,
		tsn: a.localTSN, features: a.localFeatures(),
	}
}

// Connect begins the set-up (RFC 9260 section 5.1). Both sides call it: the collision of INITs that follows is resolved as
// section 5.2.1 says. Calling it again does nothing.
func (a *Association) Connect(now time.Time) {
	a.enter(now)
	if a.phase != phaseClosed {
		return
	}
	a.setPhase(phaseCookieWait)
	a.sendInit()
}

// LocalInit returns the INIT chunk of this side, for a=sctp-init (base64 is the caller's). It is the same at every call.
func (a *Association) LocalInit() []byte { return append([]byte(nil), a.localInit...) }

// ConnectInit connects without a handshake: both sides have exchanged their INIT chunks in SDP (draft-hancke-tsvwg-snap).
// The association is connected at once. remote is not kept. An unusable chunk is an error and changes nothing: fall back to
// Connect (on both sides).
func (a *Association) ConnectInit(now time.Time, remote []byte) error {
	a.enter(now)
	if a.phase != phaseClosed {
		return fmt.Errorf("sctp: ConnectInit: %w", errUnexpected)
	}
	c, rest, err := nextChunk(remote)
	if err != nil || c.typ != typeInit || len(rest) != 0 {
		return fmt.Errorf("sctp: ConnectInit: %w", errBadInit)
	}
	in, err := parseInit(c.value)
	if err != nil {
		return fmt.Errorf("sctp: ConnectInit: %w", err)
	}
	a.adopt(&in)
	a.establish()
	return nil
}

func (a *Association) sendInit() {
	a.queueSingle(0, a.localInit)
	a.armT1()
}

func (a *Association) armT1() {
	wait := firstTimeout(a.path.RTT) << min(a.t1Tries, 8)
	a.t1SentAt = a.now
	a.t1 = a.now.after(min(wait, a.cfg.RTOMax))
}

// advanceT1 repeats INIT or COOKIE ECHO (section 5.1 B, 6.3.3).
func (a *Association) advanceT1() {
	if !a.t1.due(a.now) {
		return
	}
	a.t1 = 0
	if a.t1Tries++; a.t1Tries > a.cfg.MaxInitRetransmits {
		a.end(ErrTimeout)
		return
	}
	a.stats.Timeouts++
	if a.phase == phaseCookieWait {
		a.sendInit()
		return
	}
	a.loseFlight() // the data bundled with COOKIE ECHO goes with it again
	a.cookieDue = true
	a.armT1()
}

// adopt takes over what the peer said in INIT, INIT ACK or a cookie.
func (a *Association) adopt(in *initChunk) {
	a.peerTag = in.tag
	a.received.cum = in.tsn - 1
	a.resets.peer(in.tsn)
	a.peerWindow = int(min(in.window, 1<<30))
	a.queue.budget = a.peerWindow
	a.maxOut = min(65535, int(in.inStreams))
	a.maxIn = min(65535, int(in.outStreams))
	local := a.localFeatures()
	a.peerFeatures = in.features & local
	a.interleaving = a.peerFeatures.has(featInterleaving)
	a.queue.interleaving, a.inbox.interleaving = a.interleaving, a.interleaving
	// RFC 9653 section 5.1: the parameter says what its sender accepts.
	a.sendZero = a.peerFeatures.has(featZeroChecksum)
}

// establish enters ESTABLISHED.
func (a *Association) establish() {
	a.t1, a.cookieDue, a.cookieEcho = 0, false, nil
	a.errors = 0
	if a.out.len() > 0 {
		a.t3 = a.now.after(a.rtt.timeout(a.path.RTT))
	}
	a.cc.onHandshake(a.rtt.smoothedOr(a.path.RTT))
	a.setPhase(phaseEstablished)
	a.heartbeat.start(a.now, a.cfg.HeartbeatInterval)
	a.mtu.restart(a.now, a.path)
}

// handleSetup dispatches the four chunks of the set-up.
func (a *Association) handleSetup(c chunk) error {
	switch c.typ {
	case typeInit:
		return a.handleInit(c)
	case typeInitAck:
		return a.handleInitAck(c)
	case typeCookieEcho:
		return a.handleCookieEcho(c)
	default:
		return a.handleCookieAck()
	}
}

// handleInit answers INIT in every state with an INIT ACK, keeping nothing (sections 5.1, 5.2.1, 5.2.2).
func (a *Association) handleInit(c chunk) error {
	in, err := parseInit(c.value)
	if err != nil {
		a.stats.Dropped.ChunkFormat++
		return err
	}
	if a.phase == phaseShutdownAckSent {
		a.queueControl(appendChunk(nil, typeShutdownAck, 0, nil)) // section 9.2
		return nil
	}
	k := cookie{createdAt: a.now, localTag: a.localTag, peer: in}
	switch a.phase {
	case phaseClosed:
	case phaseCookieWait, phaseCookieEchoed:
		// Section 5.2.1: the same tag and TSN as in our own INIT, so that both handshakes end in one association.
		k.tieLocal, k.tiePeer = a.localTag, a.peerTag
	default:
		// Section 5.2.2: a restart, or an INIT that was delayed in the network. A new tag tells the two apart later.
		k.tieLocal, k.tiePeer = a.localTag, a.peerTag
		k.localTag = a.localTag ^ 0x5bd1e995 ^ in.tag
		if k.localTag == 0 || k.localTag == a.localTag {
			k.localTag++
		}
	}
	ack := a.localChunk()
	ack.tag = k.localTag
	ack.cookie = k.seal(a.secret[:])
	ack.unrecognized = in.unrecognized
	a.queueSingle(in.tag, ack.append(nil, typeInitAck))
	return nil
}

// handleInitAck goes on with COOKIE ECHO (section 5.1 C).
func (a *Association) handleInitAck(c chunk) error {
	if a.phase != phaseCookieWait {
		a.stats.Dropped.Unexpected++
		return errUnexpected // section 5.2.3
	}
	in, err := parseInit(c.value)
	if err != nil || len(in.cookie) == 0 {
		a.stats.Dropped.ChunkFormat++
		return errors.Join(errBadInit, err)
	}
	if a.t1Tries == 0 {
		a.rtt.sample((a.now - a.t1SentAt).duration())
	}
	a.adopt(&in)
	a.cookieEcho = appendChunk(nil, typeCookieEcho, 0, in.cookie)
	a.cookieDue = true
	a.t1Tries = 0
	a.setPhase(phaseCookieEchoed)
	a.armT1()
	return nil
}

// handleCookieEcho checks the cookie and enters ESTABLISHED, or decides what a second one means (sections 5.1 D, 5.2.4).
func (a *Association) handleCookieEcho(c chunk) error {
	k, err := openCookie(a.secret[:], c.value)
	if err != nil {
		a.stats.Dropped.Cookie++
		return err
	}
	localMatch, peerMatch := k.localTag == a.localTag, k.peer.tag == a.peerTag
	if stale := a.now - k.createdAt; stale > ticks(maxCookieLife) && !(localMatch && peerMatch) {
		a.stats.Dropped.Cookie++
		micros := uint32(min((stale-ticks(maxCookieLife))/1000, 1<<31))
		a.queueSingle(k.peer.tag, appendChunk(nil, typeError, 0,
			appendParam(nil, causeStaleCookie, []byte{byte(micros >> 24), byte(micros >> 16), byte(micros >> 8), byte(micros)})))
		return errCookie
	}
	switch a.phase {
	case phaseClosed, phaseCookieWait, phaseCookieEchoed:
		if !localMatch {
			a.stats.Dropped.Cookie++
			return errCookie // section 5.2.4 action C
		}
		// Actions B and D: the peer's INIT is the newest word about it.
		if a.phase != phaseCookieEchoed || !peerMatch {
			a.adopt(&k.peer)
		}
		a.establish()
	default:
		if !localMatch {
			if !peerMatch && k.tieLocal == a.localTag && k.tiePeer == a.peerTag {
				// Action A. Deviates: the streams' state is gone and no data channel survives that, so the association ends
				// instead of beginning anew (over DTLS a restart cannot happen without a new DTLS association, RFC 8841).
				a.abort(causeUserAbort, ErrPeerRestarted)
			}
			return errCookie
		}
		if !peerMatch {
			return errCookie
		}
	}
	a.queueControl(appendChunk(nil, typeCookieAck, 0, nil))
	return nil
}

func (a *Association) handleCookieAck() error {
	if a.phase != phaseCookieEchoed {
		a.stats.Dropped.Unexpected++
		return errUnexpected // section 5.2.5
	}
	if a.t1Tries == 0 {
		a.rtt.sample((a.now - a.t1SentAt).duration())
	}
	a.establish()
	return nil
}
