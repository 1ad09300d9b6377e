package dtls

import "math/bits"

// bitmap says which bytes of a message have arrived, or have been acknowledged. A message without bytes has one bit, for its header.
type bitmap struct {
	words []uint64
	size  int
	left  int
}

func newBitmap(size int) bitmap {
	size = max(size, 1)
	return bitmap{words: make([]uint64, (size+63)/64), size: size, left: size}
}

func (b *bitmap) full() bool { return b.left == 0 }

// mark sets the bits of [start, end); what lies beyond the message is ignored.
func (b *bitmap) mark(start, end int) {
	end = min(end, b.size)
	for start < end {
		word := start / 64
		stop := min(end, word*64+64)
		mask := ^uint64(0) >> (64 - (stop - start)) << (start % 64)
		b.left -= bits.OnesCount64(mask &^ b.words[word])
		b.words[word] |= mask
		start = stop
	}
}

// nextClear returns the first range without a set bit at or after from. It is empty if there is none.
func (b *bitmap) nextClear(from int) (start, end int) {
	start = b.scan(from, false)
	return start, b.scan(start, true)
}

// scan finds the first bit at or after i that is set, or is clear.
func (b *bitmap) scan(i int, set bool) int {
	for i < b.size {
		word := b.words[i/64]
		if !set {
			word = ^word
		}
		if rest := word >> (i % 64); rest != 0 {
			return min(i+bits.TrailingZeros64(rest), b.size)
		}
		i = i/64*64 + 64
	}
	return b.size
}
