package netio

import (
	"net"
	"strconv"
	"sync"
)

// zones is the table of the system's interfaces, whose names are the zones of
// link-local IPv6 addresses (RFC 4007 §11).
var zones zoneTable

// maxZones caps a table. Machines have fewer interfaces; a table that is full
// starts again.
const maxZones = 1024

// zoneTable remembers the indices of names, since asking the system costs several
// system calls. A name may come back with another index: so a name whose use
// failed must be forgotten.
type zoneTable struct {
	// Guarded by mu.
	mu     sync.RWMutex
	byName map[string]uint32
}

// index returns the interface index of a zone, 0 if there is none.
func (z *zoneTable) index(zone string) uint32 {
	z.mu.RLock()
	index, ok := z.byName[zone]
	z.mu.RUnlock()
	if ok {
		return index
	}
	if ifc, err := net.InterfaceByName(zone); err == nil {
		index = uint32(ifc.Index)
	} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	} else {
		return 0
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.byName == nil || len(z.byName) >= maxZones {
		z.byName = make(map[string]uint32)
	}
	z.byName[zone] = index
	return index
}

// forget makes the next use of the zone ask the system again.
func (z *zoneTable) forget(zone string) {
	z.mu.Lock()
	delete(z.byName, zone)
	z.mu.Unlock()
}
