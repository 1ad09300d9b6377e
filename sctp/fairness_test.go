package sctp

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// share runs two flows for 60 virtual seconds over 40 Mbit/s and 50 ms and returns the share of the first.
func share(t *testing.T, seed uint64, buffer float64, c1, c2 Config) float64 {
	const rate, rtt = 40 * mbit, 50 * time.Millisecond
	l := &link{rate: rate, queue: int(buffer * rate * rtt.Seconds()), overhead: 65}
	d := newDumbbell(t, seed, l, rtt, c1, c2)
	late := d.pairs[seed%2]
	late.begin = late.begin.Add(time.Duration(d.rngs.rng.IntN(3000)) * time.Millisecond)
	got := d.measure(3*time.Second, 60*time.Second)
	return got[0] / (got[0] + got[1])
}

// TestFairness judges medians, and bounds the worst.
func TestFairness(t *testing.T) {
	ours, cubic := Config{}, Config{Congestion: CongestionCUBIC}
	for _, tc := range []struct {
		name  string
		other Config
		// median is the largest share that either may have in the median, worst in any run.
		median, worst float64
	}{{"ours", ours, 0.57, 0.65}, {"cubic", cubic, 0.7, 0.75}} {
		for _, buffer := range []float64{1, 4} {
			t.Run(fmt.Sprintf("%s buffer %v", tc.name, buffer), func(t *testing.T) {
				var larger []float64
				for seed := range uint64(torture(1)) {
					s := share(t, seed, buffer, ours, tc.other)
					larger = append(larger, max(s, 1-s))
				}
				slices.Sort(larger)
				median, worst := larger[len(larger)/2], larger[len(larger)-1]
				t.Logf("the larger share: median %.3f, worst %.3f", median, worst)
				if median > tc.median || worst > tc.worst {
					t.Errorf("median %.3f, want %v; worst %.3f, want %v", median, tc.median, worst, tc.worst)
				}
			})
		}
	}
}
