package webrtc

import (
	"context"
	"net/netip"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// The outside work that ICE asks for: each piece in a short goroutine of its own, whose result goes back to the engine.

// outsideWork starts what an event of ICE asks for. mu is held.
func (t *transport) outsideWork(e ice.Event) {
	switch e := e.(type) {
	case ice.EventInterfaces:
		t.life.spawn("interfaces", func() { t.listInterfaces(e) })
	case ice.EventBind:
		t.life.spawn("bind", func() { t.bind(e) })
	case ice.EventResolve:
		t.life.spawn("resolve", func() { t.resolve(e) })
	case ice.EventPublish:
		t.life.spawn("publish", func() { t.publish(e) })
	case ice.EventDial:
		t.life.spawn("dial", func() { t.dial(e) })
	case ice.EventConnect:
		ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
		if t.dials == nil {
			t.dials = make(map[ice.BaseID]context.CancelFunc)
		}
		t.dials[e.Base] = cancel
		t.life.spawn("connect", func() {
			defer cancel()
			t.connectPeer(ctx, e)
		})
	case ice.EventUnbind:
		if cancel := t.dials[e.Base]; cancel != nil {
			cancel()
		}
		if conn := t.sockets[e.Base]; conn != nil {
			delete(t.sockets, e.Base)
			t.life.spawn("unbind", func() { _ = conn.Close() })
		}
	}
}

// listInterfaces is outside work for ICE, in a goroutine of its own.
func (t *transport) listInterfaces(e ice.EventInterfaces) {
	interfaces, err := t.network.Interfaces()
	var addrs []netip.Addr
	for _, i := range interfaces {
		if !i.Up || i.Loopback && !t.settings.IncludeLoopback ||
			t.settings.InterfaceFilter != nil && !t.settings.InterfaceFilter(i.Name) {
			continue
		}
		for _, prefix := range i.Addrs {
			if addr := prefix.Addr(); t.usable(addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	if now, ok := t.enter(); ok {
		if w, can := t.network.(netio.Watcher); can && t.unwatch == nil {
			t.unwatch = w.Watch(t.networkChanged)
		}
		t.engine.ice.HandleInterfacesResult(now, e.Gen, addrs, err)
		t.exit(now)
	}
}

// networkChanged lets ICE look at the interfaces again. It runs in a goroutine of the network, which must be done with us
// when Done is closed.
func (t *transport) networkChanged() {
	if !t.life.enter() {
		return
	}
	defer t.life.leave()
	if now, ok := t.enter(); ok {
		t.engine.ice.NetworkChanged(now)
		t.exit(now)
	}
}

// usable keeps what RFC 8445, section 5.1.1.1, wants as host candidates: no link-local IPv6 addresses (browsers leave
// them out too: they need a zone that the peer does not know), nothing unspecified or multicast.
func (t *transport) usable(addr netip.Addr) bool {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.Is4In6() ||
		addr.Is6() && addr.IsLinkLocalUnicast() {
		return false
	}
	return t.settings.IPFilter == nil || t.settings.IPFilter(addr)
}

// bind is outside work for ICE, in a goroutine of its own.
func (t *transport) bind(e ice.EventBind) {
	if e.Network == NetworkTypeTCP4.String() || e.Network == NetworkTypeTCP6.String() {
		t.bindTCP(e)
		return
	}
	if t.settings.UDPMux != nil {
		t.bindMuxed(e)
		return
	}
	conn, err := t.listen(e.Addr)
	var local netip.AddrPort
	if err == nil {
		local = conn.LocalAddr()
	}
	now, ok := t.enter()
	if !ok {
		if conn != nil {
			_ = conn.Close()
		}
		return
	}
	if err == nil {
		t.sockets[e.Base] = conn
		t.life.spawn("reader", func() { t.read(e.Base, conn) })
	}
	t.engine.ice.HandleBindResult(now, e.Gen, e.Base, local, err)
	t.exit(now)
}

// listen opens a socket, within the range of ports if there is one.
func (t *transport) listen(addr netip.AddrPort) (netio.PacketConn, error) {
	low, high := t.settings.UDPPortMin, t.settings.UDPPortMax
	if low == 0 || addr.Port() != 0 {
		return t.network.ListenUDP(addr)
	}
	var conn netio.PacketConn
	err := inPortRange(low, high, func(port uint16) (err error) {
		conn, err = t.network.ListenUDP(netip.AddrPortFrom(addr.Addr(), port))
		return err
	})
	return conn, err
}

// inPortRange tries the ports of a range, from a random one on, until one of them is free.
func inPortRange(low, high uint16, listen func(port uint16) error) (err error) {
	count := int(high) - int(low) + 1
	first := int(randomUint16()) % count
	for i := range count {
		if err = listen(low + uint16((first+i)%count)); err == nil {
			return nil
		}
	}
	return err
}

// bindMuxed makes a base on the mux, which reads for it.
func (t *transport) bindMuxed(e ice.EventBind) {
	now, ok := t.enter()
	if !ok {
		return
	}
	var local netip.AddrPort
	conn, err := t.settings.UDPMux.attach(t, e.Base, e.Addr.Addr(), t.engine.ice.LocalParameters().Ufrag)
	if err == nil {
		local = conn.LocalAddr()
		t.sockets[e.Base] = conn
	}
	t.engine.ice.HandleBindResult(now, e.Gen, e.Base, local, err)
	t.exit(now)
}
