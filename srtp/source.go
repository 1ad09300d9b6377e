package srtp

// window is the index arithmetic and the replay list of one SSRC (RFC 3711 §3.3.1 and §3.3.2). Its bitmap is a ring:
// index i has bit i mod size. Without a bitmap it only follows the index.
type window struct {
	started bool
	highest uint64
	seen    []uint64
}

func windowWords(packets int) int { return (packets + 63) / 64 }

// estimate guesses the 48-bit index of a packet from its 16-bit sequence number: the one nearest to the highest seen
// (RFC 3711 Appendix A).
func (w *window) estimate(seq uint16) (uint64, error) {
	if !w.started {
		return uint64(seq), nil
	}
	delta := int64(int16(seq - uint16(w.highest)))
	// RFC 3711 Appendix A breaks the tie at a distance of exactly 2^15 by the half that the highest number is in.
	if delta == -1<<15 && uint16(w.highest) < 1<<15 {
		delta = -delta
	}
	index := int64(w.highest) + delta
	switch {
	case index < 0:
		return 0, ErrTooOld
	case index > maxRTPIndex:
		return 0, ErrKeyExhausted
	}
	return uint64(index), nil
}

// check says whether a packet with the index may be accepted.
func (w *window) check(index uint64) error {
	if !w.started || index > w.highest {
		return nil
	}
	size := uint64(len(w.seen)) * 64
	if w.highest-index >= size {
		return ErrTooOld
	}
	bit := index % size
	if w.seen[bit/64]&(1<<(bit%64)) != 0 {
		return ErrReplayed
	}
	return nil
}

// commit notes that a packet was accepted: call it only after its tag was right.
func (w *window) commit(index uint64) {
	if len(w.seen) > 0 {
		w.mark(index)
	}
	if !w.started || index > w.highest {
		w.started, w.highest = true, index
	}
}

func (w *window) mark(index uint64) {
	size := uint64(len(w.seen)) * 64
	if w.started && index > w.highest {
		if index-w.highest >= size {
			clear(w.seen)
		} else {
			for i := w.highest + 1; i < index; i++ {
				bit := i % size
				w.seen[bit/64] &^= 1 << (bit % 64)
			}
		}
	}
	bit := index % size
	w.seen[bit/64] |= 1 << (bit % 64)
}

// source is the state of one remote SSRC.
type source struct {
	window
	ssrc uint32
	used bool // since the eviction hand passed
}

// sourceTable holds the remote SSRCs whose packets passed authentication. When it is full, a second-chance clock picks
// which state is given up. Only the authenticated peer can make that happen.
type sourceTable struct {
	max     int
	words   int // of each replay window
	list    []*source
	bySSRC  map[uint32]*source
	last    *source
	hand    int
	evicted uint64
}

func (t *sourceTable) find(ssrc uint32) *source {
	if t.last != nil && t.last.ssrc == ssrc {
		return t.last
	}
	src := t.bySSRC[ssrc]
	if src != nil {
		src.used = true
		t.last = src
	}
	return src
}

func (t *sourceTable) add(ssrc uint32) *source {
	var src *source
	if len(t.list) < t.max {
		src = &source{window: window{seen: make([]uint64, t.words)}}
		t.list = append(t.list, src)
	} else {
		src = t.evict()
	}
	if t.bySSRC == nil {
		t.bySSRC = make(map[uint32]*source)
	}
	src.ssrc, src.used = ssrc, true
	t.bySSRC[ssrc] = src
	t.last = src
	return src
}

// evict takes a source out of the table and returns it blank. It ends after at most one round, which clears all marks.
func (t *sourceTable) evict() *source {
	for t.list[t.hand].used {
		t.list[t.hand].used = false
		t.hand = (t.hand + 1) % len(t.list)
	}
	src := t.list[t.hand]
	t.hand = (t.hand + 1) % len(t.list)
	delete(t.bySSRC, src.ssrc)
	clear(src.seen)
	*src = source{window: window{seen: src.seen}}
	t.evicted++
	return src
}
