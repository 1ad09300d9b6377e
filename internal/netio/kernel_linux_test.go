//go:build !android && !netio_portable

package netio

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slicesOf returns the buffers of a kernel message.
func slicesOf(h *mmsghdr) []unix.Iovec { return unsafe.Slice(h.Iov, int(h.Iovlen)) }

// segmentOf finds the UDP_SEGMENT that a message was given.
func segmentOf(b []byte) int {
	for len(b) >= unix.CmsgLen(0) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_SEGMENT {
			return int(binary.NativeEndian.Uint16(b[unix.CmsgLen(0):]))
		}
		b = b[min(len(b), unix.CmsgSpace(int(h.Len)-unix.CmsgLen(0))):]
	}
	return 0
}
