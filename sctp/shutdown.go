package sctp

import (
	"encoding/binary"
	"time"
)

// shutdown is the state of an orderly end (RFC 9260 section 9.2).
type shutdown struct {
	t2    tick      // SHUTDOWN or SHUTDOWN ACK is repeated
	guard tick      // T5-shutdown-guard: five times RTO.Max at most
	due   chunkType // what the next packet ends with; zero: nothing
}

func (s *shutdown) deadline() tick { return earliest(s.t2, s.guard) }

// Shutdown closes the association after everything queued was delivered (RFC 9260 section 9.2).
func (a *Association) Shutdown(now time.Time) {
	a.enter(now)
	switch a.phase {
	case phaseClosed, phaseCookieWait, phaseCookieEchoed:
		a.end(nil)
	case phaseEstablished:
		a.beginShutdown(phaseShutdownPending)
	}
}

func (a *Association) beginShutdown(p phase) {
	a.closing.guard = a.now.after(5 * a.cfg.RTOMax)
	a.setPhase(p)
	a.checkShutdown()
}

// checkShutdown goes on when everything was acknowledged.
func (a *Association) checkShutdown() {
	if a.out.len() > 0 || a.queue.front() != nil {
		return
	}
	switch a.phase {
	case phaseShutdownPending:
		a.setPhase(phaseShutdownSent)
		a.sendShutdown(typeShutdown)
	case phaseShutdownReceived:
		a.setPhase(phaseShutdownAckSent)
		a.sendShutdown(typeShutdownAck)
	}
}

func (a *Association) sendShutdown(t chunkType) {
	a.closing.due = t
	a.closing.t2 = a.now.after(a.rtt.timeout(a.path.RTT))
}

// appendShutdown encodes SHUTDOWN (with the cumulative TSN) or SHUTDOWN ACK when it is due. typeData means nothing is due: its
// value is the zero of chunkType.
func (a *Association) appendShutdown(b []byte) []byte {
	switch a.closing.due {
	case typeShutdown:
		b = appendChunkHeader(b, typeShutdown, 0, 4)
		b = binary.BigEndian.AppendUint32(b, a.received.cum)
	case typeShutdownAck:
		b = appendChunk(b, typeShutdownAck, 0, nil)
	}
	a.closing.due = 0
	return b
}

func (a *Association) advanceShutdown() {
	if a.closing.guard.due(a.now) {
		a.abort(causeUserAbort, ErrTimeout)
		return
	}
	if !a.closing.t2.due(a.now) {
		return
	}
	a.closing.t2 = 0
	a.rtt.backoff++
	if a.failed() {
		return
	}
	switch a.phase {
	case phaseShutdownSent:
		a.sendShutdown(typeShutdown)
	case phaseShutdownAckSent:
		a.sendShutdown(typeShutdownAck)
	}
}

// handleEnding dispatches the chunks that end an association.
func (a *Association) handleEnding(c chunk) error {
	switch c.typ {
	case typeAbort:
		return a.handleAbort(c)
	case typeError:
		return a.handleError(c)
	case typeShutdown:
		return a.handleShutdown(c)
	case typeShutdownAck:
		return a.handleShutdownAck()
	default:
		if a.phase != phaseShutdownAckSent {
			a.stats.Dropped.Unexpected++
			return errUnexpected
		}
		a.end(nil)
		return nil
	}
}

func (a *Association) handleAbort(c chunk) error {
	e := &AbortError{}
	if p, _, err := nextParam(c.value); err == nil {
		e.Cause = uint16(p.typ)
		if p.typ == causeUserAbort {
			e.Reason = string(p.value[:min(len(p.value), 128)])
		}
	}
	a.end(e)
	return e
}

// handleError only acts on a stale cookie: the set-up begins again (section 5.2.6).
func (a *Association) handleError(c chunk) error {
	p, _, err := nextParam(c.value)
	if err != nil {
		a.stats.Dropped.ChunkFormat++
		return err
	}
	if p.typ == causeStaleCookie && a.phase == phaseCookieEchoed {
		a.cookieEcho, a.cookieDue = nil, false
		a.setPhase(phaseCookieWait)
		a.sendInit()
	}
	return nil
}

func (a *Association) handleShutdown(c chunk) error {
	if len(c.value) < 4 {
		a.stats.Dropped.ChunkFormat++
		return errChunkLength
	}
	switch a.phase {
	case phaseEstablished, phaseShutdownPending, phaseShutdownSent, phaseShutdownReceived:
	default:
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	if cum := binary.BigEndian.Uint32(c.value); tsnLessEq(a.out.base, cum) && tsnLess(cum, a.out.next) {
		var rs rateSample
		prior := a.out.flight
		moved := a.ackCumulative(cum, &rs)
		a.tellCongestion(&rs, prior, 0, false)
		a.afterSack(moved, rs.seen)
	}
	switch a.phase {
	case phaseShutdownSent:
		// Both began at once: acknowledge (section 9.2).
		a.setPhase(phaseShutdownAckSent)
		a.sendShutdown(typeShutdownAck)
	case phaseEstablished, phaseShutdownPending:
		a.beginShutdown(phaseShutdownReceived)
	}
	return nil
}

func (a *Association) handleShutdownAck() error {
	if a.phase != phaseShutdownSent && a.phase != phaseShutdownAckSent {
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	a.queueSingle(a.peerTag, appendChunk(nil, typeShutdownComplete, 0, nil))
	a.end(nil)
	return nil
}

// Close ends the association at once: one ABORT comes out of Next, everything else is dropped. EventState follows with
// StateClosed and no error.
func (a *Association) Close(now time.Time) {
	a.enter(now)
	if a.phase == phaseDone {
		return
	}
	a.abort(causeUserAbort, nil)
}

// abort tells the peer that the association ends, when there is one to tell.
func (a *Association) abort(cause paramType, err error) {
	if a.phase == phaseDone {
		return
	}
	a.singles = ring[single]{}
	if a.peerTag != 0 {
		a.queueSingle(a.peerTag, appendChunk(nil, typeAbort, 0, appendParam(nil, cause, nil)))
	}
	a.end(err)
}

// end drops everything but received messages and events.
func (a *Association) end(err error) {
	if a.phase == phaseDone {
		return
	}
	a.err = err
	a.queue.clear()
	a.out = outstanding{}
	a.controls = ring[[]byte]{}
	a.resets = resets{}
	a.cookieEcho, a.gaps, a.gapsNext, a.forwardList = nil, nil, nil, nil
	a.acks = acks{}
	a.setPhase(phaseDone)
}
