package webrtc

import "sync"

// operations is W3C's operations chain: CreateOffer, CreateAnswer, the two SetDescriptions and AddICECandidate run one
// after the other, in the order of their calls. [operations chain]
//
// It is a FIFO lock. Its holder waits for nothing but pc.mu and transport.mu, so a call inside a handler ends soon.
//
// [operations chain]: https://www.w3.org/TR/webrtc/#dfn-operations-chain
type operations struct {
	mu      sync.Mutex
	busy    bool
	waiters []chan struct{}
}

// begin waits for the operation's turn; false when closing was closed first.
func (o *operations) begin(closing <-chan struct{}) bool {
	o.mu.Lock()
	if !o.busy {
		o.busy = true
		o.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	o.waiters = append(o.waiters, turn)
	o.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-closing:
		// The turn may have come at the same moment: pass it on.
		o.mu.Lock()
		for i, w := range o.waiters {
			if w == turn {
				o.waiters = append(o.waiters[:i], o.waiters[i+1:]...)
				o.mu.Unlock()
				return false
			}
		}
		o.mu.Unlock()
		o.end()
		return false
	}
}

// end lets the next operation run, and reports whether the chain is empty now.
func (o *operations) end() (empty bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiters) == 0 {
		o.busy = false
		return true
	}
	close(o.waiters[0])
	o.waiters = o.waiters[1:]
	return false
}

// empty reports whether no operation runs or waits.
func (o *operations) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.busy
}
