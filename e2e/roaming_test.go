package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openparley/webrtc/e2e/lab"
)

// roaming is a call of a host that changes its network.
type roaming struct {
	from, other lab.NAT // of both networks of the host that roams, and of its peer's
	offers      bool    // the roaming host offers, and is controlling
	overlap     bool    // the new network is there before the old one goes
	signaled    bool    // what is gathered in the new network is signaled
	server      string
}

func (r roaming) String() string {
	words := fmt.Sprintf("%s to %s by %s", r.from, r.other, map[string]string{ours: "our server", coturns: "coturn"}[r.server])
	for _, w := range []struct {
		is   bool
		word string
	}{{r.offers, "offerer"}, {!r.offers, "answerer"}, {r.overlap, "overlap"}, {!r.overlap, "gap"}, {r.signaled, "signaled"}} {
		if w.is {
			words += ", " + w.word
		}
	}
	return words
}

const (
	// backWithin is how long after the new address can be used, and no other, media may take to flow both ways.
	backWithin = time.Second
	// networkGap is how long there is no network.
	networkGap = time.Second
)

// TestRoaming takes the interface away under a call, and gives the host another one with another address. Nothing is
// signaled, but for the case in which both sides are behind NATs that let in only who was written to: there the call
// goes on by relays, which know their peers by address alone, or directly with signaling. All messages arrive once.
func TestRoaming(t *testing.T) {
	internet := lab.NewInternet(t, coturns, ours)
	startServers(t, internet.Host)
	roamer, other := lab.NewHost(t), lab.NewHost(t)
	networks := [2]*lab.Router{internet.NewRouter(t, lab.Open), internet.NewRouter(t, lab.Open)}
	far := internet.NewRouter(t, lab.Open)
	far.Plug(t, other)
	for i, r := range roamings() {
		t.Run(r.String(), func(t *testing.T) {
			from, to := networks[i&1], networks[1-i&1]
			from.Become(t, r.from)
			to.Become(t, r.from)
			far.Become(t, r.other)
			from.Plug(t, roamer)
			to.Unplug(t)
			r.run(t, newMembers(t, roamer, other), roamer, from, to)
		})
	}
}

func roamings() (all []roaming) {
	for _, nats := range [][2]lab.NAT{
		{lab.Open, lab.Open},
		{lab.Cone, lab.Open},
		{lab.NoUDP, lab.Open},
		{lab.Cone, lab.Cone},
		{lab.Symmetric, lab.Symmetric},
		{lab.NoUDP, lab.NoUDP},
	} {
		all = append(all, roaming{from: nats[0], other: nats[1]}.ways()...)
	}
	return append(all, roaming{from: lab.Cone, other: lab.Cone, signaled: true}.ways()...)
}

// ways are the calls that differ in who offers, and in whether the networks overlap; half of them by each server.
func (r roaming) ways() (all []roaming) {
	for i := range 4 {
		r.offers, r.overlap, r.server = i&1 == 0, i&2 != 0, [...]string{ours, coturns}[i&1^i>>1]
		all = append(all, r)
	}
	return all
}

func (r roaming) run(t *testing.T, peers [2]*member, roamer lab.Host, from, to *lab.Router) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(m *member, o order) notice {
		t.Helper()
		n, err := m.ask(ctx, o)
		check(err)
		return n
	}
	first, second := peers[0], peers[1]
	if !r.offers {
		first, second = second, first
	}
	_, err := connect(ctx, first, second, order{Servers: servers(r.server)})
	check(err)
	for _, m := range peers {
		ask(m, order{Do: "await", Messages: 20, Packets: 50})
		m.silent.Store(!r.signaled)
	}
	before := ask(peers[0], order{Do: "pair"}).Pair
	var usable time.Time
	if r.overlap {
		to.Plug(t, roamer)
		time.Sleep(networkGap)
		from.Unplug(t)
		usable = time.Now()
	} else {
		from.Unplug(t)
		time.Sleep(networkGap)
		to.Plug(t, roamer)
		usable = time.Now()
	}
	var back [2]time.Duration
	for i, m := range peers {
		back[i] = ask(m, order{Do: "await", Packets: 1, Since: usable}).At.Sub(usable)
		if back[i] > backWithin {
			t.Errorf("media came to peer %d %v after the change", i, back[i])
		}
	}
	after := ask(peers[0], order{Do: "pair"}).Pair
	t.Logf("media back after %.3f s and %.3f s: %s %s–%s, then %s %s–%s", back[0].Seconds(), back[1].Seconds(),
		before[0].Address, before[0].CandidateType, before[1].CandidateType,
		after[0].Address, after[0].CandidateType, after[1].CandidateType)
	check(hangUp(ctx, peers))
}
