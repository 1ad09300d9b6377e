package jsep

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// negotiator plays the perfect negotiation of webrtc-pc §10.7 over a queue that delays messages.
type negotiator struct {
	*peer
	polite bool
	ignore bool
	dice   *rand.Rand
	inbox  []Description
	other  *negotiator
}

func (n *negotiator) send(d *Description) { n.other.inbox = append(n.other.inbox, *d) }

// negotiationNeeded is the application's handler.
func (n *negotiator) negotiationNeeded() {
	if n.State() != StateStable || !n.CheckNegotiationNeeded() {
		return
	}
	if n.dice.IntN(3) == 0 {
		// The explicit way, and the application acts in between.
		o := n.offer()
		n.act(n.dice)
		n.local(o)
	} else {
		n.local(Description{})
	}
	n.t.Logf("# %s offers", n.name)
	n.send(n.LocalDescription())
}

// receive handles the oldest message.
func (n *negotiator) receive() {
	d := n.inbox[0]
	n.inbox = n.inbox[1:]
	collision := d.Type == TypeOffer && n.State() != StateStable
	n.ignore = !n.polite && collision
	n.t.Logf("# %s in %s gets %s, ignored: %v", n.name, n.State(), d.Type, n.ignore)
	if n.ignore {
		return
	}
	if d.Type != TypeOffer && n.State() != StateHaveLocalOffer && n.State() != StateHaveRemotePranswer {
		return // answers an offer that was rolled back: signaling lost a race that the other side has lost too
	}
	if n.State() == StateHaveRemotePranswer && d.Type == TypeOffer {
		n.inbox = append([]Description{d}, n.inbox...)
		n.t.Fatalf("%s: an offer between a provisional answer and the answer", n.name)
	}
	fx := n.remote(d)
	if collision && !fx.RolledBack {
		n.t.Fatalf("%s: a collision without rollback", n.name)
	}
	n.check()
	if d.Type == TypeOffer {
		if n.dice.IntN(3) == 0 {
			n.act(n.dice)
			n.local(Description{Type: TypePranswer})
			n.check()
			if n.dice.IntN(2) == 0 {
				n.send(n.LocalDescription())
			}
			n.act(n.dice)
		}
		n.local(Description{})
		n.send(n.LocalDescription())
	}
	n.check()
}

// act does what applications do.
func (n *negotiator) act(r *rand.Rand) {
	ts := n.Transceivers()
	var t *Transceiver
	if len(ts) > 0 {
		t = ts[r.IntN(len(ts))]
	}
	kind := []string{KindAudio, KindVideo}[r.IntN(2)]
	dirs := []sdp.Direction{sdp.SendRecv, sdp.SendOnly, sdp.RecvOnly, sdp.Inactive}
	switch r.IntN(10) {
	case 0, 1:
		if len(ts) < 6 {
			n.add(kind, dirs[r.IntN(4)], fmt.Sprint("s", r.IntN(3)))
		}
	case 2, 3:
		if len(ts) < 6 {
			if _, _, err := n.AddTrack(kind, fmt.Sprint("t", r.Uint32()), []string{fmt.Sprint("s", r.IntN(3))}); err != nil {
				n.t.Fatal(err)
			}
		}
	case 4:
		n.data()
	case 5:
		if t != nil {
			if _, err := n.RemoveTrack(t); err != nil {
				n.t.Fatal(err)
			}
		}
	case 6:
		if t != nil && !t.Stopping && !t.Stopped {
			if err := n.SetDirection(t, dirs[r.IntN(4)]); err != nil {
				n.t.Fatal(err)
			}
		}
	case 7:
		if t != nil {
			if err := n.StopTransceiver(t); err != nil {
				n.t.Fatal(err)
			}
		}
	case 8:
		n.RestartICE()
	case 9:
		if t != nil && r.IntN(2) == 0 {
			codecs := testCapabilities()
			list := append([]sdp.Codec{}, codecs.of(t.Kind).Codecs...)
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			if err := n.SetCodecPreferences(t, list); err != nil {
				n.t.Fatal(err)
			}
		}
	}
}

// check holds what is always true of a session.
func (n *negotiator) check() { checkInvariants(n.t, n.Session) }

func checkInvariants(t testing.TB, s *Session) {
	t.Helper()
	mids := map[string]bool{}
	for _, tr := range s.st.transceivers {
		if tr.MID == "" {
			if tr.Index != -1 {
				t.Fatalf("index %d without mid", tr.Index)
			}
			continue
		}
		if mids[tr.MID] {
			t.Fatalf("mid %q twice", tr.MID)
		}
		mids[tr.MID] = true
		if tr.Stopped && !tr.Stopping || len(tr.Sender.Encodings) == 0 {
			t.Fatalf("transceiver %+v", tr)
		}
		if _, i := s.st.layout().section(tr.MID); i >= 0 && i != tr.Index {
			t.Fatalf("mid %q: index %d, section %d", tr.MID, tr.Index, i)
		}
	}
	stable := s.State() == StateStable
	if stable != (s.st.pendingLocal == nil && s.st.pendingRemote == nil) || stable != (s.st.stable == nil) {
		t.Fatalf("state %s with pending local %v, remote %v", s.State(), s.st.pendingLocal != nil, s.st.pendingRemote != nil)
	}
	if (s.st.currentLocal == nil) != (s.st.currentRemote == nil) {
		t.Fatal("half a negotiation is current")
	}
	for _, d := range []*Description{s.LocalDescription(), s.RemoteDescription(), s.CurrentLocalDescription()} {
		if d == nil {
			continue
		}
		if _, err := sdp.Parse(d.SDP); err != nil {
			t.Fatalf("%v\n%s", err, d.SDP)
		}
	}
}

// agreeOn checks that both sides of a finished negotiation mean the same.
func agreeOn(a, b *negotiator) {
	t := a.t
	a.wantState(StateStable)
	b.wantState(StateStable)
	a.wantNeeded(false)
	b.wantNeeded(false)
	if a.st.currentLocal == nil {
		if b.st.currentLocal != nil {
			t.Fatal("one side has negotiated")
		}
		return
	}
	if !reflect.DeepEqual(a.st.currentLocal.mids, b.st.currentRemote.mids) || !reflect.DeepEqual(a.st.currentLocal.mids, b.st.currentLocal.mids) {
		t.Fatalf("mids %v %v %v", a.st.currentLocal.mids, b.st.currentRemote.mids, b.st.currentLocal.mids)
	}
	fa, fb := a.Snapshot(), b.Snapshot()
	if (fa.Transport == nil) != (fb.Transport == nil) || (fa.Data == nil) != (fb.Data == nil) {
		t.Fatalf("transport %v %v, data %v %v", fa.Transport, fb.Transport, fa.Data, fb.Data)
	}
	if ta, tb := fa.Transport, fb.Transport; ta != nil && (ta.Local != tb.Remote || ta.Remote != tb.Local ||
		ta.Controlling == tb.Controlling || ta.DTLSRole == tb.DTLSRole || ta.MID != tb.MID) {
		t.Fatalf("transports\n%+v\n%+v", ta, tb)
	}
	byMID := map[string]Flow{}
	for _, f := range fb.Flows {
		byMID[f.MID] = f
	}
	for _, f := range fa.Flows {
		o, ok := byMID[f.MID]
		if !ok || f.Send != o.Receive || f.Receive != o.Send || f.Kind != o.Kind {
			t.Fatalf("flows\n%+v\n%+v", f, o)
		}
		checkFlow(t, f, o)
		checkFlow(t, o, f)
	}
	if len(fa.Flows) != len(fb.Flows) {
		t.Fatalf("%d and %d flows", len(fa.Flows), len(fb.Flows))
	}
}

// checkFlow: what one side may send, the other can take.
func checkFlow(t testing.TB, from, to Flow) {
	t.Helper()
	if from.Send && len(from.SendCodecs) == 0 {
		t.Fatalf("sends without a codec: %+v", from)
	}
	for _, c := range from.SendCodecs {
		found := false
		for _, r := range to.ReceiveCodecs {
			found = found || r.PayloadType == c.PayloadType && sameCodec(&r, &c)
		}
		if !found {
			t.Fatalf("mid %s: sends %d %s, which is not expected", from.MID, c.PayloadType, c.Name)
		}
	}
	if !reflect.DeepEqual(extensionIDs(from.SendExtensions), extensionIDs(to.ReceiveExtensions)) {
		t.Fatalf("mid %s: extensions %v %v", from.MID, from.SendExtensions, to.ReceiveExtensions)
	}
	if from.Send && from.rids() == 0 && (len(to.SSRCs) == 0 || to.SSRCs[0].ID != from.Encodings[0].SSRC) {
		t.Fatalf("mid %s: ssrcs %v, sends %v", from.MID, to.SSRCs, from.Encodings)
	}
}

func (f *Flow) rids() int {
	n := 0
	for _, e := range f.Encodings {
		if e.RID != "" {
			n++
		}
	}
	return n
}

func extensionIDs(list []sdp.Extension) map[string]int {
	out := map[string]int{}
	for _, e := range list {
		out[e.URI] = e.ID
	}
	return out
}

// Random applications on both sides, random delays: every run ends in agreement, without negotiation left.
func TestGlareEndsInAgreement(t *testing.T) {
	seeds := 80
	if v, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil && v > 0 {
		seeds = v
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) { glare(t, uint64(seed)) })
	}
}

func glare(t *testing.T, seed uint64) {
	r := rand.New(seeded(seed))
	policy := BundlePolicy(r.IntN(3))
	caps := testCapabilities()
	caps.Video.RTX = r.IntN(2) == 0
	a := &negotiator{peer: newPeerWith(t, "a", Config{Capabilities: caps, BundlePolicy: policy, Rand: seeded(2*seed + 1)}), polite: true, dice: r}
	b := &negotiator{peer: newPeer(t, "b", 2*seed+2), dice: r}
	a.other, b.other = b, a
	sides := []*negotiator{a, b}
	for range 60 {
		n := sides[r.IntN(2)]
		switch r.IntN(4) {
		case 0:
			n.act(r)
			n.check()
		case 1:
			n.negotiationNeeded()
			n.check()
		default:
			if len(n.inbox) > 0 {
				n.receive()
			}
		}
	}
	for round := 0; len(a.inbox)+len(b.inbox) > 0 || a.CheckNegotiationNeeded() || b.CheckNegotiationNeeded() || a.State() != StateStable || b.State() != StateStable; round++ {
		if round > 100 {
			t.Fatalf("no end: %s %s\n%s\n%s", a.State(), b.State(), a.LocalDescription().SDP, b.LocalDescription().SDP)
		}
		n := sides[r.IntN(2)]
		if len(n.inbox) > 0 {
			n.receive()
		} else if r.IntN(3) == 0 {
			n.negotiationNeeded()
		}
	}
	agreeOn(a, b)
}
