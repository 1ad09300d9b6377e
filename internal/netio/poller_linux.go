//go:build !android && !netio_portable

package netio

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// pollSockets is how many sockets one Read has at hand.
	pollSockets = 64
	// pollMessages is how many messages one Read takes of all sockets, and
	// pollTurn how many of one of them.
	pollMessages = 64
	pollTurn     = 16
	// gatherWorth is how many datagrams are worth sleeping for: the timer that ends
	// the sleep costs about as much as being woken for two or three of them.
	// gatherLeast is how many go on to be.
	gatherWorth = 4
	gatherLeast = 2
	// yieldInterval is when a goroutine that has always something to read lets others
	// run.
	yieldInterval = 4 * time.Millisecond
)

// poller is a Poller of Linux: edge-triggered epoll. Its sockets are unknown to
// the runtime, whose own poller would be woken for each datagram; a gate is what
// it waits at.
type poller struct {
	// Immutable.
	epfd   int
	gather time.Duration
	gate   *gate
	sleep  func(time.Duration) error // that of the gate

	// Owned by the goroutine in Read.
	events [pollSockets]unix.EpollEvent
	ready  [pollSockets]*polledConn
	more   [pollSockets]*polledConn // room for a while
	left   int                      // how many of ready the last Read did not come to the end of
	found  int                      // how many events the last poll has found
	errno  syscall.Errno            // or why none
	// dense is how many times in a row datagrams were so close to each other that
	// gatherWorth of them would have come while gathering, gatherWorth at most.
	dense    int
	gathered bool      // they have just had the time to
	rested   time.Time // when others could run, the last time
	slab     *readSlab

	// Guarded by mu.
	mu      sync.Mutex
	sockets map[uint64]*polledConn // by what epoll reports them by
	last    uint64
	reading bool // it is Read that releases the descriptors
	closed  bool
}

// polledConn is a socket of a poller.
type polledConn struct {
	*conn

	// Immutable once there.
	poller *poller
	tag    uint64
	id     uint64 // in poller.sockets; never used again

	// Owned by the goroutine in Read.
	ready   bool             // it is in poller.ready
	receive func(fd uintptr) // receiveInto, as a value that needs no memory
	slot    int              // where to read to
	room    int              // how many messages
	n       int              // how many came
	errno   syscall.Errno
}

// NewPoller implements Polling.
func (system) NewPoller(gather time.Duration) (Poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("netio: poller: %w", err)
	}
	p := &poller{
		epfd: epfd, gather: gather,
		slab: newReadSlab(pollMessages), sockets: make(map[uint64]*polledConn),
	}
	if p.gate, err = newGate(epfd, p.poll); err != nil {
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("netio: poller: %w", err)
	}
	p.sleep = p.gate.sleep
	return p, nil
}

// release closes the descriptors of the poller itself.
func (p *poller) release() {
	p.gate.close()
	_ = unix.Close(p.epfd)
}

// watch has epoll report when something comes to a descriptor.
func (p *poller) watch(fd int, id uint64) error {
	return unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32)),
	})
}

// watched is the id that an event is about.
func watched(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// ListenUDP implements Poller.
func (p *poller) ListenUDP(local netip.AddrPort, tag uint64) (PacketConn, error) {
	return p.listen(local, shareNever, tag)
}

// ListenUDPGroup implements Polling.
func (system) ListenUDPGroup(local netip.AddrPort, pollers []Poller, tag uint64) ([]PacketConn, error) {
	var group []PacketConn
	share := shareLater
	for _, p := range pollers {
		c, err := p.(*poller).listen(local, share, tag)
		if err != nil {
			for _, c := range group {
				_ = c.Close()
			}
			return nil, err
		}
		group = append(group, c)
		// The first one chose the port if the caller did not.
		local, share = netip.AddrPortFrom(local.Addr(), c.LocalAddr().Port()), shareNow
	}
	return group, nil
}

func (p *poller) listen(local netip.AddrPort, share sharing, tag uint64) (PacketConn, error) {
	uc, err := listenUDP(local, share)
	if err != nil {
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	bound := boundAddr(uc)
	file, err := detach(uc)
	if err != nil {
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	c := &polledConn{poller: p, tag: tag}
	c.receive = c.receiveInto
	c.conn, err = newConn(file, bound)
	if err == nil && share == shareLater {
		err = sharePort(c.raw)
	}
	if err == nil {
		err = p.add(c)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	return c, nil
}

// detach takes a socket away from the runtime's poller. The file does not know it
// for a socket, and only guards its descriptor against being closed while in use.
func detach(uc *net.UDPConn) (*os.File, error) {
	raw, err := uc.SyscallConn()
	var fd int
	var failed error
	if err == nil {
		err = raw.Control(func(old uintptr) {
			if fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); failed == nil {
				// A file that does not block would be given to the runtime's poller again.
				// All calls of this package have a flag each that they must not wait.
				failed = unix.SetNonblock(fd, false)
			}
		})
	}
	if err = errors.Join(err, failed, uc.Close()); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "udp"), nil
}

// add makes Read read a socket.
func (p *poller) add(c *polledConn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.last++
	c.id = p.last
	p.sockets[c.id] = c
	var failed error
	err := c.raw.Control(func(fd uintptr) { failed = p.watch(int(fd), c.id) })
	if err = errors.Join(err, failed); err != nil {
		delete(p.sockets, c.id)
	}
	return err
}

// ReadBatch implements PacketConn.
func (c *polledConn) ReadBatch(*Batch) error { return ErrPolled }

// Close implements PacketConn. Epoll forgets a descriptor by itself when it closes,
// which may be after a call that uses it.
func (c *polledConn) Close() error {
	c.poller.mu.Lock()
	delete(c.poller.sockets, c.id)
	c.poller.mu.Unlock()
	return c.conn.Close()
}

// Read implements Poller.
func (p *poller) Read(f func(tag uint64, msgs []Message)) error {
	if !p.begin() {
		return ErrClosed
	}
	for taken := 0; taken == 0; {
		n, err := p.wait()
		if err != nil {
			return err
		}
		taken = p.serve(p.ready[:n], f)
		if p.gathered && taken < gatherLeast {
			p.dense = 0
		}
	}
	return nil
}

// begin says whether the poller is there.
func (p *poller) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading = p.reading || !p.closed
	return p.reading
}

// wait waits for sockets, if none are left of the last time, and says how many of
// p.ready are to be read.
func (p *poller) wait() (int, error) {
	begin := time.Now()
	if begin.Sub(p.rested) > yieldInterval {
		wakeMonitor() // for those that wait in the runtime's poller
		runtime.Gosched()
		p.rested = begin
	}
	var err error
	p.gathered = false
	switch {
	case p.left > 0:
		p.poll()
	case p.dense == gatherWorth:
		p.gathered = true
		err = p.sleep(p.gather)
		p.rested = begin
		p.poll()
	default:
		err = p.await(begin)
	}
	if p.errno != 0 {
		err = errors.Join(err, p.errno)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		err = ErrClosed
	case err != nil:
		err = fmt.Errorf("netio: poll: %w", err)
	}
	if err != nil {
		p.closed, p.reading = true, false
		p.release()
		return 0, err
	}
	total := p.left
	for i := range p.events[:p.found] {
		if c := p.sockets[watched(&p.events[i])]; c != nil && !c.ready {
			c.ready = true
			p.ready[total] = c
			total++
		}
	}
	return total, nil
}

// await waits for events, from begin on.
func (p *poller) await(begin time.Time) error {
	waited, err := p.gate.wait()
	now := time.Now()
	if waited {
		p.rested = now
	}
	if now.Sub(begin) < p.gather/gatherWorth {
		p.dense++
	} else {
		p.dense = 0
	}
	return err
}

// poll asks epoll for events, as many as p.ready has room for, and says whether
// there are some, or there is an error.
func (p *poller) poll() bool {
	p.found, p.errno = 0, 0
	if p.left == pollSockets {
		return true
	}
	// It does not wait, and so no signal interrupts it.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events)),
		uintptr(pollSockets-p.left), 0, 0, 0)
	if p.errno = errno; errno == 0 {
		p.found = int(n)
	}
	return p.found > 0 || errno != 0
}

// serve reads the sockets, and says how many messages they had. Those that may have
// more are left in p.ready for the next time, behind those that there was no
// room for: epoll will not report them again.
func (p *poller) serve(ready []*polledConn, f func(tag uint64, msgs []Message)) (taken int) {
	p.slab.arm()
	served, left := 0, 0
	used := 0
	for _, c := range ready {
		c.slot, c.room = used, min(pollTurn, pollMessages-used)
		if c.room == 0 {
			break
		}
		if c.oneByOne.Load() {
			c.room = 1
		}
		served++
		if c.raw.Control(c.receive) != nil || c.errno == unix.EAGAIN {
			c.ready = false // closed, or empty
			continue
		}
		if c.ready = c.errno != 0 || c.n == c.room; c.ready {
			p.more[left] = c
			left++
		}
		if c.errno != 0 {
			continue // of one datagram, mostly, and gone with having been read
		}
		end := c.parse(p.slab, used, c.n)
		if end > used {
			f(c.tag, p.slab.msgs[used:end])
			taken += end - used
		}
		used += c.n
	}
	waiting := copy(ready, ready[served:])
	p.left = waiting + copy(ready[waiting:], p.more[:left])
	clear(p.more[:left])
	clear(ready[p.left:])
	return taken
}

// receiveInto reads what is there.
func (c *polledConn) receiveInto(fd uintptr) {
	c.n, c.errno = c.recv(fd, c.poller.slab, c.slot, c.room)
	if c.errno == unix.ENOSYS {
		c.oneByOne.Store(true)
	}
}

// Close implements Poller.
func (p *poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if !p.reading {
		p.release()
		return nil
	}
	if err := p.gate.interrupt(); err != nil {
		return fmt.Errorf("netio: poller: %w", err)
	}
	return nil
}
