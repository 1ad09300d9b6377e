package webrtc

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
)

// TestGarbageLeavesTheCallRunning sends to both sockets, from the peer's address and from a stranger's, what a network
// or an attacker may send: noise, packets cut short, packets with flipped bits, packets sent again.
func TestGarbageLeavesTheCallRunning(t *testing.T) {
	for seed := range uint64(5) {
		inBubble(t, pairOptions{seed: seed + 1}, func(p *pair) {
			video := p.staticRTP(vp8, "video")
			_, err := p.a.AddTrack(video)
			p.must(err)
			var stranger *netsim.Host
			type captured struct {
				from, to netip.AddrPort
				data     []byte
			}
			var packets []captured
			p.live.Do(func(n *netsim.Network) {
				stranger = n.Connect("stranger", testLink, "10.0.0.66")
				n.Trace(func(r netsim.Record) {
					if len(packets) < 500 {
						packets = append(packets, captured{r.From, r.To, bytes.Clone(r.Data)})
					}
				})
			})
			a, b := p.dataPair(nil)
			remote := p.b.GetReceivers()[0].Track()
			got := make(chan []byte, 1000)
			b.OnMessage(func(m DataChannelMessage) { got <- m.Data })

			random := rand.New(rand.NewPCG(seed, 1))
			hosts := map[netip.Addr]*netsim.Host{}
			p.must(video.WriteRTP(packet(65535)))
			p.must(a.Send([]byte("captured")))
			within(p, time.Second, "first message", got)
			p.live.Do(func(n *netsim.Network) {
				n.Trace(nil)
				for _, h := range n.Hosts() {
					hosts[h.Addr()] = h
				}
			})
			spoil := func(c captured) {
				data := bytes.Clone(c.data)
				switch random.IntN(5) {
				case 0:
					data = data[:random.IntN(len(data)+1)]
				case 1:
					data[random.IntN(len(data))] ^= byte(1 << random.IntN(8))
				case 2:
					data = make([]byte, random.IntN(1400))
					for i := range data {
						data[i] = byte(random.Uint32())
					}
				case 3:
					data = append(data, c.data...)
				}
				p.live.Do(func(*netsim.Network) {
					from := hosts[c.from.Addr()]
					source := c.from
					if random.IntN(3) == 0 {
						from, source = stranger, netip.AddrPortFrom(stranger.Addr(), 1234)
					}
					_ = from.Send(time.Now(), source, c.to, data, 0)
				})
			}
			for i := range uint16(200) {
				for range 10 {
					spoil(packets[random.IntN(len(packets))])
				}
				p.must(a.Send([]byte{byte(i)}))
				p.must(video.WriteRTP(packet(i, byte(i))))
				time.Sleep(10 * time.Millisecond)
			}
			for i := range 200 {
				if m := within(p, 10*time.Second, "message", got); len(m) != 1 || m[0] != byte(i) {
					t.Fatalf("seed %d: message %d is %v", seed, i, m)
				}
			}
			p.must(remote.SetReadDeadline(time.Now().Add(time.Second)))
			_, err = remote.ReadRTP() // the captured one
			p.must(err)
			for i := range uint16(200) {
				m, err := remote.ReadRTP()
				p.must(err)
				if m.SequenceNumber != i || m.Payload[1] != byte(i) {
					t.Fatalf("seed %d: packet %d is %v", seed, i, m)
				}
			}
			if s := p.a.ConnectionState(); s != PeerConnectionStateConnected {
				t.Errorf("seed %d: connection state %v", seed, s)
			}
		})
	}
}

// TestABrokenPathDisconnectsAndFails checks the states of a connection whose path breaks for good.
func TestABrokenPathDisconnectsAndFails(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		states := make(chan PeerConnectionState, 10)
		p.dataPair(nil)
		p.a.OnConnectionStateChange(func(s PeerConnectionState) { states <- s })
		p.live.Do(func(n *netsim.Network) {
			for _, h := range n.Hosts() {
				h.Interfaces()[0].Up.SetDown(true)
			}
		})
		start := time.Now()
		if s := within(p, time.Minute, "disconnected", states); s != PeerConnectionStateDisconnected {
			t.Errorf("state %v", s)
		}
		if s := within(p, time.Minute, "failed", states); s != PeerConnectionStateFailed {
			t.Errorf("state %v", s)
		}
		// Consent lasts 30 seconds (RFC 7675, section 5.1).
		if d := time.Since(start); d < 20*time.Second || d > 32*time.Second {
			t.Errorf("failed after %v", d)
		}
	})
}

// breakable is a source of randomness that a test can break.
type breakable struct {
	io.Reader
	broken atomic.Bool
}

func (b *breakable) Read(p []byte) (int, error) {
	if b.broken.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return b.Reader.Read(p)
}

// TestATransportThatCannotBeMadeFails: the description is committed by then, so the connection ends in a state that tells.
func TestATransportThatCannotBeMadeFails(t *testing.T) {
	random := &breakable{Reader: cryptorand.Reader}
	inBubble(t, pairOptions{settings: func(name string, s *Settings) {
		if name == "a" {
			s.rand = random
		}
	}}, func(p *pair) {
		states := make(chan PeerConnectionState, 4)
		p.a.OnConnectionStateChange(func(s PeerConnectionState) { states <- s })
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		random.broken.Store(true)
		err = p.a.SetRemoteDescription(*p.b.LocalDescription())
		random.broken.Store(false)
		wantError(t, "an answer", err, &OperationError{})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the cause is lost: %v", err)
		}
		for s := PeerConnectionStateNew; s != PeerConnectionStateFailed; {
			s = within(p, time.Minute, "failed", states)
		}
		if s := p.a.SignalingState(); s != SignalingStateStable || p.a.CurrentRemoteDescription() == nil {
			t.Errorf("half an exchange: %v", s)
		}
		time.Sleep(time.Minute)
		if s := p.a.DTLSState(); s != DTLSTransportStateFailed || dc.ReadyState() == DataChannelStateOpen {
			t.Errorf("DTLS is %v, the channel %v", s, dc.ReadyState())
		}
	})
}

// noNetwork has no interfaces: a connection on it negotiates and sends nothing.
type noNetwork struct{}

func (noNetwork) Interfaces() ([]netio.Interface, error) { return nil, nil }
func (noNetwork) ListenUDP(netip.AddrPort) (netio.PacketConn, error) {
	return nil, errors.New("there is no network")
}

func (noNetwork) Resolve(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("there is no network")
}

// observed is what an application can see of a negotiation.
type observed struct {
	signaling      SignalingState
	local, remote  [2]*SessionDescription // current and pending
	trickle, known bool
	data           bool
	transceivers   []observedTransceiver
}

type observedTransceiver struct {
	*RTPTransceiver
	mid               string
	direction, agreed RTPTransceiverDirection
	tracks            []*TrackRemote
	sends, receives   RTPParameters
}

func observe(pc *PeerConnection) observed {
	o := observed{
		signaling: pc.SignalingState(), data: pc.SCTP() != nil,
		local:  [2]*SessionDescription{pc.CurrentLocalDescription(), pc.PendingLocalDescription()},
		remote: [2]*SessionDescription{pc.CurrentRemoteDescription(), pc.PendingRemoteDescription()},
	}
	o.trickle, o.known = pc.CanTrickleICECandidates()
	for _, t := range pc.GetTransceivers() {
		o.transceivers = append(o.transceivers, observedTransceiver{
			RTPTransceiver: t, mid: t.Mid(), direction: t.Direction(), agreed: t.CurrentDirection(),
			tracks: t.Receiver().Tracks(), sends: t.Sender().GetParameters(), receives: t.Receiver().GetParameters(),
		})
	}
	return o
}

func FuzzSetRemoteDescription(f *testing.F) {
	recorded, err := filepath.Glob("sdp/testdata/*.sdp")
	if err != nil || len(recorded) == 0 {
		f.Fatalf("no recorded descriptions: %v", err)
	}
	for _, path := range recorded {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), uint8(0))
		f.Add(string(text), uint8(7))
		f.Add(string(text), uint8(6)) // of data alone: an answer that is refused late, for its a=setup
	}
	cert, err := GenerateCertificate(nil)
	if err != nil {
		f.Fatal(err)
	}
	api, err := NewAPI(Settings{network: noNetwork{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, flags uint8) {
		pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{*cert}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = pc.Close()
			<-pc.Done()
		}()
		if flags&1 != 0 {
			_, _ = pc.AddTransceiverFromKind(RTPCodecTypeVideo)
		}
		if flags&2 != 0 {
			_, _ = pc.CreateDataChannel("x", nil)
		}
		d := SessionDescription{Type: SDPTypeOffer, SDP: text}
		if flags&4 != 0 {
			offer, err := pc.CreateOffer(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := pc.SetLocalDescription(offer); err != nil {
				t.Fatal(err)
			}
			d.Type = SDPTypeAnswer
			<-GatheringCompletePromise(pc) // the description does not change any more
		}
		before := observe(pc)
		if err := pc.SetRemoteDescription(d); err != nil {
			if after := observe(pc); !reflect.DeepEqual(after, before) {
				t.Errorf("refused with %v, and yet it has changed\n%+v to\n%+v", err, before, after)
			}
			return
		}
		if d.Type == SDPTypeOffer {
			answer, err := pc.CreateAnswer(nil)
			if err != nil {
				t.Fatalf("an offer that was taken has no answer: %v", err)
			}
			if err := pc.SetLocalDescription(answer); err != nil {
				t.Fatalf("our own answer is refused: %v", err)
			}
		}
		_ = pc.GetStats()
	})
}
