package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/openparley/webrtc/dtls"
)

// The runner's commands, and the answer to one of them.
const (
	opPacket     = 'P'
	opTimeout    = 'T'
	opTimeoutACK = 't'
	opMTU        = 'M'
	opExpect     = 'E'
	opUpdate     = 'U'
)

const (
	noTimeout = 1<<64 - 1
	// fudge is how far ahead of its deadline a timer may be run, since the clocks of callers are coarse.
	fudge = 15 * time.Millisecond
	// maxApplicationData is the largest record that is echoed.
	maxApplicationData = 1 << 14
)

// shim is one connection of a test.
type shim struct {
	flags *flags
	net   net.Conn
	in    *bufio.Reader
	out   *bufio.Writer
	conn  *dtls.Conn
	now   time.Time // virtual

	connected bool
	closed    bool // the peer has said goodbye
	failure   error
}

func exchange(f *flags) error {
	host := "127.0.0.1"
	if f.ipv6 {
		host = "::1"
	}
	sock, err := net.Dial("tcp", net.JoinHostPort(host, f.port))
	if err != nil {
		return err
	}
	s := &shim{flags: f, net: sock, in: bufio.NewReader(sock), out: bufio.NewWriter(sock), now: time.Unix(1234, 0)}
	defer s.drain()
	if err := binary.Write(s.out, binary.LittleEndian, f.shimID); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	if s.conn, err = dtls.New(f.config); err != nil {
		return err
	}
	s.conn.Start(s.now)
	return s.loop()
}

// drain closes the connection without losing what is on its way.
func (s *shim) drain() {
	_ = s.out.Flush()
	if tcp, ok := s.net.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, s.net)
	_ = s.net.Close()
}

func (s *shim) loop() error {
	for {
		if err := s.pump(); err != nil {
			return err
		}
		if s.connected && s.flags.shutsDown {
			return s.shutDown()
		}
		if s.closed {
			return nil
		}
		op, err := s.in.ReadByte()
		if err != nil {
			return s.end(err)
		}
		if err := s.command(op); err != nil {
			return err
		}
	}
}

// end: the runner has closed. That is all right once the connection stood.
func (s *shim) end(err error) error {
	if !s.connected {
		return fmt.Errorf("closed during the handshake: %w", err)
	}
	s.conn.Close(s.now)
	return s.pump()
}

// shutDown says goodbye first.
func (s *shim) shutDown() error {
	s.conn.Close(s.now)
	return s.pump()
}

// pump sends what the engine has to say and looks at what has happened.
func (s *shim) pump() error {
	for {
		if err := s.send(); err != nil {
			return err
		}
		e, ok := s.conn.Event()
		if !ok {
			return s.failure
		}
		state, ok := e.(dtls.EventState)
		if !ok {
			continue
		}
		switch state.State {
		case dtls.StateFailed:
			s.failure = state.Err
		case dtls.StateClosed:
			s.closed = true
		case dtls.StateConnected:
			s.connected = true
			if err := s.begin(); err != nil {
				return err
			}
		}
	}
}

func (s *shim) send() error {
	for {
		pkt, ok := s.conn.Next(nil)
		if !ok {
			return s.out.Flush()
		}
		if err := s.packet(pkt); err != nil {
			return err
		}
	}
}

func (s *shim) packet(pkt []byte) error {
	if err := s.out.WriteByte(opPacket); err != nil {
		return err
	}
	if err := binary.Write(s.out, binary.BigEndian, uint32(len(pkt))); err != nil {
		return err
	}
	_, err := s.out.Write(pkt)
	return err
}

// begin does what a test wants at the end of the handshake.
func (s *shim) begin() error {
	f := s.flags
	if err := s.check(); err != nil {
		return err
	}
	// The last flight goes out ahead of the first data.
	if err := s.send(); err != nil {
		return err
	}
	if f.exportLen > 0 {
		var context []byte
		if f.useContext {
			context = append([]byte{}, f.exportContext...)
		}
		key, err := s.conn.ExportKeyingMaterial(f.exportLabel, context, f.exportLen)
		if err != nil {
			return err
		}
		if err := s.write(key); err != nil {
			return err
		}
	}
	if f.writesFirst {
		if err := s.write([]byte("hello")); err != nil {
			return err
		}
	}
	if err := s.updateKeys(f.keyUpdateBeforeRead); err != nil {
		return err
	}
	return s.takePending()
}

// takePending echoes what came ahead of the handshake's end. In DTLS 1.2 the runner takes it for granted that such data is lost.
func (s *shim) takePending() error {
	for {
		app, ok := s.conn.Pending()
		if !ok {
			return nil
		}
		if s.conn.ConnectionState().Version == dtls.VersionDTLS12 {
			continue
		}
		if err := s.echo(app); err != nil {
			return err
		}
	}
}

// check compares the outcome with what the test expects.
func (s *shim) check() error {
	f, state := s.flags, s.conn.ConnectionState()
	switch {
	case f.expectHRR && !state.HelloRetried, f.expectNoHRR && state.HelloRetried && state.Version == dtls.VersionDTLS13:
		return fmt.Errorf("HelloRetryRequest: %v", state.HelloRetried)
	case f.expectNoPeerCert && len(state.PeerCertificates) > 0:
		return errors.New("unexpected certificate of the peer")
	case f.expectCurve != 0 && int(state.Group) != f.expectCurve:
		return fmt.Errorf("group %v, want %d", state.Group, f.expectCurve)
	case f.expectVersion != 0 && int(state.Version) != f.expectVersion:
		return fmt.Errorf("%v, want %d", state.Version, f.expectVersion)
	case f.expectPeerScheme != 0 && int(state.SignatureScheme) != f.expectPeerScheme:
		return fmt.Errorf("signature scheme %#x, want %#x", uint16(state.SignatureScheme), f.expectPeerScheme)
	case f.expectALPN != nil && state.Protocol != *f.expectALPN:
		return fmt.Errorf("protocol %q, want %q", state.Protocol, *f.expectALPN)
	}
	return nil
}

func (s *shim) updateKeys(wanted bool) error {
	if !wanted {
		return nil
	}
	return s.conn.UpdateKeys(s.now, false)
}

func (s *shim) write(data []byte) error {
	front, back := s.conn.Overhead()
	buf := make([]byte, front+len(data)+back)
	copy(buf[front:], data)
	rec, err := s.conn.Seal(buf, front, len(data))
	if err != nil {
		return err
	}
	return s.packet(rec)
}

// echo answers a message.
func (s *shim) echo(app []byte) error {
	if err := s.updateKeys(s.flags.keyUpdate); err != nil {
		return err
	}
	out := make([]byte, len(app))
	for i, b := range app {
		out[i] = ^b
	}
	if err := s.write(out); err != nil {
		return err
	}
	return s.updateKeys(s.flags.keyUpdateBeforeRead)
}

// command does what the runner asks for between two packets.
func (s *shim) command(op byte) error {
	switch op {
	case opPacket:
		return s.receive()
	case opTimeout:
		return s.advance()
	case opMTU:
		var mtu uint32
		err := binary.Read(s.in, binary.BigEndian, &mtu)
		s.conn.SetMTU(int(mtu))
		return err
	case opUpdate:
		var ms uint32
		err := binary.Read(s.in, binary.BigEndian, &ms)
		s.conn.SetInitialTimeout(time.Duration(ms) * time.Millisecond)
		return err
	case opExpect:
		return s.expectTimeout()
	}
	return fmt.Errorf("unknown command %q", op)
}

func (s *shim) receive() error {
	var n uint32
	if err := binary.Read(s.in, binary.BigEndian, &n); err != nil {
		return err
	}
	pkt := make([]byte, n)
	if _, err := io.ReadFull(s.in, pkt); err != nil {
		return err
	}
	for len(pkt) > 0 {
		app, rest, _ := s.conn.Open(s.now, pkt)
		// Answers leave in the order of the records that caused them.
		if err := s.pump(); err != nil {
			return err
		}
		if len(app) > 0 && len(app) <= maxApplicationData {
			if err := s.echo(app); err != nil {
				return err
			}
		}
		pkt = rest
	}
	return nil
}

func (s *shim) advance() error {
	var ns uint64
	if err := binary.Read(s.in, binary.BigEndian, &ns); err != nil {
		return err
	}
	if err := s.out.WriteByte(opTimeoutACK); err != nil {
		return err
	}
	s.now = s.now.Add(time.Duration(ns))
	at := s.now
	if d := s.conn.Deadline(); !d.IsZero() && d.After(at) && d.Sub(at) <= fudge {
		at = d
	}
	s.conn.Advance(at)
	return nil
}

func (s *shim) expectTimeout() error {
	var ns uint64
	if err := binary.Read(s.in, binary.BigEndian, &ns); err != nil {
		return err
	}
	d := s.conn.Deadline()
	switch {
	case ns == noTimeout && d.IsZero():
		return nil
	case ns == noTimeout:
		return fmt.Errorf("a timer in %v, want none", d.Sub(s.now))
	case d.IsZero():
		return fmt.Errorf("no timer, want one in %v", time.Duration(ns))
	}
	if left := max(d.Sub(s.now), 0); left != time.Duration(ns) {
		return fmt.Errorf("a timer in %v, want %v", left, time.Duration(ns))
	}
	return nil
}
