// Package mdnsio drives the multicast DNS engine of package mdns with sockets, for any number of users in one process.
package mdnsio

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice/mdns"
	"github.com/openparley/webrtc/internal/netio"
)

// The groups of multicast DNS (RFC 6762 §3).
var groups = []netip.AddrPort{
	netip.MustParseAddrPort("224.0.0.251:5353"), netip.MustParseAddrPort("[ff02::fb]:5353"),
}

// staleAfter is how old sockets are taken for new users: interfaces may have come and gone since.
const staleAfter = 5 * time.Second

// maxPacket is the largest packet that multicast DNS knows (RFC 6762 §17).
const maxPacket = 9000

// A Socket sends to one group and receives from it, as netio.Multicast does.
type Socket interface {
	Read(b []byte) (n int, from netip.AddrPort, err error)
	Send(b []byte) error
	SendTo(b []byte, to netip.AddrPort) error
	Four() bool
	LocalAddr() netip.AddrPort
	Close() error
}

// A Service resolves and publishes names. It holds sockets, each with a goroutine, only while names are asked for or
// published. Safe for concurrent use.
type Service struct {
	open func() ([]Socket, error) // Immutable.

	// Guarded by mu, under which nothing waits.
	mu      sync.Mutex
	engine  *mdns.Agent
	sockets []Socket
	opened  time.Time
	waiting map[uint64]chan<- mdns.EventResolved
	timer   *time.Timer
}

// New makes a service on the system's network. Errors are those of the system's random source.
func New() (*Service, error) { return newService(openSystem) }

// Shared returns the service that the whole process uses.
var Shared = sync.OnceValues(New)

func newService(open func() ([]Socket, error)) (*Service, error) {
	engine, err := mdns.New(mdns.Config{Rand: rand.Reader})
	if err != nil {
		return nil, err
	}
	return &Service{open: open, engine: engine, waiting: make(map[uint64]chan<- mdns.EventResolved)}, nil
}

// openSystem opens two sockets a family: one that shares port 5353, where full responders answer and questions come in, and
// one with a port of its own, which is answered by unicast (RFC 6762 §5.1), at once and even if port 5353 is somebody's
// alone. One socket is enough.
func openSystem() (list []Socket, err error) {
	for _, group := range groups {
		for _, shared := range []bool{true, false} {
			m, e := netio.ListenMulticast(group, shared)
			if e != nil {
				err = errors.Join(err, e)
				continue
			}
			list = append(list, m)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

// Resolve asks for the addresses of a name that ends in ".local", until somebody answers, a few seconds have passed
// (mdns.ErrTimeout) or the context ends.
func (s *Service) Resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	id, err := s.engine.Query(time.Now(), name)
	if err != nil {
		s.leave()
		return nil, err
	}
	answer := make(chan mdns.EventResolved, 1)
	s.waiting[id] = answer
	s.leave()
	select {
	case e := <-answer:
		return e.Addrs, e.Err
	case <-ctx.Done():
		s.mu.Lock()
		s.engine.Cancel(id)
		delete(s.waiting, id)
		s.leave()
		return nil, fmt.Errorf("mdns: %w", ctx.Err())
	}
}

var errPort = fmt.Errorf("mdns: port %d is not to be had", mdns.Port)

// answers tells whether a socket is where questions come in.
func answers(s Socket) bool { return s.LocalAddr().Port() == mdns.Port }

// Publish makes up a name for an address of this host and answers for it until Unpublish.
func (s *Service) Publish(addr netip.Addr) (name string, err error) {
	if err := s.enter(); err != nil {
		return "", err
	}
	defer s.leave()
	if !slices.ContainsFunc(s.sockets, answers) {
		return "", errPort
	}
	return s.engine.Publish(time.Now(), addr)
}

// Unpublish takes a name back.
func (s *Service) Unpublish(name string) {
	s.mu.Lock()
	s.engine.Unpublish(time.Now(), name)
	s.leave()
}

// enter makes sure of fresh sockets and locks the service. After an error it is not locked.
func (s *Service) enter() error {
	s.mu.Lock()
	if s.fresh() {
		return nil
	}
	s.mu.Unlock()
	sockets, err := s.open()
	s.mu.Lock()
	if s.fresh() { // somebody else was faster
		closeAll(sockets)
		return nil
	}
	if err != nil {
		if len(s.sockets) > 0 {
			return nil
		}
		s.mu.Unlock()
		return fmt.Errorf("mdns: %w", err)
	}
	closeAll(s.sockets)
	s.sockets, s.opened = sockets, time.Now()
	for _, socket := range sockets {
		go s.read(socket)
	}
	return nil
}

func (s *Service) fresh() bool { return len(s.sockets) > 0 && time.Since(s.opened) < staleAfter }

// leave ends an entry: outcomes are handed over, packets sent, sockets that nobody needs closed. It unlocks.
func (s *Service) leave() {
	for {
		e, ok := s.engine.Event()
		if !ok {
			break
		}
		if answer := s.waiting[e.ID]; answer != nil {
			answer <- e // never waits: it has room for the only event
			delete(s.waiting, e.ID)
		}
	}
	var packets []mdns.Transmit
	for {
		t, ok := s.engine.Next()
		if !ok {
			break
		}
		packets = append(packets, t)
	}
	sockets := s.sockets
	idle := s.engine.Idle()
	if idle {
		s.sockets = nil
	}
	s.arm()
	s.mu.Unlock()
	for _, t := range packets {
		send(sockets, t)
	}
	if idle {
		closeAll(sockets)
	}
}

// arm sets the timer to the engine's deadline.
func (s *Service) arm() {
	d := s.engine.Deadline()
	if d.IsZero() {
		if s.timer != nil {
			s.timer.Stop()
		}
		return
	}
	wait := max(0, time.Until(d))
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.tick)
		return
	}
	s.timer.Reset(wait)
}

func (s *Service) tick() {
	s.mu.Lock()
	s.engine.Advance(time.Now())
	s.leave()
}

// send sends a packet to the groups, or to one address. What is lost is asked for again.
func send(sockets []Socket, t mdns.Transmit) {
	for _, socket := range sockets {
		switch {
		case !t.Query && !answers(socket):
		case !t.To.IsValid():
			_ = socket.Send(t.Data)
		case t.To.Addr().Is4() == socket.Four():
			_ = socket.SendTo(t.Data, t.To)
		}
	}
}

// read is the goroutine of a socket.
func (s *Service) read(socket Socket) {
	unicast := !answers(socket)
	buf := make([]byte, maxPacket)
	for {
		n, from, err := socket.Read(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		_ = s.engine.HandlePacket(time.Now(), from, unicast, buf[:n]) // what is dropped concerns nobody here
		s.leave()
	}
}

func closeAll(sockets []Socket) {
	for _, socket := range sockets {
		_ = socket.Close()
	}
}
