//go:build android || netio_portable

package netio

import "golang.org/x/sys/unix"

// setDontFragment makes datagrams leave whole or not at all: path MTU discovery
// is done above (RFC 8899). Best effort; both families, as a socket may have
// both.
func setDontFragment(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_DONTFRAG, 1)
}
