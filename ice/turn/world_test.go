package turn

import (
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

const (
	listenPort = 3478
	clientPort = 5000
	peerPort   = 6000
	realm      = "example.org"
	user       = "alice"
	password   = "wonderland"
)

// world is a server, a client and a peer on the internet of netsim. The addresses are public ones of nobody's network.
type world struct {
	t      *testing.T
	net    *netsim.Network
	sim    *netsim.Sim
	server *serverNode
	client *clientNode
	peer   *peerNode
	nat    *netsim.NAT
}

// worldOption changes what the world is made of.
type worldOption struct {
	server func(*ServerConfig)
	client func(*Config)
	link   netsim.LinkConfig
	seed   uint64
	nat    *netsim.NATConfig // of the client
}

func newWorld(t *testing.T, o worldOption) *world {
	t.Helper()
	if o.link.Delay == 0 {
		o.link.Delay = 10 * time.Millisecond
	}
	n := netsim.New(o.seed)
	w := &world{t: t, net: n, sim: netsim.NewSim(n)}
	sh := n.Connect("server", o.link, "30.0.0.1/24", "2600::1/64")
	local := netip.MustParseAddrPort("31.0.0.1:5000")
	ch := n.AddHost("client")
	if o.nat == nil {
		ch.AddInterface(nil, o.link, o.link, "31.0.0.1/24", "2601::1/64")
	} else {
		w.nat = n.AddNAT(*o.nat)
		ch.AddInterface(w.nat, o.link, o.link, "192.168.0.2/24")
		local = netip.MustParseAddrPort("192.168.0.2:5000")
	}
	ph := n.Connect("peer", o.link, "32.0.0.1/24", "2602::1/64")
	w.server = newServerNode(t, n, o.server)
	cfg := Config{
		Server: netip.MustParseAddrPort("30.0.0.1:3478"), Username: user, Password: password, Rand: n.Rand("client"),
	}
	if o.client != nil {
		o.client(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.client = &clientNode{c: c, local: local}
	w.peer = &peerNode{}
	w.sim.Attach(sh, w.server)
	w.sim.Attach(ch, w.client)
	w.sim.Attach(ph, w.peer)
	return w
}

func (w *world) now() time.Time { return w.sim.Now() }

// until lets time pass until the condition holds.
func (w *world) until(what string, limit time.Duration, cond func() bool) {
	w.t.Helper()
	if err := w.sim.Run(limit, cond); err != nil {
		w.t.Fatalf("%s: %v; events %+v", what, err, w.client.events)
	}
}

func (w *world) pass(d time.Duration) {
	w.t.Helper()
	if err := w.sim.RunFor(d); err != nil {
		w.t.Fatal(err)
	}
}

// allocate makes an allocation and returns its first relayed address.
func (w *world) allocate() netip.AddrPort {
	w.t.Helper()
	w.client.c.Allocate(w.now())
	w.until("allocation", time.Minute, func() bool { return w.client.c.State() == StateAllocated })
	return w.client.c.Relayed()[0]
}

// bind makes a channel to the peer.
func (w *world) bind() netip.AddrPort {
	w.t.Helper()
	peer := netip.MustParseAddrPort("32.0.0.1:6000")
	if err := w.client.c.Bind(w.now(), peer); err != nil {
		w.t.Fatal(err)
	}
	w.until("channel", time.Minute, func() bool { return w.client.c.Ready(peer) })
	return peer
}

// exchange sends a packet each way between client and peer and wants both to arrive.
func (w *world) exchange(peer netip.AddrPort, text string) {
	w.t.Helper()
	got := len(w.peer.got)
	w.client.send(text, peer)
	w.until("data to the peer", time.Minute, func() bool { return len(w.peer.got) > got })
	last := w.peer.got[len(w.peer.got)-1]
	if relayed := w.client.c.Relayed()[familyIndex(peer.Addr())%len(w.client.c.Relayed())]; string(last.data) != text || last.from != relayed {
		w.t.Fatalf("peer got %q from %v, want %q from %v", last.data, last.from, text, relayed)
	}
	back := len(w.client.got)
	w.peer.send("re: "+text, peer, last.from)
	w.until("data from the peer", time.Minute, func() bool { return len(w.client.got) > back })
	if d := w.client.got[len(w.client.got)-1]; string(d.Payload) != "re: "+text || d.Peer != peer {
		w.t.Fatalf("client got %q from %v", d.Payload, d.Peer)
	}
}

// clientNode drives a client over UDP.
type clientNode struct {
	c      *Client
	local  netip.AddrPort
	events []Event
	got    []Data
	queue  [][]byte
	buf    []byte
	mute   bool // the application's way back is cut
}

func (n *clientNode) HandlePacket(now time.Time, _, remote netip.AddrPort, data []byte, _ uint8) {
	if remote != n.c.Server() || n.mute {
		return
	}
	if d, ok, _ := n.c.HandlePacket(now, data); ok {
		n.got = append(n.got, Data{d.Peer, bytes.Clone(d.Payload)})
	}
}
func (n *clientNode) EndBatch(time.Time)    {}
func (n *clientNode) Advance(now time.Time) { n.c.Advance(now) }
func (n *clientNode) Deadline() time.Time   { return n.c.Deadline() }
func (n *clientNode) send(text string, peer netip.AddrPort) bool {
	buf := make([]byte, MaxHeadroom+len(text)+MaxTailroom)
	copy(buf[MaxHeadroom:], text)
	pkt, ok := n.c.Wrap(buf, MaxHeadroom, len(text), peer)
	if ok {
		n.queue = append(n.queue, pkt)
	}
	return ok
}

func (n *clientNode) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	for {
		e, ok := n.c.Event()
		if !ok {
			break
		}
		n.events = append(n.events, e)
	}
	if pkt, ok := n.c.Next(n.buf); ok {
		n.buf = pkt
		return n.local, n.c.Server(), pkt, 0, true
	}
	if len(n.queue) > 0 {
		pkt := n.queue[0]
		n.queue = n.queue[1:]
		return n.local, n.c.Server(), pkt, 0, true
	}
	return netip.AddrPort{}, netip.AddrPort{}, nil, 0, false
}

// last returns the latest event of a type.
func last[E Event](events []Event) (e E, ok bool) {
	for i := len(events) - 1; i >= 0; i-- {
		if e, ok = events[i].(E); ok {
			return e, true
		}
	}
	return e, false
}

func count[E Event](events []Event) (n int) {
	for _, e := range events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// serverNode drives a server with UDP listeners on both families.
type serverNode struct {
	t      *testing.T
	s      *Server
	cfg    ServerConfig
	relays map[RelayID]netip.AddrPort
	bound  map[netip.AddrPort]RelayID
	events []ServerEvent
	queue  []datagram
	buf    []byte
	refuse int // binds that fail
	down   bool
}

type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

func testServerConfig(rand io.Reader) ServerConfig {
	return ServerConfig{
		Realm: realm, Auth: StaticUsers(map[string]string{user: password, "bob": "builder"}), Rand: rand,
		Relays: []RelayAddress{{Local: netip.MustParseAddr("30.0.0.1")}, {Local: netip.MustParseAddr("2600::1")}},
	}
}

func newServerNode(t *testing.T, n *netsim.Network, change func(*ServerConfig)) *serverNode {
	t.Helper()
	cfg := testServerConfig(n.Rand("server"))
	if change != nil {
		change(&cfg)
	}
	node := &serverNode{t: t, cfg: cfg}
	node.restart(n.Rand("server again"))
	return node
}

// restart puts a new server in the place of the old one, which has forgotten everything.
func (n *serverNode) restart(rand io.Reader) {
	n.cfg.Rand = rand
	s, err := NewServer(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	s.AddListener(1, UDP, netip.MustParseAddrPort("30.0.0.1:3478"))
	s.AddListener(2, UDP, netip.MustParseAddrPort("[2600::1]:3478"))
	n.s = s
	n.relays, n.bound = make(map[RelayID]netip.AddrPort), make(map[netip.AddrPort]RelayID)
}

func (n *serverNode) listener(id ListenerID) netip.AddrPort { return n.s.listeners[id].local }

func (n *serverNode) HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	if n.down {
		return
	}
	if relay, ok := n.bound[local]; ok {
		n.deliver(now, relay, remote, data)
		return
	}
	for id := range n.s.listeners {
		if n.listener(id) == local {
			f, ok, _ := n.s.HandlePacket(now, FiveTuple{Listener: id, Remote: remote}, data)
			switch {
			case ok && f.Loop != 0:
				n.deliver(now, f.Loop, f.From, f.Payload)
			case ok:
				n.queue = append(n.queue, datagram{n.relays[f.Relay], f.Peer, bytes.Clone(f.Payload)})
			}
			n.work(now)
			return
		}
	}
}

func (n *serverNode) deliver(now time.Time, relay RelayID, peer netip.AddrPort, data []byte) {
	if d, ok := n.s.Deliver(now, relay, peer, len(data)); ok {
		n.queue = append(n.queue, datagram{n.listener(d.Client.Listener), d.Client.Remote, d.Append(nil, data)})
	}
}

// work does what the events ask for.
func (n *serverNode) work(now time.Time) {
	for {
		e, ok := n.s.Event()
		if !ok {
			return
		}
		n.events = append(n.events, e)
		switch e := e.(type) {
		case Bind:
			if n.refuse > 0 {
				n.refuse--
				n.s.HandleBindResult(now, e.Relay, netip.AddrPort{}, io.ErrClosedPipe)
				continue
			}
			n.relays[e.Relay], n.bound[e.Addr] = e.Addr, e.Relay
			n.s.HandleBindResult(now, e.Relay, e.Addr, nil)
		case Unbind:
			delete(n.bound, n.relays[e.Relay])
			delete(n.relays, e.Relay)
		}
	}
}

func (n *serverNode) EndBatch(time.Time) {}
func (n *serverNode) Advance(now time.Time) {
	n.s.Advance(now)
	n.work(now)
}
func (n *serverNode) Deadline() time.Time { return n.s.Deadline() }
func (n *serverNode) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	if to, data, ok := n.s.Next(n.buf); ok {
		n.buf = data
		return n.listener(to.Listener), to.Remote, data, 0, true
	}
	if len(n.queue) > 0 {
		d := n.queue[0]
		n.queue = n.queue[1:]
		return d.from, d.to, d.data, 0, true
	}
	return netip.AddrPort{}, netip.AddrPort{}, nil, 0, false
}

// peerNode keeps what it gets.
type peerNode struct {
	got   []received
	queue []datagram
}

type received struct {
	to, from netip.AddrPort
	data     []byte
}

func (n *peerNode) HandlePacket(_ time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	n.got = append(n.got, received{local, remote, bytes.Clone(data)})
}
func (n *peerNode) EndBatch(time.Time)  {}
func (n *peerNode) Advance(time.Time)   {}
func (n *peerNode) Deadline() time.Time { return time.Time{} }
func (n *peerNode) send(text string, from, to netip.AddrPort) {
	n.queue = append(n.queue, datagram{from, to, []byte(text)})
}

func (n *peerNode) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	if len(n.queue) == 0 {
		return netip.AddrPort{}, netip.AddrPort{}, nil, 0, false
	}
	d := n.queue[0]
	n.queue = n.queue[1:]
	return d.from, d.to, d.data, 0, true
}
