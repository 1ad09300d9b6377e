package webrtc

import (
	"io"
	"os"
	"sync"
	"time"
)

// A packetRing keeps the packets of one stream for a reader in another goroutine. Its memory is bounded: when it is
// full, the oldest packet is dropped and counted. Buffers are reused last in, first out, so that a reader who keeps up
// costs one or two of them.
type packetRing struct {
	mu      sync.Mutex // A leaf: nothing is locked under it.
	queue   [][]byte   // a circle of capacity limit, made at the first packet
	head    int
	count   int
	limit   int
	free    [][]byte
	dropped uint64
	closed  error

	wake     chan struct{}
	deadline readDeadline
}

func newPacketRing(limit int) *packetRing {
	return &packetRing{limit: limit, wake: make(chan struct{}, 1), deadline: readDeadline{expired: make(chan struct{})}}
}

// push copies pkt into the ring.
func (r *packetRing) push(pkt []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return
	}
	if r.queue == nil {
		r.queue = make([][]byte, r.limit)
	}
	if r.count == r.limit {
		r.recycle(r.pop())
		r.dropped++
	}
	var buf []byte
	if n := len(r.free); n > 0 {
		buf, r.free = r.free[n-1], r.free[:n-1]
	}
	r.queue[(r.head+r.count)%r.limit] = append(buf[:0], pkt...)
	r.count++
	signal(r.wake)
}

func (r *packetRing) pop() []byte {
	pkt := r.queue[r.head]
	r.queue[r.head] = nil
	r.head = (r.head + 1) % r.limit
	r.count--
	return pkt
}

// recycle keeps a few buffers for the next packets.
func (r *packetRing) recycle(buf []byte) {
	if len(r.free) < 64 {
		r.free = append(r.free, buf)
	}
}

// read copies the oldest packet into dst. It waits until there is one, the deadline passes (os.ErrDeadlineExceeded) or
// the ring is closed (its error, once it is empty). A dst that is too small gives io.ErrShortBuffer and loses the
// packet.
func (r *packetRing) read(dst []byte) (int, error) {
	for {
		r.mu.Lock()
		if r.count > 0 {
			pkt := r.pop()
			n := copy(dst, pkt)
			short := n < len(pkt)
			r.recycle(pkt)
			if r.count > 0 {
				signal(r.wake) // for another reader
			}
			r.mu.Unlock()
			if short {
				return n, io.ErrShortBuffer
			}
			return n, nil
		}
		closed := r.closed
		r.mu.Unlock()
		if closed != nil {
			signal(r.wake)
			return 0, closed
		}
		expired := r.deadline.channel()
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		select {
		case <-r.wake:
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// close makes reads end with err once the ring is empty.
func (r *packetRing) close(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed == nil {
		r.closed = err
		signal(r.wake)
	}
}

func (r *packetRing) lost() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// A readDeadline is a deadline that may be moved while a read waits.
type readDeadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{}
}

func (d *readDeadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}

// set moves the deadline; the zero time means none.
func (d *readDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		// It has fired or is about to: its channel belongs to the past.
		d.expired = make(chan struct{})
	}
	d.timer = nil
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	expired := d.expired
	if wait := time.Until(t); wait > 0 {
		var once sync.Once
		d.timer = time.AfterFunc(wait, func() { once.Do(func() { close(expired) }) })
		return
	}
	close(expired)
}
