package webrtc

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// syncBuffer is a writer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

func TestTheTraceCallbackMayUseItsConnection(t *testing.T) {
	posted := make(chan struct{})
	api, err := NewAPI(Settings{network: noNetwork{}, Trace: func(pc *PeerConnection) io.Writer {
		pc.Post(func() { close(posted) })
		return io.Discard
	}})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	<-posted
	_ = pc.Close()
	<-pc.Done()
}

func TestTraceAndKeyLog(t *testing.T) {
	var trace, keys syncBuffer
	inBubble(t, pairOptions{settings: func(name string, s *Settings) {
		if name == "a" {
			s.Trace = func(*PeerConnection) io.Writer { return &trace }
			s.KeyLog = &keys
		}
	}}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)
		a, _ := p.dataPair(nil)
		p.must(a.SendText("in the clear"))
		p.must(track.WriteRTPBatch([]*rtp.Packet{packet(1, []byte("picture one")...), packet(2, []byte("picture two")...)}))
		time.Sleep(time.Second)
		remote := p.b.GetReceivers()[0].Track()
		for i := range uint16(2) {
			got, err := remote.ReadRTP()
			p.must(err)
			if got.SequenceNumber != i+1 {
				t.Errorf("%v", got)
			}
		}
	})
	checkPcap(t, trace.bytes(), "in the clear", "picture one", "picture two")
	if log := string(keys.bytes()); !strings.Contains(log, "CLIENT_TRAFFIC_SECRET_0 ") {
		t.Errorf("key log: %q", log)
	}
}

// checkPcap walks the records of a pcap file and looks for texts in its packets.
func checkPcap(t *testing.T, file []byte, want ...string) {
	t.Helper()
	if len(file) < 24 || binary.LittleEndian.Uint32(file) != 0xa1b23c4d || binary.LittleEndian.Uint32(file[20:]) != 101 {
		t.Fatalf("no pcap header in %d bytes", len(file))
	}
	rest := file[24:]
	for len(rest) > 0 {
		if len(rest) < 16 {
			t.Fatal("a record is cut")
		}
		n := int(binary.LittleEndian.Uint32(rest[8:]))
		if len(rest) < 16+n || n < 28 {
			t.Fatalf("a record of %d bytes", n)
		}
		pkt := rest[16 : 16+n]
		if pkt[0] != 0x45 || pkt[9] != 17 || checksumIPv4(pkt[:20]) != 0 || int(binary.BigEndian.Uint16(pkt[24:])) != n-20 {
			t.Fatalf("not UDP over IPv4: % x", pkt[:28])
		}
		for i, text := range want {
			if bytes.Contains(pkt, []byte(text)) {
				want = append(want[:i:i], want[i+1:]...)
				break
			}
		}
		rest = rest[16+n:]
	}
	if len(want) > 0 {
		t.Errorf("not in the trace: %q", want)
	}
}
