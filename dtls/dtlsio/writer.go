package dtlsio

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/openparley/webrtc/internal/netio"
)

// sealAhead is how many bytes a writer seals for one call of the socket.
const sealAhead = 256 << 10

// writer seals messages and writes them. What the socket does not take has been sealed, and cannot be given back: it goes
// first the next time.
type writer struct {
	under netio.PacketConn // Immutable.

	// Guarded by mu.
	mu      sync.Mutex
	waiting []netio.Message // in buf
	buf     []byte
}

// write does what netio.PacketConn says of WriteBatch. find returns the session of a message's receiver; nil: it has none,
// and the message is dropped.
func (w *writer) write(msgs []netio.Message, find func(netip.AddrPort) *session) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.drain(0); err != nil || len(w.waiting) > 0 {
		return 0, err
	}
	w.buf = w.buf[:0]
	overhead := 0
	for i := range msgs {
		m := &msgs[i]
		if len(w.buf) > 0 && len(w.buf)+len(m.Data)+m.Count()*maxRecord > sealAhead {
			break
		}
		n++
		s := find(m.Remote)
		if s == nil {
			continue
		}
		var sealed netio.Message
		var ok bool
		if w.buf, sealed, ok = s.seal(w.buf, m); !ok {
			continue
		}
		w.waiting = append(w.waiting, sealed)
		overhead = len(sealed.At(0)) - len(m.At(0))
	}
	return n, w.drain(overhead)
}

// drain writes what waits. A datagram that is too large is reported in the size that the caller knows.
func (w *writer) drain(overhead int) error {
	if len(w.waiting) == 0 {
		return nil
	}
	n, err := w.under.WriteBatch(w.waiting)
	if err != nil {
		if err = unsealed(err, overhead); !errors.Is(err, netio.ErrTooLarge) {
			n = len(w.waiting) // the socket is of no use any more
		}
	}
	left := copy(w.waiting, w.waiting[n:])
	clear(w.waiting[left:])
	w.waiting = w.waiting[:left]
	return err
}

// unsealed translates the size in an error, if there is one.
func unsealed(err error, overhead int) error {
	var size *netio.SizeError
	if !errors.As(err, &size) {
		return err
	}
	return &netio.SizeError{Index: size.Index, Size: size.Size - overhead, Remote: size.Remote}
}
