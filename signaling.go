package webrtc

import (
	"sync"
)

// A SignalingLoop runs the callbacks of one PeerConnection or of many, in place of the goroutine that each connection
// would have: the application provides the thread. It is given in Settings.SignalingLoop.
type SignalingLoop interface {
	// Post arranges for f to run after everything that was posted before, never two at a time. It must not block and
	// must not run f itself before it returns. It is called with locks held.
	Post(f func())
}

// A SharedLoop is a SignalingLoop with one goroutine of its own, to be shared by any number of connections. Make it
// with NewSharedLoop.
type SharedLoop struct {
	mu     sync.Mutex
	queue  []func()
	wake   chan struct{}
	closed bool
	done   chan struct{}
}

// NewSharedLoop starts a loop. Close ends it.
func NewSharedLoop() *SharedLoop {
	l := &SharedLoop{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// Post implements SignalingLoop. After Close it does nothing.
func (l *SharedLoop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.queue = append(l.queue, f)
	signal(l.wake)
}

// Close ends the loop's goroutine once it has run what was posted. Close the connections first: their callbacks end
// with the loop.
func (l *SharedLoop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	signal(l.wake)
}

// Done is closed when the loop's goroutine has ended.
func (l *SharedLoop) Done() <-chan struct{} { return l.done }

func (l *SharedLoop) run() {
	defer close(l.done)
	var batch []func()
	for range l.wake {
		for {
			l.mu.Lock()
			batch, l.queue = l.queue, batch[:0]
			closed := l.closed
			l.mu.Unlock()
			if len(batch) == 0 && closed {
				return
			}
			if len(batch) == 0 {
				break
			}
			for i, f := range batch {
				batch[i] = nil
				f()
			}
		}
	}
}

// signal puts a token into a channel of capacity one; a token that is already there says the same.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// An event is one entry of a connection's FIFO. It is posted while the lock that changed the state is held, so that the
// order of the events is the order of the changes.
type event struct {
	// run is called on the signaling goroutine with no lock held. It applies what the event says and calls the user's
	// handlers, each within signaling.call.
	run func()
	// message, if its channel is set, is a data channel's message, and low a channel whose buffered amount is low: the
	// events that are frequent enough to be kept out of a closure.
	message messageEvent
	low     *DataChannel
}

// signaling is a connection's event FIFO and the goroutine (or the share of a loop) that serves it.
//
//	          post                     queue empty
//	idle ─────────────▶ scheduled ─────────────────▶ idle
//	  └──────────── close ────┴──▶ closed (the FIFO is discarded)
type signaling struct {
	life *lifetime

	// Immutable after newSignaling.
	loop SignalingLoop
	turn func()        // on the loop
	wake chan struct{} // without a loop: wakes the goroutine

	mu        sync.Mutex // Only a pool's is locked under it.
	queue     []event    // nil when empty
	scheduled bool
	closed    bool
}

// newSignaling starts the signaling goroutine, unless a loop serves.
func newSignaling(loop SignalingLoop, life *lifetime) *signaling {
	s := &signaling{loop: loop, life: life}
	if loop != nil {
		s.turn = func() {
			defer s.life.leave()
			s.drain()
		}
	} else {
		s.wake = make(chan struct{}, 1)
		life.spawn("signaling", func() {
			for range s.wake {
				if !s.drain() {
					return
				}
			}
		})
	}
	return s
}

// post appends an event. It never blocks. After close it does nothing.
func (s *signaling) post(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.queue == nil {
		s.queue = eventSlices.get()
	}
	s.queue = append(s.queue, e)
	if s.scheduled {
		return
	}
	s.scheduled = true
	if s.loop == nil {
		signal(s.wake)
		return
	}
	// The loop's turn counts as one of the connection's goroutines: Done waits for it.
	if s.life.enter() {
		s.loop.Post(s.turn)
	}
}

// eventSlices is the memory of the FIFOs that are not empty.
var eventSlices slicePool[event]

// drain serves the FIFO until it is empty. It reports false after close.
func (s *signaling) drain() bool {
	for {
		s.mu.Lock()
		if s.closed || len(s.queue) == 0 {
			s.scheduled = false
			open := !s.closed
			s.mu.Unlock()
			return open
		}
		batch := s.queue
		s.queue = nil
		s.mu.Unlock()
		for i := range batch {
			e := batch[i]
			batch[i] = event{}
			switch {
			case e.message.channel != nil:
				e.message.channel.deliver(e.message)
			case e.low != nil:
				call0(s, get(&e.low.mu, &e.low.onBufferedAmountLow))
			default:
				e.run()
			}
		}
		eventSlices.put(batch)
	}
}

// open reports whether a handler may still be started. Events check it before each handler.
func (s *signaling) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// close discards the FIFO. A handler that runs is not waited for; no other is started.
func (s *signaling) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.queue = nil
	if s.wake != nil {
		signal(s.wake)
	}
}

// call runs a user's handler on the signaling goroutine, unless the connection was closed.
func call[T any](s *signaling, handler func(T), arg T) {
	if handler != nil && s.open() {
		handler(arg)
	}
}

// call0 is call for a handler without an argument.
func call0(s *signaling, handler func()) {
	if handler != nil && s.open() {
		handler()
	}
}
