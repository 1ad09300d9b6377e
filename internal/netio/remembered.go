package netio

import "sync"

// interfaces is the system's, remembered.
var interfaces = remembered{open: sync.OnceValues(openChanges), list: listInterfaces}

// remembered lists the interfaces from memory while they are as they were. Listing
// them takes dozens of system calls, and as many again for each connection that
// begins, or that hears of a change together with all others. Where the system
// does not tell of changes nothing is remembered.
type remembered struct {
	// Immutable.
	open func() (changed func() bool, err error)
	list func() ([]Interface, error)

	// Guarded by mu.
	mu      sync.Mutex
	known   []Interface // nil: ask
	changes uint64      // that were seen
}

// get returns the list, which is shared.
func (r *remembered) get() ([]Interface, error) {
	changed, err := r.open()
	if err != nil {
		return r.list()
	}
	r.mu.Lock()
	r.look(changed)
	known, before := r.known, r.changes
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	list, err := r.list()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look(changed)
	if err == nil && r.changes == before {
		r.known = list
	}
	return list, err
}

// look forgets what has changed. mu is held.
func (r *remembered) look(changed func() bool) {
	if changed() {
		r.changes++
		r.known = nil
	}
}
