package webrtc

import (
	"net/netip"
	"testing"
)

// fill commits n packets of 1200 bytes, each to another destination than the one before, so that each is a message.
func (o *outbox) fill(n int) {
	for range n {
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1000+o.used/1200%2))
		o.commit(1, remote, 0, o.room(1200)[:1200])
	}
}

func TestOutboxOfASocketThatNeverCatchesUp(t *testing.T) {
	var o outbox
	o.fill(100)
	for range 10000 {
		o.taken(1)
		o.fill(1)
	}
	if n := len(o.buffers); n > 4 || len(o.msgs) != 100 || o.bytes != 100*1200 {
		t.Errorf("%d buffers for %d messages of %d bytes", n, len(o.msgs), o.bytes)
	}
	o.taken(100)
	if len(o.buffers) != 0 || o.bytes != 0 {
		t.Errorf("%d buffers for %d bytes", len(o.buffers), o.bytes)
	}
}

func TestOutboxCountsWhatASocketTookInPart(t *testing.T) {
	var o outbox
	to := netip.MustParseAddrPort("192.0.2.1:1000")
	for range 10 {
		o.commit(1, to, 0, o.room(1200)[:1200])
	}
	o.msgs[0].Data = o.msgs[0].Data[6*1200:] // what netio does
	o.taken(0)
	if o.bytes != 4*1200 {
		t.Errorf("%d bytes", o.bytes)
	}
}

func TestFullOutboxTakesWhatKeepsThePathAlive(t *testing.T) {
	var o outbox
	for !o.full() {
		o.fill(1)
	}
	n := len(o.msgs)
	o.fill(1)
	if len(o.msgs) != n+1 || o.dropped != 0 {
		t.Error("a check was dropped")
	}
	o.fill(1000)
	if o.bytes > outboxLimit+2*outboxReserve || o.dropped == 0 {
		t.Errorf("%d bytes wait, %d packets were dropped", o.bytes, o.dropped)
	}
	o.taken(len(o.msgs))
}
