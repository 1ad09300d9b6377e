package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// streamsT returns both ends of a connection, one of them framed.
func streamsT(t *testing.T) (PacketConn, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	s := NewStream(a, RFC4571)
	t.Cleanup(func() { _ = s.Close(); _ = b.Close() })
	return s, b
}

func TestRFC4571Framing(t *testing.T) {
	a, b := net.Pipe()
	left, right := NewStream(a, RFC4571), NewStream(b, RFC4571)
	defer left.Close()
	defer right.Close()
	var want [][]byte
	for i, size := range []int{0, 1, 100, 1472, 9000, 65535, 3} {
		want = append(want, numbered(i, size))
	}
	burst := Message{Data: bytes.Repeat([]byte{7}, 250), Segment: 100}
	singles := want
	go func() {
		for _, p := range singles {
			for {
				n, err := left.WriteBatch([]Message{{Data: p}})
				if err != nil {
					t.Error(err)
				}
				if n == 1 {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		_, _ = left.WriteBatch([]Message{burst})
	}()
	want = append(want, burst.At(0), burst.At(1), burst.At(2))
	i := 0
	collect(t, right, len(want), func(_ *Message, data []byte) {
		if !bytes.Equal(data, want[i]) {
			t.Errorf("packet %d: %d bytes, want %d", i, len(data), len(want[i]))
		}
		i++
	})
}

func TestStreamThatIsCutAnywhere(t *testing.T) {
	s, other := streamsT(t)
	var raw []byte
	for i := range 20 {
		p := numbered(i, 3*i)
		raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(p))), p...)
	}
	go func() {
		for i := range raw {
			_, _ = other.Write(raw[i : i+1])
		}
	}()
	i := 0
	collect(t, s, 20, func(_ *Message, data []byte) {
		if !bytes.Equal(data, numbered(i, 3*i)) {
			t.Errorf("packet %d is %x", i, data)
		}
		i++
	})
}

func TestStreamNeverBlocksAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := streamsT(t) // nobody reads
		taken := 0
		for {
			n, err := s.WriteBatch([]Message{{Data: make([]byte, 1000)}})
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			taken++
		}
		if taken < 200 || taken > 1000 {
			t.Errorf("took %d packets", taken)
		}
		start := time.Now()
		_ = s.Close()
		if d := time.Since(start); d > lastWords {
			t.Errorf("closing took %v", d)
		}
		if _, err := s.WriteBatch([]Message{{Data: []byte{1}}}); !errors.Is(err, ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		_ = other.Close()
	})
}

func TestStreamSaysGoodbye(t *testing.T) {
	s, other := streamsT(t)
	read := make(chan []byte)
	go func() {
		var all []byte
		buf := make([]byte, 100)
		for {
			n, err := other.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				read <- all
				return
			}
		}
	}()
	if _, err := s.WriteBatch([]Message{{Data: []byte("bye")}}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if all := <-read; string(all) != "\x00\x03bye" {
		t.Errorf("read %q", all)
	}
	if err := s.ReadBatch(new(Batch)); err == nil {
		t.Error("read after close")
	}
}

func TestStreamWithoutEnd(t *testing.T) {
	a, b := net.Pipe()
	broken := errors.New("no packet")
	s := NewStream(a, Framing{Next: func(b []byte) (int, int, int, error) {
		if len(b) > 0 && b[0] == 1 {
			return 0, 0, 0, broken
		}
		return 0, 0, 0, nil
	}})
	defer s.Close()
	go func() {
		for {
			if _, err := b.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	if err := s.ReadBatch(new(Batch)); err == nil {
		t.Error("a packet without end is read for ever")
	}
	_ = b.Close()
}

func TestDialTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan PacketConn)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- NewStream(c, RFC4571)
	}()
	remote := netip.MustParseAddrPort(l.Addr().String())
	c, err := System.(StreamDialer).DialTCP(t.Context(), remote)
	if err != nil {
		t.Fatal(err)
	}
	client := NewStream(c, RFC4571)
	defer client.Close()
	server := <-accepted
	defer server.Close()
	if _, err := client.WriteBatch([]Message{{Data: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	collect(t, server, 1, func(m *Message, data []byte) {
		if string(data) != "hello" || m.Remote != client.LocalAddr() {
			t.Errorf("%q from %v", data, m.Remote)
		}
	})
	_ = client.Close()
	if err := server.ReadBatch(new(Batch)); err == nil {
		t.Error("the other side has closed")
	}
}
