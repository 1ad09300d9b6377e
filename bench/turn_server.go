package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/ice/turn/turnserver"
)

const (
	turnServerName = "turn-server"
	turnUser       = "bench"
	turnPassword   = "wonderland"
	turnRealm      = "bench"
)

// turnProcess is a TURN server in a process of its own.
type turnProcess struct {
	addr netip.AddrPort
	cmd  *exec.Cmd
	in   io.Closer // ours ends with its input
	dir  string    // coturn's files
}

// stop ends the process.
func (p *turnProcess) stop() {
	if p.in != nil {
		_ = p.in.Close()
	} else {
		_ = p.cmd.Process.Kill()
	}
	_ = p.cmd.Wait()
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// cpu is what the process has used so far, all threads that there are, in nanoseconds: the times in its stat come in steps
// of 10 ms.
func (p *turnProcess) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, errors.New("this system does not tell the CPU time of another process, or that has ended")
	}
	var sum time.Duration
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has just ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// startOurTURN starts this program as a server of this library.
func startOurTURN() (*turnProcess, error) {
	cmd, err := childCommand(context.Background(), "-child", turnServerName, "-stack", ours)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &turnProcess{cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		p.addr, err = netip.ParseAddrPort(strings.TrimSpace(line))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("TURN server: %w", err)
	}
	return p, nil
}

// runTURNServer is the server's process: it ends with its input.
func runTURNServer(in io.Reader, out io.Writer) error {
	s, err := turnserver.Start(turnserver.Config{
		Server: turn.ServerConfig{
			Realm:      turnRealm,
			Auth:       turn.StaticUsers(map[string]string{turnUser: turnPassword}),
			AllowPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
		UDP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
	})
	if err != nil {
		return err
	}
	addrs, _ := s.Addrs()
	if _, err := fmt.Fprintln(out, addrs[0]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, s.Close())
}

// startCoturn starts coturn as it is installed, with everything but UDP on the loopback interface turned off, and without
// logs.
func startCoturn() (*turnProcess, error) {
	program, err := exec.LookPath("turnserver")
	if err != nil {
		return nil, fmt.Errorf("coturn: %w", err)
	}
	dir, err := os.MkdirTemp("", "bench-turn")
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	host, port := addr.Addr().String(), strconv.Itoa(int(addr.Port()))
	cmd := exec.Command(program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--no-tcp-relay",
		"--lt-cred-mech", "-r", turnRealm, "-u", turnUser+":"+turnPassword,
		"-L", host, "-E", host, "-p", port, "--allow-loopback-peers",
		"--userdb", filepath.Join(dir, "db"), "--pidfile", filepath.Join(dir, "pid"), "--log-file", os.DevNull, "--no-stdout-log")
	cmd.Dir = dir
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("coturn: %w", err)
	}
	p := &turnProcess{addr: addr, cmd: cmd, dir: dir}
	if err := p.awaken(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// freePort is an address that was free a moment ago.
func freePort() (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), c.Close()
}

// awaken asks for the server's answer until there is one.
func (p *turnProcess) awaken() error {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.addr))
	if err != nil {
		return err
	}
	defer conn.Close()
	// A Binding request (RFC 8489 section 5).
	request := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, "bench-turn-1"...)
	buf := make([]byte, 2048)
	for range 100 {
		_, _ = conn.Write(request)
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return err
		}
		if _, err = conn.Read(buf); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // refused: it is not listening yet
	}
	return fmt.Errorf("coturn does not answer: %w", err)
}
