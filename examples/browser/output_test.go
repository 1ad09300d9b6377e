package main

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc"
)

// A VP8 payload of each kind: with and without optional fields in its descriptor (RFC 7741, section 4.2).
var (
	keyFrame      = []byte{0x10, 0x00, 'k'}
	keyFrameLong  = []byte{0x90, 0xe0, 0x81, 0x23, 0x05, 0x40, 0x00, 'k'} // I with two bytes, L, T
	keyFrameShort = []byte{0x90, 0x80, 0x12, 0x00, 'k'}                   // I with one byte
	interFrame    = []byte{0x10, 0x01, 'i'}
	continuation  = []byte{0x00, 0x00, 'c'}
)

func TestKeyFrameIsRecognised(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		want    bool
	}{
		{keyFrame, true},
		{keyFrameLong, true},
		{keyFrameShort, true},
		{interFrame, false},
		{continuation, false},
		{[]byte{0x11, 0x00}, false}, // another partition
		{nil, false},
		{[]byte{0x10}, false},
		{[]byte{0x90}, false},
		{[]byte{0x90, 0x80}, false},
		{[]byte{0x90, 0x80, 0x81, 0x23}, false},
		{[]byte{0x90, 0xf0, 0x81}, false},
	} {
		if got := beginsKeyFrame(c.payload); got != c.want {
			t.Errorf("% x: %v", c.payload, got)
		}
	}
}

func TestDescriptorIsBared(t *testing.T) {
	for _, c := range []struct{ payload, want []byte }{
		{keyFrameLong, keyFrame},
		{keyFrameShort, keyFrame},
		{keyFrame, keyFrame},
		{interFrame, interFrame},
		{[]byte{0x90, 0xf0, 0x81}, []byte{0x90, 0xf0, 0x81}}, // cut off: left alone
	} {
		if got := bare(bytes.Clone(c.payload)); !bytes.Equal(got, c.want) {
			t.Errorf("% x became % x, want % x", c.payload, got, c.want)
		}
	}
}

// television is an output whose packets are kept.
type television struct {
	*output
	t    *testing.T
	seen []*rtp.Packet
}

func newTelevision(t *testing.T, mimeType string, clock uint32) *television {
	out, err := newOutput(webrtc.RTPCodecCapability{MimeType: mimeType, ClockRate: clock}, "track")
	if err != nil {
		t.Fatal(err)
	}
	tv := &television{output: out, t: t}
	out.send = func(p *rtp.Packet) error {
		tv.seen = append(tv.seen, p)
		return nil
	}
	return tv
}

func (tv *television) from(s source, sequence uint16, timestamp uint32, payload []byte) {
	tv.t.Helper()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: timestamp}, Payload: bytes.Clone(payload)}
	if err := tv.write(s, p); err != nil {
		tv.t.Error(err)
	}
}

// want checks what the packets since the last call carry.
func (tv *television) want(letters string) {
	tv.t.Helper()
	got := ""
	for _, p := range tv.seen {
		got += string(p.Payload[len(p.Payload)-1])
	}
	if got != letters {
		tv.t.Errorf("what was sent is %q, want %q", got, letters)
	}
}

func TestVideoChangesWithAKeyFrame(t *testing.T) {
	tv := newTelevision(t, webrtc.MimeTypeVP8, 90000)
	asked := 0
	tv.source(fromVisitor, func() { asked++ })
	tv.from(fromClip, 10, 1000, keyFrame)
	tv.from(fromVisitor, 60000, 5, interFrame)
	tv.choose(fromVisitor)
	if asked != 1 {
		t.Errorf("%d key frames were asked for", asked)
	}
	t.Log("# the clip stays until the key frame is there")
	tv.from(fromClip, 11, 4000, interFrame)
	tv.from(fromVisitor, 60001, 3005, interFrame)
	tv.from(fromVisitor, 60002, 6005, keyFrame)
	tv.from(fromClip, 12, 7000, interFrame)
	tv.from(fromVisitor, 60003, 6005, continuation)
	tv.want("kikc")

	t.Log("# the numbers go on as if it were one source")
	for i, p := range tv.seen[1:] {
		before := tv.seen[i]
		if p.SequenceNumber != before.SequenceNumber+1 || int32(p.Timestamp-before.Timestamp) < 0 {
			t.Errorf("packet %d has %d at %d, the one before %d at %d", i+1, p.SequenceNumber, p.Timestamp, before.SequenceNumber, before.Timestamp)
		}
	}
	if tv.seen[2].Timestamp != tv.seen[3].Timestamp {
		t.Error("a frame was torn apart")
	}
}

func TestAudioChangesAtOnce(t *testing.T) {
	tv := newTelevision(t, webrtc.MimeTypeOpus, 48000)
	tv.from(fromClip, 10, 1000, []byte("a"))
	tv.choose(fromVisitor)
	tv.from(fromClip, 11, 2000, []byte("b"))
	tv.from(fromVisitor, 5, 5, []byte("c"))
	tv.from(fromClip, 12, 3000, []byte("d"))
	tv.want("abc")
}

func TestOvertakenPacketKeepsItsPlace(t *testing.T) {
	tv := newTelevision(t, webrtc.MimeTypeOpus, 48000)
	tv.from(fromClip, 10, 1000, []byte("a"))
	tv.from(fromClip, 12, 3000, []byte("c"))
	tv.from(fromClip, 11, 2000, []byte("b"))
	first := tv.seen[0]
	if late := tv.seen[2]; late.SequenceNumber != first.SequenceNumber+1 || late.Timestamp != first.Timestamp+1000 {
		t.Errorf("the overtaken packet has %d at %d after %d at %d", late.SequenceNumber, late.Timestamp, first.SequenceNumber, first.Timestamp)
	}
	tv.choose(fromVisitor)
	tv.from(fromVisitor, 500, 500, []byte("d"))
	if next := tv.seen[3]; next.SequenceNumber != first.SequenceNumber+3 {
		t.Errorf("the other source goes on with %d after %d", next.SequenceNumber, first.SequenceNumber+2)
	}
}
