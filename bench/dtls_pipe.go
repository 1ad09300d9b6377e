package main

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"
)

// pipeDepth is how many packets one direction of a pipe holds; more are lost.
const pipeDepth = 32

// packetPipe is one end of a network in memory, as a net.PacketConn.
type packetPipe struct {
	in   <-chan []byte
	out  chan<- []byte
	seen func(packet []byte) // for tests; nil: nobody looks

	closed chan struct{}
	once   sync.Once

	// Guarded by mu.
	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when the deadline changes
}

func newPacketPipe(seen func([]byte)) (a, b *packetPipe) {
	x, y := make(chan []byte, pipeDepth), make(chan []byte, pipeDepth)
	end := func(in <-chan []byte, out chan<- []byte) *packetPipe {
		return &packetPipe{in: in, out: out, seen: seen, closed: make(chan struct{}), moved: make(chan struct{})}
	}
	return end(x, y), end(y, x)
}

func (p *packetPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		deadline, moved := p.deadline, p.moved
		p.mu.Unlock()
		n, err := p.read(b, deadline, moved)
		if n > 0 || err != nil {
			return n, pipeAddr{}, err
		}
	}
}

// read returns nothing when the deadline has moved.
func (p *packetPipe) read(b []byte, deadline time.Time, moved <-chan struct{}) (int, error) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case packet := <-p.in:
		return copy(b, packet), nil
	case <-p.closed:
		return 0, net.ErrClosed
	case <-expired:
		return 0, os.ErrDeadlineExceeded
	case <-moved:
		return 0, nil
	}
}

func (p *packetPipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if p.seen != nil {
		p.seen(b)
	}
	select {
	case p.out <- bytes.Clone(b):
	default: // lost, as on any full network
	}
	return len(b), nil
}

func (p *packetPipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *packetPipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	close(p.moved)
	p.moved = make(chan struct{})
	return nil
}

func (p *packetPipe) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *packetPipe) SetWriteDeadline(time.Time) error { return nil }
func (p *packetPipe) LocalAddr() net.Addr              { return pipeAddr{} }

// pipeAddr is the address of either end.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "memory" }
