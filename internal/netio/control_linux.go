//go:build !android && !netio_portable

package netio

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Room for the control messages of one message, in words so that it is aligned:
// packet info, traffic class and segment size.
const controlWords = 16

type control [controlWords]uint64

func (c *control) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(c)), controlWords*8)
}

// controlWriter lays control messages out one behind the other.
type controlWriter struct {
	buf []byte
	n   int
}

// put adds a header and returns the room for its size bytes of data, zeroed.
func (w *controlWriter) put(level, kind int32, size int) []byte {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&w.buf[w.n]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	data := w.buf[w.n+unix.CmsgLen(0):][:size]
	clear(data)
	w.n += unix.CmsgSpace(size)
	return data
}

// segment asks for datagrams of n bytes.
func (w *controlWriter) segment(n int) {
	binary.NativeEndian.PutUint16(w.put(unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(n))
}

// ecn sets the codepoint; four says that the packet will be IPv4, whatever the
// family of the socket.
func (w *controlWriter) ecn(mark uint8, four bool) {
	level, kind := int32(unix.SOL_IPV6), int32(unix.IPV6_TCLASS)
	if four {
		level, kind = unix.SOL_IP, unix.IP_TOS
	}
	binary.NativeEndian.PutUint32(w.put(level, kind, 4), uint32(mark&3))
}

// source sets the source address. An IPv6 socket takes IPv4 ones mapped.
func (w *controlWriter) source(local netip.Addr, six bool) {
	if !six {
		a := local.As4()
		// struct in_pktinfo: interface, source, destination.
		copy(w.put(unix.SOL_IP, unix.IP_PKTINFO, 12)[4:8], a[:])
		return
	}
	a := local.As16()
	data := w.put(unix.SOL_IPV6, unix.IPV6_PKTINFO, 20)
	copy(data, a[:])
	if zone := local.Zone(); zone != "" {
		binary.NativeEndian.PutUint32(data[16:], zones.index(zone))
	}
}

// parseControl reads what came with a message into m: Local, ECN and Segment. It
// makes progress with each header, or ends.
func parseControl(b []byte, m *Message) {
	head := unix.CmsgLen(0)
	for len(b) >= head {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < head || size > len(b) {
			return
		}
		controlMessage(h.Level, h.Type, b[head:size], m)
		b = b[min(len(b), unix.CmsgSpace(size-head)):]
	}
}

func controlMessage(level, kind int32, data []byte, m *Message) {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
		// A lone datagram may carry its own size.
		if n := int(int32(binary.NativeEndian.Uint32(data))); n > 0 && n < len(m.Data) {
			m.Segment = n
		}
	case level == unix.SOL_IP && kind == unix.IP_TOS && len(data) >= 1:
		m.ECN = data[0] & 3
	case level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(data) >= 4:
		m.ECN = uint8(binary.NativeEndian.Uint32(data)) & 3
	case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) >= 12:
		// The local address of the packet, which for a multicast is not its
		// destination.
		m.Local = netip.AddrFrom4([4]byte(data[4:8]))
	case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= 20:
		m.Local = address(netip.AddrFrom16([16]byte(data[:16])), binary.NativeEndian.Uint32(data[16:]))
	}
}

// address gives an address as the kernel has it its usual form: IPv4 unmapped,
// link-local IPv6 with the interface as its zone.
func address(a netip.Addr, index uint32) netip.Addr {
	if a.Is4In6() {
		return a.Unmap()
	}
	if index != 0 && a.IsLinkLocalUnicast() {
		return a.WithZone(zoneNames.name(index))
	}
	return a
}

// sockaddr is room for an address of either family.
type sockaddr unix.RawSockaddrInet6

// get reads an address that the kernel wrote.
func (s *sockaddr) get() netip.AddrPort {
	// Both families have the port at the same place, in network order.
	port := portOrder(s.Port)
	switch s.Family {
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(address(netip.AddrFrom16(s.Addr), s.Scope_id), port)
	}
	return netip.AddrPort{}
}

// put writes an address for a socket of the family, and returns its length; 0:
// the socket has no such addresses.
func (s *sockaddr) put(to netip.AddrPort, six bool) uint32 {
	addr := to.Addr()
	if !addr.IsValid() {
		return 0
	}
	if six {
		*s = sockaddr{Family: unix.AF_INET6, Port: portOrder(to.Port()), Addr: addr.As16()}
		if zone := addr.Zone(); zone != "" {
			s.Scope_id = zones.index(zone)
		}
		return unix.SizeofSockaddrInet6
	}
	if addr = addr.Unmap(); !addr.Is4() {
		return 0
	}
	four := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
	*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: portOrder(to.Port()), Addr: addr.As4()}
	return unix.SizeofSockaddrInet4
}

// portOrder turns a port from network into machine order, or back.
func portOrder(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}
