package netio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// socketBuffer is the size in bytes asked for in each direction; the system may
// give less. A receive buffer below a burst or two loses packets at any rate.
const socketBuffer = 4 << 20

// System is the network of the operating system.
var System Network = system{}

type system struct{}

// ListenUDP implements Network.
func (system) ListenUDP(local netip.AddrPort) (PacketConn, error) {
	return listen(local, shareNever)
}

// ListenUDPGroup opens n sockets that share one address and port, so that n
// readers can serve it: the system spreads the flows over them. A flow may move
// to another socket when its addresses change. The port must be free: a program
// that is started twice by mistake does not get half of its own packets. Where
// the system cannot share a port so (it needs SO_REUSEPORT as Linux has it), or n
// is below 2, it opens one.
func ListenUDPGroup(local netip.AddrPort, n int) ([]PacketConn, error) {
	first, err := listen(local, shareLater)
	if err != nil {
		return nil, err
	}
	group := []PacketConn{first}
	if !canShare {
		return group, nil
	}
	// The first one chose the port if the caller did not.
	local = netip.AddrPortFrom(local.Addr(), first.LocalAddr().Port())
	for range n - 1 {
		c, err := listen(local, shareNow)
		if err != nil {
			for _, c := range group {
				_ = c.Close()
			}
			return nil, err
		}
		group = append(group, c)
	}
	return group, nil
}

// JoinUDPGroup opens one more socket for a port of ListenUDPGroup, to stand beside
// one that is closed afterwards. It unwraps to errors.ErrUnsupported where the
// system cannot share a port.
func JoinUDPGroup(local netip.AddrPort) (PacketConn, error) {
	if !canShare {
		return nil, fmt.Errorf("netio: a second socket for a port: %w", errors.ErrUnsupported)
	}
	return listen(local, shareNow)
}

// sharing is whether a socket shares its port with others of its group.
type sharing int

const (
	shareNever sharing = iota
	shareNow           // with those that have the port already
	shareLater         // with those that join; the port must be free
)

// listen opens the socket and wraps it.
func listen(local netip.AddrPort, share sharing) (PacketConn, error) {
	uc, err := listenUDP(local, share)
	if err != nil {
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	c, err := wrap(uc, share)
	if err != nil {
		_ = uc.Close()
		return nil, fmt.Errorf("netio: listen: %w", err)
	}
	return c, nil
}

// listenUDP opens the socket.
func listenUDP(local netip.AddrPort, share sharing) (*net.UDPConn, error) {
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
	if share == shareNow {
		lc.Control = func(_, _ string, raw syscall.RawConn) error { return sharePort(raw) }
	}
	address := net.JoinHostPort(host, fmt.Sprint(local.Port()))
	p, err := lc.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return p.(*net.UDPConn), nil // the type that ListenPacket documents for "udp"
}

// wrap makes a PacketConn of a bound socket.
func wrap(uc *net.UDPConn, share sharing) (PacketConn, error) {
	c, err := newConn(uc, boundAddr(uc))
	if err != nil || share != shareLater {
		return c, err
	}
	return c, sharePort(c.raw)
}

func boundAddr(uc *net.UDPConn) netip.AddrPort {
	bound := uc.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
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
