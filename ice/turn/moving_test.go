package turn

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// A client that is told of its move does not wait for a connection that will never answer, in whatever state it is.
func TestReconnect(t *testing.T) {
	k := newTalk(t, func(c *Config) { c.Transport = TCP })
	dialed := func(gen uint64) []Event {
		t.Helper()
		list := k.events()
		if e, ok := last[EventDial](list); !ok || e.Gen != gen || k.c.State() != StateDialing {
			t.Fatalf("%v: %+v", k.c.State(), list)
		}
		return list
	}
	k.c.Reconnect(k.now)
	if len(k.events()) > 0 {
		t.Fatal("a connection that nobody has asked for")
	}
	k.c.Allocate(k.now)
	dialed(1)
	k.c.Reconnect(k.now)
	dialed(2)
	k.c.HandleDialResult(k.now, 1, nil) // the old one after all
	k.sent(0)
	k.c.HandleDialResult(k.now, 2, nil)
	k.sent(stun.MethodAllocate)
	k.c.Reconnect(k.now)
	dialed(3)
	k.c.HandleDialResult(k.now, 3, nil)
	raw, _ := k.sent(stun.MethodAllocate)
	_ = k.reply(raw, success, nil, relayed, mapped, lifetime(600))
	k.events()
	k.c.Reconnect(k.now)
	if list := dialed(4); count[EventLost](list) != 1 {
		t.Errorf("%+v", list)
	}

	t.Log("# what waits before it connects again does so at once")
	k.c.HandleDialResult(k.now, 4, io.ErrClosedPipe)
	if k.c.Hurry(k.now); k.c.Deadline() != (time.Time{}) {
		t.Errorf("a timer at %v", k.c.Deadline())
	}
	dialed(5)
	k.c.Hurry(k.now)
	if len(k.events()) > 0 {
		t.Error("a connection is being made already")
	}
}

// What waits for an answer over UDP is sent again at once, and its timer begins anew.
func TestHurry(t *testing.T) {
	k := newTalk(t, nil)
	k.c.Reconnect(k.now)
	k.c.Allocate(k.now)
	first, _ := k.sent(stun.MethodAllocate)
	k.advance(500 * time.Millisecond)
	k.sent(stun.MethodAllocate)
	k.advance(10 * time.Millisecond)
	k.c.Reconnect(k.now)
	k.sent(0)
	k.c.Hurry(k.now)
	if again, _ := k.sent(stun.MethodAllocate); !slices.Equal(again, first) {
		t.Error("the retransmission is another message")
	}
	k.advance(500*time.Millisecond - 1)
	k.sent(0)
	k.advance(1)
	k.sent(stun.MethodAllocate)
}
