package netio

import (
	"net"
	"strconv"
	"sync"
)

// zones is the table of the system's interface names and numbers, which zones of
// link-local IPv6 addresses are written in (RFC 4007 §11).
var zones zoneTable

// maxZones caps the table. Machines have fewer interfaces; a table that is full
// starts again.
const maxZones = 1024

// zoneTable remembers names and indices, since asking the system costs several
// system calls. Indices are never used twice by a running system, names are: so
// a name whose use failed must be forgotten.
type zoneTable struct {
	// Guarded by mu.
	mu      sync.RWMutex
	byIndex map[uint32]string
	byName  map[string]uint32
}

// name returns the zone of an interface index: its name, or the number where it
// has none.
func (z *zoneTable) name(index uint32) string {
	z.mu.RLock()
	name, ok := z.byIndex[index]
	z.mu.RUnlock()
	if ok {
		return name
	}
	name = strconv.FormatUint(uint64(index), 10)
	if ifc, err := net.InterfaceByIndex(int(index)); err == nil {
		name = ifc.Name
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.byIndex == nil || len(z.byIndex) >= maxZones {
		z.byIndex = make(map[uint32]string)
	}
	z.byIndex[index] = name
	return name
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
