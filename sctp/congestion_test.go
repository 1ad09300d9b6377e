package sctp

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// torture is how many seeds a test runs: n, or PARLEY_TORTURE.
func torture(n int) int {
	if k, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil && k > 0 {
		return k
	}
	return n
}

// dumbbell is several pairs that share one bottleneck towards the receivers; the way back only delays.
type dumbbell struct {
	t     testing.TB
	now   time.Time
	link  *link
	back  *link
	rngs  *world // for its rng only
	pairs []*pair
	buf   []byte
}

// noPair marks a packet that is in the way, and for nobody.
const noPair = 255

type pair struct {
	a, b     *Association
	begin    time.Time
	received int
	message  []byte
	sink     []byte
}

func newDumbbell(t testing.TB, seed uint64, l *link, rtt time.Duration, configs ...Config) *dumbbell {
	d := &dumbbell{t: t, now: time.Unix(1e9, 0), link: l, back: &link{delay: rtt / 2}, rngs: &world{rng: newRand(seed)}, buf: make([]byte, 4096)}
	l.delay = rtt / 2
	for i, c := range configs {
		p := &pair{message: make([]byte, 16384), sink: make([]byte, 1<<20), begin: d.now}
		for j, dst := range []**Association{&p.a, &p.b} {
			c.Rand = seeded{newRand(seed*1000 + uint64(2*i+j))}
			as, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			*dst = as
		}
		d.pairs = append(d.pairs, p)
	}
	return d
}

func (d *dumbbell) start() {
	for _, p := range d.pairs {
		if p.a.phase == phaseClosed && !d.now.Before(p.begin) {
			p.a.Connect(d.now)
		}
	}
}

// pump moves one association's packets onto its link, marked with the number of the pair.
func (d *dumbbell) pump(i int, as *Association, l *link) {
	p := d.pairs[i]
	if as == p.a && as.State() == StateConnected {
		for as.BufferedAmount(1) < 1<<20 {
			_ = as.Send(d.now, 1, 53, p.message, SendOptions{})
		}
	}
	for {
		m, ok := as.Receive(func(n int) []byte { return p.sink[:n] })
		if !ok {
			break
		}
		p.received += len(m.Data)
		as.Credit(d.now, m.Charge)
	}
	for {
		if _, ok := as.Event(); !ok {
			break
		}
	}
	for {
		pkt, ok := as.Next(d.buf[:0], 1472)
		if !ok {
			return
		}
		l.send(d.now, d.rngs.rng, append(pkt, byte(i)))
	}
}

func (d *dumbbell) run(until time.Time) {
	for d.now.Before(until) {
		d.start()
		next := until
		for i, p := range d.pairs {
			d.pump(i, p.a, d.link)
			d.pump(i, p.b, d.back)
			for _, as := range []*Association{p.a, p.b} {
				if t := as.Deadline(); !t.IsZero() && t.Before(next) {
					next = t
				}
			}
			if p.a.phase == phaseClosed && p.begin.Before(next) {
				next = p.begin
			}
		}
		for _, l := range []*link{d.link, d.back} {
			if at, ok := l.next(); ok && at.Before(next) {
				next = at
			}
		}
		if next.After(d.now) {
			d.now = next
		}
		for _, l := range []*link{d.link, d.back} {
			for pkt, ok := l.arrived(d.now); ok; pkt, ok = l.arrived(d.now) {
				i := int(pkt[len(pkt)-1])
				if i == noPair {
					continue
				}
				to := d.pairs[i].b
				if l == d.back {
					to = d.pairs[i].a
				}
				_ = to.HandlePacket(d.now, pkt[:len(pkt)-1])
				to.EndBatch(d.now)
			}
		}
		for _, p := range d.pairs {
			p.a.Advance(d.now)
			p.b.Advance(d.now)
		}
	}
}

// measure returns what each pair received between from and to, in Mbit/s.
func (d *dumbbell) measure(from, to time.Duration) []float64 {
	zero := d.now
	d.run(zero.Add(from))
	for _, p := range d.pairs {
		p.received = 0
	}
	d.link.delays = d.link.delays[:0]
	d.run(zero.Add(to))
	var out []float64
	for _, p := range d.pairs {
		out = append(out, float64(p.received)*8/1e6/(to-from).Seconds())
	}
	return out
}

const mbit = 1_000_000 / 8

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[int(q*float64(len(s)-1))]
}

// impaired is the path of the figures in docs: RTT 50 ms, 100 Mbit/s, 65 bytes of UDP, IP and DTLS around every packet.
func impaired(queue time.Duration, loss float64) *link {
	return &link{rate: 100 * mbit, queue: int(queue.Seconds() * 100 * mbit), loss: loss, overhead: 65, record: true}
}

// ceiling is what the datagram size permits: payload of a packet over its size on the wire.
func ceiling(mtu int) float64 { return 100 * float64(mtu-headerSize-idataHeaderSize) / float64(mtu+65) }

func TestImpairedPath(t *testing.T) {
	for _, tc := range []struct {
		queue time.Duration
		loss  float64
		want  float64
	}{
		{50 * time.Millisecond, 0, 0.97 * ceiling(1172)},
		{200 * time.Millisecond, 0, 0.97 * ceiling(1172)},
		{50 * time.Millisecond, 0.01, 60},
		{50 * time.Millisecond, 0.03, 40},
	} {
		t.Run(fmt.Sprintf("%v %v", tc.queue, tc.loss), func(t *testing.T) {
			var rates []float64
			var delays []time.Duration
			for seed := range uint64(min(torture(1), 20)) {
				l := impaired(tc.queue, tc.loss)
				d := newDumbbell(t, seed+1, l, 50*time.Millisecond, Config{})
				got := d.measure(2*time.Second, 20*time.Second)[0]
				p95 := quantile(l.delays, 0.95)
				rates, delays = append(rates, got), append(delays, p95)
				if got < tc.want {
					t.Errorf("seed %d: %.1f Mbit/s, want %.1f", seed, got, tc.want)
				}
				if p95 > 25*time.Millisecond {
					t.Errorf("seed %d: 95 %% of the queueing delays are up to %v", seed, p95)
				}
			}
			slices.Sort(rates)
			t.Logf("%.1f Mbit/s in the median, %.1f at least, want %.1f; p95 of the queueing delay %v at most",
				rates[len(rates)/2], rates[0], tc.want, slices.Max(delays))
		})
	}
}

// TestFilledQueue: what start-up has left in a deep queue drains, and the rate does not collapse after it.
func TestFilledQueue(t *testing.T) {
	l := impaired(200*time.Millisecond, 0)
	d := newDumbbell(t, 1, l, 50*time.Millisecond, Config{})
	zero := d.now
	filler := make([]byte, 1172)
	d.run(zero.Add(5 * time.Second))
	for range 200 * 100 * mbit / 1000 / len(filler) { // 200 ms of somebody else's packets, all at once
		l.send(d.now, d.rngs.rng, append(filler, noPair))
	}
	for second := 6; second < 20; second++ {
		d.pairs[0].received = 0
		d.run(zero.Add(time.Duration(second) * time.Second))
		rate := float64(d.pairs[0].received) * 8 / 1e6
		t.Logf("second %d: %.1f Mbit/s", second, rate)
		if second > 7 && rate < 0.9*ceiling(1172) {
			t.Errorf("%.1f Mbit/s in second %d, after the queue was filled in second 5", rate, second)
		}
	}
}
