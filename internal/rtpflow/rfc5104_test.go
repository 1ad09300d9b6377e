package rtpflow

import (
	"testing"
	"time"
)

func TestKeyFrameRequestsAreMerged(t *testing.T) {
	var k KeyFrameRequester
	if _, ok := k.Take(start); ok || !k.Deadline(start).IsZero() {
		t.Fatal("nobody asked")
	}
	k.Request()
	k.Request()
	if d := k.Deadline(start); !d.Equal(start) {
		t.Fatal(d)
	}
	if seq, ok := k.Take(start); !ok || seq != 1 {
		t.Fatal(seq, ok)
	}
	t.Log("# the next has to wait a round trip")
	k.SetRTT(300 * time.Millisecond)
	k.Request()
	if _, ok := k.Take(at(299 * time.Millisecond)); ok {
		t.Fatal("too early")
	}
	if d := k.Deadline(at(time.Millisecond)); !d.Equal(at(300 * time.Millisecond)) {
		t.Fatal(d)
	}
	if seq, ok := k.Take(at(300 * time.Millisecond)); !ok || seq != 2 {
		t.Fatal(seq, ok)
	}
	t.Log("# a key frame that came meanwhile makes the request pointless")
	k.Request()
	k.Arrived()
	if _, ok := k.Take(at(time.Second)); ok {
		t.Fatal("asked for nothing")
	}
}

func TestRFC5104RepeatedFIRIsOneRequest(t *testing.T) {
	var f FIRFilter
	for i, step := range []struct {
		ssrc uint32
		seq  uint8
		want bool
	}{{1, 0, true}, {1, 0, false}, {2, 0, true}, {1, 1, true}, {1, 1, false}, {2, 0, false}} {
		if got := f.Accept(step.ssrc, step.seq); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	for ssrc := range uint32(100) {
		f.Accept(ssrc+10, 0)
	}
	if !f.Accept(1, 1) {
		t.Error("eight requesters are remembered, not all")
	}
}
