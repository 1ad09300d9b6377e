package netio

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// A group that no protocol has, so that nobody else on the link is disturbed.
var testGroups = []netip.AddrPort{
	netip.MustParseAddrPort("239.255.77.88:45353"), netip.MustParseAddrPort("[ff02::4d58]:45353"),
}

// multicastT opens a socket; nil: the machine has no multicast of that family.
func multicastT(t *testing.T, group netip.AddrPort, shared bool) *Multicast {
	t.Helper()
	m, err := ListenMulticast(group, shared)
	if err != nil {
		t.Logf("no multicast to %v here: %v", group, err)
		return nil
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

type heard struct {
	from netip.AddrPort
	text string
}

// listen hands on what a socket reads, until it is closed.
func (m *Multicast) listen(t *testing.T) <-chan heard {
	t.Helper()
	c := make(chan heard, 64)
	go func() {
		defer close(c)
		buf := make([]byte, 1500)
		for {
			n, from, err := m.Read(buf)
			if err != nil {
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				return
			}
			c <- heard{from, string(buf[:n])}
		}
	}()
	return c
}

func want(t *testing.T, c <-chan heard, text string) heard {
	t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case h := <-c:
			if h.text == text {
				return h
			}
		case <-timeout:
			t.Fatalf("%q did not come", text)
		}
	}
}

func TestMulticastReachesEverySocketOfTheGroup(t *testing.T) {
	for _, group := range testGroups {
		a, b, own := multicastT(t, group, true), multicastT(t, group, true), multicastT(t, group, false)
		if a == nil || b == nil || own == nil {
			continue
		}
		if own.LocalAddr().Port() == group.Port() || a.LocalAddr().Port() != group.Port() || a.Four() != group.Addr().Is4() {
			t.Errorf("ports %v and %v", own.LocalAddr(), a.LocalAddr())
		}
		atA, atB, atOwn := a.listen(t), b.listen(t), own.listen(t)
		if err := own.Send([]byte("question")); err != nil {
			t.Logf("no multicast to %v here: %v", group, err)
			continue
		}
		want(t, atA, "question")
		from := want(t, atB, "question").from
		if from.Port() != own.LocalAddr().Port() {
			t.Errorf("the question came from %v", from)
		}
		if err := b.SendTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if h := want(t, atOwn, "answer"); h.from.Port() != group.Port() {
			t.Errorf("the answer came from %v", h.from)
		}
		for _, m := range []*Multicast{a, b, own} {
			_ = m.Close()
		}
		if err := a.Send([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("sent after Close: %v", err)
		}
	}
}

func TestMulticastTakesPacketsOfTheLinkOnly(t *testing.T) {
	m := &Multicast{links: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}}
	for addr, on := range map[string]bool{
		"192.0.2.9": true, "198.51.100.1": false, "2001:db8::9": true, "2001:db8:1::9": false,
		"fe80::1%eth0": true, "127.0.0.1": true, "169.254.3.4": true,
	} {
		if m.onLink(netip.MustParseAddr(addr)) != on {
			t.Errorf("%s: want %v", addr, on)
		}
	}
}
