package turnserver

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

const (
	user     = "alice"
	password = "wonderland"
	limit    = time.Minute // of virtual time
)

// lab is a server on a simulated network, with two more hosts.
type lab struct {
	t      *testing.T
	net    *netsim.Network
	live   *netsim.Live
	hosts  map[string]*netsim.Host
	server *Server
	pipes  *pipeListener
}

func newLab(t *testing.T, change func(*Config)) *lab {
	t.Helper()
	link := netsim.LinkConfig{Delay: 5 * time.Millisecond}
	n := netsim.New(1)
	l := &lab{t: t, net: n, hosts: map[string]*netsim.Host{
		"server": n.Connect("server", link, "30.0.0.1/24", "2600::1/64"),
		"client": n.Connect("client", link, "31.0.0.1/24", "2601::1/64"),
		"peer":   n.Connect("peer", link, "32.0.0.1/24", "2602::1/64"),
	}}
	l.live = netsim.NewLive(n)
	l.pipes = newPipeListener()
	cfg := Config{
		Server: turn.ServerConfig{
			Realm: "example.org", Auth: turn.StaticUsers(map[string]string{user: password}), Rand: n.Rand("server"),
		},
		UDP:     []netip.AddrPort{netip.MustParseAddrPort("30.0.0.1:3478"), netip.MustParseAddrPort("[2600::1]:3478")},
		Streams: []net.Listener{l.pipes},
		network: l.live.Host(l.hosts["server"]),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.server = s
	return l
}

func (l *lab) close() {
	_ = l.server.Close()
	l.live.Close()
}

func (l *lab) listen(host, addr string) netio.PacketConn {
	l.t.Helper()
	c, err := l.live.Host(l.hosts[host]).ListenUDP(netip.MustParseAddrPort(addr))
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// driver is a client that is driven by the goroutine of its test: each step sends what is to be sent, and takes what has
// come until the condition holds.
type driver struct {
	t      *testing.T
	c      *turn.Client
	write  func([]byte)
	in     chan []byte // packets of the server; closed at the end
	events []turn.Event
	got    []turn.Data
}

func (d *driver) flush() {
	for {
		pkt, ok := d.c.Next(nil)
		if !ok {
			break
		}
		d.write(pkt)
	}
	for {
		e, ok := d.c.Event()
		if !ok {
			return
		}
		d.events = append(d.events, e)
	}
}

func (d *driver) until(cond func() bool) {
	d.t.Helper()
	end := time.After(limit)
	for d.flush(); !cond(); d.flush() {
		var timer <-chan time.Time
		if at := d.c.Deadline(); !at.IsZero() {
			timer = time.After(time.Until(at))
		}
		select {
		case pkt, ok := <-d.in:
			if !ok {
				d.t.Fatalf("the server is gone; events %+v", d.events)
			}
			if data, ok, _ := d.c.HandlePacket(time.Now(), pkt); ok {
				d.got = append(d.got, data)
			}
		case <-timer:
			d.c.Advance(time.Now())
		case <-end:
			d.t.Fatalf("time is over; state %v, events %+v", d.c.State(), d.events)
		}
	}
}

func (d *driver) allocate() {
	d.t.Helper()
	d.c.Allocate(time.Now())
	if d.c.Transport() != turn.UDP {
		d.c.HandleDialResult(time.Now(), 1, nil)
	}
	d.until(func() bool { return d.c.State() == turn.StateAllocated })
}

func (d *driver) send(text string, peer netip.AddrPort) {
	buf := make([]byte, turn.MaxHeadroom+len(text)+turn.MaxTailroom)
	copy(buf[turn.MaxHeadroom:], text)
	pkt, ok := d.c.Wrap(buf, turn.MaxHeadroom, len(text), peer)
	if !ok {
		d.t.Fatalf("no way to %v", peer)
	}
	d.write(pkt)
}

// udp makes a client over UDP.
func (l *lab) udp(local string, change func(*turn.Config)) *driver {
	l.t.Helper()
	conn := l.listen("client", local)
	cfg := turn.Config{
		Server: netip.MustParseAddrPort("30.0.0.1:3478"), Username: user, Password: password, Rand: l.net.Rand(local),
	}
	if change != nil {
		change(&cfg)
	}
	d := l.driver(cfg)
	d.write = func(pkt []byte) {
		if _, err := conn.WriteBatch([]netio.Message{{Data: pkt, Remote: d.c.Server()}}); err != nil {
			l.t.Error(err)
		}
	}
	go func() {
		defer close(d.in)
		var b netio.Batch
		for conn.ReadBatch(&b) == nil {
			for i := range b.Messages {
				for j := range b.Messages[i].Count() {
					d.in <- bytes.Clone(b.Messages[i].At(j))
				}
			}
		}
	}()
	l.t.Cleanup(func() { _ = conn.Close() })
	return d
}

func (l *lab) driver(cfg turn.Config) *driver {
	l.t.Helper()
	c, err := turn.New(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	return &driver{t: l.t, c: c, in: make(chan []byte, 1000)}
}

// stream makes a client over a connection.
func (l *lab) stream(remote string) (*driver, net.Conn) {
	l.t.Helper()
	conn := l.pipes.dial(remote)
	d := l.driver(turn.Config{
		Server: netip.MustParseAddrPort("30.0.0.1:3478"), Transport: turn.TCP,
		Username: user, Password: password, Rand: l.net.Rand(remote),
	})
	d.write = func(pkt []byte) { _, _ = conn.Write(pkt) }
	go func() {
		defer close(d.in)
		var f turn.Framer
		for {
			n, err := conn.Read(f.Space())
			f.Put(n)
			for {
				pkt, _ := f.Next()
				if pkt == nil {
					break
				}
				d.in <- bytes.Clone(pkt)
			}
			if err != nil {
				return
			}
		}
	}()
	return d, conn
}

func read(t *testing.T, c netio.PacketConn, want string) (from netip.AddrPort) {
	t.Helper()
	var b netio.Batch
	defer b.Release()
	if err := c.ReadBatch(&b); err != nil {
		t.Fatal(err)
	}
	if got := string(b.Messages[0].At(0)); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	return b.Messages[0].Remote
}

// echo sends a packet to the peer and one back.
func (d *driver) echo(peerConn netio.PacketConn, text string) {
	d.t.Helper()
	peer := peerConn.LocalAddr()
	d.send(text, peer)
	from := read(d.t, peerConn, text)
	if _, err := peerConn.WriteBatch([]netio.Message{{Data: []byte("re: " + text), Remote: from}}); err != nil {
		d.t.Fatal(err)
	}
	n := len(d.got)
	d.until(func() bool { return len(d.got) > n })
	if got := d.got[n]; string(got.Payload) != "re: "+text || got.Peer != peer {
		d.t.Fatalf("got %q from %v", got.Payload, got.Peer)
	}
}

func TestUDPIsRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		peer := l.listen("peer", "32.0.0.1:6000")
		defer peer.Close()
		d := l.udp("31.0.0.1:5000", nil)
		d.allocate()
		if err := d.c.Bind(time.Now(), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		d.flush()
		d.echo(peer, "ahead of the channel")
		d.until(func() bool { return d.c.Ready(peer.LocalAddr()) })
		d.echo(peer, "by channel")
		d.c.Close(time.Now())
		d.until(func() bool { return d.c.State() == turn.StateClosed })
		if s := l.server.Stats(); s.Allocations != 0 || s.ToPeers != 2 || s.ToClients != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStreamsAreRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		peer := l.listen("peer", "32.0.0.1:6000")
		defer peer.Close()
		d, conn := l.stream("31.0.0.1:40000")
		d.allocate()
		if err := d.c.Bind(time.Now(), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		d.until(func() bool { return d.c.Ready(peer.LocalAddr()) })
		for _, text := range []string{"a", "ab", "abc", "abcd", ""} { // with each length of padding
			d.echo(peer, text)
		}
		if s := l.server.Stats(); s.Streams != 1 || s.Allocations != 1 {
			t.Errorf("%+v", s)
		}
		conn.Close()
		synctest.Wait()
		if s := l.server.Stats(); s.Streams != 0 || s.Allocations != 0 || s.ClosedByDisconnection != 1 {
			t.Errorf("after the end of the connection: %+v", s)
		}
	})
}

// Two clients of one server reach each other without the network, even if the relays' address is one that is denied.
func TestRelayToRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		a, b := l.udp("31.0.0.1:5000", nil), l.udp("31.0.0.1:5001", nil)
		a.allocate()
		b.allocate()
		at, bt := a.c.Relayed()[0], b.c.Relayed()[0]
		if err := errors.Join(a.c.Bind(time.Now(), bt), b.c.Bind(time.Now(), at)); err != nil {
			t.Fatal(err)
		}
		a.until(func() bool { return a.c.Ready(bt) })
		b.until(func() bool { return b.c.Ready(at) })
		a.send("hello", bt)
		b.until(func() bool { return len(b.got) == 1 })
		if d := b.got[0]; d.Peer != at || string(d.Payload) != "hello" {
			t.Errorf("%q from %v", d.Payload, d.Peer)
		}
	})
}

func TestDualAllocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		d := l.udp("31.0.0.1:5000", func(c *turn.Config) { c.Families = turn.Dual })
		d.allocate()
		for _, addr := range []string{"32.0.0.1:6000", "[2602::1]:6000"} {
			peer := l.listen("peer", addr)
			if err := d.c.CreatePermission(time.Now(), peer.LocalAddr().Addr()); err != nil {
				t.Fatal(err)
			}
			d.flush()
			d.echo(peer, "to "+addr)
			peer.Close()
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		d := l.udp("31.0.0.1:5000", nil)
		d.allocate()
		ended := make(chan error)
		go func() { ended <- l.server.Shutdown(context.Background()) }()
		synctest.Wait()
		late := l.udp("31.0.0.1:5001", nil)
		late.c.Allocate(time.Now())
		late.until(func() bool { return late.c.State() == turn.StateFailed })
		var refusal *turn.Error
		if e, ok := late.events[len(late.events)-1].(turn.EventFailed); !ok || !errors.As(e.Err, &refusal) || refusal.Code != 508 {
			t.Errorf("a new allocation while draining: %+v", late.events)
		}
		select {
		case <-ended:
			t.Fatal("Shutdown does not wait for the allocation")
		default:
		}
		d.c.Close(time.Now())
		d.flush()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		l.udp("31.0.0.1:5000", nil).allocate()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestStrangersAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.MaxStrangersPerAddress = 2 })
		defer l.close()
		closed := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			var timeout net.Error
			return !errors.As(err, &timeout) || !timeout.Timeout()
		}
		first, second := l.pipes.dial("31.0.0.1:40000"), l.pipes.dial("31.0.0.1:40001")
		third := l.pipes.dial("31.0.0.1:40002")
		if closed(first) || closed(second) || !closed(third) {
			t.Error("the third connection of an address is one too many")
		}
		garbage := l.pipes.dial("31.0.0.2:40000")
		if _, err := garbage.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil || !closed(garbage) {
			t.Error("garbage should end the connection", err)
		}
		time.Sleep(16 * time.Second)
		if !closed(first) || !closed(second) {
			t.Error("a connection without an allocation should be closed")
		}
		synctest.Wait()
		if s := l.server.Stats(); s.Streams != 0 || s.StreamsRejected != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Somebody who reads nothing fills a buffer of his own, and holds nobody up.
func TestSlowStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		peer := l.listen("peer", "32.0.0.1:6000")
		defer peer.Close()
		slow := l.pipes.dial("31.0.0.1:40000")
		defer slow.Close()
		d := l.driver(turn.Config{
			Server: netip.MustParseAddrPort("30.0.0.1:3478"), Transport: turn.TCP, Username: user, Password: password, Rand: l.net.Rand("slow"),
		})
		d.write = func(pkt []byte) { _, _ = slow.Write(pkt) }
		var f turn.Framer
		next := func() { // reads one message, as long as it reads
			for {
				if pkt, _ := f.Next(); pkt != nil {
					_, _, _ = d.c.HandlePacket(time.Now(), pkt)
					d.flush()
					return
				}
				n, _ := slow.Read(f.Space())
				f.Put(n)
			}
		}
		d.c.Allocate(time.Now())
		d.c.HandleDialResult(time.Now(), 1, nil)
		d.flush()
		for d.c.State() != turn.StateAllocated {
			next()
		}
		if err := d.c.Bind(time.Now(), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		d.flush()
		for !d.c.Ready(peer.LocalAddr()) {
			next()
		}
		relayed := d.c.Relayed()[0]
		for range 1000 {
			if _, err := peer.WriteBatch([]netio.Message{{Data: make([]byte, 1200), Remote: relayed}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if s := l.server.Stats(); s.Unsent < 200 || s.ToClients < 500 {
			t.Errorf("%d of %d packets were dropped", s.Unsent, s.ToClients)
		}
		other := l.udp("31.0.0.1:5000", nil)
		other.allocate()
		time.Sleep(writeTimeout)
		synctest.Wait()
		if s := l.server.Stats(); s.Streams != 0 || s.Allocations != 1 {
			t.Errorf("the slow connection is still there: %+v", s)
		}
	})
}

// pipeListener accepts connections without a network, with addresses all the same.
type pipeListener struct {
	conns chan net.Conn
	quit  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), quit: make(chan struct{})}
}

func (l *pipeListener) dial(remote string) net.Conn {
	here, there := net.Pipe()
	l.conns <- &pipeConn{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(remote))}
	return here
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.quit:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("30.0.0.1:3478"))
}

type pipeConn struct {
	net.Conn
	remote net.Addr
}

func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }
