package webrtc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// dialTimeout bounds TCP's and TLS's handshakes with a server.
const dialTimeout = 10 * time.Second

var errNoStreams = errors.New("the network has no such connections")

// dial is outside work for ICE, in a goroutine of its own: a connection to a TURN server.
func (t *transport) dial(e ice.EventDial) {
	conn, err := t.connect(e)
	var stream netio.PacketConn
	var local netip.AddrPort
	if err == nil {
		stream = netio.NewStream(conn, turnFraming)
		local = stream.LocalAddr()
	}
	now, ok := t.enter()
	if !ok {
		if stream != nil {
			_ = stream.Close()
		}
		return
	}
	if err == nil {
		t.sockets[e.Base] = stream
		t.life.spawn("reader", func() {
			t.read(e.Base, stream)
			t.disconnected(e.Base)
		})
	}
	t.engine.ice.HandleDialResult(now, e.Base, local, err)
	t.exit(now)
}

// connect makes the connection.
func (t *transport) connect(e ice.EventDial) (net.Conn, error) {
	dialer, ok := t.network.(netio.StreamDialer)
	if !ok || e.Network != turn.TCP.String() && e.Network != turn.TLS.String() {
		return nil, fmt.Errorf("%w: %s", errNoStreams, e.Network)
	}
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	defer cancel()
	conn, err := dialer.DialTCP(ctx, e.Remote)
	if err != nil || e.Network == turn.TCP.String() {
		return conn, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.settings.ServerTLS != nil {
		config = t.settings.ServerTLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = e.Host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// disconnected tells ICE that a connection has ended.
func (t *transport) disconnected(base ice.BaseID) {
	if now, ok := t.enter(); ok {
		t.engine.ice.HandleDisconnect(now, base, net.ErrClosed)
		t.exit(now)
	}
}

// turnFraming cuts a stream into TURN's messages, which tell their length themselves.
var turnFraming = netio.Framing{Next: func(b []byte) (start, end, size int, err error) {
	size, err = turn.FrameLength(b)
	if err != nil || size > len(b) {
		return 0, 0, 0, err
	}
	return 0, size, size, nil
}}
