//go:build !linux || android || netio_portable

package netio

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// canShare: SO_REUSEPORT of other systems does not spread flows, or is missing.
const canShare = false

func sharePort(syscall.RawConn) error { return nil }

// readSlab is the memory of one datagram read.
type readSlab struct {
	msg [1]Message
	buf [MaxDatagram + 1]byte
}

var readSlabs = newFreeList(4, func() *readSlab { return new(readSlab) })

// Release implements Lease.
func (s *readSlab) Release() {
	s.msg[0] = Message{}
	readSlabs.put(s)
}

// conn is a PacketConn over a net.UDPConn: one datagram a system call. It does
// not see ECN marks, nor the local address of a socket bound to all of them.
type conn struct {
	// Immutable.
	uc    *net.UDPConn
	raw   syscall.RawConn
	bound netip.AddrPort
	local netip.Addr // bound's address, unless it is unspecified
	wait  readiness

	closing sync.Once
	err     error
}

func newConn(uc *net.UDPConn, bound netip.AddrPort) (*conn, error) {
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Best effort: what the system grants is what there is.
	_ = uc.SetReadBuffer(socketBuffer)
	_ = uc.SetWriteBuffer(socketBuffer)
	c := &conn{uc: uc, raw: raw, bound: bound}
	if !bound.Addr().IsUnspecified() {
		c.local = bound.Addr()
	}
	c.wait.init()
	return c, raw.Control(setDontFragment)
}

// LocalAddr implements PacketConn.
func (c *conn) LocalAddr() netip.AddrPort { return c.bound }

// Close implements PacketConn.
func (c *conn) Close() error {
	c.closing.Do(func() { c.err = c.uc.Close() })
	return c.err
}

// ReadBatch implements PacketConn.
func (c *conn) ReadBatch(b *Batch) error {
	b.Release()
	for {
		if err := c.wait.readable(c.raw); err != nil {
			return closedError("read", err)
		}
		s := readSlabs.get()
		n, _, flags, remote, err := c.uc.ReadMsgUDPAddrPort(s.buf[:], nil)
		if err != nil {
			s.Release()
			if dropsOne(err) {
				continue
			}
			return closedError("read", err)
		}
		if truncated(flags) {
			s.Release()
			continue
		}
		remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
		s.msg[0] = Message{Data: s.buf[:n:n], Local: c.local, Remote: remote}
		b.Fill(s.msg[:], s)
		return nil
	}
}

// WriteBatch implements PacketConn.
func (c *conn) WriteBatch(msgs []Message) (int, error) {
	var tooLarge error
	for i := range msgs {
		m := &msgs[i]
		for k, segments := 0, m.Count(); k < segments; k++ {
			err := c.send(m.At(k), m.Remote)
			switch {
			case err == nil:
			case errors.Is(err, net.ErrClosed):
				return i, ErrClosed
			case isFull(err):
				if k > 0 {
					m.Data = m.Data[k*m.Segment:]
				}
				return i, tooLarge
			case isTooLarge(err):
				if tooLarge == nil {
					tooLarge = &SizeError{Index: i, Size: len(m.At(k)), Remote: m.Remote}
				}
			}
		}
	}
	return len(msgs), tooLarge
}

// dropsOne says whether an error of a read concerns one datagram, usually an
// ICMP message about one that was sent, and the socket goes on.
func dropsOne(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case errConnRefused, errConnReset, errHostUnreach, errNetUnreach, errMsgSize, errNetReset, errTTL:
		return true
	}
	return false
}
