package dtls

import (
	"errors"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// seeds is how many runs a torture test makes: PARLEY_TORTURE, or n.
func seeds(t *testing.T, n int) uint64 {
	if s := os.Getenv("PARLEY_TORTURE"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	return uint64(n)
}

// tortured draws a pair and a network from a seed.
func tortured(t *testing.T, seed uint64) *link {
	rng := mrand.New(seeded(seed ^ 0x746f72))
	client, server := testConfig(t, RoleClient, seed), testConfig(t, RoleServer, seed)
	for _, cfg := range []*Config{&client, &server} {
		cfg.MTU = MinMTU + rng.IntN(1500-MinMTU)
		if rng.IntN(3) == 0 {
			cfg.MaxVersion = VersionDTLS12
		}
		if rng.IntN(4) == 0 {
			cfg.Certificate = selfSigned(t, testKeys().rsa)
		}
	}
	server.Cookies = rng.IntN(2) == 0
	if rng.IntN(4) == 0 {
		server.Groups = []Group{GroupP384, GroupP256}
	}
	l := newLink(t, seed, client, server)
	l.loss = rng.Float64() * 0.5
	l.dup = rng.Float64() * 0.3
	l.jitter = time.Duration(1 + rng.IntN(200_000_000))
	l.delay = time.Duration(rng.IntN(100_000_000))
	for _, p := range l.peers {
		if rng.IntN(2) == 0 {
			p.conn.SetRTT(2*l.delay + l.jitter)
		}
	}
	return l
}

// TestTorture: whatever the network does, a handshake completes on both sides, or times out.
func TestTorture(t *testing.T) {
	lost := 0
	for seed := range seeds(t, 100) {
		l := tortured(t, seed)
		l.start()
		l.run(15*time.Minute, func() bool {
			return l.bothConnected() || l.client().conn.state.terminal() || l.server().conn.state.terminal()
		})
		if !l.bothConnected() {
			lost++
			checkTimedOut(t, seed, l)
			continue
		}
		l.loss, l.dup = 0, 0
		l.agree()
		l.run(15*time.Minute, func() bool { return false })
		for _, p := range l.peers {
			// What was sent again was sent by the timer, or because the peer's last flight came again.
			if s := p.conn.stats; s.Retransmissions > s.Timeouts+repeatsOf(l) {
				t.Fatalf("seed %d: %s: %d retransmissions, %d timeouts", seed, p.name, s.Retransmissions, s.Timeouts)
			}
			if d := p.conn.Deadline(); !d.IsZero() {
				t.Fatalf("seed %d: %s: a timer is left", seed, p.name)
			}
		}
	}
	if total := int(seeds(t, 100)); lost > total/20 {
		t.Fatalf("%d of %d handshakes were lost", lost, total)
	}
}

// repeatsOf is how often a peer may have asked for a flight again: by what it sent the first time and at its timeouts, each of which
// the network may have doubled.
func repeatsOf(l *link) uint64 {
	n := uint64(1)
	for _, p := range l.peers {
		n += p.conn.stats.Timeouts
	}
	return 2 * n
}

func checkTimedOut(t *testing.T, seed uint64, l *link) {
	t.Helper()
	for _, p := range l.peers {
		if s := p.conn.state; s == StateFailed && !errors.Is(p.events[len(p.events)-1].Err, ErrTimeout) {
			// One side's timeout may be the other's alert.
			var a *AlertError
			if err := p.events[len(p.events)-1].Err; !errors.As(err, &a) || !a.Remote {
				l.dump()
				t.Fatalf("seed %d: %s: %v", seed, p.name, err)
			}
		}
	}
}

// TestSameSeedSameTrace: a run repeats to the byte count and the nanosecond.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range seeds(t, 100) / 5 {
		var traces [2][]string
		for i := range traces {
			l := tortured(t, seed)
			if !repeatable {
				l.client().conn.cfg.Groups = []Group{GroupX25519, GroupP256, GroupP384}
			}
			l.start()
			l.run(15*time.Minute, func() bool { return false })
			traces[i] = l.trace
		}
		if !slices.Equal(traces[0], traces[1]) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}
