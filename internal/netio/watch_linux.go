//go:build !android

package netio

import (
	"os"

	"golang.org/x/sys/unix"
)

// netlink is a socket that the kernel tells of changes by.
type netlink struct{ f *os.File }

// openEvents subscribes to changes of links and addresses.
func openEvents() (events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &netlink{os.NewFile(uintptr(fd), "netlink")}, nil
}

// wait implements events. What has changed is not read: whoever is told looks.
func (n *netlink) wait() error {
	var buf [8192]byte
	_, err := n.f.Read(buf[:])
	return err
}

func (n *netlink) close() { _ = n.f.Close() }
