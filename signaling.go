package webrtc

import (
	"sync"
	"time"
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
func (l *SharedLoop) Post(f func()) { l.post(f) }

// post reports false when f will never run.
func (l *SharedLoop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, f)
	signal(l.wake)
	return true
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
//
// The goroutine starts with the first event, waits for more, and goes when none has come for long: the next event starts
// another, so that there is one at most at any time.
type signaling struct {
	// Immutable after newSignaling.
	life *lifetime
	loop SignalingLoop
	turn func() // on the loop

	mu        sync.Mutex // Under it only life's counter and a pool's lock are taken.
	queue     []event    // nil when empty
	scheduled bool
	closed    bool
	wake      chan struct{} // wakes the goroutine; nil: there is none, or a loop serves
	drained   time.Time     // when the goroutine began to wait
}

// newSignaling makes the FIFO of a connection. A nil loop means a goroutine of its own.
func newSignaling(loop SignalingLoop, life *lifetime) *signaling {
	s := &signaling{loop: loop, life: life}
	if loop != nil {
		s.turn = func() {
			defer s.life.leave()
			s.drain()
		}
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
		s.serve()
		return
	}
	// The loop's turn counts as one of the connection's goroutines: Done waits for it.
	if s.life.enter() {
		if shared, ok := s.loop.(*SharedLoop); !ok {
			s.loop.Post(s.turn)
		} else if !shared.post(s.turn) {
			// The loop was closed before the connection: there will be no turn to wait for, nor anything to keep for one.
			s.closed, s.queue = true, nil
			s.life.leave()
		}
	}
}

// serve wakes the goroutine, or starts it. mu is held.
func (s *signaling) serve() {
	if s.wake == nil {
		wake := make(chan struct{}, 1)
		s.wake = wake
		s.life.spawn("signaling", func() {
			for range wake {
				if !s.drain() {
					return
				}
			}
		})
	}
	signal(s.wake)
}

// idleGoroutine is how long the goroutine waits for events before it is worth its stack to start another.
const idleGoroutine = time.Second

// rest lets the goroutine go if it has waited for long. It is called now and then.
func (s *signaling) rest(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.scheduled && now.Sub(s.drained) >= idleGoroutine {
		s.dismiss()
	}
}

// dismiss ends the goroutine once it waits. mu is held.
func (s *signaling) dismiss() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
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
			s.drained = time.Now()
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
	s.dismiss()
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
