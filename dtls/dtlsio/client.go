package dtlsio

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/internal/netio"
)

// client is a connection to a server.
type client struct {
	session
	writer writer
	in     netio.Batch // the reader's
	msgs   []netio.Message

	end sync.Mutex
	err error // why the session has ended; guarded by end
}

// Client shakes hands with the server at remote and returns the connection as a socket, all of whose datagrams go there and
// come from there. It waits for the server, for as long as ctx lasts. under is the connection's from now on, and is
// closed with it, or at once if this fails. Errors are those of the handshake, or the cause of ctx. What the server sends before it has
// heard anything but the handshake is dropped.
func Client(ctx context.Context, under netio.PacketConn, remote netip.AddrPort, cfg dtls.Config) (netio.PacketConn, error) {
	cfg.Role = dtls.RoleClient
	conn, err := dtls.New(cfg)
	if err != nil {
		_ = under.Close()
		return nil, err
	}
	c := &client{writer: writer{under: under}}
	c.session = session{remote: remote, under: under, conn: conn, ended: c.finish}
	stop := context.AfterFunc(ctx, func() { _ = under.Close() })
	c.start(time.Now())
	for !c.connected() {
		if err := c.read(nil); err != nil {
			stop()
			if ctx.Err() != nil {
				err = fmt.Errorf("dtls: %w: %w", dtls.ErrTimeout, context.Cause(ctx))
			}
			c.close()
			return nil, err
		}
	}
	if !stop() {
		c.close()
		return nil, context.Cause(ctx)
	}
	return c, nil
}

func (s *session) start(now time.Time) {
	s.mu.Lock()
	s.conn.Start(now)
	s.settle(now)
}

// finish ends the reader, which tells why.
func (c *client) finish(err error) {
	c.end.Lock()
	c.err = err
	c.end.Unlock()
	_ = c.under.Close()
}

// ReadBatch implements netio.PacketConn. When the server has said goodbye the error is dtls.ErrClosed.
func (c *client) ReadBatch(b *netio.Batch) error {
	b.Release()
	for {
		if err := c.read(b); err != nil {
			return err
		}
		if len(b.Messages) > 0 {
			return nil
		}
	}
}

// read handles one batch of the socket, and puts what is in it into b, which may be nil.
func (c *client) read(b *netio.Batch) error {
	if err := c.writer.under.ReadBatch(&c.in); err != nil {
		c.end.Lock()
		defer c.end.Unlock()
		if c.err != nil {
			return c.err
		}
		return err
	}
	now := time.Now()
	c.msgs = c.msgs[:0]
	for i := range c.in.Messages {
		m := &c.in.Messages[i]
		for k := range m.Count() {
			if m.Remote == c.remote {
				c.msgs = c.received(now, m, m.At(k), c.msgs)
			}
		}
	}
	if b == nil || len(c.msgs) == 0 {
		c.in.Release()
		return nil
	}
	b.Fill(c.msgs, &c.in)
	return nil
}

// WriteBatch implements netio.PacketConn.
func (c *client) WriteBatch(msgs []netio.Message) (int, error) {
	return c.writer.write(msgs, func(netip.AddrPort) *session { return &c.session })
}

// LocalAddr implements netio.PacketConn: of a socket that is bound to all addresses, the one that the server sends to.
func (c *client) LocalAddr() netip.AddrPort {
	local := c.writer.under.LocalAddr()
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	if local.Addr().IsUnspecified() && c.local.IsValid() {
		return netip.AddrPortFrom(c.local, local.Port())
	}
	return local
}

// Close implements netio.PacketConn. It says goodbye.
func (c *client) Close() error {
	c.close()
	return c.writer.under.Close()
}
