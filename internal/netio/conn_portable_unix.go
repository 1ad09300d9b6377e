//go:build unix && (!linux || android || netio_portable)

package netio

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	errConnRefused = unix.ECONNREFUSED
	errConnReset   = unix.ECONNRESET
	errHostUnreach = unix.EHOSTUNREACH
	errNetUnreach  = unix.ENETUNREACH
	errMsgSize     = unix.EMSGSIZE
	errNetReset    = unix.ENETRESET
	errTTL         = unix.EHOSTDOWN
)

// readiness waits for a socket to be readable without a buffer to read into.
// RawConn.Read waits only after its function has seen the socket dry, so the
// function asks with poll(2).
type readiness struct {
	fds   [1]unix.PollFd
	check func(fd uintptr) bool
}

func (r *readiness) init() { r.check = r.poll }

func (r *readiness) readable(raw syscall.RawConn) error { return raw.Read(r.check) }

func (r *readiness) poll(fd uintptr) bool {
	r.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(r.fds[:], 0)
	if err != nil {
		// Let the read find out what is wrong.
		return !errors.Is(err, unix.EINTR) || n > 0
	}
	return n > 0
}

func truncated(flags int) bool { return flags&unix.MSG_TRUNC != 0 }

// sender is the memory of one datagram sent.
type sender struct {
	four unix.SockaddrInet4
	six  unix.SockaddrInet6
	to   unix.Sockaddr
	data []byte
	err  error
	call func(fd uintptr)
}

var senders = newFreeList(max(4, 2*runtime.GOMAXPROCS(0)), func() *sender {
	s := new(sender)
	s.call = s.send
	return s
})

// send sends one datagram without waiting: net.UDPConn would wait for room.
func (c *conn) send(data []byte, to netip.AddrPort) error {
	s := senders.get()
	defer senders.put(s)
	if !s.address(to, c.bound.Addr().Is4()) {
		return unix.EAFNOSUPPORT
	}
	s.data = data
	err := c.raw.Control(s.call)
	s.data = nil
	if err != nil {
		return err
	}
	if zone := to.Addr().Zone(); s.err != nil && zone != "" {
		// The interface of that name may be another one by now.
		zones.forget(zone)
	}
	return s.err
}

func (s *sender) send(fd uintptr) {
	for {
		s.err = unix.Sendto(int(fd), s.data, unix.MSG_DONTWAIT, s.to)
		if !errors.Is(s.err, unix.EINTR) {
			return
		}
	}
}

// address sets the destination; false: the socket has no such addresses.
func (s *sender) address(to netip.AddrPort, four bool) bool {
	addr := to.Addr()
	if !addr.IsValid() {
		return false
	}
	if four {
		if addr = addr.Unmap(); !addr.Is4() {
			return false
		}
		s.four.Port, s.four.Addr = int(to.Port()), addr.As4()
		s.to = &s.four
		return true
	}
	s.six.Port, s.six.Addr, s.six.ZoneId = int(to.Port()), addr.As16(), 0
	if zone := addr.Zone(); zone != "" {
		s.six.ZoneId = zones.index(zone)
	}
	s.to = &s.six
	return true
}

func isFull(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS)
}

func isTooLarge(err error) bool { return errors.Is(err, unix.EMSGSIZE) }
