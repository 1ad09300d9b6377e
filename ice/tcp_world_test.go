package ice

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
)

// wire is a TCP connection between two nodes: nothing is lost, and everything arrives in order.
type wire struct {
	w    *world
	ends [2]wireEnd
	dead bool // what is sent is lost, and nobody learns it
}

type wireEnd struct {
	n    *node
	base BaseID
	seen netip.AddrPort // what the other end sees it as
}

var (
	errRefused = errors.New("connection refused")
	errDropped = errors.New("no answer ever comes")
)

// dial makes a connection in one round trip, if somebody listens there.
func (w *world) dial(n *node, e EventConnect) {
	w.dialed++
	n.port++
	local := netip.AddrPortFrom(e.Local.WithZone(""), n.port)
	seen := local
	if n.nat != nil {
		seen = n.nat.out(local, e.Remote)
	}
	w.after(2*w.delay, func() {
		err := errRefused
		if w.firewall != nil && w.firewall(n, e.Remote) != nil {
			if err = w.firewall(n, e.Remote); errors.Is(err, errDropped) {
				return
			}
		} else if x := w.accept(n, e, seen); x != nil {
			n.wires[e.Base] = x
			n.a.HandleDialResult(w.now, e.Base, local, nil)
			n.pump()
			return
		}
		n.a.HandleDialResult(w.now, e.Base, netip.AddrPort{}, err)
		n.pump()
	})
}

func (w *world) accept(n *node, e EventConnect, seen netip.AddrPort) *wire {
	for _, to := range w.peers {
		for listener, addr := range to.tcp {
			if addr != e.Remote {
				continue
			}
			base, err := to.a.HandleAccept(w.now, listener, seen)
			x := &wire{w: w, ends: [2]wireEnd{{n, e.Base, seen}, {to, base, addr}}}
			if err == nil {
				to.wires[base] = x
			}
			to.pump()
			return x // one that was refused is closed after the handshake
		}
	}
	return nil
}

func (x *wire) send(n *node, data []byte) {
	from, to := x.ends[0], x.ends[1]
	if n != from.n {
		from, to = to, from
	}
	if x.dead {
		return
	}
	data = bytes.Clone(data)
	x.w.after(x.w.delay, func() {
		if to.n.wires[to.base] == x {
			to.n.receive(to.base, from.seen, data)
		}
	})
}

// hangUp closes the end of a node; the other one learns it later.
func (x *wire) hangUp(n *node) {
	for i, end := range x.ends {
		if end.n != n {
			continue
		}
		delete(n.wires, end.base)
		to := x.ends[1-i]
		if x.dead {
			return
		}
		x.w.after(x.w.delay, func() {
			if to.n.wires[to.base] == x {
				delete(to.n.wires, to.base)
				to.n.a.HandleDisconnect(x.w.now, to.base, io.EOF)
				to.n.pump()
			}
		})
	}
}

// breakWires breaks all connections in the middle: both ends learn it.
func (w *world) breakWires() {
	for _, n := range w.peers {
		for base := range n.wires {
			delete(n.wires, base)
			w.after(w.delay, func() {
				n.a.HandleDisconnect(w.now, base, io.EOF)
				n.pump()
			})
		}
	}
}

const bothNetworks = NetworkUDP4 | NetworkTCP4

// newTCPPair is a client that connects and a server that listens; UDP gets through only if udp is set.
func newTCPPair(w *world, udp bool) (client, server *node) {
	client = w.add("client", Config{Networks: bothNetworks}, "192.0.2.1")
	server = w.add("server", Config{Networks: bothNetworks, TCPPassive: true}, "192.0.2.2")
	if !udp {
		w.blocked = func(_, _ netip.AddrPort) bool { return true }
	}
	return client, server
}
