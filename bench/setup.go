package main

import (
	"slices"
	"time"

	"github.com/openparley/webrtc"
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
	n := e.count(setupPairs)
	walls := make([]time.Duration, 0, n)
	var cpu time.Duration
	for i := range setupWarm + n {
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
		"setup-cpu":  milliseconds(cpu) / float64(n),
		"setup-wall": milliseconds(walls[len(walls)/2]),
	}, nil
}

// runSetupDTLS12 is runSetup with this library bound to DTLS 1.2, the only version that the other one has.
func runSetupDTLS12(_ stack, e env) (map[string]float64, error) {
	st, err := newParleyWith(webrtc.Settings{DTLSMaxVersion: webrtc.DTLS12})
	if err != nil {
		return nil, err
	}
	return renamed(runSetup, "setup-cpu", "setup-cpu-dtls12")(st, e)
}

// renamed keeps one figure of a scenario, under another name.
func renamed(run func(stack, env) (map[string]float64, error), from, to string) func(stack, env) (map[string]float64, error) {
	return func(st stack, e env) (map[string]float64, error) {
		values, err := run(st, e)
		if err != nil {
			return nil, err
		}
		return map[string]float64{to: values[from]}, nil
	}
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
