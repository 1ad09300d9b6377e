package main

import (
	"slices"
	"time"
)

const (
	setupWarm  = 20
	setupPairs = 150
	// setupRest lets what a closed pair left running end before the next one is measured.
	setupRest = 5 * time.Millisecond
)

// runSetup connects pairs one after another, each with one data channel. The clock runs from the offer to the channel
// being open on both sides; the CPU time is all of a pair's, from making the peers to closing them.
func runSetup(st stack, e env) (map[string]float64, error) {
	walls := make([]time.Duration, 0, setupPairs)
	var cpu time.Duration
	for i := range setupWarm + setupPairs {
		if i == setupWarm {
			cpu = processCPU()
		}
		wall, err := setupOnce(st, e)
		if err != nil {
			return nil, err
		}
		if i >= setupWarm {
			walls = append(walls, wall)
		}
	}
	cpu = processCPU() - cpu
	slices.Sort(walls)
	return map[string]float64{
		"setup-cpu":  milliseconds(cpu) / setupPairs,
		"setup-wall": milliseconds(walls[len(walls)/2]),
	}, nil
}

func setupOnce(st stack, e env) (time.Duration, error) {
	p, err := newPair(st)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := p.openChannels(1, e.wire, nil); err != nil {
		p.close()
		return 0, err
	}
	wall := time.Since(start)
	p.close()
	time.Sleep(setupRest)
	return wall, nil
}
