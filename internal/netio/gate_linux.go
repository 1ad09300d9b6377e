//go:build !android && !netio_portable

package netio

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gate lets a goroutine wait for an epoll set in the runtime's poller, as it would
// wait for a socket. Waiting in a system call of its own, it would keep one of
// GOMAXPROCS processors, which the runtime then looks after and takes away in the
// end, for more than what is waited for costs. And in the runtime's poller for good
// the set would wake a thread for each event while nobody waits. So a second set is
// between the two, in which the first one is turned on as long as somebody waits.
type gate struct {
	// Immutable.
	watched int // the set that is waited for
	timer   int // for sleep
	fd      int // the set between
	file    *os.File
	raw     syscall.RawConn
	look    func() bool           // whether there is something
	pass    func(fd uintptr) bool // for wait, as a value that needs no memory
	elapse  func(fd uintptr) bool // for sleep

	// Owned by the goroutine that waits.
	looks  int
	nap    time.Duration // how long to sleep
	failed error
}

// newGate makes a gate in front of an epoll set. Look says whether the set has
// events.
func newGate(watched int, look func() bool) (*gate, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for NewFile: those have a poller
		_ = unix.Close(fd)
		return nil, err
	}
	g := &gate{watched: watched, fd: fd, file: os.NewFile(uintptr(fd), "epoll"), look: look}
	g.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		_ = g.file.Close()
		return nil, err
	}
	g.pass, g.elapse = g.tryPass, g.tryElapse
	g.raw, err = g.file.SyscallConn()
	if err == nil {
		err = g.file.SetDeadline(time.Time{}) // not possible without a poller
	}
	err = errors.Join(err,
		unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, watched, &unix.EpollEvent{}),
		unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, g.timer, &unix.EpollEvent{Events: unix.EPOLLIN}))
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// interrupt ends a wait and a sleep, and those to come, with an error. Safe for
// concurrent use.
func (g *gate) interrupt() error { return g.file.SetReadDeadline(time.Unix(1, 0)) }

// close closes the descriptors of the gate itself. Nobody may be waiting.
func (g *gate) close() {
	_ = g.file.Close()
	_ = unix.Close(g.timer)
}

// wait returns once the set has events, and says whether it took waiting.
func (g *gate) wait() (waited bool, err error) {
	g.looks, g.failed = 0, nil
	err = g.raw.Read(g.pass)
	return g.looks > 1, errors.Join(err, g.failed, g.turn(0))
}

func (g *gate) tryPass(uintptr) bool {
	if g.looks++; g.looks == 1 {
		// What comes from here on is told, what was there before is seen now. Not
		// before Read: it begins with forgetting what it was told.
		g.failed = g.turn(unix.EPOLLIN)
	}
	return g.failed != nil || g.look()
}

// turn turns the set on or off.
func (g *gate) turn(events uint32) error {
	e := unix.EpollEvent{Events: events}
	if err := unix.EpollCtl(g.fd, unix.EPOLL_CTL_MOD, g.watched, &e); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	return nil
}

// sleep lets a time pass, which is not zero. The runtime's own timers may be
// a millisecond late, and wake other threads.
func (g *gate) sleep(d time.Duration) error {
	g.looks, g.failed, g.nap = 0, nil, d
	err := g.raw.Read(g.elapse)
	return errors.Join(err, g.failed)
}

func (g *gate) tryElapse(uintptr) bool {
	if g.looks++; g.looks == 1 {
		// In here, as in tryPass: of a timer that is over sooner nothing would be heard.
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(g.nap))}
		if err := unix.TimerfdSettime(g.timer, 0, &spec, nil); err != nil {
			g.failed = fmt.Errorf("gate: timer: %w", err)
		}
		return g.failed != nil
	}
	var times [8]byte
	_, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(g.timer), uintptr(unsafe.Pointer(&times)), unsafe.Sizeof(times))
	return errno != unix.EAGAIN
}
