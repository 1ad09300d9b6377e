package webrtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"

	"github.com/openparley/webrtc/internal/netio"
	"github.com/openparley/webrtc/internal/netsim"
	"github.com/openparley/webrtc/media"
)

// tcpWorld is a host with one TCP port, in a bubble, and its clients.
type tcpWorld struct {
	t    *testing.T
	net  *netsim.Network
	live *netsim.Live
	mux  *TCPMux
	host netio.Network
	cert Certificate

	stranger netio.Network
}

func newTCPWorld(t *testing.T, config TCPMuxConfig) *tcpWorld {
	t.Helper()
	w := &tcpWorld{t: t, net: netsim.New(1), cert: testCertificate(t)}
	w.live = netsim.NewLive(w.net)
	w.host = w.live.StreamHost(w.net.Connect("host", testLink, "10.0.0.1"))
	var err error
	if config.Listener, err = w.host.(netio.StreamNetwork).ListenTCP(netip.MustParseAddrPort("0.0.0.0:7000")); err != nil {
		t.Fatal(err)
	}
	if w.mux, err = NewTCPMux(config); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *tcpWorld) close() {
	if err := w.mux.Close(); err != nil {
		w.t.Error(err)
	}
	if x := w.mux; len(x.ufrags)+len(x.pending) != 0 {
		w.t.Errorf("left in the tables: %d ufrags, %d newcomers", len(x.ufrags), len(x.pending))
	}
	w.live.Close()
	time.Sleep(time.Minute) // what is on its way in closed connections
}

// client is a network of a host of its own.
func (w *tcpWorld) client(i int) netio.Network {
	var host *netsim.Host
	addr := fmt.Sprintf("10.0.%d.%d", 1+i/200, 1+i%200)
	w.live.Do(func(n *netsim.Network) { host = n.Connect(addr, testLink, addr) })
	return w.live.StreamHost(host)
}

func (w *tcpWorld) connection(s Settings) *PeerConnection {
	w.t.Helper()
	api, err := NewAPI(s)
	if err != nil {
		w.t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(Configuration{Certificates: []Certificate{w.cert}})
	if err != nil {
		w.t.Fatal(err)
	}
	return pc
}

// pair is a client without UDP and a connection on the mux.
func (w *tcpWorld) pair(i int) *pair {
	p := &pair{
		t: w.t, net: w.net, live: w.live,
		a: w.connection(Settings{network: w.client(i), NetworkTypes: []NetworkType{NetworkTypeTCP4}}),
		b: w.connection(Settings{network: w.host, TCPMux: w.mux}),
	}
	trickle(w.t, p.a, p.b)
	trickle(w.t, p.b, p.a)
	return p
}

// dial is a stranger's connection to the mux.
func (w *tcpWorld) dial() net.Conn {
	w.t.Helper()
	if w.stranger == nil {
		w.stranger = w.client(150)
	}
	c, err := w.stranger.(netio.StreamNetwork).DialTCPFrom(w.t.Context(), netip.MustParseAddr("10.0.1.151"), netip.MustParseAddrPort("10.0.0.1:7000"))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func selectedPair(pc *PeerConnection) *ICECandidatePair {
	return (&ICETransport{pc}).GetSelectedCandidatePair()
}

func TestTCPMuxManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTCPWorld(t, TCPMuxConfig{})
		defer w.close()
		const count = 50
		pairs := make([]*pair, count)
		chans := make([][2]*DataChannel, count)
		for i := range pairs {
			pairs[i] = w.pair(i)
			start := time.Now()
			chans[i][0], chans[i][1] = pairs[i].dataPair(nil)
			if i == 0 {
				t.Logf("open after %v, 10 ms one way", time.Since(start))
			}
		}
		for i, p := range pairs {
			p.echo(chans[i][0], chans[i][1], fmt.Sprintf("to the mux %d", i))
			p.echo(chans[i][1], chans[i][0], fmt.Sprintf("from the mux %d", i))
		}
		for _, p := range pairs {
			near, far := selectedPair(p.a), selectedPair(p.b)
			if far.Local.Port != 7000 || far.Local.Protocol != ICEProtocolTCP || far.Local.TCPType != "passive" ||
				near.Local.TCPType != "active" || near.Remote.Port != 7000 {
				t.Errorf("%v to %v", near.Local, near.Remote)
			}
			closePair(p)
		}
		time.Sleep(time.Second)
		if s := w.mux.Stats(); len(w.mux.ufrags) != 0 || s != (TCPMuxStats{Accepted: count}) {
			t.Errorf("%d ufrags are left, %+v", len(w.mux.ufrags), s)
		}
	})
}

func TestTCPMuxRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTCPWorld(t, TCPMuxConfig{})
		defer w.close()
		p := w.pair(0)
		defer closePair(p)
		a, b := p.dataPair(nil)
		for range 6 {
			offer, err := p.a.CreateOffer(&OfferOptions{ICERestart: true})
			p.must(err)
			p.must(p.a.SetLocalDescription(offer))
			p.must(p.b.SetRemoteDescription(offer))
			answer, err := p.b.CreateAnswer(nil)
			p.must(err)
			p.must(p.b.SetLocalDescription(answer))
			p.must(p.a.SetRemoteDescription(answer))
			time.Sleep(time.Second)
			p.echo(a, b, "after the restart")
			p.echo(b, a, "and back")
			if n := running(p.b.life); n > 3 {
				t.Errorf("%d goroutines: old connections are left", n)
			}
		}
		if n := len(w.mux.ufrags); n > maxMuxUfrags {
			t.Errorf("%d ufrags", n)
		}
	})
}

// TestACallOverTCPAlone is a whole call where no datagram gets through: data both ways, media both ways, more than a
// stream takes at once.
func TestACallOverTCPAlone(t *testing.T) {
	link := netsim.LinkConfig{Delay: 5 * time.Millisecond, Loss: 1}
	inBubble(t, pairOptions{streams: true, link: &link, settings: func(name string, s *Settings) {
		if name == "b" {
			s.TCPPortMin, s.TCPPortMax = 6000, 6100
		}
	}}, func(p *pair) {
		tracks := make(chan *TrackRemote, 2)
		var senders []*TrackLocalStaticSample
		for _, pc := range []*PeerConnection{p.a, p.b} {
			track, err := NewTrackLocalStaticSample(RTPCodecCapability{MimeType: MimeTypeVP8, ClockRate: 90000}, "video", "stream")
			p.must(err)
			_, err = pc.AddTrack(track)
			p.must(err)
			senders = append(senders, track)
			pc.OnTrack(func(t *TrackRemote, _ *RTPReceiver) { tracks <- t })
		}
		start := time.Now()
		a, b := p.dataPair(nil)
		t.Logf("open after %v", time.Since(start))
		for range 100 {
			for _, track := range senders {
				p.must(track.WriteSample(media.Sample{Data: make([]byte, 5000), Duration: 10 * time.Millisecond}))
			}
			time.Sleep(10 * time.Millisecond)
		}
		for range senders {
			track := within(p, time.Second, "track", tracks)
			for range 400 { // 5 packets a frame
				_, err := track.ReadRTP()
				p.must(err)
			}
		}
		const size = 8 << 20
		for _, dc := range [][2]*DataChannel{{a, b}, {b, a}} {
			got := 0
			done := make(chan struct{})
			dc[1].OnMessage(func(m DataChannelMessage) {
				if got += len(m.Data); got == size {
					close(done)
				}
			})
			for range size >> 16 {
				p.must(dc[0].SendContext(p.t.Context(), make([]byte, 1<<16)))
			}
			within(p, time.Minute, "eight megabytes", done)
		}
		s := p.a.GetStats()
		for _, stats := range s {
			if c, ok := stats.(*ICECandidateStats); ok && strings.Contains(string(c.Type), "remote") && c.Port >= 6000 && c.Port <= 6100 {
				if c.Protocol != "tcp" || c.TCPType != "passive" {
					t.Errorf("%+v", c)
				}
			}
		}
		if pair := selectedPair(p.b); pair == nil || pair.Local.Protocol != ICEProtocolTCP || pair.Local.Port < 6000 || pair.Local.Port > 6100 {
			t.Errorf("selected %+v", pair)
		}
		p.must(p.a.Close())
		time.Sleep(time.Second)
	})
}

// TestADeadTCPConnectionUnderLoad lets a connection die without a word while both sides have more to send than it takes.
func TestADeadTCPConnectionUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTCPWorld(t, TCPMuxConfig{})
		defer w.close()
		p := w.pair(0)
		defer closePair(p)
		var tracks []*TrackLocalStaticSample
		for _, pc := range []*PeerConnection{p.a, p.b} {
			track, err := NewTrackLocalStaticSample(RTPCodecCapability{MimeType: MimeTypeVP8, ClockRate: 90000}, "video", "stream")
			p.must(err)
			_, err = pc.AddTrack(track)
			p.must(err)
			tracks = append(tracks, track)
		}
		a, b := p.dataPair(nil)
		time.Sleep(time.Minute)
		var got [2]atomic.Int64 // each connection has a goroutine of its own
		const size = 4 << 20
		for i, dc := range []*DataChannel{a, b} {
			dc.OnMessage(func(m DataChannelMessage) { got[i].Add(int64(len(m.Data))) })
		}
		for range size >> 16 {
			p.must(a.Send(make([]byte, 1<<16)))
			p.must(b.Send(make([]byte, 1<<16)))
		}
		w.live.StallStreams()
		start := time.Now()
		for synctest.Wait(); got[0].Load() < size || got[1].Load() < size; synctest.Wait() {
			for _, track := range tracks { // media that is too much for any queue
				p.must(track.WriteSample(media.Sample{Data: make([]byte, 100000), Duration: 10 * time.Millisecond}))
			}
			time.Sleep(10 * time.Millisecond)
			if time.Since(start) > 15*time.Second {
				t.Fatalf("not all has arrived: %d and %d bytes", got[0].Load(), got[1].Load())
			}
		}
		t.Logf("all has arrived %v after the connection died", time.Since(start))
	})
}

func TestNetworkTypes(t *testing.T) {
	for _, c := range []struct {
		types []NetworkType
		want  string
	}{
		{nil, "udp,tcp"},
		{[]NetworkType{NetworkTypeUDP4}, "udp"},
		{[]NetworkType{NetworkTypeTCP4, NetworkTypeUDP6}, "tcp"},
		{[]NetworkType{NetworkTypeUDP6, NetworkTypeTCP6}, ""},
	} {
		inBubble(t, pairOptions{quiet: true, streams: true, settings: func(_ string, s *Settings) { s.NetworkTypes = c.types }}, func(p *pair) {
			var got []string
			p.a.OnICECandidate(func(c *ICECandidate) {
				if c != nil {
					got = append(got, c.Protocol.String())
				}
			})
			complete := GatheringCompletePromise(p.a)
			_, err := p.a.CreateDataChannel("", nil)
			p.must(err)
			start := time.Now()
			p.must(p.a.SetLocalDescription(SessionDescription{}))
			within(p, time.Second, "complete", complete)
			if d := time.Since(start); d > 0 {
				t.Errorf("gathering took %v", d)
			}
			if s := strings.Join(got, ","); s != c.want {
				t.Errorf("%v: candidates of %q, want %q", c.types, s, c.want)
			}
		})
	}
	for _, s := range []Settings{
		{NetworkTypes: []NetworkType{}}, {NetworkTypes: []NetworkType{9}}, {TCPPortMin: 5}, {TCPPortMin: 6, TCPPortMax: 5},
	} {
		if _, err := NewAPI(s); err == nil {
			t.Errorf("%+v", s)
		}
	}
}

// frame puts a packet into its frame.
func frame(pkt []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(pkt))), pkt...)
}

func checkFor(name string) []byte {
	return frame(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(name), stun.Fingerprint).Raw)
}

func TestStrangersAtATCPMux(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTCPWorld(t, TCPMuxConfig{MaxPending: 16, FirstMessageTimeout: 2 * time.Second})
		defer w.close()
		p := w.pair(0)
		defer closePair(p)
		a, b := p.dataPair(nil)
		ufrag := p.b.transport.engine.ice.LocalParameters().Ufrag
		// closedAfter tells when the mux hangs up on a stranger who sends this, a byte each interval.
		closedAfter := func(data []byte, interval time.Duration) time.Duration {
			c := w.dial()
			defer c.Close()
			start := time.Now()
			go func() {
				for i := range data {
					if interval > 0 {
						time.Sleep(interval)
						if _, err := c.Write(data[i : i+1]); err != nil {
							return
						}
						continue
					}
					_, _ = c.Write(data)
					return
				}
			}()
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("an answer to a stranger: %d bytes, %v", n, err)
			}
			return time.Since(start)
		}
		at := func(name string, got, least, most time.Duration) {
			t.Helper()
			if got < least || got > most {
				t.Errorf("%s: closed after %v, want %v to %v", name, got, least, most)
			}
		}
		const soon = 100 * time.Millisecond
		for name, data := range map[string][]byte{
			"HTTP":                   []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
			"TLS":                    append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 600)...),
			"zeros":                  make([]byte, 100),
			"a packet of 64 KiB":     append([]byte{0xff, 0xff}, make([]byte, 100)...),
			"a response":             frame(stun.MustBuild(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint).Raw),
			"a check for nobody":     checkFor("nobody:x"),
			"a check without a name": frame(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint).Raw),
			"a lie about its length": append([]byte{0, 24}, checkFor(ufrag + ":x")[2:]...),
		} {
			at(name, closedAfter(data, 0), 0, soon)
		}
		t.Log("# those who say nothing, or little by little")
		at("silence", closedAfter(nil, 0), 2*time.Second, 2*time.Second+soon)
		at("a byte each 100 ms", closedAfter(checkFor(ufrag+":x"), 100*time.Millisecond), 2*time.Second, 2*time.Second+soon)
		t.Log("# who knows a ufrag and not the password is ICE's to close")
		at("no password", closedAfter(checkFor(ufrag+":x"), 0), 10*time.Second, 10*time.Second+soon)

		t.Log("# many connections at once: no more than the limit are kept, and the peer's go on")
		conns := make([]net.Conn, 100)
		for i := range conns {
			conns[i] = w.dial()
		}
		synctest.Wait()
		if s := w.mux.Stats(); s.Pending != 16 || s.Connections != 1 || s.Accepted != 2 || s.Refused != 94 {
			t.Errorf("%+v", s)
		}
		p.echo(a, b, "still here")
		late := w.pair(1)
		late.dataPair(nil)
		closePair(late)
		for _, c := range conns {
			_ = c.Close()
		}
		t.Log("# a connection that breaks under a call is made again")
		broken := 0
		tr := p.a.transport
		tr.mu.Lock()
		for _, s := range tr.sockets {
			_ = s.Close()
			broken++
		}
		tr.mu.Unlock()
		if broken != 1 {
			t.Errorf("%d sockets", broken)
		}
		start := time.Now()
		p.echo(a, b, "back again")
		t.Logf("back after %v", time.Since(start))
	})
}

func TestTCPMuxCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTCPWorld(t, TCPMuxConfig{})
		p := w.pair(0)
		a, b := p.dataPair(nil)
		c := w.dial()
		start := time.Now()
		p.must(w.mux.Close())
		p.must(w.mux.Close())
		if d := time.Since(start); d > 0 {
			t.Errorf("closing takes %v", d)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a newcomer's connection: %v", err)
		}
		t.Log("# what connections have stays theirs")
		p.echo(a, b, "after the mux")
		late := w.pair(1)
		offer, err := late.b.CreateOffer(nil)
		p.must(err)
		p.must(late.b.SetLocalDescription(offer))
		time.Sleep(time.Second)
		if d := late.b.LocalDescription(); strings.Contains(d.SDP, "passive") {
			t.Errorf("candidates of a closed mux:\n%s", d.SDP)
		}
		closePair(late)
		closePair(p)
		w.close()
	})
	if _, err := NewTCPMux(TCPMuxConfig{MaxPending: -1}); !errors.Is(err, &RangeError{}) {
		t.Errorf("%v", err)
	}
	if _, err := NewTCPMux(TCPMuxConfig{Local: netip.MustParseAddrPort("192.0.2.1:1")}); !errors.Is(err, &OperationError{}) {
		t.Errorf("%v", err)
	}
}

func FuzzTCPMuxFirstPacket(f *testing.F) {
	f.Add(checkFor("a:b"))
	f.Add([]byte{0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := strings.NewReader(string(stream))
		first, err := readFirst(r)
		if err != nil {
			return
		}
		if len(first) > 2+maxFirstMessage || len(first)+r.Len() != len(stream) || string(first) != string(stream[:len(first)]) {
			t.Errorf("%x is read of %x", first, stream)
		}
		_ = stunUfrag(first[2:])
	})
}
