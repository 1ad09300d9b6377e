package sctp

// single is a packet that carries one control chunk of its own, with a tag that may differ from the association's.
type single struct {
	tag   uint32
	bytes []byte // chunks
}

const (
	// maxSingles and maxControls cap what a peer can make us queue.
	maxSingles  = 8
	maxControls = 16
	// smallMessage is not cut in two to fill a packet; minFragment is not worth a header.
	smallMessage = 128
	minFragment  = 16
	// maxFiller is what may be left over then, and is filled with PAD to keep packets of one size.
	maxFiller = smallMessage + idataHeaderSize
)

// Next appends the next outgoing packet to dst[:0] and reports whether there was one. The packet is at most max bytes long;
// max should be the largest packet the path may carry (Path.MaxMTU): the engine keeps to Path.MTU by itself, and exceeds it for
// probes and for the retransmission of chunks that were sent before the MTU shrank. While data is queued packets come equally
// long. It uses the time of the last call that was given one.
func (a *Association) Next(dst []byte, max int) ([]byte, bool) {
	dst = dst[:0]
	if a.singles.len() > 0 {
		s := a.singles.pop()
		dst = appendHeader(dst, a.cfg.LocalPort, a.cfg.RemotePort, s.tag)
		return a.seal(append(dst, s.bytes...), true), true
	}
	if a.phase == phaseClosed || a.phase == phaseCookieWait || a.phase == phaseDone || max < headerSize+minFragment {
		return dst, false
	}
	limit := min(a.path.MTU, max)
	b := appendHeader(dst, a.cfg.LocalPort, a.cfg.RemotePort, a.peerTag)
	var checked bool
	if a.phase == phaseCookieEchoed {
		// Section 5.1 C: nothing but the packet that begins with COOKIE ECHO leaves until COOKIE ACK is here.
		if !a.cookieDue {
			return dst, false
		}
		a.cookieDue = false
		b, checked = append(b, a.cookieEcho...), true
		return a.seal(a.appendData(b, limit), checked), true
	}
	b = a.appendControl(b, limit)
	b = a.appendData(b, limit)
	if a.forwardDue && len(b) == headerSize {
		b = a.appendControl(b, limit) // the search for data has found that a message's time has passed
	}
	b = a.appendShutdown(b)
	if len(b) > headerSize {
		return a.seal(b, false), true
	}
	if b, ok := a.appendMTUProbe(b, max); ok {
		return a.seal(b, false), true
	}
	return dst, false
}

// seal finishes a packet: statistics and checksum. checked: RFC 9653 section 5.2 wants a true one even when zero would do.
func (a *Association) seal(b []byte, checked bool) []byte {
	if checked || !a.sendZero {
		putChecksum(b)
	}
	a.stats.PacketsSent++
	a.stats.PacketBytesSent += uint64(len(b))
	return b
}

// appendControl puts in front what is not user data.
func (a *Association) appendControl(b []byte, limit int) []byte {
	for a.controls.len() > 0 {
		c := *a.controls.at(0)
		if len(b)+len(c) > limit && len(b) > headerSize {
			break
		}
		a.controls.drop()
		if len(b)+len(c) <= limit { // else the MTU has shrunk since: as if it were lost
			b = append(b, c...)
		}
	}
	if a.acks.due || a.acks.packets > 0 && (len(b) > headerSize || a.mayTransmit()) {
		if room := limit - len(b); room >= chunkHeaderSize+sackFixedSize {
			b = a.appendSACK(b, room)
		}
	}
	if a.forwardDue {
		if room := limit - len(b); room >= chunkHeaderSize+4+8 {
			b = a.appendForwardTSN(b, room)
		}
	}
	return a.appendResetRequest(b, limit)
}

// mayTransmit says whether a data chunk would leave now.
func (a *Association) mayTransmit() bool {
	switch a.phase {
	case phaseEstablished, phaseShutdownPending, phaseShutdownReceived, phaseCookieEchoed:
	default:
		return false
	}
	if a.out.lost == 0 && a.queue.front() == nil {
		return false
	}
	if a.tailProbe || a.resendNow && a.out.lost > 0 {
		return true
	}
	if a.out.flight >= a.cc.window() {
		return false
	}
	if a.out.lost == 0 && !a.peerTakes(min(len(a.queue.front().data)-a.queue.front().sent, a.path.MTU-headerSize-idataHeaderSize)) {
		return false
	}
	return a.pacer.allows(a.now, a.cc.pacingRate(), a.path.MTU)
}

// peerTakes says whether the peer's window has room for n bytes of payload. One chunk may always be out (section 6.1 A).
func (a *Association) peerTakes(n int) bool {
	if a.out.len() >= maxOutstanding {
		return false
	}
	return a.peerWindow >= n || a.out.flight == 0 && a.out.lost == 0
}

// appendData fills the packet with retransmissions first and new data then (section 6.1 C).
func (a *Association) appendData(b []byte, limit int) []byte {
	if !a.mayTransmit() {
		a.noteIdle()
		return b
	}
	start := len(b)
	a.packet++
	inFlight := a.out.flight
	b = a.appendLost(b, limit)
	if a.out.lost == 0 {
		b = a.appendNew(b, limit)
	}
	if len(b) == start {
		a.packet--
		return b
	}
	sent := len(b) - start
	b = a.appendFiller(b, limit)
	a.tailProbe, a.resendNow = false, false
	a.pacer.spend(sent)
	a.cc.onSent(a.now, inFlight, sent)
	if a.t3 == 0 {
		a.t3 = a.now.after(a.rtt.timeout(a.path.RTT)) // section 6.3.2 R1
	}
	a.armProbe()
	a.noteIdle()
	return b
}

// appendFiller makes a packet as long as the others when a little room is left and more follows: a burst of equal packets is
// one system call. Only for peers that list PAD (RFC 4820) among what they know; some drop the packet instead of the chunk.
func (a *Association) appendFiller(b []byte, limit int) []byte {
	room := limit - len(b)
	if room < chunkHeaderSize || room > maxFiller || !a.peerFeatures.has(featPad) || a.queue.buffered == 0 || a.out.flight >= a.cc.window() {
		return b
	}
	b = appendChunkHeader(b, typePad, 0, room-chunkHeaderSize)
	return append(b, make([]byte, room-chunkHeaderSize)...)
}

// noteIdle marks the delivery rate as limited by the sender when the window is open and nothing waits for it.
func (a *Association) noteIdle() {
	if a.out.lost == 0 && a.queue.buffered == 0 && a.out.flight < a.cc.window() {
		a.rate.limitedUntil = a.rate.total + int64(max(a.out.flight, 1))
	}
}

// appendLost retransmits lost chunks, lowest TSN first.
func (a *Association) appendLost(b []byte, limit int) []byte {
	for first := true; ; first = false {
		tsn, c := a.out.firstLost()
		if c == nil {
			return b
		}
		if c.msg.expires.due(a.now) && a.peerFeatures.has(featForwardTSN) {
			a.abandon(c.msg)
			continue
		}
		// A chunk from before the MTU shrank goes alone, larger than the limit: TSNs cannot be divided anew.
		if len(b)+int(c.wire) > limit && (!first || len(b) > headerSize) {
			return b
		}
		if !first && a.out.flight >= a.cc.window() {
			return b
		}
		b = a.launch(b, tsn, c)
	}
}

// launch encodes a chunk that has a TSN and counts it as in flight.
func (a *Association) launch(b []byte, tsn uint32, c *sentChunk) []byte {
	m := c.msg
	if c.transmissions > 0 {
		a.stats.ChunksRetransmitted++
		a.stats.BytesRetransmitted += uint64(c.size)
		a.loss.resent++
		if tsn == a.out.base && c.transmissions == 1 {
			a.t3 = 0 // section 7.2.4 step 4: the lowest TSN goes again, T3-rtx with it
		}
	}
	if c.transmissions < 255 {
		c.transmissions++
	}
	c.sentAt, c.packet = a.now, a.packet
	a.rate.onSent(a.now, c, a.out.flight)
	a.out.launched(tsn, c)
	a.peerWindow = max(0, a.peerWindow-int(c.size))
	d := dataChunk{
		tsn: tsn, stream: m.stream.id, flags: c.flags, mid: m.mid, seq: c.fsn, ppid: m.ppid,
		payload: m.data[c.offset : c.offset+uint32(c.size)],
	}
	if a.queue.buffered == 0 && a.out.lost == 0 {
		// Nothing follows that would make the peer acknowledge: ask for it (RFC 7053).
		d.flags |= flagImmediate
	}
	a.stats.ChunksSent++
	return appendDataChunk(b, &d, a.interleaving)
}

// appendNew gives TSNs to queued data while there is room in the packet and in the windows.
func (a *Association) appendNew(b []byte, limit int) []byte {
	overhead := dataHeaderSize
	if a.interleaving {
		overhead = idataHeaderSize
	}
	for first := true; ; first = false {
		m := a.nextMessage()
		room := (limit - len(b) - overhead) &^ 3
		if m == nil || room < 1 || !first && a.out.flight >= a.cc.window() {
			return b
		}
		left := len(m.data) - m.sent
		n := min(left, room)
		if n < left && len(b) > headerSize {
			// A message that would be cut: small ones wait for the next packet whole, unreliable ones as well if they fit one
			// (half a message lost is a message lost).
			fits := left <= (limit-headerSize-overhead)&^3
			if n < minFragment || fits && m.sent == 0 && (left <= smallMessage || m.maxResends >= 0 || m.expires != 0) {
				return b
			}
		}
		if !a.peerTakes(n) {
			return b
		}
		if a.peerWindow < n {
			a.windowProbe = true
		}
		b = a.appendFragment(b, m, n, overhead)
	}
}

// nextMessage drops messages whose time has passed and returns the one in turn.
func (a *Association) nextMessage() *outMessage {
	for {
		m := a.queue.front()
		if m == nil || !m.expires.due(a.now) {
			return m
		}
		if m.begun {
			if !a.peerFeatures.has(featForwardTSN) {
				return m
			}
			a.abandon(m)
			continue
		}
		s := m.stream
		a.stats.MessagesAbandoned++
		a.lowWater(s, a.queue.drop(m))
		a.queue.free(m)
		a.resets.check = true
	}
}

// appendFragment sends the next n bytes of m.
func (a *Association) appendFragment(b []byte, m *outMessage, n, overhead int) []byte {
	tsn, c := a.out.add()
	*c = sentChunk{
		msg: m, offset: uint32(m.sent), size: uint16(n), wire: uint16(pad4(n) + overhead),
		fsn: m.fragments, state: chunkLost,
	}
	a.out.lost++ // launched takes it back
	if !m.begun {
		a.begin(m, tsn)
		c.flags |= flagBegin
	}
	if m.unordered {
		c.flags |= flagUnordered
	}
	if m.sent+n == len(m.data) {
		c.flags |= flagEnd
	}
	m.fragments++
	m.unacked++
	s := m.stream
	a.lowWater(s, a.queue.took(m, n))
	return a.launch(b, tsn, c)
}

// begin gives a message its number within the stream.
func (a *Association) begin(m *outMessage, tsn uint32) {
	m.begun, m.firstTSN = true, tsn
	s := m.stream
	switch {
	case !m.unordered && a.interleaving:
		m.mid = s.nextSSN
		s.nextSSN++
	case !m.unordered:
		m.mid = s.nextSSN & 0xffff
		s.nextSSN++
	case a.interleaving:
		m.mid = s.nextUMID
		s.nextUMID++
	}
}
