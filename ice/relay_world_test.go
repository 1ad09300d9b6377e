package ice

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"github.com/openparley/webrtc/ice/turn"
)

var turnServer = netip.MustParseAddrPort("203.0.113.2:3478")

var testTURN = Server{
	Kind: ServerTURN, URL: "turn:203.0.113.2", Host: "203.0.113.2", Username: "alice", Password: "wonderland",
}

// turnWorld is a TURN server in a world.
type turnWorld struct {
	w      *world
	s      *turn.Server
	relays map[turn.RelayID]netip.AddrPort
	bound  map[netip.AddrPort]turn.RelayID
	down   bool
	data   int  // packets that it has relayed
	strict bool // does not relay to private networks

	clients map[netip.AddrPort]streamEnd // connections
}

func (w *world) addTURN(strict bool) {
	w.turn = &turnWorld{w: w, strict: strict}
	w.turn.restart()
}

// restart puts a new server in the place of the old one, which has forgotten everything.
func (n *turnWorld) restart() {
	allow := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
	if !n.strict {
		allow = append(allow, netip.MustParsePrefix("10.0.0.0/8"))
	}
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "example.org", Auth: turn.StaticUsers(map[string]string{"alice": "wonderland"}),
		Rand: newSeeded(n.w.rng.Uint64()), Relays: []turn.RelayAddress{{Local: turnServer.Addr()}},
		AllowPeers: allow,
	})
	n.w.must(err)
	s.AddListener(1, turn.UDP, turnServer)
	s.AddListener(2, turn.TCP, turnServer)
	n.clients = map[netip.AddrPort]streamEnd{}
	n.s, n.relays, n.bound = s, map[turn.RelayID]netip.AddrPort{}, map[netip.AddrPort]turn.RelayID{}
}

func (n *turnWorld) deliver(from, to netip.AddrPort, data []byte) {
	if n.down {
		return
	}
	if relay, ok := n.bound[to]; ok {
		n.toClient(relay, from, data)
		return
	}
	if to != turnServer {
		return
	}
	n.fromClient(turn.FiveTuple{Listener: 1, Remote: from}, data)
}

// streamEnd is the client's end of a connection.
type streamEnd struct {
	n    *node
	base BaseID
}

func (n *turnWorld) connect(local netip.AddrPort, client *node, base BaseID) {
	n.clients[local] = streamEnd{client, base}
}

func (n *turnWorld) hangUp(local netip.AddrPort) {
	delete(n.clients, local)
	n.s.HandleDisconnect(n.w.now, turn.FiveTuple{Listener: 2, Remote: local})
}

func (n *turnWorld) fromStream(local netip.AddrPort, data []byte) {
	if _, ok := n.clients[local]; ok && !n.down {
		n.fromClient(turn.FiveTuple{Listener: 2, Remote: local}, data)
	}
}

// breakAll breaks all connections, as a restart of the server does.
func (n *turnWorld) breakAll() {
	for local, end := range n.clients {
		n.hangUp(local)
		n.w.after(n.w.delay, func() {
			end.n.a.HandleDisconnect(n.w.now, end.base, io.EOF)
			end.n.pump()
		})
	}
}

func (n *turnWorld) fromClient(from turn.FiveTuple, data []byte) {
	now := n.w.now
	f, ok, _ := n.s.HandlePacket(now, from, data)
	switch {
	case ok && f.Loop != 0:
		n.toClient(f.Loop, f.From, f.Payload)
	case ok:
		n.data++
		n.send(n.relays[f.Relay], f.Peer, f.Payload)
	}
	for e, ok := n.s.Event(); ok; e, ok = n.s.Event() {
		switch e := e.(type) {
		case turn.Bind:
			n.relays[e.Relay], n.bound[e.Addr] = e.Addr, e.Relay
			n.s.HandleBindResult(now, e.Relay, e.Addr, nil)
		case turn.Unbind:
			delete(n.bound, n.relays[e.Relay])
			delete(n.relays, e.Relay)
		}
	}
	for {
		to, data, ok := n.s.Next(nil)
		if !ok {
			return
		}
		n.toFiveTuple(to, data)
	}
}

func (n *turnWorld) toFiveTuple(to turn.FiveTuple, data []byte) {
	if to.Listener == 1 {
		n.send(turnServer, to.Remote, data)
		return
	}
	data = bytes.Clone(data)
	n.w.after(n.w.delay, func() {
		if end, ok := n.clients[to.Remote]; ok {
			end.n.receive(end.base, turnServer, data)
		}
	})
}

func (n *turnWorld) toClient(relay turn.RelayID, peer netip.AddrPort, data []byte) {
	if d, ok := n.s.Deliver(n.w.now, relay, peer, len(data)); ok {
		n.data++
		n.toFiveTuple(d.Client, d.Append(nil, data))
	}
}

func (n *turnWorld) send(from, to netip.AddrPort, data []byte) {
	data = bytes.Clone(data)
	n.w.after(n.w.delay, func() { n.w.deliver(from, to, data) })
}

// relayPair is two peers behind symmetric NATs, with the TURN server.
func relayPair(t *testing.T, a, b Config, strict bool) (w *world, x, y *node) {
	w = newWorld(t, 1)
	w.addTURN(strict)
	x, y = w.add("a", a, "10.0.0.1"), w.add("b", b, "10.0.1.1")
	x.nat, y.nat = newNAT("198.51.100.1", true), newNAT("198.51.100.2", true)
	return w, x, y
}
