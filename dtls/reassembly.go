package dtls

const (
	// maxMessageLen bounds a handshake message: a chain of RSA certificates fits many times over.
	maxMessageLen = 1 << 16
	// maxReassembly bounds the sum of the messages being put together.
	maxReassembly = 1 << 17
	// reassemblyWindow is how many messages from the next one on are kept: the longest flight has six.
	reassemblyWindow = 7
)

// partial is a message some of whose bytes have arrived.
type partial struct {
	header fragmentHeader
	epoch  uint64
	raw    []byte
	have   bitmap
}

// reassembler puts handshake messages together from fragments in any order and hands them out in theirs.
type reassembler struct {
	next     uint32 // message_seq of the next message; beyond 16 bits there is none
	slots    [reassemblyWindow]*partial
	reserved int
}

// verdict says what became of a fragment.
type verdict uint8

const (
	fragmentKept verdict = iota
	fragmentOld          // of a message that was handled before
	fragmentDiscarded
	fragmentMismatch // it contradicts an earlier one, which is forgotten
)

// add takes a fragment whose bounds were checked. One that arrived in a higher epoch outweighs what came in a lower one, and one that
// contradicts what came before replaces it: of two the forger's may be the first, and the honest one is sent again.
func (r *reassembler) add(h fragmentHeader, body []byte, epoch uint64) verdict {
	ahead := int64(h.seq) - int64(r.next)
	if ahead < 0 {
		return fragmentOld
	}
	if ahead >= reassemblyWindow || h.length > maxMessageLen {
		return fragmentDiscarded
	}
	slot := &r.slots[h.seq%reassemblyWindow]
	result := fragmentKept
	if p := *slot; p != nil {
		switch {
		case epoch < p.epoch:
			return fragmentDiscarded
		case epoch > p.epoch:
			r.drop(slot)
		case p.header.typ != h.typ || p.header.length != h.length:
			r.drop(slot)
			result = fragmentMismatch
		}
	}
	if *slot == nil && !r.reserve(slot, h, epoch, ahead == 0) {
		return fragmentDiscarded
	}
	p := *slot
	copy(p.raw[messageHeaderLen+h.offset:], body)
	p.have.mark(h.offset, h.offset+max(len(body), boolInt(h.length == 0)))
	return result
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reserve makes room for a message. The next one always gets it, at the cost of those ahead.
func (r *reassembler) reserve(slot **partial, h fragmentHeader, epoch uint64, first bool) bool {
	if r.reserved+h.length > maxReassembly {
		if !first {
			return false
		}
		r.reset()
	}
	whole := h
	whole.offset, whole.fragLen = 0, h.length
	raw := make([]byte, messageHeaderLen+h.length)
	whole.append(raw[:0])
	*slot = &partial{header: h, epoch: epoch, raw: raw, have: newBitmap(h.length)}
	r.reserved += h.length
	return true
}

func (r *reassembler) drop(slot **partial) {
	if *slot != nil {
		r.reserved -= (*slot).header.length
		*slot = nil
	}
}

// excess says whether anything has arrived of messages after the next.
func (r *reassembler) excess() bool {
	for i := range r.slots {
		if p := r.slots[i]; p != nil && uint32(p.header.seq) != r.next {
			return true
		}
	}
	return false
}

// reset forgets everything that is not whole and handled.
func (r *reassembler) reset() {
	for i := range r.slots {
		r.drop(&r.slots[i])
	}
}

// below forgets what arrived in an epoch before the given one and says whether there was anything.
func (r *reassembler) below(epoch uint64) bool {
	found := false
	for i := range r.slots {
		if p := r.slots[i]; p != nil && p.epoch < epoch {
			found = true
			r.drop(&r.slots[i])
		}
	}
	return found
}

func (r *reassembler) current() **partial { return &r.slots[r.next%reassemblyWindow] }

// peek returns the next message if it is whole.
func (r *reassembler) peek() (message, bool) {
	p := *r.current()
	if p == nil || !p.have.full() {
		return message{}, false
	}
	return message{typ: p.header.typ, seq: p.header.seq, epoch: uint16(p.epoch), raw: p.raw}, true
}

// accept moves on to the message after the next.
func (r *reassembler) accept() {
	r.drop(r.current())
	r.next++
}

// reject forgets the next message, so that another may take its place.
func (r *reassembler) reject() { r.drop(r.current()) }
