//go:build !android && !netio_portable

package netio

import (
	"net"
	"strconv"
	"sync"
)

// zoneNames is the table the other way: from the indices that the kernel gives.
var zoneNames nameTable

// nameTable remembers the names of interface indices, which a running system
// never uses twice.
type nameTable struct {
	// Guarded by mu.
	mu      sync.RWMutex
	byIndex map[uint32]string
}

// name returns the zone of an interface index: its name, or the number where it
// has none.
func (z *nameTable) name(index uint32) string {
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
