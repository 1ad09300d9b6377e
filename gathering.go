package webrtc

// A gatheringWaiter is one wait for a complete gathering.
type gatheringWaiter struct {
	complete chan struct{}
	begun    bool // what was gathered before the call is behind it: the next completion counts
}

// GatheringCompletePromise returns a channel that is closed when gathering is complete, for applications that send their
// description once, with all candidates in it. Call it before the first SetLocalDescription or after; for an ICE restart,
// after it. Close closes the channel too.
//
// A local description without a section that is in use, be it without any or with rejected ones only, has no transport, and
// nothing gathers: ICEGatheringState stays new, as W3C has it, and the channel is closed, for the description is complete.
func GatheringCompletePromise(pc *PeerConnection) <-chan struct{} {
	w := &gatheringWaiter{complete: make(chan struct{})}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.closed {
		close(w.complete)
		return w.complete
	}
	pc.gatheringWaiters = append(pc.gatheringWaiters, w)
	// The state is looked at behind the events that are on their way: a gathering that SetLocalDescription has begun may
	// not have been reported yet.
	pc.task(func() func() {
		w.begun = true
		if pc.gatheringState == ICEGatheringStateComplete || pc.nothingGathers() {
			pc.wakeGatheringWaiters(func(o *gatheringWaiter) bool { return o == w })
		}
		return nil
	})
	return w.complete
}

// nothingGathers reports whether there is a local description, and there has been none with a transport. pc.mu is held.
func (pc *PeerConnection) nothingGathers() bool {
	return !pc.gatheringBegun && pc.jsep.LocalDescription() != nil
}

// wakeGatheringWaiters ends some of the waits for a complete gathering. pc.mu is held.
func (pc *PeerConnection) wakeGatheringWaiters(which func(*gatheringWaiter) bool) {
	var left []*gatheringWaiter
	for _, w := range pc.gatheringWaiters {
		if which(w) {
			close(w.complete)
		} else {
			left = append(left, w)
		}
	}
	pc.gatheringWaiters = left
}
