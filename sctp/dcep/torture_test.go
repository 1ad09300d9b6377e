package dcep

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/openparley/webrtc/sctp"
)

// churn is one channel of the torture as its creator knows it.
type churn struct {
	ch     *Channel
	sent   uint32
	closed bool // Close was called on either side
}

// TestTorture opens and closes channels from both sides over a bad network. Every message arrives on its channel, once and in
// order; every channel ends closed on both sides; no id stays behind. PARLEY_TORTURE=n runs n seeds.
func TestTorture(t *testing.T) {
	seeds := uint64(60)
	if k, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil && k > 0 {
		seeds = uint64(k)
	}
	for seed := range seeds {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { tortureSeed(t, seed) }) {
			return
		}
	}
}

func tortureSeed(t *testing.T, seed uint64) {
	c := sctp.Config{DisableInterleaving: seed%2 == 0, MaxRetransmits: 1000, MaxInitRetransmits: 1000, ReceiveWindow: 20_000 << (seed % 4)}
	roles := [][2]Role{{RoleUnknown, RoleUnknown}, {RoleClient, RoleServer}, {RoleServer, RoleClient}, {RoleClient, RoleUnknown}, {RoleUnknown, RoleServer}}[seed%5]
	w := newWire(t, seed, roles[0], roles[1], c)
	w.loss = float64(seed%7) * 0.05
	w.connect()
	lists := map[*side][]*churn{}
	for step := range 400 {
		if step == 20 { // roles that were open are decided late
			w.a.SetRole(w.now, RoleClient)
			w.b.SetRole(w.now, RoleServer)
		}
		w.run(time.Duration(w.rng.IntN(30))*time.Millisecond, nil)
		for _, s := range []*side{w.a, w.b} {
			lists[s] = tortureStep(t, w, s, lists[s])
		}
	}
	w.loss = 0
	w.until("all channels are closed everywhere", func() bool {
		for _, s := range []*side{w.a, w.b} {
			for _, k := range lists[s] {
				if k.ch.state == StateOpen {
					s.Close(w.now, k.ch)
				}
			}
			for _, ch := range s.opened {
				s.Close(w.now, ch)
			}
			if len(s.byID)+len(s.waiting)+len(s.held)+len(s.balance) > 0 {
				return false
			}
		}
		return true
	})
	for i, s := range []*side{w.a, w.b} {
		checkChurn(t, lists[s], []*side{w.b, w.a}[i])
		if st := s.assoc.Stats(); st.ReceiveWindowUsed != 0 || st.BufferedBytes != 0 {
			t.Errorf("left over: %+v", st)
		}
	}
}

func tortureStep(t *testing.T, w *wire, s *side, list []*churn) []*churn {
	r := w.rng
	if r.IntN(8) == 0 && len(s.byID) < 40 {
		label := fmt.Sprintf("%p %d", s, len(list))
		list = append(list, &churn{ch: w.create(s, Options{Label: label})})
	}
	for _, k := range list {
		if k.ch.state != StateOpen || r.IntN(4) > 0 {
			continue
		}
		for range r.IntN(4) {
			m := make([]byte, 8+r.IntN(3000))
			binary.BigEndian.PutUint32(m, k.sent)
			copy(m[4:], k.ch.opts.Label[len(k.ch.opts.Label)-2:])
			if err := s.Send(w.now, k.ch, m, false); err != nil {
				t.Fatal(err)
			}
			k.sent++
		}
		if r.IntN(8) == 0 {
			s.Close(w.now, k.ch)
			k.closed = true
		}
	}
	for _, ch := range s.opened {
		if ch.state == StateOpen && r.IntN(60) == 0 {
			s.Close(w.now, ch) // the creator's messages on their way are discarded from now on
		}
	}
	return list
}

// checkChurn compares what a side sent with what its peer got: all of it, or its beginning when the peer closed first.
func checkChurn(t *testing.T, sent []*churn, peer *side) {
	t.Helper()
	byLabel := map[string]*Channel{}
	for _, ch := range peer.opened {
		if byLabel[ch.opts.Label] != nil {
			t.Errorf("channel %s was announced twice", ch.opts.Label)
		}
		byLabel[ch.opts.Label] = ch
	}
	for _, k := range sent {
		ch := byLabel[k.ch.opts.Label]
		if ch == nil {
			if k.sent > 0 {
				t.Errorf("channel %s never arrived", k.ch.opts.Label)
			}
			continue
		}
		tail := []byte(k.ch.opts.Label[len(k.ch.opts.Label)-2:])
		for i, m := range peer.got[ch] {
			if binary.BigEndian.Uint32(m) != uint32(i) || !bytes.HasPrefix(m[4:], tail) {
				t.Errorf("channel %s: message %d is %x", k.ch.opts.Label, i, m[:8])
			}
		}
		if n := len(peer.got[ch]); n > int(k.sent) || k.closed && !closedFirst(peer, ch) && n != int(k.sent) {
			t.Errorf("channel %s: %d messages of %d", k.ch.opts.Label, n, k.sent)
		}
	}
}

// closedFirst says whether the peer closed the channel itself: no "closing" was reported to it.
func closedFirst(s *side, ch *Channel) bool {
	for _, line := range s.log {
		if line == "closing "+ch.opts.Label {
			return false
		}
	}
	return true
}
