package webrtc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/openparley/webrtc/dtls/dtlsio"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// dialTimeout bounds all handshakes with a server and with what is in front of it.
const dialTimeout = 10 * time.Second

var errNoStreams = errors.New("the network has no such connections")

// dial is outside work for ICE, in a goroutine of its own: a connection to a TURN server.
func (t *transport) dial(e ice.EventDial) {
	conn, err := t.connect(e)
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
		t.life.spawn("reader", func() {
			t.read(e.Base, conn)
			t.disconnected(e.Base)
		})
	}
	t.engine.ice.HandleDialResult(now, e.Base, local, err)
	t.exit(now)
}

// connect makes the connection.
func (t *transport) connect(e ice.EventDial) (netio.PacketConn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	defer cancel()
	switch e.Network {
	case turn.TCP.String(), turn.TLS.String():
		return t.connectStream(ctx, e)
	case turn.DTLS.String():
		return t.connectDTLS(ctx, e)
	}
	return nil, fmt.Errorf("%w: %s", errNoStreams, e.Network)
}

// serverTLS is the configuration of a secure connection to a host.
func (t *transport) serverTLS(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.settings.ServerTLS != nil {
		config = t.settings.ServerTLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	return config
}

// connectStream makes a connection by TCP or TLS.
func (t *transport) connectStream(ctx context.Context, e ice.EventDial) (netio.PacketConn, error) {
	dialer, ok := t.network.(netio.StreamDialer)
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoStreams, e.Network)
	}
	conn, err := t.reach(ctx, streamDialer{t.network, dialer}, e)
	if err != nil {
		return nil, err
	}
	if e.Network == turn.TLS.String() {
		secure := tls.Client(conn, t.serverTLS(e.Host))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	return netio.NewStream(conn, turnFraming), nil
}

// connectDTLS makes a connection by DTLS, over a socket of its own.
func (t *transport) connectDTLS(ctx context.Context, e ice.EventDial) (netio.PacketConn, error) {
	config, err := dtlsio.ClientFromTLS(t.serverTLS(e.Host))
	if err != nil {
		return nil, err
	}
	wildcard := netip.IPv4Unspecified()
	if e.Remote.Addr().Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	socket, err := t.listen(netip.AddrPortFrom(wildcard, 0))
	if err != nil {
		return nil, err
	}
	return dtlsio.Client(ctx, socket, e.Remote, config)
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
