package netio

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"time"
)

// tcpStreams returns the two ends of a connection of the system's.
func tcpStreams(t *testing.T) (a, b *stream) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b = NewStream(near, RFC4571).(*stream), NewStream(far, RFC4571).(*stream)
	if a.system == nil || b.system == nil {
		t.Fatal("not the system's")
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

func TestSystemStreamKeepsOrderThroughBackPressure(t *testing.T) {
	a, b := tcpStreams(t)
	const count = 20000
	full := make(chan struct{})
	go func() {
		refused := false
		for i := 0; i < count; {
			var msgs []Message
			for k := i; k < min(count, i+16); k++ {
				msgs = append(msgs, Message{Data: numbered(k, 1+k%3000)})
			}
			n, err := a.WriteBatch(msgs)
			if err != nil {
				t.Error(err)
				return
			}
			if i += n; n < len(msgs) {
				if !refused {
					refused = true
					close(full)
				}
				runtime.Gosched()
			}
		}
	}()
	<-full // nobody has read yet: all buffers are
	i := 0
	collect(t, b, count, func(_ *Message, data []byte) {
		if !bytes.Equal(data, numbered(i, 1+i%3000)) {
			t.Fatalf("packet %d is another one, of %d bytes", i, len(data))
		}
		i++
	})
}

func TestSystemStreamHoldsNothingWhenIdle(t *testing.T) {
	a, b := tcpStreams(t)
	before := runtime.NumGoroutine()
	for i := range 100 {
		if n, err := a.WriteBatch([]Message{{Data: numbered(i, 1000)}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	collect(t, b, 100, func(*Message, []byte) {})
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if a.pending != nil || a.room != nil {
		t.Error("the writer keeps a buffer")
	}
	ended := make(chan error)
	go func() { ended <- b.ReadBatch(new(Batch)) }()
	_ = b.c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if err := <-ended; err == nil {
		t.Error("something was read")
	}
	if b.shared != nil || b.buf != nil {
		t.Error("the reader keeps a buffer")
	}
}

func TestSystemStreamThatBreaks(t *testing.T) {
	a, b := tcpStreams(t)
	if err := b.c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = b.c.Close()
	deadline := time.Now().Add(5 * time.Second)
	for {
		if _, err := a.WriteBatch([]Message{{Data: numbered(1, 1000)}}); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("writes to nobody go on")
		}
		runtime.Gosched()
	}
	if err := a.ReadBatch(new(Batch)); err == nil {
		t.Error("read from nobody")
	}
}
