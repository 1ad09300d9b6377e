package netio

import (
	"slices"
	"sync"
	"time"
)

// A Watcher is a Network that tells when its interfaces change.
type Watcher interface {
	// Watch calls changed, in a goroutine of the network, after interfaces or their
	// addresses have changed, until stop is called; it may still be running then.
	// changed must not wait.
	Watch(changed func()) (stop func())
}

const (
	// quiet is how long changes must have been over before they are told: they
	// come in groups.
	quiet = 20 * time.Millisecond
	// patience is how long changes are told late at most, when they do not end.
	patience = 200 * time.Millisecond
	// pollInterval is how often the interfaces are listed where the system does
	// not tell.
	pollInterval = 2 * time.Second
)

// changes is the system's watcher: one goroutine for all that watch, while there
// are any.
var changes = watch{open: openEvents, list: System.Interfaces}

type watch struct {
	// Immutable.
	open func() (events, error)
	list func() ([]Interface, error)

	mu   sync.Mutex
	subs map[*func()]struct{}
	quit chan struct{} // of the goroutine that is running
}

// events is a source of changes: wait returns after one, or fails when the source
// is closed.
type events interface {
	wait() error
	close()
}

// Watch implements Watcher.
func (system) Watch(changed func()) (stop func()) { return changes.add(changed) }

func (w *watch) add(changed func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs == nil {
		w.subs = make(map[*func()]struct{})
	}
	w.subs[&changed] = struct{}{}
	if w.quit == nil {
		w.quit = make(chan struct{})
		go w.run(w.quit)
	}
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subs, &changed)
		if len(w.subs) == 0 {
			close(w.quit)
			w.quit = nil
		}
	})
}

// run tells of changes until quit is closed.
func (w *watch) run(quit chan struct{}) {
	source, err := w.open()
	if err != nil {
		w.poll(quit)
		return
	}
	heard := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for source.wait() == nil {
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}()
	defer source.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	timer.Stop()
	var first time.Time // of the changes that are not told yet
	for {
		select {
		case <-heard:
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			timer.Reset(min(quiet, first.Add(patience).Sub(now)))
		case <-timer.C:
			first = time.Time{}
			w.tell()
		case <-ended:
			w.poll(quit)
			return
		case <-quit:
			return
		}
	}
}

// poll compares what the interfaces are now with what they were.
func (w *watch) poll(quit chan struct{}) {
	before, _ := w.list()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now, err := w.list()
			if err == nil && !slices.EqualFunc(before, now, sameInterface) {
				before = now
				w.tell()
			}
		case <-quit:
			return
		}
	}
}

func sameInterface(a, b Interface) bool {
	return a.Name == b.Name && a.Up == b.Up && slices.Equal(a.Addrs, b.Addrs)
}

func (w *watch) tell() {
	w.mu.Lock()
	list := make([]func(), 0, len(w.subs))
	for f := range w.subs {
		list = append(list, *f)
	}
	w.mu.Unlock()
	for _, f := range list {
		f()
	}
}
