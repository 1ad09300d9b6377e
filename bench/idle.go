package main

import (
	"runtime"
	"time"
)

const (
	// Many: with few connections the process sleeps between their timers, and waking up is what would be measured.
	idlePairs  = 200
	idleSettle = 3 * time.Second
	idleWindow = 6 * time.Second
)

// runIdle holds pairs with one data channel each and does nothing with them.
func runIdle(st stack, e env) (map[string]float64, error) {
	// The first pair pays for what a library sets up once a process.
	if _, err := setupOnce(st, e); err != nil {
		return nil, err
	}
	time.Sleep(idleSettle / 3)
	memory, goroutines := footprint()

	n := e.count(idlePairs)
	pairs := make([]*pair, 0, n)
	defer func() {
		for _, p := range pairs {
			p.close()
		}
	}()
	for range n {
		p, err := newPair(st)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
		if _, err := p.openChannels(1, e.wire, nil); err != nil {
			return nil, err
		}
	}
	time.Sleep(idleSettle)
	start, cpu := time.Now(), processCPU()
	time.Sleep(min(idleWindow, 2*e.window))
	used, took := processCPU()-cpu, time.Since(start)

	memoryAfter, goroutinesAfter := footprint()
	connections := 2 * float64(n)
	return map[string]float64{
		"idle-memory":     float64(memoryAfter-memory) / 1024 / connections,
		"idle-goroutines": float64(goroutinesAfter-goroutines) / connections,
		"idle-cpu":        microseconds(used) / took.Seconds() / connections,
	}, nil
}

// footprint is the live heap and the stacks, in bytes, and the number of goroutines.
func footprint() (memory int64, goroutines int) {
	runtime.GC() // finishes what finalizers and pools hold in a second cycle
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}
