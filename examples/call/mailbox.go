package main

import (
	"context"
	"errors"
	"sync"

	"github.com/openparley/webrtc"
)

// A signal is what the two peers tell each other before they have a connection: one of the two.
type signal struct {
	Description *webrtc.SessionDescription `json:"description,omitempty"`
	Candidate   *webrtc.ICECandidateInit   `json:"candidate,omitempty"`
}

// A mailbox carries signals one way, in order. put never waits, so that handlers may call it; readers tell how far they
// have read, so that one whose request was lost can ask again. Safe for concurrent use.
type mailbox struct {
	mu      sync.Mutex
	signals []signal
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

// maxSignals is how many signals a mailbox takes: two descriptions and more candidates than any host has.
const maxSignals = 1000

// errMailboxClosed says that the other side has hung up, or sends nonsense.
var errMailboxClosed = errors.New("signaling has ended")

func newMailbox() *mailbox { return &mailbox{changed: make(chan struct{})} }

func (m *mailbox) put(signals ...signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.signals)+len(signals) > maxSignals {
		return errMailboxClosed
	}
	m.signals = append(m.signals, signals...)
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// after waits for signals behind the first n. What is there is still delivered after close.
func (m *mailbox) after(ctx context.Context, n int) ([]signal, error) {
	for {
		m.mu.Lock()
		signals, closed, changed := m.signals, m.closed, m.changed
		m.mu.Unlock()
		switch {
		case n < len(signals):
			return signals[max(n, 0):len(signals):len(signals)], nil
		case closed:
			return nil, errMailboxClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.changed)
	}
}
