package sctp

import "slices"

// handleSack takes a SACK (RFC 9260 section 6.2.1).
func (a *Association) handleSack(s *sackChunk) error {
	switch a.phase {
	case phaseEstablished, phaseShutdownPending, phaseShutdownSent, phaseShutdownReceived:
	default:
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	o := &a.out
	if tsnLess(s.cum, o.base-1) {
		return nil // section 6.2.1 D i: older than what is known
	}
	if tsnLess(o.next-1, s.cum) {
		a.stats.Dropped.ChunkFormat++
		return errUnexpected // acknowledges what was never sent
	}
	a.errors = 0
	prior := o.flight
	limited := prior+a.path.MTU >= a.cc.window()
	var rs rateSample
	cumMoved := a.ackCumulative(s.cum, &rs)
	a.ackGaps(s, &rs)
	for i := range s.dupCount() {
		if tsnLess(s.dup(i), o.next) {
			a.loss.onDuplicate()
			break
		}
	}
	if rs.rtt > 0 {
		a.rtt.sample(rs.rtt)
	}
	a.updatePeerWindow(s.window)
	lost := a.loss.detect(a.now, o, &a.rtt, a.onLostFn)
	a.tellCongestion(&rs, prior, lost, limited)
	if a.loss.leave(s.cum) {
		a.stats.SpuriousRecoveries++
		a.cc.onSpurious()
	}
	a.afterSack(cumMoved, rs.seen)
	return nil
}

// ackCumulative releases everything up to cum.
func (a *Association) ackCumulative(cum uint32, rs *rateSample) (moved bool) {
	o := &a.out
	for tsnLessEq(o.base, cum) {
		c := o.at(o.base)
		a.ackChunk(o.base, c, rs)
		a.retire(c)
		o.base++
		moved = true
	}
	return moved
}

// retire forgets a chunk below the cumulative TSN.
func (a *Association) retire(c *sentChunk) {
	m := c.msg
	c.msg = nil
	if c.state == chunkAbandoned {
		a.out.abandoned--
	}
	m.unacked--
	if m.unacked == 0 && (m.sent == len(m.data) || m.abandoned) {
		s := m.stream
		a.queue.free(m)
		if s.resetting && s.messages == 0 {
			a.resets.check = true
		}
	}
}

// ackChunk counts a chunk as arrived, once.
func (a *Association) ackChunk(tsn uint32, c *sentChunk, rs *rateSample) {
	switch c.state {
	case chunkAcked, chunkAbandoned:
		return
	case chunkInFlight:
		a.out.landed(c)
	case chunkLost:
		a.out.lost--
		a.loss.needless++
		a.loss.resent++
	}
	c.state = chunkAcked
	a.loss.onAcked(a.now, tsn, c, a.rtt.lowest)
	a.rate.onAcked(a.now, c, rs)
}

// ackGaps walks the gap blocks. What the previous SACK reported already is skipped: with many blocks outstanding the walk
// would cost more than everything else.
func (a *Association) ackGaps(s *sackChunk, rs *rateSample) {
	o := &a.out
	old := a.gaps
	a.gapsNext = a.gapsNext[:0]
	for i := range s.gapCount() {
		g := s.gap(i)
		if tsnLess(g.last, g.first) || tsnLessEq(g.first, s.cum) || tsnLessEq(o.next, g.last) {
			a.stats.Dropped.ChunkFormat++
			break
		}
		if len(a.gapsNext) < maxGaps {
			a.gapsNext = append(a.gapsNext, g)
		}
		for len(old) > 0 && tsnLess(old[0].last, g.first) {
			old = old[1:]
		}
		for t := g.first; tsnLessEq(t, g.last); t++ {
			if len(old) > 0 && tsnLessEq(old[0].first, t) && tsnLessEq(old[0].last, g.last) {
				t = old[0].last
				old = old[1:]
				continue
			}
			a.ackChunk(t, o.at(t), rs)
		}
	}
	a.gaps, a.gapsNext = a.gapsNext, a.gaps
}

// updatePeerWindow computes how much more the peer takes (section 6.2.1 D ii).
func (a *Association) updatePeerWindow(advertised uint32) {
	a.peerWindow = max(0, int(min(advertised, 1<<30))-a.out.payload)
	a.queue.budget = max(a.queue.budget, int(min(advertised, 1<<30)))
	if a.windowProbe && a.peerWindow > 0 {
		// The window opened: what was sent to probe it was thrown away by the peer, and that was no congestion.
		a.windowProbe = false
		for {
			tsn, c := a.out.oldest()
			if c == nil {
				break
			}
			a.out.lose(tsn, c)
			a.out.order.drop()
		}
	}
}

// tellCongestion reports what the SACK said.
func (a *Association) tellCongestion(rs *rateSample, prior, lost int, limited bool) {
	began := lost > 0 && a.loss.enter(&a.out)
	if began {
		a.stats.FastRecoveries++
		a.resendNow = true
	}
	if !rs.seen && lost == 0 {
		return
	}
	s := &a.sample // an interface call would make a local one escape
	*s = ackSample{
		now: a.now, lost: lost, inFlight: a.out.flight, priorInFlight: prior,
		smoothedRTT: a.rtt.smoothed, minRTT: a.rtt.lowest,
		recovery: began, inRecovery: a.loss.inRecovery, limited: limited, lastPacket: a.packet,
	}
	a.rate.finish(a.now, rs, s)
	a.cc.onAck(s)
}

// onLost decides what happens to a chunk that was found lost: it is sent again, or its message is given up.
func (a *Association) onLost(_ uint32, c *sentChunk) {
	m := c.msg
	if c.transmissions >= blackHoleLosses {
		a.fallBack()
	}
	if m.maxResends >= 0 && int32(c.transmissions) > m.maxResends || m.expires.due(a.now) {
		a.abandon(m)
	}
}

// abandon gives a message up (RFC 3758 section 3.5): its fragments will be skipped by FORWARD TSN, the rest is never sent.
func (a *Association) abandon(m *outMessage) {
	if m.abandoned || !a.peerFeatures.has(featForwardTSN) {
		return
	}
	m.abandoned = true
	a.stats.MessagesAbandoned++
	o := &a.out
	t := m.firstTSN
	if tsnLess(t, o.base) {
		t = o.base
	}
	for n := 0; t != o.next && n < m.unacked; t++ {
		c := o.at(t)
		if c.msg != m {
			continue
		}
		n++
		switch c.state {
		case chunkAcked, chunkAbandoned:
			continue
		case chunkInFlight:
			o.landed(c)
		case chunkLost:
			o.lost--
		}
		c.state = chunkAbandoned
		o.abandoned++
	}
	if m.sent < len(m.data) {
		// The peer may hold every fragment that was sent, and would wait for the rest: a TSN that is never sent lets
		// FORWARD TSN speak of the message.
		_, c := o.add()
		*c = sentChunk{msg: m, state: chunkAbandoned}
		m.unacked++
		o.abandoned++
		a.lowWater(m.stream, a.queue.drop(m))
	}
	a.forwardDue = true
}

// afterSack moves the timers and what waited for acknowledgements.
func (a *Association) afterSack(cumMoved, acked bool) {
	o := &a.out
	if acked {
		a.loss.probing = false
	}
	if o.len() == 0 {
		a.t3, a.loss.deadline = 0, 0
		a.windowProbe = false
	} else if cumMoved {
		a.t3 = a.now.after(a.rtt.timeout(a.path.RTT)) // section 6.3.2 R3
	}
	a.armProbe()
	if point, ok := o.advanced(); ok && (tsnLess(o.forwarded, point) || a.now >= a.forwardAt.after(a.rtt.smoothed)) {
		a.forwardDue = true
	}
	a.checkResets()
	a.checkShutdown()
}

// lowWater posts EventBufferedAmountLow.
func (a *Association) lowWater(s *outStream, low bool) {
	if low {
		a.post(Event{Kind: EventBufferedAmountLow, Stream: s.id})
	}
}

// appendForwardTSN encodes FORWARD-TSN up to the advanced peer ack point, or as far as room allows.
func (a *Association) appendForwardTSN(b []byte, room int) []byte {
	a.forwardDue = false
	point, ok := a.out.advanced()
	if !ok {
		return b
	}
	most := (room - chunkHeaderSize - 4) / forwardEntrySize(a.interleaving)
	entries := a.forwardList[:0]
	reached := a.out.base - 1
	for t := a.out.base; tsnLessEq(t, point); t++ {
		c := a.out.at(t)
		if c.state == chunkAbandoned && (a.interleaving || !c.msg.unordered) {
			e := forwardEntry{stream: c.msg.stream.id, unordered: c.msg.unordered, mid: c.msg.mid}
			i := slices.IndexFunc(entries, func(x forwardEntry) bool { return x.stream == e.stream && x.unordered == e.unordered })
			switch {
			case i >= 0:
				entries[i].mid = e.mid // of one stream, higher TSNs have higher mids
			case len(entries) < most:
				entries = append(entries, e)
			default:
				point = reached
				a.forwardDue = true
				continue
			}
		}
		reached = t
	}
	a.forwardList = entries
	if tsnLess(point, a.out.base) {
		return b
	}
	a.out.forwarded, a.forwardAt = point, a.now
	if a.t3 == 0 {
		a.t3 = a.now.after(a.rtt.timeout(a.path.RTT))
	}
	return appendForward(b, point, entries, a.interleaving)
}
