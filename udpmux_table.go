package webrtc

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// An addrTable finds values by address. Reading takes no lock and writes nothing, so that any number of readers do not get
// in each other's way; changes are made under a lock of the user's. What is read may be as old as the change that is being
// made. Its hash has a secret, so that nobody can choose addresses that collide.
type addrTable[V any] struct {
	// Immutable after init.
	secret [3]uint64

	buckets atomic.Pointer[[]addrBucket[V]] // a power of two

	// Guarded by the user's lock.
	count int
}

// addrBucket is a chain of entries, which are never changed.
type addrBucket[V any] = atomic.Pointer[addrEntry[V]]

type addrEntry[V any] struct {
	addr  netip.AddrPort
	value V
	next  *addrEntry[V]
}

// leastBuckets is the size of an empty table.
const leastBuckets = 64

func (t *addrTable[V]) init() {
	t.secret = [3]uint64{rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1}
	t.resize(leastBuckets)
}

// hash folds two multiplications of 128 bits.
func (t *addrTable[V]) hash(addr netip.AddrPort) uint64 {
	a := addr.Addr().As16()
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(a[:8])^t.secret[0]^uint64(addr.Port()), binary.LittleEndian.Uint64(a[8:])^t.secret[1])
	hi, lo = bits.Mul64(hi^lo^t.secret[2], t.secret[0])
	return hi ^ lo
}

// get returns the zero value for an address that is not there.
func (t *addrTable[V]) get(addr netip.AddrPort) (value V) {
	buckets := *t.buckets.Load()
	for e := buckets[t.hash(addr)&uint64(len(buckets)-1)].Load(); e != nil; e = e.next {
		if e.addr == addr {
			return e.value
		}
	}
	return value
}

// put adds an address or replaces what is there. The user's lock is held.
func (t *addrTable[V]) put(addr netip.AddrPort, value V) {
	b := t.bucket(addr)
	rest, found := b.Load().without(addr)
	b.Store(&addrEntry[V]{addr, value, rest})
	if found {
		return
	}
	t.count++
	if n := len(*t.buckets.Load()); t.count > n {
		t.resize(2 * n)
	}
}

// remove takes an address out. The user's lock is held.
func (t *addrTable[V]) remove(addr netip.AddrPort) {
	b := t.bucket(addr)
	rest, found := b.Load().without(addr)
	if !found {
		return
	}
	b.Store(rest)
	t.count--
	if n := len(*t.buckets.Load()); n > leastBuckets && t.count < n/8 {
		t.resize(n / 2)
	}
}

// without returns the chain without an address. What stands before it is copied: somebody may be on the way through it.
func (e *addrEntry[V]) without(addr netip.AddrPort) (rest *addrEntry[V], found bool) {
	if e == nil {
		return nil, false
	}
	if e.addr == addr {
		return e.next, true
	}
	if rest, found = e.next.without(addr); !found {
		return e, false
	}
	return &addrEntry[V]{e.addr, e.value, rest}, true
}

func (t *addrTable[V]) bucket(addr netip.AddrPort) *addrBucket[V] {
	buckets := *t.buckets.Load()
	return &buckets[t.hash(addr)&uint64(len(buckets)-1)]
}

// resize copies everything into a new table of n buckets.
func (t *addrTable[V]) resize(n int) {
	fresh := make([]addrBucket[V], n)
	if old := t.buckets.Load(); old != nil {
		for i := range *old {
			for e := (*old)[i].Load(); e != nil; e = e.next {
				b := &fresh[t.hash(e.addr)&uint64(n-1)]
				b.Store(&addrEntry[V]{e.addr, e.value, b.Load()})
			}
		}
	}
	t.buckets.Store(&fresh)
}
