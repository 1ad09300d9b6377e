package webrtc

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
)

func tableAddr(i int) netip.AddrPort {
	if i%2 == 0 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(i))
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}), 7)
}

// A table is what a map is.
func TestAddrTable(t *testing.T) {
	var table addrTable[int]
	table.init()
	model := map[netip.AddrPort]int{}
	seed := rand.New(rand.NewPCG(1, 1))
	for step := range 60000 {
		addr := tableAddr(seed.IntN(3000))
		// It grows, is emptied, and grows again.
		if growing := step/10000%2 == 0; seed.IntN(10) < 5 == growing || growing && seed.IntN(2) == 0 {
			table.put(addr, step+1)
			model[addr] = step + 1
		} else {
			table.remove(addr)
			delete(model, addr)
		}
		if ask := tableAddr(seed.IntN(3000)); table.get(ask) != model[ask] {
			t.Fatalf("step %d: %v is %d, want %d", step, ask, table.get(ask), model[ask])
		}
		if table.count != len(model) {
			t.Fatalf("step %d: %d addresses, want %d", step, table.count, len(model))
		}
	}
	for addr := range model {
		table.remove(addr)
	}
	if n := len(*table.buckets.Load()); table.count != 0 || n > 8*leastBuckets {
		t.Errorf("%d addresses and %d buckets are left", table.count, n)
	}
	longest := 0
	for i := range 5000 {
		table.put(tableAddr(i), 1)
	}
	for i := range *table.buckets.Load() {
		n := 0
		for e := (*table.buckets.Load())[i].Load(); e != nil; e = e.next {
			n++
		}
		longest = max(longest, n)
	}
	if longest > 10 { // the chance is below 1e-6
		t.Errorf("a chain of %d", longest)
	}
}

// An address that stays is found at every moment, whatever happens around it and to its value.
func TestAddrTableIsReadWhileItChanges(t *testing.T) {
	var table addrTable[int]
	table.init()
	stays := tableAddr(1)
	table.put(stays, 1)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for last := 0; ; {
				v := table.get(stays)
				if v < last || v == 0 {
					t.Errorf("%d after %d", v, last)
					return
				}
				last = v
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 2000 {
		table.put(stays, i+1)
		table.put(tableAddr(2+i), i)
	}
	for i := range 2000 {
		table.remove(tableAddr(2 + i))
	}
	close(done)
	readers.Wait()
	if n := testing.AllocsPerRun(100, func() { table.get(stays) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAddrTable(b *testing.B) {
	const count = 5000
	var table addrTable[muxHolder]
	table.init()
	addrs := make([]netip.AddrPort, count)
	for i := range addrs {
		addrs[i] = tableAddr(2 * i)
		table.put(addrs[i], muxHolder{m: &muxed{}})
	}
	rand.Shuffle(count, func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(count); pb.Next(); i++ {
			if table.get(addrs[i%count]).m == nil {
				b.Fatal("not found")
			}
		}
	})
}
