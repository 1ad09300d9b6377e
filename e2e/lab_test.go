package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/lab"
)

// member is a labPeer that runs on a host, as seen from the test.
type member struct {
	t       *testing.T
	in      io.WriteCloser
	mu      sync.Mutex // of orders
	orders  *json.Encoder
	answers chan notice
	states  chan notice
	failure chan error
	other   *member
	call    int
	silent  atomic.Bool // nothing is signaled from here any more
}

// newMembers starts a labPeer on each of two hosts, for the length of the test. What one has to signal goes to the other.
func newMembers(t *testing.T, a, b lab.Host) [2]*member {
	t.Helper()
	both := [2]*member{newMember(t, a), newMember(t, b)}
	for i, m := range both {
		m.other = both[1-i]
	}
	return both
}

func newMember(t *testing.T, host lab.Host) *member {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &member{
		t: t, answers: make(chan notice, 1), states: make(chan notice, 100), failure: make(chan error, 1),
	}
	cmd := host.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), labPeerEnv+"=1"), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if m.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	m.orders = json.NewEncoder(m.in)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { m.leave(cmd, ended) })
	go func() {
		defer close(ended)
		m.fail(m.read(json.NewDecoder(out)))
	}()
	return m
}

// leave ends the program.
func (m *member) leave(cmd *exec.Cmd, ended <-chan struct{}) {
	_ = m.in.Close()
	stuck := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	<-ended
	if err := cmd.Wait(); err != nil || !stuck.Stop() {
		m.t.Errorf("the peer has ended with %v", err)
	}
}

func (m *member) fail(err error) {
	select {
	case m.failure <- err:
	default:
	}
}

// read passes on what the peer tells, until it ends.
func (m *member) read(in *json.Decoder) error {
	for {
		var n notice
		if err := in.Decode(&n); err != nil {
			return fmt.Errorf("the peer has gone: %w", err)
		}
		switch {
		case n.Error != "":
			m.fail(errors.New(n.Error))
		case n.Done != "":
			m.answers <- n
		case n.State != 0:
			m.states <- n
		case m.silent.Load():
		case n.Description != nil:
			m.other.order(order{Do: "description", Call: n.Call, Description: n.Description})
		case n.Candidate != nil:
			m.other.order(order{Do: "candidate", Call: n.Call, Candidate: n.Candidate})
		}
	}
}

func (m *member) order(o order) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.orders.Encode(o); err != nil {
		m.fail(err)
	}
}

// ask gives an order and waits for its answer.
func (m *member) ask(ctx context.Context, o order) (notice, error) {
	o.Call = m.call
	m.order(o)
	return m.answer(ctx, o.Do)
}

func (m *member) answer(ctx context.Context, what string) (notice, error) {
	select {
	case n := <-m.answers:
		if n.Done != what {
			return n, fmt.Errorf("an answer to %s in the place of %s", n.Done, what)
		}
		return n, nil
	case err := <-m.failure:
		return notice{}, err
	case <-ctx.Done():
		return notice{}, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// reach waits for a state, and returns when it came.
func (m *member) reach(ctx context.Context, state webrtc.PeerConnectionState) (time.Time, error) {
	for {
		select {
		case n := <-m.states:
			if n.State == state {
				return n.At, nil
			}
		case err := <-m.failure:
			return time.Time{}, err
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%v: %w", state, context.Cause(ctx))
		}
	}
}

// connect makes a call, the first one being the offerer. It returns the time from the making of the first connection, with
// nothing gathered yet, to the moment when both are connected.
func connect(ctx context.Context, offerer, answerer *member, o order) (time.Duration, error) {
	o.Do, o.Call = "start", offerer.call+1
	for _, m := range []*member{answerer, offerer} {
		m.call = o.Call
		m.silent.Store(false)
		for len(m.states) > 0 {
			<-m.states // of the call before
		}
	}
	answerer.order(o)
	o.Offer = true
	offerer.order(o)
	began, err := offerer.answer(ctx, "start")
	if err != nil {
		return 0, err
	}
	if _, err := answerer.answer(ctx, "start"); err != nil {
		return 0, err
	}
	var last time.Time
	for _, m := range []*member{offerer, answerer} {
		at, err := m.reach(ctx, webrtc.PeerConnectionStateConnected)
		if err != nil {
			return 0, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(began.At), nil
}

// hangUp ends a call, after all messages have come that were sent.
func hangUp(ctx context.Context, peers [2]*member) error {
	for _, m := range peers {
		n, err := m.ask(ctx, order{Do: "stop"})
		if err != nil {
			return err
		}
		if _, err = m.other.ask(ctx, order{Do: "await", Messages: n.Messages}); err != nil {
			return err
		}
	}
	for _, m := range peers {
		if _, err := m.ask(ctx, order{Do: "close"}); err != nil {
			return err
		}
	}
	return nil
}

// account is the account on the lab's servers.
const account = "lab"

// ours and coturns are the addresses of the servers.
const ours, coturns = "203.0.113.20", "203.0.113.10"

// servers is what a browser's page would be told about a server: STUN, and TURN by UDP and by TCP.
func servers(addr string) []webrtc.ICEServer {
	return []webrtc.ICEServer{
		{URLs: []string{"stun:" + addr}},
		{URLs: []string{"turn:" + addr, "turn:" + addr + "?transport=tcp"}, Username: account, Credential: account},
	}
}

// startServers starts coturn and this library's server on a host.
func startServers(t *testing.T, host lab.Host) {
	t.Helper()
	serve(t, host, coturns, host.Command("turnserver", "-n", "-c", os.DevNull, "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--simple-log",
		"--lt-cred-mech", "--realm=lab", "--user="+account+":"+account, "--listening-ip="+coturns, "--relay-ip="+coturns,
		"--pidfile="+t.TempDir()+"/pid", "--userdb="+t.TempDir()+"/db"))
	serve(t, host, ours, example(t.Context(), host, "turnserver", "-listen", ours+":3478", "-user", account+":"+account,
		"-allow-peer", "10.0.0.0/8", "-allow-peer", "198.51.100.0/24", "-allow-peer", "203.0.113.0/24"))
}

// serve runs a server for the length of the test, from when it takes connections.
func serve(t *testing.T, host lab.Host, addr string, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text := log.String()
			t.Logf("%s said at the end:\n%s", addr, text[max(0, len(text)-4000):])
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		conn, err := host.DialContext(ctx, "tcp", addr+":3478")
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s does not listen: %v", addr, err)
		}
	}
}
