package sctp

import "time"

// ackSoon is how long the SACK for a single packet that asks for it may wait for data to travel with.
//
// Deviates: RFC 7053 section 5.2 wants no delay. The bit is there to spare the peer the 100 ms and more of a delayed SACK, and
// our own sender sets it on every lone message; in a ping-pong of small messages the reply carries the SACK then, instead of
// waiting behind it.
const ackSoon = 500 * time.Microsecond

// acks decides when a SACK is sent (RFC 9260 section 6.2): one for every second packet with data, at once when something is
// missing, soon when the peer asks for it (RFC 7053), otherwise after the delay.
type acks struct {
	packets   int  // with data, since the last SACK
	immediate bool // answer at the end of the batch
	soon      bool // the I bit was seen
	due       bool // the next packet carries a SACK
	deadline  tick
}

// endBatch turns what the batch brought into a decision.
func (k *acks) endBatch(now tick, delay time.Duration) {
	switch {
	case k.immediate || k.packets >= 2:
		k.due, k.deadline = true, 0
	case k.soon:
		k.soon, k.deadline = false, now.after(min(ackSoon, delay))
	case k.packets > 0 && k.deadline == 0:
		k.deadline = now.after(delay)
	}
}

// sent notes that a SACK left.
func (k *acks) sent() { *k = acks{} }

// handleData takes one DATA or I-DATA chunk.
func (a *Association) handleData(d *dataChunk) error {
	switch a.phase {
	case phaseEstablished, phaseShutdownPending, phaseShutdownSent:
	default:
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	if len(d.payload) == 0 {
		a.abort(causeNoUserData, ErrProtocol)
		return ErrProtocol
	}
	a.gotData = true
	if d.flags&flagImmediate != 0 {
		a.acks.soon = true
	}
	switch a.received.check(d.tsn) {
	case tsnDuplicate:
		a.received.duplicate(d.tsn)
		a.acks.immediate = true
		a.stats.Dropped.DuplicateData++
		return nil
	case tsnRefused:
		a.acks.immediate = true
		a.stats.Dropped.WindowFull++
		return nil
	}
	if int(d.stream) >= a.maxIn {
		// Section 6.5: acknowledge, report, discard.
		a.recordTSN(d.tsn)
		a.queueError(causeInvalidStream, []byte{byte(d.stream >> 8), byte(d.stream), 0, 0})
		a.stats.Dropped.BadStream++
		a.performPendingReset()
		return nil
	}
	if !a.admit(d) {
		a.acks.immediate = true
		a.stats.Dropped.WindowFull++
		return nil
	}
	a.recordTSN(d.tsn)
	before := a.inbox.ready.len()
	if !a.inbox.add(d) {
		a.abort(causeOutOfResource, ErrMessageTooLarge)
		return ErrMessageTooLarge
	}
	if !a.window.stretch(a.inbox.incomplete) && a.inbox.ready.len() == 0 && a.window.lent == 0 && len(a.received.runs) == 0 {
		// Nothing can be handed out, nothing is missing in between that would change that, and nothing more may come in: no way on.
		a.abort(causeOutOfResource, ErrResources)
		return ErrResources
	}
	a.performPendingReset() // what it waited for is filed by now
	a.readable(before)
	return nil
}

// admit says whether there is room, and whether the stream may be written to.
func (a *Association) admit(d *dataChunk) bool {
	if a.window.refuses(len(d.payload)+fragmentCharge, a.inbox.held, d.tsn == a.received.cum+1) {
		return false
	}
	return !a.resets.holdsBack(d.stream, d.tsn)
}

// recordTSN files a new TSN.
func (a *Association) recordTSN(tsn uint32) {
	if tsn != a.received.cum+1 || len(a.received.runs) > 0 {
		// Section 6.7: a gap is reported at once, and so is its filling.
		a.acks.immediate = true
	}
	a.received.record(tsn)
}

// readable posts EventReadable when the queue of messages was empty before.
func (a *Association) readable(before int) {
	if before == 0 && a.inbox.ready.len() > 0 {
		a.post(Event{Kind: EventReadable})
	}
}

// handleForward takes FORWARD-TSN or I-FORWARD-TSN (RFC 3758 section 3.6, RFC 8260 section 2.3.1).
func (a *Association) handleForward(f forwardChunk) error {
	switch a.phase {
	case phaseEstablished, phaseShutdownPending, phaseShutdownSent:
	default:
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	if f.interleaving != a.interleaving {
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	a.gotData = true
	if !a.received.forward(f.cum) {
		// Out of date: the SACK that said so may have been lost.
		a.acks.immediate = true
		return nil
	}
	a.acks.immediate = true
	before := a.inbox.ready.len()
	for e, ok := f.next(); ok; e, ok = f.next() {
		if int(e.stream) < a.maxIn {
			a.inbox.forward(e)
		}
	}
	if !f.interleaving {
		a.inbox.forwardLoose(a.received.cum)
	}
	a.performPendingReset()
	a.readable(before)
	return nil
}

// appendSACK encodes the SACK that is due into room bytes.
func (a *Association) appendSACK(b []byte, room int) []byte {
	w := a.window.available(a.inbox.held)
	b = appendSack(b, a.received.cum, uint32(w), a.received.runs, a.received.dups, room)
	a.window.advertised = w
	a.received.dups = a.received.dups[:0]
	a.acks.sent()
	return b
}

// Receive takes the next complete message, copied into alloc(n); ordered messages of a stream come in order. When it reports
// false nothing is complete and alloc was not called.
func (a *Association) Receive(alloc func(n int) []byte) (Message, bool) {
	m, ok := a.inbox.take(alloc)
	if ok {
		a.window.lent += m.Charge
		a.stats.MessagesReceived++
		a.stats.BytesReceived += uint64(len(m.Data))
	}
	return m, ok
}

// Peek describes the message that Receive would take, Data excepted, and its size.
func (a *Association) Peek() (m Message, n int, ok bool) {
	if a.inbox.ready.len() == 0 {
		return Message{}, 0, false
	}
	r := a.inbox.ready.at(0)
	return Message{Stream: r.stream, PPID: r.ppid, Unordered: r.unordered, Charge: r.bytes + messageCharge}, r.bytes, true
}

// Credit gives n bytes of Message.Charge back to the receive window.
func (a *Association) Credit(now time.Time, n int) {
	t := a.enter(now)
	if a.window.credit(t, n, a.inbox.held, a.rtt.smoothedOr(a.path.RTT)) && a.phase == phaseEstablished {
		a.acks.due = true
	}
}
