package webrtc

import (
	"context"
	"runtime/pprof"
	"sync"
)

// lifetime counts the goroutines of a connection and the turns that it has on a shared loop. done closes when the
// connection was closed and all of them have ended.
type lifetime struct {
	done chan struct{}
	// closing is closed first: whoever waits for something else gives up.
	closing chan struct{}

	mu      sync.Mutex
	running int
	ended   bool // end was called: nothing new is let in
}

func newLifetime() *lifetime {
	return &lifetime{done: make(chan struct{}), closing: make(chan struct{})}
}

// enter counts one more; false after end.
func (l *lifetime) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.running++
	return true
}

func (l *lifetime) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if l.ended && l.running == 0 {
		close(l.done)
	}
}

// end begins the end. It must be called once.
func (l *lifetime) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.closing)
	if l.running == 0 {
		close(l.done)
	}
}

// spawn runs f in a goroutine that done waits for. It does nothing after end.
func (l *lifetime) spawn(role string, f func()) {
	if !l.enter() {
		return
	}
	go func() {
		defer l.leave()
		pprof.Do(context.Background(), pprof.Labels("webrtc", role), func(context.Context) { f() })
	}()
}
