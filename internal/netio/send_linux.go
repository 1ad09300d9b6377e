//go:build !android && !netio_portable

package netio

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// writeEntries is how many messages of the kernel one sendmmsg takes, and
	// writeParts how many buffers they gather together.
	writeEntries = 32
	writeParts   = 128
)

// cursor is a place in the slice given to WriteBatch: a message and how many of
// its bytes are behind it.
type cursor struct{ msg, off int }

func (c cursor) before(o cursor) bool {
	return c.msg < o.msg || (c.msg == o.msg && c.off < o.off)
}

// entry is what one message of the kernel covers: one datagram, or a burst that
// comes from one message or from several of one flow and size.
type entry struct {
	from, to cursor
	size     int // of its datagrams
	burst    bool
}

// writer is the memory of one WriteBatch, and its progress.
type writer struct {
	hdrs     [writeEntries]mmsghdr
	iovs     [writeParts]unix.Iovec
	names    [writeEntries]sockaddr
	controls [writeEntries]control
	entries  [writeEntries]entry

	conn *conn
	msgs []Message

	n, parts int // entries and parts planned
	pos      int // entries done

	// Datagrams before singles are sent one by one: they were in a burst that was
	// refused. When suspect is not zero, the refusal did not say that the size
	// was the reason; if then a datagram of that size is taken alone, it was the
	// burst that the socket cannot send.
	singles cursor
	suspect int

	tooLarge *SizeError

	call  func(fd uintptr)
	done  int
	errno syscall.Errno
}

var writers = newFreeList(max(4, 2*runtime.GOMAXPROCS(0)), newWriter)

func newWriter() *writer {
	w := new(writer)
	for i := range w.hdrs {
		w.hdrs[i].Name = (*byte)(unsafe.Pointer(&w.names[i]))
	}
	w.call = w.send
	return w
}

// release lets go of the caller's memory.
func (w *writer) release() {
	w.conn, w.msgs, w.tooLarge = nil, nil, nil
	w.singles, w.suspect = cursor{}, 0
	writers.put(w)
}

// WriteBatch implements PacketConn. Messages of one flow and size that follow
// each other leave as one burst, as those with segments do.
func (c *conn) WriteBatch(msgs []Message) (int, error) {
	w := writers.get()
	defer w.release()
	w.conn, w.msgs = c, msgs
	var at cursor
	for at.msg < len(msgs) {
		planned := w.plan(at)
		next, err := w.flush(planned)
		if err != nil {
			return next.msg, err
		}
		if w.errno != 0 { // full
			if next.off > 0 {
				m := &msgs[next.msg]
				m.Data = m.Data[next.off:]
			}
			return next.msg, w.size()
		}
		at = next
	}
	return len(msgs), w.size()
}

// size returns the SizeError as an error that is nil if there was none.
func (w *writer) size() error {
	if w.tooLarge == nil {
		return nil
	}
	return w.tooLarge
}

// plan fills the entries from a place on, and returns the place behind them.
func (w *writer) plan(at cursor) cursor {
	w.n, w.parts, w.pos = 0, 0, 0
	for at.msg < len(w.msgs) && w.n < writeEntries && w.parts < writeParts {
		m := &w.msgs[at.msg]
		if w.names[w.n].put(m.Remote, w.conn.six) == 0 {
			at = cursor{msg: at.msg + 1} // nowhere to go for this socket
			continue
		}
		e, first := entry{from: at}, w.parts
		if m.Count() > 1 {
			w.planBurst(m, &e)
		} else {
			w.planRun(m, &e)
		}
		w.entries[w.n] = e
		w.head(m, &e, first)
		w.n++
		at = e.to
	}
	return at
}

// bursts says whether what starts at a place may leave as a burst.
func (w *writer) bursts(at cursor) bool {
	return w.conn.gso.Load() && !at.before(w.singles)
}

// planBurst takes as much of a message with segments as one entry may have.
func (w *writer) planBurst(m *Message, e *entry) {
	rest := m.Data[e.from.off:]
	count := 1
	if w.bursts(e.from) {
		count = max(1, min(MaxSegments, MaxDatagram/m.Segment))
	}
	n := min(len(rest), count*m.Segment)
	w.part(rest[:n])
	e.size = min(n, m.Segment)
	e.burst = n > m.Segment
	e.to = cursor{msg: e.from.msg, off: e.from.off + n}
	if n == len(rest) {
		e.to = cursor{msg: e.from.msg + 1}
	}
}

// planRun takes a lone datagram, and those behind it that go the same way and
// have its size; the last may be shorter.
func (w *writer) planRun(m *Message, e *entry) {
	w.part(m.Data)
	e.size = len(m.Data)
	e.to = cursor{msg: e.from.msg + 1}
	if e.size == 0 || !w.bursts(e.from) {
		return
	}
	total := e.size
	for count := 1; count < MaxSegments && w.parts < writeParts && e.to.msg < len(w.msgs); count++ {
		o := &w.msgs[e.to.msg]
		if len(o.Data) == 0 || len(o.Data) > e.size || total+len(o.Data) > MaxDatagram || o.Count() > 1 ||
			o.Remote != m.Remote || o.Local != m.Local || o.ECN != m.ECN {
			return
		}
		w.part(o.Data)
		total += len(o.Data)
		e.burst = true
		e.to.msg++
		if len(o.Data) < e.size {
			return
		}
	}
}

func (w *writer) part(data []byte) {
	v := &w.iovs[w.parts]
	v.Base = unsafe.SliceData(data)
	v.SetLen(len(data))
	w.parts++
}

// head completes the kernel's message of entry w.n, whose parts start at first.
func (w *writer) head(m *Message, e *entry, first int) {
	h := &w.hdrs[w.n]
	h.Namelen = unix.SizeofSockaddrInet4
	if w.conn.six {
		h.Namelen = unix.SizeofSockaddrInet6
	}
	h.Iov = &w.iovs[first]
	h.SetIovlen(w.parts - first)

	out := controlWriter{buf: w.controls[w.n].bytes()}
	four := m.Remote.Addr().Is4() || m.Remote.Addr().Is4In6()
	if e.burst {
		out.segment(e.size)
	}
	if m.ECN != NotECT {
		out.ecn(m.ECN, four)
	}
	if w.conn.wild && m.Local.IsValid() && !m.Local.IsUnspecified() && m.Local.Is4() == four {
		out.source(m.Local, w.conn.six)
	}
	h.Control = nil
	if out.n > 0 {
		h.Control = &out.buf[0]
	}
	h.SetControllen(out.n)
}

// flush sends the entries. It returns where to go on, which is before the end
// of the plan when a burst must be sent again one by one, or when the socket is
// full: then w.errno is not zero.
func (w *writer) flush(end cursor) (cursor, error) {
	defer w.forget()
	for w.errno = 0; w.pos < w.n; {
		if w.conn.raw.Control(w.call) != nil {
			return w.entries[w.pos].from, ErrClosed // it has no other error
		}
		if w.errno == 0 {
			w.taken(w.done)
			continue
		}
		e := &w.entries[w.pos]
		switch errno := w.errno; {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOBUFS || errno == unix.ENOMEM:
			return e.from, nil
		case errno == unix.ENOSYS && !w.conn.oneByOne.Load():
			w.conn.oneByOne.Store(true)
		case e.burst && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE):
			// EIO: the device cannot; EINVAL: also what older kernels say of a
			// segment above the MTU; EMSGSIZE: that. The datagrams one by one will
			// tell.
			w.singles = e.to
			w.suspect = 0
			if errno != unix.EMSGSIZE {
				w.suspect = e.size
			}
			w.errno = 0
			return e.from, nil
		default:
			w.refused(e, errno)
		}
	}
	w.errno = 0
	return end, nil
}

// taken notes that the socket took n entries.
func (w *writer) taken(n int) {
	if w.suspect > 0 {
		for _, e := range w.entries[w.pos : w.pos+n] {
			if e.from.before(w.singles) && e.size == w.suspect {
				w.conn.gso.Store(false)
			}
		}
	}
	w.pos += n
}

// refused drops the entry at the head, a single datagram or a burst whose
// destination is at fault.
func (w *writer) refused(e *entry, errno syscall.Errno) {
	m := &w.msgs[e.from.msg]
	if errno == unix.EMSGSIZE && w.tooLarge == nil {
		w.tooLarge = &SizeError{Index: e.from.msg, Size: e.size, Remote: m.Remote}
	}
	if zone := m.Remote.Addr().Zone(); zone != "" {
		// The interface of that name may be another one by now.
		zones.forget(zone)
	}
	w.pos++
}

// forget clears the pointers into the caller's memory.
func (w *writer) forget() {
	for i := range w.parts {
		w.iovs[i].Base = nil
	}
}

// send makes the system call, for raw.Control, which needs no lock and waits for
// nothing, unlike raw.Write.
func (w *writer) send(fd uintptr) {
	n := w.n - w.pos
	if w.conn.oneByOne.Load() {
		n = 1
	}
	w.done, w.errno = w.conn.send(fd, w.hdrs[w.pos:w.pos+n])
	if w.errno == 0 && w.done == 0 {
		w.errno = unix.EAGAIN // never seen; it must not loop
	}
}

// sendMessages sends the first messages and says how many; an error is that of
// the first. A single one goes without sendmmsg, which may not be there.
func sendMessages(fd uintptr, hdrs []mmsghdr) (int, syscall.Errno) {
	if len(hdrs) == 1 {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&hdrs[0].Msghdr)), unix.MSG_DONTWAIT)
		return 1, errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&hdrs[0])),
		uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
