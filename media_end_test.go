package webrtc

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
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

// endings are the ways out that leave the signaling goroutine no time to unbind the track.
var endings = map[string]func(p *pair, s *RTPSender) error{
	"Close":        func(*pair, *RTPSender) error { return nil },
	"RemoveTrack":  func(p *pair, s *RTPSender) error { return p.a.RemoveTrack(s) },
	"ReplaceTrack": func(_ *pair, s *RTPSender) error { return s.ReplaceTrack(nil) },
	"Stop":         func(p *pair, _ *RTPSender) error { return p.a.GetTransceivers()[0].Stop() },
}

func TestNoTrackKeepsAClosedConnection(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				track := p.staticRTP(vp8, "video")
				sender, err := p.a.AddTrack(track)
				p.must(err)
				p.connectMedia()
				p.must(end(p, sender))
				p.must(p.a.Close())
				<-p.a.Done()
				if n := len(*track.bindings.Load()); n != 0 {
					t.Errorf("%d bindings", n)
				}
			})
		})
	}
}

// closingTrack closes its connection before it is bound.
type closingTrack struct {
	*TrackLocalStaticRTP
	pc *PeerConnection
}

func (c *closingTrack) Bind(x TrackLocalContext) (RTPCodecParameters, error) {
	_ = c.pc.Close()
	return c.TrackLocalStaticRTP.Bind(x)
}

func TestCloseInBind(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := &closingTrack{p.staticRTP(vp8, "video"), p.a}
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.exchange() // which may meet the closed connection at its end
		<-p.a.Done()
		if n := len(*track.bindings.Load()); n != 0 {
			t.Errorf("%d bindings", n)
		}
	})
}

func TestWriteRTCPLeavesThePacketsAlone(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		packets := []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 4}}
		p.must(p.a.WriteRTCP(packets))
		if packets[0].(*rtcp.PictureLossIndication).SenderSSRC != 0 {
			t.Error("the caller's slice was changed")
		}
		for _, none := range [][]rtcp.Packet{nil, {nil}} {
			if err := p.a.WriteRTCP(none); !errors.Is(err, &TypeError{}) {
				t.Errorf("%v: %v", none, err)
			}
		}
	})
}

func TestFeedbackIsNotKeptForAPeerWhoHasGone(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		_, err := p.a.AddTrack(p.staticRTP(vp8, "video"))
		p.must(err)
		p.connectMedia()
		p.must(p.b.Close())
		time.Sleep(time.Minute)
		for range 100 {
			p.must(p.a.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 4}}))
		}
		p.a.transport.mu.Lock()
		kept := len(p.a.transport.engine.rtp.rtcpOut)
		p.a.transport.mu.Unlock()
		if kept != 0 {
			t.Errorf("%d packets are kept", kept)
		}
	})
}

func TestNilPacketsLeaveTheTransportUsable(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		p.must(track.WriteRTPBatch([]*rtp.Packet{nil, packet(1)}))
		func() {
			defer func() { _ = recover() }()
			_, _ = (*track.bindings.Load())[0].writer.WriteRTP(nil, nil)
		}()
		_, err = p.b.GetReceivers()[0].Track().ReadRTP()
		p.must(err)
	})
}

func TestReplacedLayersRelease(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		transceiver, err := p.a.AddTransceiverFromKind(RTPCodecTypeVideo)
		p.must(err)
		receiver := transceiver.Receiver()
		describe := func(rids ...string) []*TrackRemote {
			p.a.mu.Lock()
			transceiver.state.Receiver.RIDs = rids
			receiver.describe()
			p.a.mu.Unlock()
			return receiver.Tracks()
		}
		before := describe("low", "mid", "high")
		if now := describe("low", "other"); len(now) != 2 || now[0] != before[0] {
			t.Fatalf("%d tracks", len(now))
		}
		for _, gone := range before[1:] {
			if _, err := gone.Read(make([]byte, 1500)); !errors.Is(err, io.EOF) {
				t.Errorf("Read: %v", err)
			}
		}
	})
}

func TestSourcesWithoutGoodbye(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		_, err = p.a.CreateDataChannel("data", nil)
		p.must(err)
		p.connectMedia()
		remote := p.b.GetReceivers()[0].Track()

		t.Log("# a peer that takes a new source again and again goes on being heard")
		p.a.transport.mu.Lock()
		stream := p.a.transport.engine.rtp.table.flows[0].encodings[0].stream
		p.a.transport.mu.Unlock()
		for i := range uint16(maxInboundStreams + 10) {
			p.a.transport.mu.Lock()
			stream.ssrc++
			p.a.transport.mu.Unlock()
			p.must(track.WriteRTP(packet(i)))
			got, err := remote.ReadRTP()
			p.must(err)
			if got.SequenceNumber != i {
				t.Fatalf("packet %d in place of %d", got.SequenceNumber, i)
			}
		}
		sources := func() int {
			p.b.transport.mu.Lock()
			defer p.b.transport.mu.Unlock()
			return len(p.b.transport.engine.rtp.incoming)
		}
		if n := sources(); n != maxInboundStreams {
			t.Errorf("%d sources", n)
		}

		t.Log("# they end with their section")
		p.must(p.b.GetTransceivers()[0].Stop())
		p.negotiate(p.b, p.a)
		synctest.Wait()
		if n := sources(); n != 0 {
			t.Errorf("%d sources are left", n)
		}
	})
}
