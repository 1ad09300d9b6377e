package webrtc

import (
	"testing"
	"time"
)

func TestDataChannelEcho(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.b.OnDataChannel(func(d *DataChannel) {
			d.OnMessage(func(m DataChannelMessage) {
				if m.IsString {
					p.must(d.SendText("echo " + string(m.Data)))
				} else {
					p.must(d.Send(m.Data))
				}
			})
		})
		dc, err := p.a.CreateDataChannel("chat", nil)
		p.must(err)
		got := make(chan DataChannelMessage, 10)
		dc.OnMessage(func(m DataChannelMessage) { got <- m })
		open := opened(dc)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		p.must(dc.SendText("hello"))
		if m := within(p, time.Second, "text", got); !m.IsString || string(m.Data) != "echo hello" {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		p.must(dc.Send([]byte{1, 2, 3}))
		if m := within(p, time.Second, "binary", got); m.IsString || string(m.Data) != "\x01\x02\x03" {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		p.must(dc.Send(nil))
		if m := within(p, time.Second, "empty", got); m.IsString || len(m.Data) != 0 {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
	})
}
