//go:build unix && (!linux || android || netio_portable)

package netio

import (
	"errors"
	"net/netip"
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

// send sends one datagram without waiting: net.UDPConn would wait for room.
func (c *conn) send(data []byte, to netip.AddrPort) error {
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		for {
			failed = unix.Sendto(int(fd), data, unix.MSG_DONTWAIT, c.sockaddr(to))
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}

func (c *conn) sockaddr(to netip.AddrPort) unix.Sockaddr {
	addr := to.Addr()
	if c.bound.Addr().Is4() {
		if !addr.Is4() {
			return nil // refused by the system: no destination
		}
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: addr.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(to.Port()), Addr: addr.As16()}
	if zone := addr.Zone(); zone != "" {
		sa.ZoneId = zones.index(zone)
	}
	return sa
}

func isFull(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS)
}

func isTooLarge(err error) bool { return errors.Is(err, unix.EMSGSIZE) }
