package sctp

import "time"

// receiveWindow is what we advertise. It is charged for everything that was received and not yet credited, grows while the
// application keeps up, and grows when one message alone needs it.
type receiveWindow struct {
	size, limit int
	lent        int // handed out by Receive, not yet credited
	advertised  int // in the last SACK

	// Growing with the application: bytes credited in the round that began at roundStart.
	credited   int
	roundStart tick
}

// available is what can be advertised while held bytes wait inside the association.
func (w *receiveWindow) available(held int) int { return max(0, w.size-w.lent-held) }

// refuses says whether a fragment of n bytes may not be kept. next: it is the one that the cumulative TSN waits for.
//
// The advertised window counts bytes and the charge counts overhead too, so a peer that sends small messages overshoots in good
// faith: up to three windows are tolerated.
func (w *receiveWindow) refuses(n, held int, next bool) bool {
	used := w.lent + held + n
	if used <= w.size || used <= 3*w.size && w.size-w.lent-held > 0 {
		return false
	}
	// With the window shut, only the chunk in turn may come in, and only while there is slack: it is what completes a message.
	return !next || used > 3*w.size
}

// stretch grows the window when incomplete messages fill it: they cannot be handed out to make room. It reports false when
// nothing more may be had.
func (w *receiveWindow) stretch(incomplete int) bool {
	if incomplete*2 < w.size {
		return true
	}
	if w.size >= w.limit {
		return incomplete < w.size
	}
	w.size = min(2*w.size, w.limit)
	return true
}

// credit takes n consumed bytes back and reports whether the peer should be told.
func (w *receiveWindow) credit(now tick, n, held int, rtt time.Duration) bool {
	w.lent = max(0, w.lent-n)
	w.grow(now, n, rtt)
	open := w.available(held)
	// Only a window that was nearly shut holds the peer back; in all other cases the next SACK is early enough. A quarter at a
	// time avoids the silly window syndrome (RFC 9260 section 6.2).
	return w.advertised < w.size/4 && open >= w.advertised+w.size/4
}

// grow doubles the window when a quarter of it was consumed within a round trip: twice the path's product must fit, and as much
// again that waits behind a loss.
func (w *receiveWindow) grow(now tick, n int, rtt time.Duration) {
	if w.size >= w.limit {
		return
	}
	w.credited += n
	round := max(rtt, 5*time.Millisecond)
	if now >= w.roundStart.after(round) {
		if w.roundStart != 0 && w.credited >= w.size/4 && now < w.roundStart.after(2*round) {
			w.size = min(2*w.size, w.limit)
		}
		w.credited, w.roundStart = 0, now
	}
}
