package sctp

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/sctp"
)

// pionLink is the wire between the engine and pion/sctp, an independent peer: a net.Conn for pion, a loop for the engine.
type pionLink struct {
	toPion, toUs chan []byte
	closed       chan struct{}
	once         sync.Once

	mu   sync.Mutex
	rng  *rand.Rand
	loss float64
}

func (l *pionLink) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.Float64() < l.loss
}

func (l *pionLink) Read(b []byte) (int, error) {
	select {
	case p := <-l.toPion:
		return copy(b, p), nil
	case <-l.closed:
		return 0, io.EOF
	}
}

func (l *pionLink) Write(b []byte) (int, error) {
	if l.lost() {
		return len(b), nil
	}
	select {
	case l.toUs <- append([]byte(nil), b...):
		return len(b), nil
	case <-l.closed:
		return 0, net.ErrClosed
	}
}

func (l *pionLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *pionLink) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (l *pionLink) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (l *pionLink) SetDeadline(time.Time) error      { return nil }
func (l *pionLink) SetReadDeadline(time.Time) error  { return nil }
func (l *pionLink) SetWriteDeadline(time.Time) error { return nil }

// drive runs the engine against the link until done says so.
func (l *pionLink) drive(t *testing.T, a *Association, touch func(now time.Time) (done bool)) {
	t.Helper()
	buf := make([]byte, 2048)
	limit := time.NewTimer(8 * time.Second)
	defer limit.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		done := touch(time.Now())
		for {
			pkt, ok := a.Next(buf, 1200)
			if !ok {
				break
			}
			if !l.lost() {
				select {
				case l.toPion <- append([]byte(nil), pkt...):
				default: // a full queue drops
				}
			}
		}
		if done {
			return
		}
		if d := a.Deadline(); !d.IsZero() {
			timer.Reset(time.Until(d))
		}
		select {
		case p := <-l.toUs:
			_ = a.HandlePacket(time.Now(), p)
			for more := true; more; {
				select {
				case p := <-l.toUs:
					_ = a.HandlePacket(time.Now(), p)
				default:
					more = false
				}
			}
			a.EndBatch(time.Now())
		case <-timer.C:
			a.Advance(time.Now())
		case <-limit.C:
			t.Fatalf("not done after 8 s: %s %+v", a.phase, a.Stats())
		}
	}
}

func newPionLink(seed uint64, loss float64) *pionLink {
	return &pionLink{
		toPion: make(chan []byte, 4096), toUs: make(chan []byte, 4096), closed: make(chan struct{}),
		rng: newRand(seed), loss: loss,
	}
}

func TestPionEchoes(t *testing.T) {
	for _, tc := range []struct {
		name         string
		loss         float64
		interleaving bool
		zero         bool
	}{{"plain", 0, false, false}, {"idata", 0, true, false}, {"zero checksum", 0, false, true}, {"lossy", 0.02, false, false}, {"lossy idata", 0.02, true, true}} {
		t.Run(tc.name, func(t *testing.T) {
			l := newPionLink(1, tc.loss)
			done := make(chan error, 1)
			go func() { done <- pionEcho(l, tc.interleaving, tc.zero) }()
			a, err := New(Config{Rand: seeded{newRand(7)}, EnableZeroChecksum: tc.zero, Path: Path{RTT: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			a.Connect(time.Now())
			const n = 60
			sent, got, reset := 0, 0, 0
			l.drive(t, a, func(now time.Time) bool {
				for ; a.State() == StateConnected && sent < n; sent++ {
					if err := a.Send(now, uint16(sent%3), 51, payload(1+sent*sent*13, uint32(sent)), SendOptions{Unordered: sent%3 == 2}); err != nil {
						t.Error(err)
					}
				}
				for {
					m, ok := a.Receive(func(n int) []byte { return make([]byte, n) })
					if !ok {
						break
					}
					got++
					a.Credit(now, m.Charge)
					if got == n {
						for id := range uint16(3) {
							if err := a.ResetStream(now, id); err != nil {
								t.Error(err)
							}
						}
					}
				}
				for {
					e, ok := a.Event()
					if !ok {
						break
					}
					if e.Kind == EventStreamReset && e.Direction == Incoming {
						reset++
					}
				}
				return reset == 3
			})
			if a.interleaving != tc.interleaving {
				t.Errorf("interleaving %v, want %v", a.interleaving, tc.interleaving)
			}
			if s := a.Stats(); s.ZeroChecksum != tc.zero {
				t.Errorf("zero checksum %v, want %v", s.ZeroChecksum, tc.zero)
			}
			a.Close(time.Now())
			l.drive(t, a, func(time.Time) bool { return true })
			_ = l.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// pionEcho accepts an association and three streams, echoes what comes, and closes a stream when the peer does.
func pionEcho(l *pionLink, interleaving, zero bool) error {
	as, err := pion.ClientWithOptions(pion.WithNetConn(l), pion.WithEnableInterleaving(interleaving), pion.WithEnableZeroChecksum(zero), pion.WithName("peer"))
	if err != nil {
		return err
	}
	defer func() {
		<-l.closed
		_ = as.Close()
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 3 {
		s, err := as.AcceptStream()
		if err != nil {
			return err
		}
		s.SetReliabilityParams(s.StreamIdentifier() == 2, pion.ReliabilityTypeReliable, 0)
		wg.Add(1)
		go func() {
			defer wg.Done()
			buf := make([]byte, 1<<17)
			for {
				n, ppi, err := s.ReadSCTP(buf)
				if errors.Is(err, io.EOF) {
					_ = s.Close()
					return
				}
				if err != nil {
					return
				}
				if _, err := s.WriteSCTP(buf[:n], ppi); err != nil {
					return
				}
			}
		}()
	}
	return nil
}

// TestPionWithoutHandshake exchanges INIT chunks ahead, as SDP does with a=sctp-init.
func TestPionWithoutHandshake(t *testing.T) {
	l := newPionLink(1, 0)
	token, err := pion.GenerateOutOfBandToken(pion.WithEnableInterleaving(true), pion.WithEnableZeroChecksum(true))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Rand: seeded{newRand(7)}, EnableZeroChecksum: true})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		as, err := pion.ClientWithOptions(pion.WithNetConn(l), pion.WithSNAP(token, a.LocalInit()), pion.WithEnableInterleaving(true), pion.WithEnableZeroChecksum(true))
		if err != nil {
			done <- err
			return
		}
		s, err := as.OpenStream(1, 51)
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		done <- err
		<-l.closed
		_ = as.Close()
	}()
	if err := a.ConnectInit(time.Now(), token); err != nil {
		t.Fatal(err)
	}
	l.drive(t, a, func(time.Time) bool {
		m, ok := a.Receive(func(n int) []byte { return make([]byte, n) })
		return ok && string(m.Data) == "hello"
	})
	_ = l.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
