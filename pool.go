package webrtc

import (
	"math/bits"
	"sync"
)

// Free lists that connections share: what one needs for a burst is not kept for its life, and an idle one holds nothing.

const (
	pooledSlices = 4       // how many a slicePool keeps
	pooledLength = 1 << 14 // how long they may be
)

// A slicePool keeps the memory of queues that became empty.
type slicePool[T any] struct {
	mu   sync.Mutex // A leaf: nothing is locked under it.
	free [][]T
}

// get returns an empty slice, nil if none is kept.
func (p *slicePool[T]) get() []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		return nil
	}
	s := p.free[n-1]
	p.free = p.free[:n-1]
	return s
}

// put takes a slice over whose elements the caller has cleared.
func (p *slicePool[T]) put(s []T) {
	if cap(s) > pooledLength {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < pooledSlices {
		p.free = append(p.free, s[:0])
	}
}

// A fifo is a queue whose memory comes from a pool, and returns there when it is empty. The zero value is not usable: it
// needs its pool.
type fifo[T any] struct {
	pool  *slicePool[T]
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) {
	if q.items == nil {
		q.items = q.pool.get()
	}
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		// A queue that is never quite empty moves its rest to the front, where it has come to the end of its memory.
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// front is the oldest item.
func (q *fifo[T]) front() *T { return &q.items[q.head] }

// pop forgets the oldest item.
func (q *fifo[T]) pop() {
	var zero T
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.pool.put(q.items)
		q.items, q.head = nil, 0
	}
}

// messageBuffers is the memory of the messages of detached channels, which comes back when they are read.
var messageBuffers bufferPool

const (
	leastBuffer = 6        // as a power of two: 64 bytes
	mostBuffer  = 18       // 256 KiB; larger ones are the garbage collector's
	keptBuffers = 16 << 20 // bytes that a bufferPool keeps
)

// A bufferPool is a free list of buffers by size, in powers of two.
type bufferPool struct {
	mu   sync.Mutex // A leaf: nothing is locked under it.
	free [mostBuffer - leastBuffer + 1][][]byte
	kept int
}

// get returns a buffer of n bytes.
func (p *bufferPool) get(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), leastBuffer)
	if class > mostBuffer {
		return make([]byte, n)
	}
	p.mu.Lock()
	list := &p.free[class-leastBuffer]
	k := len(*list) - 1
	if k < 0 {
		p.mu.Unlock()
		return make([]byte, n, 1<<class)
	}
	b := (*list)[k]
	*list = (*list)[:k]
	p.kept -= 1 << class
	p.mu.Unlock()
	return b[:n]
}

// put takes a buffer back. One that did not come from get is let go, unless it might have.
func (p *bufferPool) put(b []byte) {
	class := bits.Len(uint(max(cap(b), 1) - 1))
	if class < leastBuffer || class > mostBuffer || cap(b) != 1<<class {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+cap(b) <= keptBuffers {
		p.free[class-leastBuffer] = append(p.free[class-leastBuffer], b)
		p.kept += cap(b)
	}
}
