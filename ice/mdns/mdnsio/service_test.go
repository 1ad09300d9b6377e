package mdnsio

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/ice/mdns"
)

// link is a network segment in memory.
type link struct {
	mu      sync.Mutex
	sockets []*socket
	closed  bool // opens nothing
	opened  int
	silent  bool // loses everything
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

type socket struct {
	link  *link
	addr  netip.AddrPort
	inbox chan datagram
	done  chan struct{}
	once  sync.Once
}

var errNoLink = errors.New("no link")

// host returns the open function of a host with one address.
func (l *link) host(addr string) func() ([]Socket, error) {
	return func() ([]Socket, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.closed {
			return nil, errNoLink
		}
		l.opened++
		s := &socket{link: l, addr: netip.MustParseAddrPort(addr), inbox: make(chan datagram, 64), done: make(chan struct{})}
		l.sockets = append(l.sockets, s)
		return []Socket{s}, nil
	}
}

func (s *socket) Read(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-s.inbox:
		return copy(b, d.data), d.from, nil
	case <-s.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (s *socket) Send(b []byte) error {
	return s.spread(b, func(o *socket) bool { return o.addr.Port() == mdns.Port })
}

func (s *socket) SendTo(b []byte, to netip.AddrPort) error {
	return s.spread(b, func(o *socket) bool { return o.addr == to })
}

func (s *socket) spread(b []byte, to func(*socket) bool) error {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	for _, o := range s.link.sockets {
		if o != s && to(o) && !s.link.silent {
			o.inbox <- datagram{s.addr, slices.Clone(b)}
		}
	}
	return nil
}

func (s *socket) Four() bool                { return s.addr.Addr().Is4() }
func (s *socket) LocalAddr() netip.AddrPort { return s.addr }

func (s *socket) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.link.mu.Lock()
		defer s.link.mu.Unlock()
		s.link.sockets = slices.DeleteFunc(s.link.sockets, func(o *socket) bool { return o == s })
	})
	return nil
}

// count returns how many sockets are open.
func (l *link) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sockets)
}

func (l *link) service(t *testing.T, addr string) *Service {
	t.Helper()
	s, err := newService(l.host(addr))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServicesResolveEachOther(t *testing.T) {
	for _, port := range []string{"5353", "40000"} { // shared, and a port of its own
		synctest.Test(t, func(t *testing.T) {
			l := &link{}
			asks, answers := l.service(t, "192.0.2.1:"+port), l.service(t, "192.0.2.2:5353")
			addr := netip.MustParseAddr("192.0.2.2")
			name, err := answers.Publish(addr)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			start := time.Now()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if got, err := asks.Resolve(t.Context(), name); err != nil || !slices.Equal(got, []netip.Addr{addr}) {
						t.Errorf("%v, %v", got, err)
					}
				})
			}
			all.Wait()
			if port == "40000" && time.Since(start) != 0 {
				t.Errorf("took %v", time.Since(start))
			}
			synctest.Wait()
			if l.count() != 1 {
				t.Errorf("%d sockets are open, want the publisher's", l.count())
			}
			answers.Unpublish(name)
			synctest.Wait()
			if l.count() != 0 {
				t.Errorf("%d sockets are open at the end", l.count())
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{}
		s := l.service(t, "192.0.2.1:5353")
		start := time.Now()
		if _, err := s.Resolve(t.Context(), "nobody.local"); !errors.Is(err, mdns.ErrTimeout) || time.Since(start) != 8*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Resolve(ctx, "nobody.local"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		own := l.service(t, "192.0.2.1:40000")
		if _, err := own.Publish(netip.MustParseAddr("192.0.2.1")); !errors.Is(err, errPort) {
			t.Errorf("published without port 5353: %v", err)
		}
		if _, err := s.Resolve(t.Context(), "example.com"); !errors.Is(err, mdns.ErrName) {
			t.Error(err)
		}
		synctest.Wait()
		if l.count() != 0 {
			t.Errorf("%d sockets are open", l.count())
		}
		l.closed = true
		if _, err := s.Resolve(t.Context(), "nobody.local"); !errors.Is(err, errNoLink) {
			t.Error(err)
		}
	})
}

func TestSocketsAreRenewedForNewUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{}
		s := l.service(t, "192.0.2.1:5353")
		one, err := s.Publish(netip.MustParseAddr("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		two, err := s.Publish(netip.MustParseAddr("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		if l.opened != 1 {
			t.Errorf("opened %d times at once", l.opened)
		}
		time.Sleep(time.Minute)
		t.Log("# the interfaces may be others now; without any, the old sockets serve on")
		l.closed = true
		if got, err := s.Resolve(t.Context(), one); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		l.closed = false
		if got, err := s.Resolve(t.Context(), two); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		synctest.Wait()
		if l.opened != 2 || l.count() != 1 {
			t.Errorf("opened %d times, %d are open", l.opened, l.count())
		}
		s.Unpublish(one)
		s.Unpublish(two)
	})
}
