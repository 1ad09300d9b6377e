package dtls

// replayWindow remembers which of the last 256 record numbers of an epoch have been seen (RFC 9147 §4.5.1). RFC 6347 asks for 64; bursts that
// take two paths are reordered further than that.
type replayWindow struct {
	next uint64 // one above the highest number seen
	seen [replayWords]uint64
}

const (
	replayWords = 4
	replaySpan  = replayWords * 64
)

// fresh says whether a number has neither been seen nor fallen out of the window.
func (w *replayWindow) fresh(seq uint64) bool {
	if seq >= w.next {
		return true
	}
	if w.next-seq > replaySpan {
		return false
	}
	return w.seen[seq/64%replayWords]&(1<<(seq%64)) == 0
}

// mark records a number whose record was authenticated.
func (w *replayWindow) mark(seq uint64) {
	if seq >= w.next {
		w.clear(seq)
		w.next = seq + 1
	}
	w.seen[seq/64%replayWords] |= 1 << (seq % 64)
}

// clear forgets the slots of the numbers from next to seq.
func (w *replayWindow) clear(seq uint64) {
	if seq-w.next >= replaySpan {
		w.seen = [replayWords]uint64{}
		return
	}
	for n := w.next; n <= seq; {
		word := n / 64
		end := min(seq, word*64+63)
		count := end - n + 1
		mask := ^uint64(0) >> (64 - count) << (n % 64)
		w.seen[word%replayWords] &^= mask
		n = end + 1
	}
}
