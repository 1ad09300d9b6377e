package dtlsio

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/internal/netio"
)

// wire is one end of a cable: what is written comes out at the other end, in slots that are used again.
type wire struct {
	remote netip.AddrPort // whose address the datagrams that are read have
	in     chan []byte
	other  *wire
	once   sync.Once
	done   chan struct{}
	msgs   [1]netio.Message
	slots  [16][2048]byte
	next   int
}

func newWire() (a, b *wire) {
	a = &wire{remote: serverAddr, in: make(chan []byte, 8), done: make(chan struct{})}
	b = &wire{remote: netip.MustParseAddrPort("10.0.0.1:4000"), in: make(chan []byte, 8), done: make(chan struct{})}
	a.other, b.other = b, a
	return a, b
}

func (w *wire) ReadBatch(b *netio.Batch) error {
	b.Release()
	select {
	case pkt := <-w.in:
		w.msgs[0] = netio.Message{Data: pkt, Remote: w.remote}
		b.Fill(w.msgs[:], nil)
		return nil
	case <-w.done:
		return net.ErrClosed
	}
}

func (w *wire) WriteBatch(msgs []netio.Message) (int, error) {
	for i := range msgs {
		for k := range msgs[i].Count() {
			slot := &w.slots[w.next%len(w.slots)]
			w.next++
			select {
			case w.other.in <- slot[:copy(slot[:], msgs[i].At(k))]:
			case <-w.other.done:
			}
		}
	}
	return len(msgs), nil
}

func (w *wire) LocalAddr() netip.AddrPort { return w.other.remote }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

func TestPacketsCostNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates: the way alone is tested")
	}
	a, b := newWire()
	secure := &tls.Config{Certificates: []tls.Certificate{newAuthority(t).server(t)}}
	server := NewServer(ServerConfig{Config: func() (dtls.Config, error) { return ServerFromTLS(secure) }})
	socket := server.Wrap(b)
	var echoing sync.WaitGroup
	echoing.Go(func() {
		var batch netio.Batch
		for socket.ReadBatch(&batch) == nil {
			if _, err := socket.WriteBatch(batch.Messages); err != nil {
				t.Error(err)
			}
		}
	})
	cfg, err := ClientFromTLS(&tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Client(context.Background(), a, serverAddr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	msgs := []netio.Message{{}}
	data := make([]byte, 1200)
	var batch netio.Batch
	echo := func() {
		msgs[0] = netio.Message{Data: data, Remote: serverAddr}
		if n, err := c.WriteBatch(msgs); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := c.ReadBatch(&batch); err != nil || len(batch.Messages[0].Data) != len(data) {
			t.Fatal(err)
		}
	}
	for range 10 {
		echo()
	}
	if n := testing.AllocsPerRun(500, echo); n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a packet there and back", n)
	}
	batch.Release()
	_ = c.Close()
	server.Close()
	_ = socket.Close()
	echoing.Wait()
}
