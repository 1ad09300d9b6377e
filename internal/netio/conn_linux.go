//go:build !android && !netio_portable

package netio

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare: Linux spreads flows over sockets with SO_REUSEPORT.
const canShare = true

// sharePort lets others of this user bind to the port. Set before the bind it also
// takes a port that is shared already; set after it, the port was free.
func sharePort(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}

// conn is a UDP socket of Linux: recvmmsg with UDP_GRO in, sendmmsg with
// UDP_SEGMENT out, each as far as the kernel has them.
type conn struct {
	// Immutable.
	sock  io.Closer // a *net.UDPConn, or the *os.File of a socket that a Poller reads
	raw   syscall.RawConn
	bound netip.AddrPort
	local netip.Addr // bound's address, unless it is unspecified
	six   bool       // an AF_INET6 socket; IPv4 peers are mapped, if it has them
	wild  bool       // bound to all addresses: packet info tells and sets which
	send  func(fd uintptr, hdrs []mmsghdr) (int, syscall.Errno)

	// gso is cleared when a legal burst was refused.
	gso atomic.Bool
	// oneByOne is set where the calls for several messages are missing.
	oneByOne atomic.Bool

	// Owned by the goroutine in ReadBatch.
	readable func(fd uintptr) bool
	read     readResult
	busy     int // how many reads have not waited

	closing sync.Once
	err     error
}

// descriptor is what holds the descriptor of a socket.
type descriptor interface {
	io.Closer
	syscall.Conn
}

func newConn(sock descriptor, bound netip.AddrPort) (*conn, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{
		sock: sock, raw: raw, bound: bound,
		six:  bound.Addr().Is6(),
		wild: bound.Addr().IsUnspecified(),
		send: sendMessages,
	}
	if !c.wild {
		c.local = bound.Addr()
	}
	c.readable = c.receive
	var failed error
	err = raw.Control(func(fd uintptr) { failed = c.configure(int(fd)) })
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return c, nil
}

// configure sets the options of the socket. Only what correctness needs may
// fail: the destination address where there are several.
func (c *conn) configure(fd int) error {
	var info error
	if c.six {
		if c.wild {
			info = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1)
		// The kernel neither fragments nor applies its own idea of the path's MTU:
		// path MTU discovery is done above (RFC 8899), and needs probes to leave
		// as they are.
		_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_DONTFRAG, 1)
	} else if c.wild {
		info = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_PKTINFO, 1)
	}
	if info != nil {
		return fmt.Errorf("packet info: %w", info)
	}
	// Also for the IPv4 half of an AF_INET6 socket.
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTOS, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)

	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)

	_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	c.gso.Store(canSegment(fd))
	return nil
}

// setBuffer sizes a buffer of the socket, best effort. With the capability, the
// size is not cut to the administrator's limit.
func setBuffer(fd, force, ask int) {
	if unforced.Load() || unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBuffer) != nil {
		unforced.Store(true)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, ask, socketBuffer)
	}
}

// unforced is set where the process has not the capability.
var unforced atomic.Bool

// canSegment says whether the kernel has UDP_SEGMENT. The first socket answers
// for all.
func canSegment(fd int) bool {
	segmentOnce.Do(func() {
		_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
		segments = err == nil
	})
	return segments
}

var (
	segmentOnce sync.Once
	segments    bool
)

// LocalAddr implements PacketConn.
func (c *conn) LocalAddr() netip.AddrPort { return c.bound }

// Close implements PacketConn.
func (c *conn) Close() error {
	c.closing.Do(func() { c.err = c.sock.Close() })
	return c.err
}

// mmsghdr is struct mmsghdr: a message and how many bytes of it passed.
type mmsghdr struct {
	unix.Msghdr
	Len uint32
}

// dropsOne says whether an error of a socket call concerns one datagram, usually
// an ICMP message about one that was sent, and the socket goes on.
func dropsOne(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EPROTO, unix.EMSGSIZE, unix.EACCES, unix.ENONET:
		return true
	}
	return false
}
