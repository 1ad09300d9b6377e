package webrtc

import (
	"context"
	"errors"
	"net/netip"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/mdns"
	"github.com/openparley/webrtc/ice/mdns/mdnsio"
	"github.com/openparley/webrtc/internal/netio"
)

// localNames is multicast DNS: names that end in ".local" and stand for addresses of this link.
type localNames interface {
	Resolve(ctx context.Context, name string) ([]netip.Addr, error)
	Publish(addr netip.Addr) (name string, err error)
	Unpublish(name string)
}

var errNoNames = errors.New("the network has no multicast names")

// localNames returns the multicast DNS of the network: the process's on the system's, its own on others.
func (t *transport) localNames() (localNames, error) {
	if own, ok := t.network.(localNames); ok {
		return own, nil
	}
	if t.network != netio.System {
		return nil, errNoNames
	}
	return mdnsio.Shared()
}

// resolve is outside work for ICE, in a goroutine of its own.
func (t *transport) resolve(e ice.EventResolve) {
	addrs, err := t.lookup(e.Host)
	if now, ok := t.enter(); ok {
		t.engine.ice.HandleResolveResult(now, e.Gen, e.ID, addrs, err)
		t.exit(now)
	}
}

func (t *transport) lookup(host string) ([]netip.Addr, error) {
	if mdns.IsLocal(host) {
		if names, err := t.localNames(); err == nil {
			return names.Resolve(t.ctx, host)
		}
	}
	return t.network.Resolve(t.ctx, host)
}

// publish is outside work for ICE, in a goroutine of its own. The name lasts as long as the socket.
func (t *transport) publish(e ice.EventPublish) {
	names, err := t.localNames()
	name := ""
	if err == nil {
		name, err = names.Publish(e.Addr)
	}
	now, ok := t.enter()
	conn := t.sockets[e.Base] // nil after close
	if err == nil && conn == nil {
		defer names.Unpublish(name)
	}
	if !ok {
		return
	}
	if err == nil && conn != nil {
		t.sockets[e.Base] = &namedConn{PacketConn: conn, names: names, name: name}
	}
	t.engine.ice.HandlePublishResult(now, e.Gen, e.Base, name, err)
	t.exit(now)
}

// namedConn is a socket whose address has a name.
type namedConn struct {
	netio.PacketConn
	names localNames
	name  string
}

// Close takes the name back.
func (c *namedConn) Close() error {
	c.names.Unpublish(c.name)
	return c.PacketConn.Close()
}
