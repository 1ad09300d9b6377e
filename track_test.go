package webrtc

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/media"
)

var (
	vp8  = RTPCodecCapability{MimeType: MimeTypeVP8, ClockRate: 90000}
	opus = RTPCodecCapability{MimeType: MimeTypeOpus, ClockRate: 48000, Channels: 2}
)

func (p *pair) staticRTP(codec RTPCodecCapability, id string) *TrackLocalStaticRTP {
	p.t.Helper()
	track, err := NewTrackLocalStaticRTP(codec, id, "stream")
	p.must(err)
	return track
}

// connected returns a channel that is closed when the connection is up.
func connected(pc *PeerConnection) <-chan struct{} {
	up := make(chan struct{})
	done := false
	pc.OnConnectionStateChange(func(s PeerConnectionState) {
		if s == PeerConnectionStateConnected && !done {
			done = true
			close(up)
		}
	})
	return up
}

// connectMedia negotiates and waits until both sides are up.
func (p *pair) connectMedia() {
	p.t.Helper()
	a, b := connected(p.a), connected(p.b)
	p.negotiate(p.a, p.b)
	within(p, 10*time.Second, "a connected", a)
	within(p, 10*time.Second, "b connected", b)
	synctest.Wait()
}

func packet(sequence uint16, payload ...byte) *rtp.Packet {
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: true, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000},
		Payload: append([]byte{0x10}, payload...),
	}
}

func TestTracksArriveAtSetRemoteDescription(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		video, audio := p.staticRTP(vp8, "video"), p.staticRTP(opus, "audio")
		for _, track := range []TrackLocal{video, audio} {
			_, err := p.a.AddTrack(track)
			p.must(err)
		}
		events := make(chan TrackEvent, 2)
		p.b.OnTrackEvent(func(e TrackEvent) { events <- e })
		tracks := make(chan *TrackRemote, 2)
		unmuted := make(chan *TrackRemote, 2)
		p.b.OnTrack(func(track *TrackRemote, r *RTPReceiver) {
			if r.Track() != track || !track.Muted() || track.SSRC() != 0 {
				t.Errorf("track %s: muted %v, SSRC %d before the first packet", track.ID(), track.Muted(), track.SSRC())
			}
			track.OnUnmute(func() { unmuted <- track })
			tracks <- track
		})
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		p.must(p.a.SetLocalDescription(offer))
		p.must(p.b.SetRemoteDescription(offer))
		synctest.Wait()
		t.Log("# no time has passed and nothing was answered")
		for _, want := range []string{"video", "audio"} {
			track := within(p, 0+time.Nanosecond, "track", tracks)
			if track.ID() != want || track.StreamID() != "stream" || track.Kind().String() != want {
				t.Errorf("track %q of stream %q, kind %v; want %q", track.ID(), track.StreamID(), track.Kind(), want)
			}
			e := within(p, time.Nanosecond, "event", events)
			if e.Track != track || len(e.Streams) != 1 || e.Streams[0].ID() != "stream" || e.Transceiver.Receiver() != e.Receiver {
				t.Errorf("event %+v", e)
			}
		}
		answer, err := p.b.CreateAnswer(nil)
		p.must(err)
		up := connected(p.a)
		p.must(p.b.SetLocalDescription(answer))
		p.must(p.a.SetRemoteDescription(answer))
		within(p, 5*time.Second, "connected", up)
		time.Sleep(time.Second)
		p.must(video.WriteRTP(packet(1, 'x')))
		track := within(p, time.Second, "unmute", unmuted)
		if track.ID() != "video" || track.Muted() || track.SSRC() == 0 || track.Codec().MimeType != MimeTypeVP8 {
			t.Errorf("track %q: muted %v, SSRC %d, codec %v", track.ID(), track.Muted(), track.SSRC(), track.Codec())
		}
		got, err := track.ReadRTP()
		p.must(err)
		if string(got.Payload) != "\x10x" || got.SequenceNumber != 1 || !got.Marker || SSRC(got.SSRC) != p.a.GetSenders()[0].SSRC() {
			t.Errorf("packet %v", got)
		}
	})
}

func TestMediaFlowsBothWaysAndIsCounted(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		fromA, fromB := p.staticRTP(vp8, "a"), p.staticRTP(vp8, "b")
		_, err := p.a.AddTrack(fromA)
		p.must(err)
		_, err = p.b.AddTrack(fromB)
		p.must(err)
		p.connectMedia()
		if n := len(p.a.GetTransceivers()); n != 1 {
			t.Errorf("%d transceivers: the answer should use the offered one", n)
		}
		for i := range uint16(200) {
			p.must(fromA.WriteRTP(packet(i, 1)))
			p.must(fromB.WriteRTP(packet(i, 2)))
			time.Sleep(20 * time.Millisecond)
		}
		for _, side := range []struct {
			pc   *PeerConnection
			want byte
		}{{p.a, 2}, {p.b, 1}} {
			track := side.pc.GetReceivers()[0].Track()
			for i := range uint16(200) {
				got, err := track.ReadRTP()
				p.must(err)
				if got.SequenceNumber != i || got.Payload[1] != side.want {
					t.Fatalf("packet %d is %v", i, got)
				}
			}
			checkMediaStats(t, side.pc.GetStats())
		}
	})
}

func checkMediaStats(t *testing.T, report StatsReport) {
	t.Helper()
	found := make(map[string]bool)
	for _, s := range report {
		switch s := s.(type) {
		case *InboundRTPStreamStats:
			found["inbound"] = s.PacketsReceived == 200 && s.PacketsLost == 0 && s.FramesReceived == 200 && s.RemoteID != ""
		case *OutboundRTPStreamStats:
			found["outbound"] = s.PacketsSent == 200 && s.BytesSent == 400 && s.Active && s.RemoteID != ""
		case *RemoteInboundRTPStreamStats:
			found["remote inbound"] = s.RoundTripTime > 0.019 && s.RoundTripTime < 0.022 && s.PacketsLost == 0
		case *RemoteOutboundRTPStreamStats:
			found["remote outbound"] = s.PacketsSent > 0
		case *CodecStats:
			found["codec"] = true
		case *ICECandidatePairStats:
			found["pair"] = found["pair"] || s.Selected && s.CurrentRoundTripTime > 0
		case *TransportStats:
			found["transport"] = s.SRTPCipher == "SRTP_AEAD_AES_128_GCM" && s.DTLSState == "connected" && s.PacketsReceived > 200
		case *CertificateStats:
			found["certificate"] = len(s.Fingerprint) == 95
		}
	}
	for _, want := range []string{
		"inbound", "outbound", "remote inbound", "remote outbound", "codec", "pair", "transport", "certificate",
	} {
		if !found[want] {
			t.Errorf("%s statistics are missing or wrong", want)
		}
	}
}

// holedNetwork loses what drop says of the outgoing packets: the same ones, whoever runs first.
type holedNetwork struct {
	netio.Network
	drop func(pkt []byte) bool
}

func (n *holedNetwork) ListenUDP(local netip.AddrPort) (netio.PacketConn, error) {
	conn, err := n.Network.ListenUDP(local)
	return &holedConn{conn, n.drop}, err
}

type holedConn struct {
	netio.PacketConn
	drop func(pkt []byte) bool
}

func (c *holedConn) WriteBatch(messages []netio.Message) (int, error) {
	for i := range messages {
		m := &messages[i]
		for j := range m.Count() {
			if pkt := m.At(j); !c.drop(pkt) {
				if n, err := c.PacketConn.WriteBatch([]netio.Message{{Data: pkt, Remote: m.Remote, ECN: m.ECN}}); n == 0 || err != nil {
					return i, err
				}
			}
		}
	}
	return len(messages), nil
}

// TestLostPacketsAreSentAgain loses every fifth packet of a track, and every request and every repetition for 40 of each 100
// milliseconds: a packet that is asked for again after each round trip of 20 comes before its tries are over.
func TestLostPacketsAreSentAgain(t *testing.T) {
	settings := func(_ string, s *Settings) {
		s.network = &holedNetwork{s.network, func(pkt []byte) bool {
			switch {
			case pkt[0]>>6 != 2: // STUN, DTLS
				return false
			case pkt[1]&0x7f == 96: // VP8
				return binary.BigEndian.Uint16(pkt[2:])%5 == 4
			default:
				return time.Now().UnixMilli()%100 < 40
			}
		}}
	}
	inBubble(t, pairOptions{settings: settings}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		for i := range uint16(500) {
			p.must(track.WriteRTP(packet(i, byte(i), byte(i>>8))))
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Second)
		remote := p.b.GetReceivers()[0].Track()
		p.must(remote.SetReadDeadline(time.Now()))
		seen := make(map[uint16]bool)
		for {
			got, err := remote.ReadRTP()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			p.must(err)
			if seen[got.SequenceNumber] {
				t.Errorf("packet %d came twice", got.SequenceNumber)
			}
			seen[got.SequenceNumber] = true
			if got.PayloadType != uint8(remote.Codec().PayloadType) || got.SSRC != uint32(remote.SSRC()) {
				t.Errorf("packet %d has payload type %d and SSRC %d", got.SequenceNumber, got.PayloadType, got.SSRC)
			}
		}
		// What is lost at the very end leaves no gap that would show it.
		for i := range uint16(499) {
			if !seen[i] {
				t.Errorf("packet %d is missing", i)
			}
		}
		for _, s := range p.a.GetStats() {
			if out, ok := s.(*OutboundRTPStreamStats); ok && (out.RetransmittedPacketsSent < 99 || out.NACKCount == 0) {
				t.Errorf("%d packets were sent again for %d NACKs", out.RetransmittedPacketsSent, out.NACKCount)
			}
		}
	})
}

func TestKeyFrameRequestsReachTheSender(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		sender, err := p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		p.must(track.WriteRTP(packet(1)))
		time.Sleep(100 * time.Millisecond)
		p.must(p.b.GetReceivers()[0].Track().RequestKeyFrame())
		p.must(sender.SetReadDeadline(time.Now().Add(time.Second)))
		for {
			packets, err := sender.ReadRTCP()
			p.must(err)
			for _, packet := range packets {
				if pli, ok := packet.(*rtcp.PictureLossIndication); ok {
					if SSRC(pli.MediaSSRC) != sender.SSRC() {
						t.Errorf("%v", pli)
					}
					return
				}
			}
		}
	})
}

func TestSamplesBecomePackets(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track, err := NewTrackLocalStaticSample(vp8, "video", "stream")
		p.must(err)
		_, err = p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		frame := make([]byte, 5000)
		for range 3 {
			p.must(track.WriteSample(media.Sample{Data: frame, Duration: time.Second / 30}))
		}
		time.Sleep(100 * time.Millisecond)
		remote := p.b.GetReceivers()[0].Track()
		var last *rtp.Packet
		size, markers := 0, 0
		for markers < 3 {
			got, err := remote.ReadRTP()
			p.must(err)
			if last != nil {
				if got.SequenceNumber != last.SequenceNumber+1 {
					t.Errorf("sequence number %d after %d", got.SequenceNumber, last.SequenceNumber)
				}
				step := uint32(0)
				if last.Marker {
					step = 3000
				}
				if got.Timestamp-last.Timestamp != step {
					t.Errorf("timestamp step %d", got.Timestamp-last.Timestamp)
				}
			}
			size += len(got.Payload)
			if got.Marker {
				markers++
			}
			last = got
		}
		if size < 15000 {
			t.Errorf("%d bytes of payload", size)
		}
	})
}

func TestTrackEndsAndReplacements(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		first := p.staticRTP(vp8, "first")
		sender, err := p.a.AddTrack(first)
		p.must(err)
		p.connectMedia()
		remote := p.b.GetReceivers()[0].Track()

		t.Log("# ReplaceTrack needs no negotiation, and the stream goes on without a jump")
		p.must(first.WriteRTP(packet(10)))
		_, err = remote.ReadRTP()
		p.must(err)
		second := p.staticRTP(vp8, "second")
		p.must(sender.ReplaceTrack(second))
		synctest.Wait()
		p.must(first.WriteRTP(packet(1, 'f')))
		time.Sleep(time.Second)
		p.must(second.WriteRTP(packet(40000, 's')))
		p.must(second.WriteRTP(packet(40001, 's')))
		for i := range uint16(2) {
			got, err := remote.ReadRTP()
			p.must(err)
			if string(got.Payload) != "\x10s" || got.SequenceNumber != 11+i ||
				got.Timestamp != 30000+90000+900+3000*uint32(i) { // a second, and the way of the first packet
				t.Errorf("%v", got)
			}
		}
		if err := sender.ReplaceTrack(p.staticRTP(opus, "audio")); !errors.Is(err, &TypeError{}) {
			t.Errorf("a track of another kind: %v", err)
		}

		t.Log("# RemoveTrack mutes it at the other side")
		synctest.Wait()
		muted := make(chan struct{})
		remote.OnMute(func() { close(muted) })
		p.must(p.a.RemoveTrack(sender))
		p.negotiate(p.a, p.b)
		within(p, time.Second, "mute", muted)

		t.Log("# Stop ends it")
		ended := make(chan struct{})
		remote.OnEnded(func() { close(ended) })
		p.must(p.a.GetTransceivers()[0].Stop())
		p.negotiate(p.a, p.b)
		within(p, time.Second, "ended", ended)
		if _, err := remote.ReadRTP(); !errors.Is(err, io.EOF) {
			t.Errorf("read of an ended track: %v", err)
		}
		if n := len(p.a.GetTransceivers()) + len(p.b.GetTransceivers()); n != 0 {
			t.Errorf("%d transceivers are left", n)
		}
	})
}

// uncomparableTrack cannot be compared with ==.
type uncomparableTrack struct {
	*TrackLocalStaticRTP
	_ []int
}

func TestATrackMustBeComparable(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		if _, err := p.a.AddTrack(uncomparableTrack{TrackLocalStaticRTP: p.staticRTP(vp8, "v")}); !errors.Is(err, &TypeError{}) {
			t.Errorf("%v", err)
		}
	})
}

func TestAClosedConnectionIsTakenOutOfTheTrack(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		p.connectMedia()
		if n := len(*track.bindings.Load()); n != 1 {
			t.Fatalf("%d bindings", n)
		}
		p.must(p.a.Close())
		if n := len(*track.bindings.Load()); n != 0 {
			t.Errorf("%d bindings after Close", n)
		}
		p.must(track.WriteRTP(packet(1)))
	})
}
