//go:build darwin || freebsd

package netio

import "golang.org/x/sys/unix"

// setDontFragment makes datagrams leave whole or not at all: path MTU discovery
// is done above (RFC 8899). Best effort; both families, as a socket may have
// both.
func setDontFragment(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_DONTFRAG, 1)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
}
