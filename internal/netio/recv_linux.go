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
	// readStagger keeps the buffers of short messages out of each other's sets of
	// the processor's caches.
	readStagger = 4096 + 64
	// busyReads is how many reads in a row need not wait before the runtime is to
	// notice.
	busyReads = 64
	// maxICMP bounds the errors skipped before a read gives up its turn.
	maxICMP = 64
)

// readSlab is the memory of reads: buffers, and the arrays that point the kernel
// to them. The pointers are set once.
type readSlab struct {
	msgs     []Message
	hdrs     []mmsghdr
	names    []sockaddr
	controls []control
	bufs     [][]byte
	used     int // slots that the kernel has written to
}

// As many slabs are kept as there may be readers at work at one moment, and some
// that wait for a lock.
var readSlabs = newFreeList(max(4, 2*runtime.GOMAXPROCS(0)), func() *readSlab { return newReadSlab(readMessages) })

// newReadSlab has room for n messages.
func newReadSlab(n int) *readSlab {
	s := &readSlab{
		msgs: make([]Message, n), hdrs: make([]mmsghdr, n), names: make([]sockaddr, n),
		controls: make([]control, n), bufs: make([][]byte, n),
	}
	iovs := make([]unix.Iovec, n)
	const stride = readSize + readStagger
	memory := make([]byte, n*stride)
	for i := range s.hdrs {
		s.bufs[i] = memory[i*stride:][:readSize:readSize]
		iovs[i].Base = &s.bufs[i][0]
		iovs[i].SetLen(readSize)
		h := &s.hdrs[i]
		h.Name = (*byte)(unsafe.Pointer(&s.names[i]))
		h.Iov = &iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&s.controls[i]))
		h.arm()
	}
	return s
}

// Release implements Lease.
func (s *readSlab) Release() { readSlabs.put(s) }

// arm sets again what the kernel has overwritten. The slots that it has not used
// are as they were, and need not be touched.
func (s *readSlab) arm() {
	for i := range s.hdrs[:s.used] {
		s.hdrs[i].arm()
	}
	s.used = 0
}

func (h *mmsghdr) arm() {
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controlWords * 8)
	h.Flags = 0
	h.Len = 0
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
	if c.busy++; c.busy == busyReads {
		c.busy = 0
		wakeMonitor()
	}
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
		if n := c.parse(r.slab, 0, r.n); n > 0 {
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
		n, errno := c.recv(fd, s, 0, readMessages)
		switch {
		case errno == 0:
			c.read = readResult{slab: s, n: n}
			return true
		case errno == unix.EAGAIN:
			s.Release()
			c.busy = 0
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

// wakeMonitor wakes the runtime's monitor, which sleeps when all processors are idle:
// it takes a processor away from who does not give it up, and looks in the runtime's
// poller while nobody else does. Only system calls that the runtime notices wake it,
// and those of this package, none of which waits, are not noticed.
func wakeMonitor() { _, _, _ = unix.Syscall(unix.SYS_GETPID, 0, 0, 0) }

// recv reads up to n messages into the slots from i on, which are armed, and counts
// them as used.
func (c *conn) recv(fd uintptr, s *readSlab, i, n int) (int, syscall.Errno) {
	if !c.oneByOne.Load() {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[i])),
			uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			s.used = i + int(r)
		}
		return int(r), errno
	}
	r, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.hdrs[i].Msghdr)), unix.MSG_DONTWAIT)
	s.hdrs[i].Len = uint32(r)
	s.used = i + 1
	return 1, errno
}

// parse turns n messages of the kernel, in the slots from i on, into s.msgs from
// i on, and says how many are left without those that were cut short.
func (c *conn) parse(s *readSlab, i, n int) int {
	kept := i
	for ; n > 0; i, n = i+1, n-1 {
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
