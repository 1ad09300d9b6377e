//go:build !android && !netio_portable

package netio

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readMessages is how many messages one read takes. Each may hold a burst of
	// 64 KiB, so few are enough: it is GRO that saves the work.
	readMessages = 4
	// readSize is the longest message with an end marker's worth of room.
	readSize = 65536
	// maxICMP bounds the errors skipped before a read gives up its turn.
	maxICMP = 64
)

// readSlab is the memory of one read: buffers, and the arrays that point the
// kernel to them. The pointers are set once.
type readSlab struct {
	msgs     [readMessages]Message
	hdrs     [readMessages]mmsghdr
	iovs     [readMessages]unix.Iovec
	names    [readMessages]sockaddr
	controls [readMessages]control
	bufs     [readMessages][readSize]byte
}

// As many slabs are kept as there may be readers at work at one moment, and some
// that wait for a lock.
var readSlabs = newFreeList(max(4, 2*runtime.GOMAXPROCS(0)), newReadSlab)

func newReadSlab() *readSlab {
	s := new(readSlab)
	for i := range s.hdrs {
		s.iovs[i].Base = &s.bufs[i][0]
		s.iovs[i].SetLen(readSize)
		h := &s.hdrs[i]
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
		h.Iov = &s.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&s.controls[i]))
	}
	return s
}

// Release implements Lease.
func (s *readSlab) Release() { readSlabs.put(s) }

// arm sets again what the kernel has overwritten.
func (s *readSlab) arm() {
	for i := range s.hdrs {
		h := &s.hdrs[i]
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlWords * 8)
		h.Flags = 0
		h.Len = 0
	}
}

// readResult is what one wait for the socket ended with.
type readResult struct {
	slab  *readSlab
	n     int
	errno syscall.Errno
}

// ReadBatch implements PacketConn.
func (c *conn) ReadBatch(b *Batch) error {
	b.Release()
	for {
		err := c.raw.Read(c.readable)
		r := c.read
		c.read = readResult{}
		if err != nil {
			return closedError("read", err)
		}
		if r.errno != 0 {
			return closedError("read", r.errno)
		}
		if n := c.parse(r.slab, r.n); n > 0 {
			b.Fill(r.slab.msgs[:n], r.slab)
			return nil
		}
		r.slab.Release()
	}
}

// receive reads what is there. It says false when that is nothing, and holds no
// memory then while the runtime waits for the socket.
func (c *conn) receive(fd uintptr) bool {
	s := readSlabs.get()
	for range maxICMP {
		s.arm()
		n, errno := c.recv(fd, s)
		switch {
		case errno == 0:
			c.read = readResult{slab: s, n: n}
			return true
		case errno == unix.EAGAIN:
			s.Release()
			return false
		case errno == unix.ENOSYS && !c.oneByOne.Load():
			c.oneByOne.Store(true)
		case errno == unix.EINTR || dropsOne(errno):
		default:
			s.Release()
			c.read = readResult{errno: errno}
			return true
		}
	}
	// A storm of errors: hand over an empty batch, and be called again.
	c.read = readResult{slab: s}
	return true
}

func (c *conn) recv(fd uintptr, s *readSlab) (int, syscall.Errno) {
	if !c.oneByOne.Load() {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs)),
			readMessages, unix.MSG_DONTWAIT, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[0].Msghdr)), unix.MSG_DONTWAIT)
	s.hdrs[0].Len = uint32(n)
	return 1, errno
}

// parse turns n messages of the kernel into s.msgs, and says how many are left
// without those that were cut short.
func (c *conn) parse(s *readSlab, n int) int {
	kept := 0
	for i := range n {
		h := &s.hdrs[i]
		if h.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || h.Len > readSize {
			continue
		}
		m := &s.msgs[kept]
		*m = Message{
			Data:   s.bufs[i][:h.Len:h.Len],
			Local:  c.local,
			Remote: s.names[i].get(),
		}
		parseControl(s.controls[i].bytes()[:min(int(h.Controllen), controlWords*8)], m)
		if m.Remote.IsValid() {
			kept++
		}
	}
	return kept
}
