package jsep

import (
	"testing"

	"github.com/openparley/webrtc/sdp"
)

// RFC 9429 §4.1.10.2, webrtc-pc §4.4.1.5.
func TestRollbackOfARemoteOffer(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	b.add(KindAudio, sdp.SendRecv, "s")
	b.add(KindVideo, sdp.SendRecv, "s")
	o := b.offer()

	t.Log("# one transceiver of the application's is taken, two are made, one of these gets a track")
	own, _, err := a.AddTrack(KindAudio, "mic", []string{"m"})
	if err != nil {
		t.Fatal(err)
	}
	fx := a.remote(o)
	if own.MID != "0" || len(fx.Created) != 1 || len(fx.TracksAdded) != 2 {
		t.Fatalf("%+v", fx)
	}
	made := fx.Created[0]
	fx = a.remote(Description{Type: TypeRollback})
	if fx.Old != StateHaveRemoteOffer || fx.New != StateStable || !fx.RolledBack || own.MID != "" || own.Index != -1 || !made.Stopped ||
		len(fx.Removed) != 1 || len(fx.Stopped) != 1 || len(fx.TracksMuted) != 2 || len(fx.StreamRemovals) != 2 || fx.Transport != nil {
		t.Fatalf("%+v", fx)
	}
	if a.RemoteDescription() != nil || own.FiredDirection != "" || own.Receptive {
		t.Fatal("something is left")
	}
	a.wantNeeded(true)

	t.Log("# a track given to it keeps a transceiver")
	made = a.remote(o).Created[0]
	kept, reused, err := a.AddTrack(KindVideo, "cam", nil)
	if err != nil || !reused || kept != made {
		t.Fatalf("reused %v, %v", reused, err)
	}
	fx = a.local(Description{Type: TypeRollback})
	if made.Stopped || made.MID != "" || len(fx.Removed) != 0 || len(a.Transceivers()) != 2 {
		t.Fatalf("%+v", fx)
	}
	connect(a, b)
	a.wantNeeded(false)
}

func TestRollbackOfALocalOffer(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv, "s")
	fx := a.local(a.offer())
	if fx.Transport == nil {
		t.Fatal("no transport")
	}
	fx = a.local(Description{Type: TypeRollback})
	if fx.Transport != nil || ta.MID != "" || a.LocalDescription() != nil {
		t.Fatalf("%+v", fx)
	}
	connect(a, b)
	before, mid := a.Snapshot(), ta.MID

	t.Log("# of a restart with a new section, a new direction and a stop")
	tv := a.add(KindVideo, sdp.SendRecv)
	a.RestartICE()
	if err := a.SetDirection(ta, sdp.SendOnly); err != nil {
		t.Fatal(err)
	}
	fx = a.local(a.offer())
	if !fx.Transport.LocalChanged || fx.Transport.Local == before.Transport.Local || fx.Transport.Remote != before.Transport.Remote || tv.MID == "" {
		t.Fatalf("%+v", fx.Transport)
	}
	fx = a.local(Description{Type: TypeRollback})
	if !fx.Transport.LocalChanged || fx.Transport.Local != before.Transport.Local || tv.MID != "" || ta.MID != mid || ta.Direction != sdp.SendOnly ||
		ta.CurrentDirection != sdp.SendOnly {
		t.Fatalf("%+v", fx.Transport)
	}
	if len(fx.Flows) != 1 || !fx.Flows[0].Send {
		t.Fatalf("%+v", fx.Flows)
	}
	a.wantNeeded(true)
	connect(a, b)
	a.wantNeeded(false)
}

// A rollback brings back a track whose end the rolled back offer announced.
func TestRollbackRevivesATrack(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv, "s")
	connect(a, b)
	if err := a.SetDirection(ta, sdp.RecvOnly); err != nil {
		t.Fatal(err)
	}
	fx := b.remote(a.offer())
	if len(fx.TracksMuted) != 1 || len(fx.StreamRemovals) != 1 {
		t.Fatalf("%+v", fx)
	}
	fx = b.remote(Description{Type: TypeRollback})
	if len(fx.TracksAdded) != 1 || len(fx.StreamAdditions) != 1 || fx.TracksAdded[0].Receiver.Streams[0] != "s" {
		t.Fatalf("%+v", fx)
	}
}

// Where rollback is no move (webrtc-pc §4.3.1).
func TestRollbackIsRefused(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	a.wantRemoteError(Description{Type: TypeRollback}, ErrInvalidState)
	a.add(KindAudio, sdp.SendRecv)
	o := a.offer()
	a.local(o)
	b.remote(o)
	an := b.answer()
	an.Type = TypePranswer
	b.local(an)
	b.wantState(StateHaveLocalPranswer)
	b.wantRemoteError(Description{Type: TypeRollback}, ErrInvalidState)
	b.wantRemoteError(o, ErrInvalidState)
	a.remote(an)
	a.wantState(StateHaveRemotePranswer)
	a.wantRemoteError(Description{Type: TypeRollback}, ErrInvalidState)
	if a.Snapshot().Transport.DTLSRole != DTLSRoleServer || len(a.Snapshot().Flows) != 1 || !a.Snapshot().Flows[0].Send {
		t.Fatalf("%+v", a.Snapshot())
	}
	t.Log("# the final answer")
	b.local(Description{})
	a.remote(*b.LocalDescription())
	a.wantState(StateStable)
	b.wantState(StateStable)
	if d := b.CurrentLocalDescription(); d == nil || d.Type != TypeAnswer {
		t.Fatalf("%+v", d)
	}
}

// An offer in have-local-offer rolls back (webrtc-pc §4.4.1.5), unless it is refused: then nothing has happened.
func TestImplicitRollback(t *testing.T) {
	a, b := newPeer(t, "a", 1), newPeer(t, "b", 2)
	ta := a.add(KindAudio, sdp.SendRecv)
	b.add(KindAudio, sdp.SendRecv)
	ob := b.offer()
	fx := a.local(a.offer())
	gathered := fx.Transport.Local
	a.AddLocalCandidate(gathered.Ufrag, hostCandidate)
	a.wantRemoteError(edit(ob, "a=ice-ufrag", "a=x"), ErrInvalidAccess)
	a.wantRemoteError(edit(ob, "a=setup:actpass", "a=setup:x"), ErrSDPSyntax)
	a.wantState(StateHaveLocalOffer)
	if ta.MID != "0" {
		t.Fatal("the refused offer has left traces")
	}
	fx = a.remote(ob)
	if !fx.RolledBack || fx.Old != StateHaveLocalOffer || fx.New != StateHaveRemoteOffer || len(fx.Created) != 1 || ta.MID != "" {
		t.Fatalf("%+v", fx)
	}
	b.local(ob)
	fx = a.local(Description{})
	if tr := fx.Transport; tr.Local != gathered || !tr.LocalChanged || len(parse(t, a.LocalDescription().SDP).Media[0].Candidates) != 1 {
		t.Fatalf("what was gathered for the offer does not serve the answer: %+v", fx.Transport)
	}
	b.remote(*a.LocalDescription())
	a.wantNeeded(true)
	connect(a, b)
	a.wantNeeded(false)
}
