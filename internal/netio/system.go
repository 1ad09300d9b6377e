package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// socketBuffer is the size in bytes asked for in each direction; the system may
// give less. A receive buffer below a burst or two loses packets at any rate.
const socketBuffer = 4 << 20

// System is the network of the operating system.
var System Network = system{}

type system struct{}

// ListenUDP implements Network.
func (system) ListenUDP(local netip.AddrPort) (PacketConn, error) {
	c, err := listen(local, false)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListenUDPGroup opens n sockets that share one address and port, so that n
// readers can serve it: the system spreads the flows over them. A flow may move
// to another socket when its addresses change. Where the system cannot share a
// port so (it needs SO_REUSEPORT as Linux has it), or n is below 2, it opens one.
func ListenUDPGroup(local netip.AddrPort, n int) ([]PacketConn, error) {
	if !canShare || n < 1 {
		n = 1
	}
	group := make([]PacketConn, 0, n)
	for range n {
		c, err := listen(local, n > 1)
		if err != nil {
			for _, c := range group {
				_ = c.Close()
			}
			return nil, err
		}
		group = append(group, c)
		// The first one chose the port if the caller did not.
		local = netip.AddrPortFrom(local.Addr(), c.LocalAddr().Port())
	}
	return group, nil
}

// listen opens the socket and wraps it.
func listen(local netip.AddrPort, share bool) (PacketConn, error) {
	network, host := "udp", ""
	if a := local.Addr(); a.IsValid() {
		a = a.Unmap()
		local = netip.AddrPortFrom(a, local.Port())
		network, host = "udp6", a.String()
		if a.Is4() {
			network = "udp4"
		}
	}
	lc := net.ListenConfig{}
	if share {
		lc.Control = sharePort
	}
	address := net.JoinHostPort(host, fmt.Sprint(local.Port()))
	p, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	uc := p.(*net.UDPConn) // the type that ListenPacket documents for "udp"
	// Best effort: what the system grants is what there is.
	_ = uc.SetReadBuffer(socketBuffer)
	_ = uc.SetWriteBuffer(socketBuffer)
	bound := uc.LocalAddr().(*net.UDPAddr).AddrPort()
	bound = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	c, err := newConn(uc, bound)
	if err != nil {
		_ = uc.Close()
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	return c, nil
}

// Resolve implements Network.
func (system) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("netio: resolve: %w", err)
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, nil
}

// closedError turns the error of a call on uc into ErrClosed where that is what
// it means.
func closedError(op string, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("netio: %s: %w", op, err)
}
