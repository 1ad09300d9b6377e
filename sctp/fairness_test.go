package sctp

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// bottleneck is a path that two flows share. Its buffer is in bandwidth-delay products.
type bottleneck struct {
	rate   int // Mbit/s
	rtt    time.Duration
	buffer int
}

func (p bottleneck) String() string {
	return fmt.Sprintf("%d Mbps RTT %v queue %d BDP", p.rate, p.rtt, p.buffer)
}

// shares runs two flows for 60 virtual seconds, one of which begins up to three seconds late, and returns the share of the
// first for each seed.
func (p bottleneck) shares(t *testing.T, seeds int, c1, c2 Config) []float64 {
	all := make([]float64, seeds)
	var runs sync.WaitGroup
	for seed := range all {
		runs.Go(func() {
			rate := p.rate * mbit
			l := &link{rate: rate, queue: int(float64(p.buffer*rate) * p.rtt.Seconds()), overhead: 65}
			d := newDumbbell(t, uint64(seed), l, p.rtt, c1, c2)
			late := d.pairs[seed%2]
			late.begin = late.begin.Add(time.Duration(d.rngs.rng.IntN(3000)) * time.Millisecond)
			got := d.measure(3*time.Second, 60*time.Second)
			all[seed] = got[0] / (got[0] + got[1])
		})
	}
	runs.Wait()
	return all
}

// bottlenecks are the paths of the figures in docs; with PARLEY_TORTURE, more of them.
func bottlenecks() (paths []bottleneck) {
	rates, rtts := []int{40}, []time.Duration{50 * time.Millisecond}
	if os.Getenv("PARLEY_TORTURE") != "" {
		rates, rtts = []int{10, 40, 100}, []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond}
	}
	for _, rate := range rates {
		for _, rtt := range rtts {
			for _, buffer := range []int{1, 4} {
				paths = append(paths, bottleneck{rate, rtt, buffer})
			}
		}
	}
	return paths
}

// fairnessSeeds are not as many as those of other tests: 20 make a median.
func fairnessSeeds() int { return min(torture(1), 20) }

// TestFairness: of two associations neither gets more than a fifth beyond its half in the median, and on the paths of the
// figures not more than a fifth above the other. One run, which has no median, is held to the former.
func TestFairness(t *testing.T) {
	for _, p := range bottlenecks() {
		t.Run(p.String(), func(t *testing.T) {
			larger := p.shares(t, fairnessSeeds(), Config{}, Config{})
			for i, s := range larger {
				larger[i] = max(s, 1-s)
			}
			slices.Sort(larger)
			median, worst := larger[len(larger)/2], larger[len(larger)-1]
			want := 0.6
			if p.rtt == 50*time.Millisecond && p.rate >= 40 && len(larger) >= 20 {
				want = 1.2 / 2.2
			}
			if p.rtt*time.Duration(1+p.buffer) > 700*time.Millisecond {
				want = 0.65 // behind a full queue 60 seconds are 80 round trips
			}
			t.Logf("the larger share: median %.3f, worst %.3f", median, worst)
			if median > want {
				t.Errorf("the larger share: median %.3f, want %.3f", median, want)
			}
		})
	}
}

// TestFairnessToCUBIC: beside CUBIC, RFC 9438, an association gets 30 to 70 % in the median.
func TestFairnessToCUBIC(t *testing.T) {
	for _, p := range bottlenecks() {
		t.Run(p.String(), func(t *testing.T) {
			ours := p.shares(t, fairnessSeeds(), Config{}, Config{Congestion: CongestionCUBIC})
			slices.Sort(ours)
			least, median, most := ours[0], ours[len(ours)/2], ours[len(ours)-1]
			t.Logf("our share: median %.3f, from %.3f to %.3f", median, least, most)
			if median < 0.3 || median > 0.7 {
				t.Errorf("our share: median %.3f, want 0.3 to 0.7", median)
			}
		})
	}
}
