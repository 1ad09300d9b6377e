package netio

import "sync"

// freeList is an explicit pool: what is put is kept, up to a number, and given
// again last in, first out, so that the warm one is used. Unlike a sync.Pool it
// keeps its content over a garbage collection, and steady state allocates
// nothing.
type freeList[T any] struct {
	// Immutable.
	keep int
	make func() *T

	// Guarded by mu.
	mu   sync.Mutex
	free []*T
}

func newFreeList[T any](keep int, construct func() *T) *freeList[T] {
	return &freeList[T]{keep: keep, make: construct, free: make([]*T, 0, keep)}
}

// get returns a kept one, or a new one.
func (f *freeList[T]) get() *T {
	f.mu.Lock()
	if n := len(f.free); n > 0 {
		v := f.free[n-1]
		f.free[n-1] = nil
		f.free = f.free[:n-1]
		f.mu.Unlock()
		return v
	}
	f.mu.Unlock()
	return f.make()
}

// put gives v back; beyond the number kept it is the garbage collector's.
func (f *freeList[T]) put(v *T) {
	f.mu.Lock()
	if len(f.free) < f.keep {
		f.free = append(f.free, v)
	}
	f.mu.Unlock()
}
