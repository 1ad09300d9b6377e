package webrtc

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// ICE over TCP (RFC 6544): connections that ICE asks for, and listeners of one connection.

// connectPeer is outside work for ICE, in a goroutine of its own. An EventUnbind ends it.
func (t *transport) connectPeer(ctx context.Context, e ice.EventConnect) {
	var stream netio.PacketConn
	var local netip.AddrPort
	err := errNoStreams
	if network, ok := t.network.(netio.StreamNetwork); ok {
		var conn net.Conn
		if conn, err = network.DialTCPFrom(ctx, e.Local, e.Remote); err == nil {
			stream = netio.NewStream(conn, netio.RFC4571)
			local = stream.LocalAddr()
		}
	}
	now, ok := t.enter()
	if !ok {
		if stream != nil {
			_ = stream.Close()
		}
		return
	}
	delete(t.dials, e.Base)
	if err == nil {
		t.addStream(e.Base, stream)
	}
	t.engine.ice.HandleDialResult(now, e.Base, local, err)
	t.exit(now)
}

// addStream takes a connection as a base. mu is held.
func (t *transport) addStream(base ice.BaseID, stream netio.PacketConn) {
	t.sockets[base] = stream
	t.life.spawn("reader", func() {
		t.read(base, stream)
		t.disconnected(base)
	})
}

// bindTCP is outside work for ICE, in a goroutine of its own: a listener, or a place on the mux.
func (t *transport) bindTCP(e ice.EventBind) {
	var socket netio.PacketConn
	var listener net.Listener
	var err error
	if t.settings.TCPMux == nil {
		if listener, err = t.listenTCP(e.Addr.Addr()); err == nil {
			socket = newListening(listener)
		}
	}
	now, ok := t.enter()
	if !ok {
		if socket != nil {
			_ = socket.Close()
		}
		return
	}
	if t.settings.TCPMux != nil {
		socket, err = t.settings.TCPMux.attach(t, e.Base, e.Addr.Addr(), t.engine.ice.LocalParameters().Ufrag)
	}
	var local netip.AddrPort
	if err == nil {
		local = socket.LocalAddr()
		t.sockets[e.Base] = socket
	}
	if listener != nil {
		t.life.spawn("listener", func() { t.accept(e.Base, listener) })
	}
	t.engine.ice.HandleBindResult(now, e.Gen, e.Base, local, err)
	t.exit(now)
}

// listenTCP opens a listener within the range of ports.
func (t *transport) listenTCP(addr netip.Addr) (listener net.Listener, err error) {
	network, ok := t.network.(netio.StreamNetwork)
	if !ok {
		return nil, errNoStreams
	}
	err = inPortRange(t.settings.TCPPortMin, t.settings.TCPPortMax, func(port uint16) (err error) {
		listener, err = network.ListenTCP(netip.AddrPortFrom(addr, port))
		return err
	})
	return listener, err
}

// accept is a listener's goroutine.
func (t *transport) accept(base ice.BaseID, l net.Listener) {
	err := acceptAll(l, t.ctx.Done(), func(c net.Conn) { t.accepted(base, c, nil) })
	if !errors.Is(err, net.ErrClosed) {
		t.logger.Warn("a listener has failed", "error", err)
	}
}

// acceptAll accepts connections until the listener is closed. What fails otherwise, as for want of descriptors, is tried
// again after a while. It returns what has ended it.
func acceptAll(l net.Listener, done <-chan struct{}, take func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err == nil {
			take(c)
			continue
		}
		if temporary, ok := err.(interface{ Temporary() bool }); !ok || !temporary.Temporary() {
			return err
		}
		select {
		case <-time.After(acceptPause):
		case <-done:
			return net.ErrClosed
		}
	}
}

const acceptPause = 50 * time.Millisecond

// accepted gives a connection that a peer has made to ICE. read is what has already come by it.
func (t *transport) accepted(base ice.BaseID, c net.Conn, read []byte) {
	_, remote := netio.StreamAddrs(c)
	now, ok := t.enter()
	if !ok {
		_ = c.Close()
		return
	}
	id, err := t.engine.ice.HandleAccept(now, base, remote)
	if err == nil {
		t.addStream(id, netio.ResumeStream(c, netio.RFC4571, read))
	}
	t.exit(now)
	if err != nil {
		t.logger.Debug("connection refused", "error", err)
		_ = c.Close()
	}
}

// listening stands for a listener among the sockets. Nothing is read or written by it.
type listening struct {
	listener net.Listener
	local    netip.AddrPort
	once     sync.Once
	done     chan struct{}
}

func newListening(l net.Listener) *listening {
	return &listening{listener: l, local: listenAddr(l), done: make(chan struct{})}
}

// listenAddr is where a listener listens; invalid: not at an address of IP.
func listenAddr(l net.Listener) netip.AddrPort {
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// ReadBatch implements netio.PacketConn: nothing comes this way.
func (l *listening) ReadBatch(b *netio.Batch) error {
	b.Release()
	<-l.done
	return netio.ErrClosed
}

// WriteBatch implements netio.PacketConn: nothing goes this way either.
func (l *listening) WriteBatch(msgs []netio.Message) (int, error) { return len(msgs), nil }

// LocalAddr implements netio.PacketConn.
func (l *listening) LocalAddr() netip.AddrPort { return l.local }

// Close implements netio.PacketConn.
func (l *listening) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		err = l.listener.Close()
	})
	return err
}
