package turnserver

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// childEnv makes the test binary a server, for the benchmark to measure from outside.
const childEnv = "PARLEY_TURN_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(serveBenchmark())
	}
	os.Exit(m.Run())
}

// serveBenchmark serves on the loopback interface until its input ends.
func serveBenchmark() int {
	s, err := Start(Config{
		Server: turn.ServerConfig{
			Auth:       turn.StaticUsers(map[string]string{user: password}),
			AllowPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
		UDP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	addrs, _ := s.Addrs()
	fmt.Println(addrs[0])
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	return 0
}

// target is the server under measurement: a child of ours, or the one that PARLEY_TURN_SERVER names as
// "address:port,pid,user,password".
type target struct {
	addr       netip.AddrPort
	pid        string
	user, pass string
}

func startTarget(b *testing.B) target {
	b.Helper()
	if f := strings.Split(os.Getenv("PARLEY_TURN_SERVER"), ","); len(f) == 4 {
		return target{netip.MustParseAddrPort(f[0]), f[1], f[2], f[3]}
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"=1"), os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil || cmd.Start() != nil {
		b.Fatal("no child")
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return target{netip.MustParseAddrPort(strings.TrimSpace(line)), strconv.Itoa(cmd.Process.Pid), user, password}
}

// cpu is the CPU time of the server, in steps of 10 ms.
func (t target) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/" + t.pid + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	text := string(stat)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	ticks := 0
	for _, s := range f[11:13] { // user and system
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// flow is a client with a channel to a peer, both in this process.
type flow struct {
	client, peer netio.PacketConn
	c            *turn.Client
	in           netio.Batch
}

func newFlow(b *testing.B, t target) *flow {
	b.Helper()
	listen := func() netio.PacketConn {
		conn, err := netio.System.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	c, err := turn.New(turn.Config{Server: t.addr, Username: t.user, Password: t.pass, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	f := &flow{client: listen(), peer: listen(), c: c}
	c.Allocate(time.Now())
	f.until(b, func() bool { return c.State() == turn.StateAllocated })
	if err := c.Bind(time.Now(), f.peer.LocalAddr()); err != nil {
		b.Fatal(err)
	}
	f.until(b, func() bool { return c.Ready(f.peer.LocalAddr()) })
	return f
}

func (f *flow) until(b *testing.B, cond func() bool) {
	b.Helper()
	for !cond() {
		for {
			pkt, ok := f.c.Next(nil)
			if !ok {
				break
			}
			if _, err := f.client.WriteBatch([]netio.Message{{Data: pkt, Remote: f.c.Server()}}); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.client.ReadBatch(&f.in); err != nil {
			b.Fatal(err)
		}
		for i := range f.in.Messages {
			_, _, _ = f.c.HandlePacket(time.Now(), f.in.Messages[i].At(0))
		}
	}
}

// pump sends rounds of packets from one socket, and counts them at the other before the next round begins, or goes on after
// a while without those that were lost. It returns how many came.
func pump(b *testing.B, rounds, burst int, frame []byte, from, to netio.PacketConn, remote netip.AddrPort) (came int) {
	b.Helper()
	const round = 64
	data := make([]byte, 0, burst*len(frame))
	for range burst {
		data = append(data, frame...)
	}
	arrived := make(chan int, round)
	go count(to, arrived)
	for range rounds {
		for n := 0; n < round; n += burst {
			if _, err := from.WriteBatch([]netio.Message{{Data: data, Segment: len(frame), Remote: remote}}); err != nil {
				b.Error(err)
			}
		}
		timeout := time.NewTimer(20 * time.Millisecond)
		for n := 0; n < round; {
			select {
			case k := <-arrived:
				n += k
				came += k
			case <-timeout.C:
				n = round
			}
		}
		timeout.Stop()
	}
	return came
}

// count reads until the socket is closed.
func count(conn netio.PacketConn, arrived chan<- int) {
	var in netio.Batch
	defer in.Release()
	for conn.ReadBatch(&in) == nil {
		n := 0
		for i := range in.Messages {
			n += in.Messages[i].Count()
		}
		arrived <- n
	}
}

// BenchmarkRelay measures the server's CPU for a relayed packet of 1200 bytes, in one direction at a time: with senders
// that send packet by packet, and with senders that send bursts, as this library's do. PARLEY_TURN_SERVER names another
// server to compare with.
func BenchmarkRelay(b *testing.B) {
	t := startTarget(b)
	for _, burst := range []int{1, 8, 32} {
		for _, up := range []bool{true, false} {
			b.Run(fmt.Sprintf("burst=%d/up=%t", burst, up), func(b *testing.B) {
				f := newFlow(b, t)
				frame := make([]byte, 4+1200)
				peer := f.peer.LocalAddr()
				if _, ok := f.c.Wrap(frame, 4, 1200, peer); !ok {
					b.Fatal("no channel")
				}
				from, to, remote := f.client, f.peer, f.c.Server()
				if !up {
					from, to, remote, frame = f.peer, f.client, f.c.Relayed()[0], frame[4:]
				}
				rounds := b.N/64 + 1
				b.ResetTimer()
				before := t.cpu(b)
				packets := float64(pump(b, rounds, burst, frame, from, to, remote))
				spent := t.cpu(b) - before
				b.ReportMetric(packets/float64(rounds*64), "delivered")
				b.ReportMetric(float64(spent.Nanoseconds())/packets, "cpu-ns/packet")
				if spent > 0 {
					b.ReportMetric(packets/spent.Seconds(), "packets/cpu-s")
				}
			})
		}
	}
}
