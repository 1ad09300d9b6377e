//go:build !race

package turn

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func wantAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(200, f); n > 0 {
		t.Errorf("%s: %.1f allocations", what, n)
	}
}

func TestDataPathsOfTheClientAllocateNothing(t *testing.T) {
	k := newTalk(t, nil)
	k.allocated()
	other := netip.MustParseAddrPort("33.0.0.1:1")
	if err := k.c.CreatePermission(k.now, other.Addr()); err != nil {
		t.Fatal(err)
	}
	if err := k.c.Bind(k.now, peerAddr); err != nil {
		t.Fatal(err)
	}
	k.sent(stun.MethodCreatePermission)
	raw, a := k.sent(stun.MethodChannelBind)
	_ = k.reply(raw, success, md5Key)
	buf := make([]byte, MaxHeadroom+1200+MaxTailroom)
	var pkt []byte
	wantAllocs(t, "wrap for a channel", func() { pkt, _ = k.c.Wrap(buf, MaxHeadroom, 1199, peerAddr) })
	if len(pkt) != 1203 || &pkt[4] != &buf[MaxHeadroom] {
		t.Errorf("%d bytes", len(pkt))
	}
	wantAllocs(t, "wrap in an indication", func() { pkt, _ = k.c.Wrap(buf, MaxHeadroom, 1199, other) })
	if len(pkt) != 36+1200 {
		t.Errorf("%d bytes", len(pkt))
	}
	in := appendChannelData(nil, a.channel, buf[:1199], false)
	wantAllocs(t, "ChannelData", func() {
		if _, ok, _ := k.c.HandlePacket(k.now, in); !ok {
			t.Error("dropped")
		}
	})
	indication := Delivery{peer: other, id: 1}.Append(nil, buf[:1199])
	wantAllocs(t, "Data indication", func() {
		if _, ok, _ := k.c.HandlePacket(k.now, indication); !ok {
			t.Error("dropped")
		}
	})
	wantAllocs(t, "timers", func() {
		k.now = k.now.Add(time.Millisecond)
		_ = k.c.Deadline()
		k.c.Advance(k.now)
	})
}

func TestDataPathsOfTheServerAllocateNothing(t *testing.T) {
	s, _ := allocated(t, nil)
	other := netip.MustParseAddrPort("33.0.0.1:1")
	s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
	s.want("permission", s.request(stun.MethodCreatePermission, xorPeer(other)), 0)
	payload := make([]byte, 1199)
	channel := appendChannelData(nil, 0x4000, payload, false)
	m := s.message(sendIndication, xorPeer(other), attribute{stun.AttrData, payload})
	relay := s.s.lastRelay
	buf := make([]byte, 0, 1500)
	wantAllocs(t, "ChannelData", func() {
		if _, ok := s.s.Forward(s.now, s.from, channel); !ok {
			t.Error("dropped")
		}
	})
	wantAllocs(t, "Send indication", func() {
		if _, ok := s.s.Forward(s.now, s.from, m.Raw); !ok {
			t.Error("dropped")
		}
	})
	for _, peer := range []netip.AddrPort{peerAddr, other} {
		wantAllocs(t, "from a peer", func() {
			d, ok := s.s.Deliver(s.now, relay, peer, len(payload))
			if buf = d.Append(buf[:0], payload); !ok {
				t.Error("dropped")
			}
		})
	}
}
