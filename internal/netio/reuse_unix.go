//go:build unix

package netio

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// reuse lets several sockets listen to the port of a multicast group. Linux needs
// SO_REUSEADDR only; with SO_REUSEPORT too it would share with programs of the same
// user alone. The BSDs need SO_REUSEPORT.
func reuse(raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err == nil && runtime.GOOS != "linux" && runtime.GOOS != "android" {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
	}); e != nil {
		return e
	}
	return err
}
