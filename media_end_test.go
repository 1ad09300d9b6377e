package webrtc

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPacketsAfterTheLastSectionHasEnded(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		_, err = p.a.CreateDataChannel("data", nil)
		p.must(err)
		p.connectMedia()
		p.must(track.WriteRTP(packet(1)))
		time.Sleep(time.Second)

		t.Log("# the receiver has applied the end of its only section, the sender has not")
		p.must(p.b.GetTransceivers()[0].Stop())
		offer, err := p.b.CreateOffer(nil)
		p.must(err)
		p.must(p.b.SetLocalDescription(offer))
		p.must(p.a.SetRemoteDescription(offer))
		answer, err := p.a.CreateAnswer(nil)
		p.must(err)
		p.must(p.b.SetRemoteDescription(answer))
		p.must(track.WriteRTP(packet(2)))
		time.Sleep(time.Second)

		t.Log("# the sender's stream ends with the section")
		p.must(p.a.SetLocalDescription(answer))
		synctest.Wait()
		p.a.transport.mu.Lock()
		left := len(p.a.transport.engine.rtp.outbound)
		p.a.transport.mu.Unlock()
		if left != 0 {
			t.Errorf("%d streams are left", left)
		}
	})
}
