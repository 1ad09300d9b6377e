package netio

import "golang.org/x/sys/windows"

// Options of ws2ipdef.h; the two families have the same number for it.
const (
	ipDontFragment   = 14
	ipv6DontFragment = 14
)

// setDontFragment makes datagrams leave whole or not at all: path MTU discovery
// is done above (RFC 8899). Best effort; both families, as a socket may have
// both.
func setDontFragment(fd uintptr) {
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, ipDontFragment, 1)
	_ = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6DontFragment, 1)
}
