package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/openparley/webrtc/dtls"
)

// parleyDTLS is a pair of this library's engines, each driven by a goroutine until it is connected. An engine that has
// nothing to do needs none.
type parleyDTLS struct {
	client, server         *dtls.Conn
	clientPipe, serverPipe *packetPipe
}

// connectParley returns what makes pairs with the parameters.
func connectParley(p dtlsParameters, seen func([]byte)) connectDTLS {
	return func(client, server identity) (dtlsPair, error) { return newParleyDTLS(p, client, server, seen) }
}

func newParleyDTLS(p dtlsParameters, client, server identity, seen func([]byte)) (*parleyDTLS, error) {
	pair := &parleyDTLS{}
	pair.clientPipe, pair.serverPipe = newPacketPipe(seen)
	var err error
	if pair.client, err = dtls.New(p.config(dtls.RoleClient, client, server)); err != nil {
		return nil, err
	}
	if pair.server, err = dtls.New(p.config(dtls.RoleServer, server, client)); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- drive(pair.server, pair.serverPipe) }()
	err = drive(pair.client, pair.clientPipe)
	if err = errors.Join(err, <-done); err != nil {
		return nil, err
	}
	pair.settle()
	if s := pair.server.ConnectionState(); s.Group != p.groups[0] || s.Version != p.version {
		return nil, fmt.Errorf("%w: %v with %v", errHandshake, s.Version, s.Group)
	}
	return pair, nil
}

func (p dtlsParameters) config(role dtls.Role, own, peer identity) dtls.Config {
	return dtls.Config{
		Role:         role,
		Certificate:  dtls.Certificate{Chain: [][]byte{own.der}, PrivateKey: own.key},
		VerifyPeer:   peer.verify,
		MinVersion:   p.version,
		MaxVersion:   p.version,
		CipherSuites: []dtls.CipherSuite{dtls.AES128GCMSHA256, dtls.ECDHEECDSAAES128GCMSHA256},
		Groups:       p.groups,
		SRTPProfiles: []dtls.SRTPProfile{dtls.SRTPAEADAES128GCM},
		Rand:         rand.Reader,
	}
}

// drive runs one side until it is connected.
func drive(c *dtls.Conn, p *packetPipe) error {
	c.Start(time.Now())
	buf := make([]byte, maxDatagram)
	for {
		flush(c, p, buf)
		if connected, err := outcome(c); connected || err != nil {
			return err
		}
		_ = p.SetReadDeadline(c.Deadline())
		n, _, err := p.ReadFrom(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.Advance(time.Now())
		case err != nil:
			return err
		}
		feed(c, buf[:n])
	}
}

func flush(c *dtls.Conn, p *packetPipe, buf []byte) {
	for packet, ok := c.Next(buf); ok; packet, ok = c.Next(buf) {
		_, _ = p.WriteTo(packet, nil) // a full pipe loses packets
	}
}

func feed(c *dtls.Conn, packet []byte) {
	for len(packet) > 0 {
		_, packet, _ = c.Open(time.Now(), packet) // what is dropped comes again
	}
}

var errHandshake = errors.New("handshake failed")

func outcome(c *dtls.Conn) (connected bool, err error) {
	for event, ok := c.Event(); ok; event, ok = c.Event() {
		change, isState := event.(dtls.EventState)
		switch {
		case !isState:
		case change.State == dtls.StateConnected:
			connected = true
		case change.State == dtls.StateFailed, change.State == dtls.StateClosed:
			return false, fmt.Errorf("%w: %w", errHandshake, change.Err)
		}
	}
	return connected, nil
}

// settle delivers what is still under way: in DTLS 1.3 the server's ACK of the client's last flight.
func (p *parleyDTLS) settle() {
	buf := make([]byte, maxDatagram)
	for {
		select {
		case packet := <-p.clientPipe.in:
			feed(p.client, packet)
		case packet := <-p.serverPipe.in:
			feed(p.server, packet)
		default:
			return
		}
		flush(p.client, p.clientPipe, buf)
		flush(p.server, p.serverPipe, buf)
	}
}

func (p *parleyDTLS) close() {
	buf := make([]byte, maxDatagram)
	p.client.Close(time.Now())
	flush(p.client, p.clientPipe, buf)
	p.settle()
	p.server.Close(time.Now())
	flush(p.server, p.serverPipe, buf)
}

// parleyRecords seals at the client and opens at the server.
func parleyRecords(p dtlsParameters) func() (sealOpen, error) {
	return func() (sealOpen, error) {
		client, server, err := newIdentities()
		if err != nil {
			return nil, err
		}
		pair, err := newParleyDTLS(p, client, server, nil)
		if err != nil {
			return nil, err
		}
		front, back := pair.client.Overhead()
		buf, now := make([]byte, front+recordSize+back), time.Now()
		return func() error {
			record, err := pair.client.Seal(buf, front, recordSize)
			if err != nil {
				return err
			}
			app, _, err := pair.server.Open(now, record)
			if err == nil && len(app) != recordSize {
				return fmt.Errorf("%d bytes, want %d", len(app), recordSize)
			}
			return err
		}, nil
	}
}
