package sctp

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

const (
	// maxQueuedResets caps the outgoing resets that wait for their turn.
	maxQueuedResets = 65535
	// maxResetStreams caps the streams of one request, ours and the peer's: what fits the smallest packet comfortably.
	maxResetStreams = 200
)

// errRefused is the Err of an EventStreamReset that the peer denied.
var errRefused = errors.New("sctp: peer refused the stream reset")

// resets is the state of stream re-configuration (RFC 6525) in both directions.
type resets struct {
	// Ours: queued streams wait until they are drained; one request is out at a time (section 5.1.1).
	queue    []*outStream
	check    bool     // a stream may have become ready
	streams  []uint16 // of the request that is out
	active   bool
	due      bool
	number   uint32 // of the next request, or of the one that is out
	lastTSN  uint32
	answers  uint32 // the peer's incoming reset request that this answers
	renumber bool   // the peer said "in progress": the next try is a new request
	tries    int
	deadline tick

	// The peer's: the number expected next, the last result, and a request that waits for data.
	expected    uint32
	lastResult  resetResult
	answered    bool
	pending     bool
	pendingTSN  uint32
	pendingNext uint32
	pendingIDs  []uint16
	// unasked are the streams that were reset as soon as the data was there. A peer that had heard "in progress" before may
	// ask for them again.
	unasked []uint16
}

func (r *resets) start(localTSN uint32) { r.number = localTSN }
func (r *resets) peer(tsn uint32)       { r.expected = tsn }

// holdsBack says whether data on a stream must not be taken yet: it belongs to the stream's next life.
func (r *resets) holdsBack(stream uint16, tsn uint32) bool {
	return r.pending && tsnLess(r.pendingTSN, tsn) && (len(r.pendingIDs) == 0 || slices.Contains(r.pendingIDs, stream))
}

// ResetStream resets the outgoing direction of a stream (RFC 6525) once everything queued on it was acknowledged or given up.
// EventStreamReset with Outgoing follows. Send fails in between. Errors: ErrClosed, ErrStreamID, ErrTooManyResets. A reset that
// is under way already is not an error.
func (a *Association) ResetStream(now time.Time, stream uint16) error {
	a.enter(now)
	switch {
	case a.phase > phaseEstablished:
		return ErrClosed
	case int(stream) >= a.maxOut:
		return ErrStreamID
	case len(a.resets.queue) >= maxQueuedResets:
		return ErrTooManyResets
	}
	s := a.queue.stream(stream)
	if s.resetting {
		return nil
	}
	s.resetting, s.queued = true, true
	a.resets.queue = append(a.resets.queue, s)
	a.resets.check = true
	a.checkResets()
	return nil
}

// checkResets sends a request for the queued streams that are drained.
func (a *Association) checkResets() {
	r := &a.resets
	if !r.check || r.active || a.phase != phaseEstablished {
		return
	}
	r.check = false
	if !a.peerFeatures.has(featReconfig) {
		// Nobody to ask: the half-stream ends here.
		for _, s := range r.queue {
			a.finishReset(s.id, nil)
		}
		r.queue = nil
		return
	}
	kept := r.queue[:0]
	for _, s := range r.queue {
		if s.messages == 0 && len(r.streams) < maxResetStreams {
			s.queued = false
			r.streams = append(r.streams, s.id)
		} else {
			kept = append(kept, s)
		}
	}
	clear(r.queue[len(kept):])
	r.queue = kept
	if len(r.streams) > 0 {
		r.active, r.due, r.tries = true, true, 0
		r.lastTSN = a.out.next - 1
	}
}

// appendResetRequest encodes the request when it is due.
func (a *Association) appendResetRequest(b []byte, limit int) []byte {
	r := &a.resets
	a.checkResets()
	if !r.active || !r.due || len(b)+24+2*len(r.streams) > limit {
		return b
	}
	r.due = false
	r.deadline = a.now.after(a.rtt.base(a.path.RTT) << min(r.tries, 6))
	return appendOutgoingReset(b, r.number, r.answers, r.lastTSN, r.streams)
}

// advanceResets repeats the request (section 5.1.1).
func (a *Association) advanceResets() {
	r := &a.resets
	if !r.deadline.due(a.now) {
		return
	}
	r.deadline = 0
	if !r.active {
		return
	}
	if r.tries++; a.failed() {
		return
	}
	if r.renumber {
		// A receiver answers the same number with the same result for good (section 5.2.1).
		r.renumber = false
		r.number++
	}
	r.due = true
}

// finishReset ends one outgoing reset.
func (a *Association) finishReset(stream uint16, err error) {
	if s := a.queue.find(stream); s != nil {
		s.resetting, s.queued = false, false
		if err == nil {
			a.queue.forget(s)
		}
	}
	a.post(Event{Kind: EventStreamReset, Stream: stream, Direction: Outgoing, Err: err})
}

// handleReconfig takes RE-CONFIG: at most two parameters (section 3.1).
func (a *Association) handleReconfig(c chunk) error {
	if a.phase < phaseEstablished || !a.peerFeatures.has(featReconfig) {
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	b := c.value
	for n := 0; len(b) > 0 && n < 2; n++ {
		p, rest, err := nextParam(b)
		if err == nil {
			err = a.handleReconfigParam(p)
		}
		if err != nil {
			a.stats.Dropped.ChunkFormat++
			return err
		}
		b = rest
	}
	return nil
}

func (a *Association) handleReconfigParam(p param) error {
	switch p.typ {
	case paramOutgoingReset:
		q, err := parseOutgoingReset(p.value)
		if err == nil {
			a.handleOutgoingReset(&q)
		}
		return err
	case paramReconfigResponse:
		if len(p.value) < 8 {
			return errParamLength
		}
		a.handleResetResponse(binary.BigEndian.Uint32(p.value), resetResult(binary.BigEndian.Uint32(p.value[4:])))
		return nil
	case paramIncomingReset, paramSSNTSNReset, paramAddOutgoing, paramAddIncoming:
		if len(p.value) < 4 {
			return errParamLength
		}
		a.handleOtherRequest(p)
		return nil
	default:
		return errParamLength
	}
}

// sequence checks a request number (section 5.2.1) and answers everything but the one expected.
func (a *Association) sequence(request uint32) bool {
	r := &a.resets
	switch {
	case request == r.expected:
		return true
	case request == r.expected-1 && r.answered:
		a.respond(request, r.lastResult)
	default:
		a.respond(request, resetBadSequence)
	}
	return false
}

func (a *Association) respond(request uint32, result resetResult) {
	a.queueControl(appendResetResponse(nil, request, result))
}

// conclude answers the expected request for good.
func (a *Association) conclude(request uint32, result resetResult) {
	r := &a.resets
	r.expected, r.lastResult, r.answered = request+1, result, true
	a.respond(request, result)
}

// handleOutgoingReset resets what the peer sends on (section 5.2.2).
func (a *Association) handleOutgoingReset(q *outgoingReset) {
	r := &a.resets
	if r.active && q.response == r.number && r.answers == 0 {
		// It answers our own request in passing; a peer that sends this has accepted it.
		a.handleResetResponse(q.response, resetPerformed)
	}
	if !a.sequence(q.request) {
		return
	}
	if len(q.streams) > 2*65535 {
		a.conclude(q.request, resetDenied)
		return
	}
	ids := make([]uint16, 0, len(q.streams)/2)
	for b := q.streams; len(b) > 0; b = b[2:] {
		id := binary.BigEndian.Uint16(b)
		if int(id) >= a.maxIn {
			a.conclude(q.request, resetWrongSSN)
			return
		}
		ids = append(ids, id)
	}
	r.pending = false // the peer gave it up, or asks again
	if tsnLess(a.received.cum, q.lastTSN) {
		if q.lastTSN-a.received.cum > maxAhead {
			a.conclude(q.request, resetDenied)
			return
		}
		r.pending, r.pendingTSN, r.pendingNext, r.pendingIDs = true, q.lastTSN, q.request, ids
		a.conclude(q.request, resetLater)
		return
	}
	if !a.resetAlready(ids) {
		a.performReset(ids)
	}
	a.conclude(q.request, resetPerformed)
}

// resetAlready says whether the streams are those that were reset unasked, with nothing received on them since.
func (a *Association) resetAlready(ids []uint16) bool {
	done := len(ids) > 0 && slices.Equal(ids, a.resets.unasked)
	a.resets.unasked = nil
	for _, id := range ids {
		if a.inbox.streams[id] != nil {
			return false
		}
	}
	return done
}

// performPendingReset performs the peer's request as soon as the data before it is here, and says so without being asked again.
func (a *Association) performPendingReset() {
	r := &a.resets
	if !r.pending || tsnLess(a.received.cum, r.pendingTSN) {
		return
	}
	r.pending = false
	a.performReset(r.pendingIDs)
	r.unasked, r.pendingIDs = r.pendingIDs, nil
	if r.expected == r.pendingNext+1 {
		r.lastResult = resetPerformed
	}
	a.respond(r.pendingNext, resetPerformed)
}

// performReset begins the streams anew; no streams: all of them (section 4.1).
func (a *Association) performReset(ids []uint16) {
	if len(ids) == 0 {
		for id := range a.inbox.streams {
			ids = append(ids, id)
		}
		slices.Sort(ids) // the same events for the same packets
	}
	for _, id := range ids {
		a.inbox.reset(id)
		a.post(Event{Kind: EventStreamReset, Stream: id, Direction: Incoming})
	}
}

// handleOtherRequest answers the requests that data channels have no use for.
func (a *Association) handleOtherRequest(p param) {
	request := binary.BigEndian.Uint32(p.value)
	if !a.sequence(request) {
		return
	}
	if p.typ != paramIncomingReset || len(p.value)%2 != 0 || len(p.value) > 4+2*maxResetStreams || a.phase != phaseEstablished {
		a.conclude(request, resetDenied)
		return
	}
	// Section 5.2.3: the peer asks us to reset what we send on. Ours follows as a request of its own.
	for b := p.value[4:]; len(b) > 0; b = b[2:] {
		id := binary.BigEndian.Uint16(b)
		if s := a.queue.find(id); s != nil && !s.resetting && len(a.resets.queue) < maxQueuedResets {
			s.resetting, s.queued = true, true
			a.resets.queue = append(a.resets.queue, s)
			a.resets.check = true
		}
	}
	a.conclude(request, resetPerformed)
	a.checkResets()
}

// handleResetResponse ends or repeats our request (section 5.2.7).
func (a *Association) handleResetResponse(request uint32, result resetResult) {
	r := &a.resets
	if !r.active || request != r.number {
		return
	}
	a.errors = 0
	switch result {
	case resetLater, resetInProgress:
		// The peer waits for data, or for another request of ours: the same request again after a while.
		r.tries, r.renumber = 0, result == resetLater
		r.due = false
		r.deadline = a.now.after(max(a.rtt.base(a.path.RTT)/2, a.rtt.smoothed))
		return
	}
	r.active, r.due, r.renumber, r.deadline = false, false, false, 0
	r.number++
	var err error
	if result != resetPerformed && result != resetNothingToDo {
		err = errRefused
	}
	streams := r.streams
	r.streams = nil
	for _, id := range streams {
		a.finishReset(id, err)
	}
	r.check = true
	a.checkResets()
}
