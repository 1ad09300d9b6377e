package sctp

import "math/bits"

// Buffers come in powers of two, so that a free list per size is enough.
const (
	minClass = 6  // 64 bytes
	maxClass = 20 // 1 MiB; larger buffers are the garbage collector's
	// minKept is what the free lists may hold at least.
	minKept = 8 << 20
)

// bufferPool is an explicit free list of buffers by size class.
type bufferPool struct {
	free  *[maxClass - minClass + 1][][]byte // nil: nothing was put since the last trim
	kept  int
	limit int // on kept: what may be in use at once; an idle association gives all of it back (see heartbeat.go)
}

func classOf(n int) int { return max(bits.Len(uint(max(n, 1)-1)), minClass) }

// get returns a buffer of length n with unspecified contents.
func (p *bufferPool) get(n int) []byte {
	c := classOf(n)
	if c > maxClass {
		return make([]byte, n)
	}
	if p.free == nil || len(p.free[c-minClass]) == 0 {
		return make([]byte, n, 1<<c)
	}
	list := &p.free[c-minClass]
	k := len(*list) - 1
	b := (*list)[k]
	(*list)[k] = nil
	*list = (*list)[:k]
	p.kept -= 1 << c
	return b[:n]
}

// put takes a buffer of get back.
func (p *bufferPool) put(b []byte) {
	c := classOf(cap(b))
	if c > maxClass || cap(b) != 1<<c || p.kept+cap(b) > p.limit {
		return
	}
	if p.free == nil {
		p.free = new([maxClass - minClass + 1][][]byte)
	}
	p.free[c-minClass] = append(p.free[c-minClass], b)
	p.kept += cap(b)
}

// trim gives everything to the garbage collector.
func (p *bufferPool) trim() {
	*p = bufferPool{limit: p.limit}
}

// ring is a FIFO queue that reuses its memory.
type ring[T any] struct {
	buf  []T // a power of two
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

// at returns the i-th element from the front.
func (r *ring[T]) at(i int) *T { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *ring[T]) push(v T) *T {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	p := r.at(r.n - 1)
	*p = v
	return p
}

func (r *ring[T]) grow() {
	buf := make([]T, max(8, 2*len(r.buf)))
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// drop forgets the front element.
func (r *ring[T]) drop() {
	var zero T
	*r.at(0) = zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
}

func (r *ring[T]) pop() T {
	v := *r.at(0)
	r.drop()
	return v
}

// trim frees the memory of an empty ring.
func (r *ring[T]) trim() {
	if r.n == 0 {
		r.buf, r.head = nil, 0
	}
}
