package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openparley/webrtc/e2e/lab"
)

// labRunsEnv is how many calls each pair of NATs makes, by each server. Three and more are enough to ask for their median.
const labRunsEnv = "PARLEY_LAB_RUNS"

// cell is a pair of NATs, and by whose server they are helped.
type cell struct{ offerer, answerer lab.NAT }

// relayed tells whether no packet gets through without a relay: where UDP is blocked, and where neither side can foresee
// the port that the other one has to write to.
func (c cell) relayed() bool {
	hard := func(a, b lab.NAT) bool { return a == lab.Symmetric && (b == lab.Symmetric || b == lab.Cone) }
	return c.blocked() || hard(c.offerer, c.answerer) || hard(c.answerer, c.offerer)
}

func (c cell) blocked() bool { return c.offerer == lab.NoUDP || c.answerer == lab.NoUDP }

// fits tells whether a call runs over what it should: directly if that is possible, and each side over the best that its
// NAT allows.
func (c cell) fits(local, remote string) bool {
	for _, end := range []struct {
		nat  lab.NAT
		kind string
	}{{c.offerer, local}, {c.answerer, remote}} {
		switch {
		case end.nat == lab.Open && end.kind != "host",
			end.nat == lab.NoUDP && end.kind != "relay",
			end.nat != lab.Open && end.kind == "host":
			return false
		}
	}
	return c.relayed() == (local == "relay" || remote == "relay")
}

// bar is how long connecting may take in the middle of several calls.
func (c cell) bar() time.Duration {
	switch {
	case c.blocked():
		return time.Second
	case c.relayed():
		return 500 * time.Millisecond
	}
	return 300 * time.Millisecond
}

// settling is how long after the connection a pair may still be renominated: its type is that of the pair in use then.
const settling = 2 * time.Second

// TestNATLab connects all pairs of NATs with the help of coturn and of this library's server, with candidates trickling,
// media and data both ways. The time of a call is that from nothing to the connected state on both sides. No call takes
// twice the bar; with PARLEY_LAB_RUNS=5 the medians of five must keep to it.
func TestNATLab(t *testing.T) {
	runs := 1
	if text := os.Getenv(labRunsEnv); text != "" {
		var err error
		if runs, err = strconv.Atoi(text); err != nil || runs < 1 {
			t.Fatalf("%s=%s is no number of calls", labRunsEnv, text)
		}
	}
	internet := lab.NewInternet(t, coturns, ours)
	startServers(t, internet.Host)
	var routers [2]*lab.Router
	var hosts [2]lab.Host
	for i := range routers {
		routers[i], hosts[i] = internet.NewRouter(t, lab.Open), lab.NewHost(t)
		routers[i].Plug(t, hosts[i])
	}
	peers := newMembers(t, hosts[0], hosts[1])
	helpers := []struct {
		name, addr string
		results    map[cell]string
	}{{"coturn", coturns, map[cell]string{}}, {"our server", ours, map[cell]string{}}}
	for _, a := range lab.NATs {
		routers[0].Become(t, a)
		for _, b := range lab.NATs {
			routers[1].Become(t, b)
			for _, h := range helpers {
				c := cell{a, b}
				h.results[c] = c.measure(t, peers, h.name, h.addr, runs)
			}
		}
	}
	for _, h := range helpers {
		t.Logf("medians of %d by %s:\n%s", runs, h.name, labTable(h.results))
	}
}

// measure makes the calls of a cell, and returns what goes into the table.
func (c cell) measure(t *testing.T, peers [2]*member, name, server string, runs int) string {
	t.Helper()
	var times []time.Duration
	var kinds []string
	for range runs {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		d, kind, err := c.call(ctx, peers, server)
		cancel()
		if err != nil {
			t.Fatalf("%s to %s by %s: %v", c.offerer, c.answerer, name, err)
		}
		if d > 2*c.bar() {
			t.Errorf("%s to %s by %s: connected after %v, more than twice %v", c.offerer, c.answerer, name, d, c.bar())
		}
		times = append(times, d)
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(times)
	median := times[len(times)/2]
	if runs > 2 && median > c.bar() {
		t.Errorf("%s to %s by %s: connected after %v, more than %v", c.offerer, c.answerer, name, median, c.bar())
	}
	return fmt.Sprintf("%s %.3f s", strings.Join(kinds, " or "), median.Seconds())
}

// call makes one call and proves it.
func (c cell) call(ctx context.Context, peers [2]*member, server string) (d time.Duration, kind string, err error) {
	d, err = connect(ctx, peers[0], peers[1], order{Servers: servers(server)})
	if err != nil {
		return 0, "", err
	}
	for _, m := range peers {
		if _, err := m.ask(ctx, order{Do: "await", Messages: 5, Packets: 10}); err != nil {
			return 0, "", err
		}
	}
	for until := time.Now().Add(settling); ; {
		n, err := peers[0].ask(ctx, order{Do: "pair"})
		if err != nil {
			return 0, "", err
		}
		local, remote := n.Pair[0].CandidateType, n.Pair[1].CandidateType
		kind = local + "–" + remote
		if c.fits(local, remote) {
			break
		}
		if time.Now().After(until) {
			return 0, "", fmt.Errorf("connected by the pair %s", kind)
		}
	}
	return d, kind, hangUp(ctx, peers)
}

// labTable shows results as the table of docs/connectivity.md.
func labTable(results map[cell]string) string {
	var b strings.Builder
	b.WriteString("| offerer \\ answerer |")
	for _, n := range lab.NATs {
		fmt.Fprintf(&b, " %s |", n)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(lab.NATs)))
	for _, a := range lab.NATs {
		fmt.Fprintf(&b, "\n| %s |", a)
		for _, n := range lab.NATs {
			fmt.Fprintf(&b, " %s |", results[cell{a, n}])
		}
	}
	return b.String()
}
