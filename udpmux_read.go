package webrtc

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// read is the goroutine of one of the mux's sockets.
func (x *UDPMux) read(p *muxPort) {
	var batch netio.Batch
	defer batch.Release()
	var wait time.Duration
	for conn := p.conn.Load(); conn != nil; conn = x.reopen(p, conn, &wait) {
		err := (*conn).ReadBatch(&batch)
		for ; err == nil; err = (*conn).ReadBatch(&batch) {
			wait = 0
			x.dispatch(p, &batch)
		}
		if !errors.Is(err, net.ErrClosed) {
			x.logger.Warn("a socket of the port has failed", "error", err)
		}
	}
}

// dispatch hands the packets of a batch to their connections.
func (x *UDPMux) dispatch(p *muxPort, batch *netio.Batch) {
	var d muxDelivery
	received, unknown := 0, 0
	for i := range batch.Messages {
		m := &batch.Messages[i]
		var to *muxed
		known := false // the packets of a burst come from one address, which is looked up once between STUN messages
		for k := range m.Count() {
			pkt := m.At(k)
			stun := len(pkt) > 0 && pkt[0] <= 3
			if stun || !known {
				to = x.find(m.Remote, pkt)
			}
			known = !stun
			received++
			if to == nil || !d.deliver(to, m.Local, m.Remote, pkt) {
				unknown++
			}
		}
	}
	d.end()
	p.received.Add(uint64(received))
	if unknown > 0 {
		p.unknown.Add(uint64(unknown))
	}
}

// find returns the connection that a packet is for; nil: nobody's.
func (x *UDPMux) find(remote netip.AddrPort, pkt []byte) *muxed {
	switch {
	case len(pkt) == 0:
		return nil
	case pkt[0] > 3:
		return x.remotes.get(remote).m
	case len(pkt) < 20:
		return nil
	case isBindingRequest(pkt):
		x.mu.RLock()
		defer x.mu.RUnlock()
		return x.ufrags[string(stunUfrag(pkt))]
	case isBindingResponse(pkt):
		x.mu.RLock()
		defer x.mu.RUnlock()
		return x.transactions[transactionID(pkt[8:20])]
	}
	return x.remotes.get(remote).m
}

func isBindingRequest(pkt []byte) bool { return pkt[0] == 0 && pkt[1] == 1 }

// isBindingResponse takes success and error.
func isBindingResponse(pkt []byte) bool { return pkt[0] == 1 && pkt[1]&0xef == 1 }

// stunUfrag returns the first half of the USERNAME of a STUN message, which is our ufrag (RFC 8445, section 7.2.2).
func stunUfrag(pkt []byte) []byte {
	for rest := pkt[20:]; len(rest) >= 4; {
		kind, n := uint16(rest[0])<<8|uint16(rest[1]), int(rest[2])<<8|int(rest[3])
		if n > len(rest)-4 {
			return nil
		}
		if kind == 6 {
			name := rest[4 : 4+n]
			if i := slices.Index(name, ':'); i >= 0 {
				return name[:i]
			}
			return nil
		}
		rest = rest[min(len(rest), 4+(n+3)&^3):]
	}
	return nil
}

// muxDelivery hands packets to connections, each of which is entered once for those of its packets that lie together.
type muxDelivery struct {
	to  *muxed // entered; nil: none
	now time.Time
}

// deliver reports whether the connection has taken the packet.
func (d *muxDelivery) deliver(to *muxed, local netip.Addr, remote netip.AddrPort, pkt []byte) bool {
	base, ok := to.base(local, remote)
	if !ok || len(pkt) == 0 {
		return false
	}
	if d.to != to {
		d.end()
		now, ok := to.t.enter()
		if !ok {
			return false
		}
		d.to, d.now = to, now
		to.t.answered = false
	}
	if pkt[0] > 3 || len(pkt) < 20 {
		to.t.engine.handlePacket(d.now, base, remote, pkt)
		return true
	}
	d.deliverSTUN(base, remote, pkt)
	return true
}

// deliverSTUN also learns whose the address is. The packet is not ours any more once it is delivered.
func (d *muxDelivery) deliverSTUN(base ice.BaseID, remote netip.AddrPort, pkt []byte) {
	request, response, id := isBindingRequest(pkt), isBindingResponse(pkt), transactionID(pkt[8:20])
	if !d.to.t.engine.handlePacket(d.now, base, remote, pkt) {
		return
	}
	if response {
		d.to.answered(id)
	}
	if request || response {
		// A lite agent asks nothing, so that the checks of its peers are all there is to go by.
		d.to.claim(base, remote, response || d.to.t.settings.ICELite)
	}
}

// end leaves the connection that was entered.
func (d *muxDelivery) end() {
	if d.to == nil {
		return
	}
	t := d.to.t
	t.engine.endBatch(d.now)
	t.flush(d.now)
	t.arm(d.now)
	t.mu.Unlock()
	d.to = nil
}
