package netio

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// systemStream asks a TCP connection what it has and what it takes now.
type systemStream struct {
	raw syscall.RawConn

	// The reader's.
	reader   *stream
	got      int
	gotErr   error
	readable func(fd uintptr) bool

	// The writer's.
	out      []byte
	put      int
	putErr   error
	writable func(fd uintptr) bool
}

func newSystemStream(c net.Conn, reader *stream) *systemStream {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &systemStream{raw: raw, reader: reader}
	s.readable, s.writable = s.readOnce, s.writeOnce
	return s
}

// read waits until there is something to read, and takes it once.
func (s *systemStream) read() (n int, err error) {
	err = s.raw.Read(s.readable)
	n, s.got = s.got, 0
	if err == nil {
		err = s.gotErr
	}
	return n, err
}

func (s *systemStream) readOnce(fd uintptr) bool {
	for {
		n, err := unix.Read(int(fd), s.reader.readInto())
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			s.reader.readNothing()
			return false
		case err == nil && n == 0:
			err = io.EOF
		}
		s.got, s.gotErr = max(n, 0), err
		return true
	}
}

// write writes what is taken without waiting.
func (s *systemStream) write(b []byte) (n int, err error) {
	s.out = b
	err = s.raw.Write(s.writable)
	s.out = nil
	n, s.put = s.put, 0
	if err == nil {
		err = s.putErr
	}
	return n, err
}

func (s *systemStream) writeOnce(fd uintptr) bool {
	s.put, s.putErr = 0, nil
	for s.put < len(s.out) {
		n, err := unix.Write(int(fd), s.out[s.put:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true
		case err != nil:
			s.putErr = err
			return true
		}
		s.put += n
	}
	return true
}
