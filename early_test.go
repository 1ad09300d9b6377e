package webrtc

import (
	"net/netip"
	"testing"
	"time"
)

func TestForgedPacketsDoNotWaitForEver(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		stranger := netip.MustParseAddrPort("192.0.2.9:9")
		forge := func(n int) {
			now, ok := p.a.transport.enter()
			if !ok {
				t.Fatal("closed")
			}
			for range n {
				p.a.transport.engine.handlePacket(now, 1, stranger, []byte{22, 0xfe, 0xfd, 0})
			}
			p.a.transport.exit(now)
		}
		waiting := func() int {
			p.a.transport.mu.Lock()
			defer p.a.transport.mu.Unlock()
			return p.a.transport.engine.early.len()
		}
		forge(20)
		if n := waiting(); n != maxEarlyPackets {
			t.Errorf("%d packets wait for their verification", n)
		}
		t.Log("# the connection comes up all the same, and looks at them no more")
		p.dataPair(nil)
		forge(20)
		time.Sleep(time.Second)
		if n := waiting(); n != 0 {
			t.Errorf("%d packets wait", n)
		}
	})
}
