package netio

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/windows"
)

const (
	errConnRefused = windows.WSAECONNREFUSED
	// A port-unreachable message makes the next read fail with WSAECONNRESET.
	errConnReset   = windows.WSAECONNRESET
	errHostUnreach = windows.WSAEHOSTUNREACH
	errNetUnreach  = windows.WSAENETUNREACH
	errMsgSize     = windows.WSAEMSGSIZE
	// A time-to-live that ran out on the way is WSAENETRESET.
	errNetReset = windows.WSAENETRESET
	errTTL      = windows.WSAEHOSTDOWN
)

// readiness waits for a socket to be readable without a buffer to read into.
// RawConn.Read waits, with a peek of no bytes, whenever its function says no.
type readiness struct {
	asked bool
	check func(fd uintptr) bool
}

func (r *readiness) init() {
	r.check = func(uintptr) bool {
		ready := r.asked
		r.asked = true
		return ready
	}
}

func (r *readiness) readable(raw syscall.RawConn) error {
	r.asked = false
	err := raw.Read(r.check)
	if err != nil && dropsOne(err) {
		return nil // the read would have met it too; it comes once
	}
	return err
}

// truncated: a datagram cut short is an error on Windows.
func truncated(int) bool { return false }

// send sends one datagram. Windows completes a datagram send when it has copied
// it, so this does not wait for the network.
func (c *conn) send(data []byte, to netip.AddrPort) error {
	_, _, err := c.uc.WriteMsgUDPAddrPort(data, nil, to)
	return err
}

func isFull(err error) bool {
	return errors.Is(err, windows.WSAEWOULDBLOCK) || errors.Is(err, windows.WSAENOBUFS)
}

func isTooLarge(err error) bool { return errors.Is(err, windows.WSAEMSGSIZE) }
