//go:build linux

// Package lab gives tests networks of their own: namespaces in which nothing of the machine's network is seen, and out
// of which nothing gets. A namespace lives as long as a process in it, so that a test that dies leaves nothing behind.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside tells the process that Main starts that it is the one in the namespace.
const inside = "PARLEY_LAB"

// Inside reports whether this process is in a namespace made by [Main].
func Inside() bool { return os.Getenv(inside) != "" }

// Main runs this program once more, in a network namespace with nothing but a loopback interface, and there calls run.
// A TestMain returns its value by os.Exit. Who is not root gets a user namespace as well.
func Main(run func() int) int {
	if Inside() {
		if err := (Host{}).ip("link set lo up"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return run()
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the process
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = isolated()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	// go test asks with SIGQUIT for the stacks, and the child, in the same process group, is asked too.
	signal.Ignore(syscall.SIGQUIT, syscall.SIGINT)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	default:
		fmt.Fprintln(os.Stderr, "lab: no network namespace:", err)
		return 2
	}
}

// isolated asks for a process in a network namespace of its own.
func isolated() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// Host is a network namespace. The zero value is the one in which this process runs.
type Host struct {
	pid  int
	ipv6 bool // IPv6 only
}

// Loopback returns the host's own address, of the family that it uses. Firefox looks for its address in the family that
// the page came by, and without one of that family it does not gather at all.
func (h Host) Loopback() string {
	if h.ipv6 {
		return "::1"
	}
	return "127.0.0.1"
}

// NewHost makes a host with nothing but a loopback interface; it goes with the test.
func NewHost(t testing.TB) Host {
	t.Helper()
	holder := exec.Command("cat") // ends with its standard input, that is with this process
	holder.SysProcAttr = isolated()
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatalf("lab: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), holder.Wait()); err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	h := Host{pid: holder.Process.Pid}
	must(t, h.ip("link set lo up"))
	return h
}

// Command prepares a command that will run on the host.
func (h Host) Command(name string, args ...string) *exec.Cmd {
	if h.pid == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(h.pid), "-n", "--", name}, args...)...)
}

// DialContext dials from the host; the address is a literal one.
func (h Host) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.within(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens on the host; the address is a literal one.
func (h Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.within(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// within runs do with this goroutine's thread in the host's namespace. A socket stays in the one that it was made in.
func (h Host) within(do func() error) error {
	if h.pid == 0 {
		return do()
	}
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: %w", err)
	}
	defer own.Close()
	other, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.pid))
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: %w", err)
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: %w", err)
	}
	err = do()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, and ends with the goroutine instead of serving another one from the wrong place.
		return errors.Join(err, fmt.Errorf("lab: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// ip runs the ip command on the host.
func (h Host) ip(args string) error {
	cmd := h.Command("ip", strings.Fields(args)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("lab: ip %s: %w: %s", args, err, out)
	}
	return nil
}

// Alone gives this process's host one interface with an IPv4 and an IPv6 address and nobody at its other end: a quiet
// machine on which both peers of a call run.
func Alone(t testing.TB) {
	t.Helper()
	far := NewHost(t)
	link(t, far, "lab0", "10.77.0.1/24", "fd77::1/64")
	must(t, far.ip("link set lab0 up"))
}

// IPv6Only joins this process's host to a new one by a link without IPv4.
func IPv6Only(t testing.TB) Host {
	t.Helper()
	far := NewHost(t)
	far.ipv6 = true
	link(t, far, "lab0", "fd77::1/64")
	far.up(t, "lab0", "fd77::2/64")
	return far
}

// TwoInterfaces joins this process's host to a new one by two links, each with both families.
func TwoInterfaces(t testing.TB) Host {
	t.Helper()
	far := NewHost(t)
	link(t, far, "lab0", "10.77.0.1/24", "fd77::1/64")
	far.up(t, "lab0", "10.77.0.2/24", "fd77::2/64")
	link(t, far, "lab1", "10.78.0.1/24", "fd78::1/64")
	far.up(t, "lab1", "10.78.0.2/24", "fd78::2/64")
	return far
}

// Cut takes down both ends of a link of [TwoInterfaces], with their addresses and routes.
func Cut(t testing.TB, far Host, name string) {
	t.Helper()
	for _, h := range []Host{{}, far} {
		must(t, h.ip("addr flush dev "+name))
		must(t, h.ip("link set "+name+" down"))
	}
}

// link makes a link between this process's host and far, under one name on both, and configures this end.
func link(t testing.TB, far Host, name string, addrs ...string) {
	t.Helper()
	must(t, Host{}.ip(fmt.Sprintf("link add %s type veth peer name %s netns %d", name, name, far.pid)))
	t.Cleanup(func() { must(t, Host{}.ip("link del "+name)) })
	Host{}.up(t, name, addrs...)
}

// up configures an interface. The default routes are for those who look there for their address; the first one counts.
func (h Host) up(t testing.TB, name string, addrs ...string) {
	t.Helper()
	must(t, h.ip("link set "+name+" up"))
	metric := 100
	if name != "lab0" {
		metric = 200
	}
	for _, a := range addrs {
		family, nodad := "-4", ""
		if strings.Contains(a, ":") {
			family, nodad = "-6", " nodad"
		}
		must(t, h.ip(fmt.Sprintf("%s addr add %s dev %s%s", family, a, name, nodad)))
		must(t, h.ip(fmt.Sprintf("%s route add default dev %s metric %d", family, name, metric)))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
