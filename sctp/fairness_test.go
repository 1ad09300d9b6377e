package sctp

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// share runs two flows for 60 virtual seconds over 20 Mbit/s and 50 ms and returns the share of the first.
func share(t *testing.T, seed uint64, buffer float64, c1, c2 Config) float64 {
	const rate, rtt = 20 * mbit, 50 * time.Millisecond
	l := &link{rate: rate, queue: int(buffer * rate * rtt.Seconds()), overhead: 65}
	d := newDumbbell(t, seed, l, rtt, c1, c2)
	late := d.pairs[seed%2]
	late.begin = late.begin.Add(time.Duration(d.rngs.rng.IntN(3000)) * time.Millisecond)
	got := d.measure(3*time.Second, 60*time.Second)
	return got[0] / (got[0] + got[1])
}

func TestFairness(t *testing.T) {
	ours, cubic := Config{}, Config{Congestion: CongestionCUBIC}
	for _, tc := range []struct {
		name      string
		other     Config
		low, high float64
	}{{"ours", ours, 0.444, 0.556}, {"cubic", cubic, 0.3, 0.7}} {
		for _, buffer := range []float64{1, 4} {
			t.Run(fmt.Sprintf("%s buffer %v", tc.name, buffer), func(t *testing.T) {
				var all []float64
				for seed := range uint64(torture(1)) {
					all = append(all, share(t, seed, buffer, ours, tc.other))
				}
				slices.Sort(all)
				t.Logf("shares: %.2f", all)
				if m := all[len(all)/2]; m < tc.low || m > tc.high {
					t.Errorf("median share %.3f, want %v to %v", m, tc.low, tc.high)
				}
			})
		}
	}
}
