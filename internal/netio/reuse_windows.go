package netio

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// reuse lets several sockets listen to the port of a multicast group.
func reuse(raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
	}); e != nil {
		return e
	}
	return err
}
