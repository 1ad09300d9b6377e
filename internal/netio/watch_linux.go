//go:build !android

package netio

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// netlink is a socket that the kernel tells of changes by.
type netlink struct{ f *os.File }

// openEvents subscribes to changes of links and addresses, and of default routes:
// an address is often there a moment before anything can be sent from it.
func openEvents() (events, error) {
	fd, err := routeSocket(unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
	if err != nil {
		return nil, err
	}
	return &netlink{os.NewFile(uintptr(fd), "netlink")}, nil
}

// routeSocket opens a socket that is told of links, addresses and what else is
// asked for.
func routeSocket(more uint32) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	groups := more | unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// openChanges opens a socket that stays open for the process, and which nobody
// waits for: the function reads what has come since its last call, and says
// whether that was anything. The kernel queues a message before the call that
// changed something returns.
func openChanges() (changed func() bool, err error) {
	fd, err := routeSocket(0)
	if err != nil {
		return nil, err
	}
	return func() bool {
		var buf [1]byte // the rest of a message goes with its first byte
		for changed := false; ; changed = true {
			_, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return changed
			case err == nil || errors.Is(err, unix.ENOBUFS): // messages were lost, more may be there
			default:
				return true
			}
		}
	}, nil
}

// wait implements events. What has changed is not kept: whoever is told looks.
func (n *netlink) wait() error {
	var buf [8192]byte
	for {
		size, err := n.f.Read(buf[:])
		switch {
		case errors.Is(err, unix.ENOBUFS): // messages were lost
			return nil
		case err != nil || matters(buf[:size]):
			return err
		}
	}
}

// matters tells whether there is more in a packet of netlink than routes other
// than default ones, of which a router may change many a second.
func matters(packet []byte) bool {
	for len(packet) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(packet))
		kind := binary.NativeEndian.Uint16(packet[4:])
		if size < unix.SizeofNlMsghdr+2 || size > len(packet) || kind != unix.RTM_NEWROUTE && kind != unix.RTM_DELROUTE {
			return true
		}
		if bits := packet[unix.SizeofNlMsghdr+1]; bits == 0 { // rtm_dst_len
			return true
		}
		packet = packet[min((size+3)&^3, len(packet)):]
	}
	return false
}

func (n *netlink) close() { _ = n.f.Close() }
