package webrtc

import (
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/sctp"
	"github.com/openparley/webrtc/sctp/dcep"
)

// task posts an event that changes what getters return: apply runs on the signaling goroutine with pc.mu held, and
// returns what is to be called after it was released. This is W3C's "queue a task".
func (pc *PeerConnection) task(apply func() (notify func())) {
	pc.events.post(event{run: func() {
		pc.mu.Lock()
		if pc.closed {
			pc.mu.Unlock()
			return
		}
		notify := apply()
		pc.mu.Unlock()
		if notify != nil {
			notify()
		}
	}})
}

// onICEState implements transportEvents.
func (pc *PeerConnection) onICEState(s ice.State) {
	pc.task(func() func() {
		state := iceConnectionState(s)
		if state == pc.iceState {
			return nil
		}
		pc.iceState = state
		onICE, onConnection, sum := pc.handlers.iceConnectionStateChange, pc.updateConnectionState(), pc.connectionState
		return func() {
			call(pc.events, onICE, state)
			call(pc.events, onConnection, sum)
		}
	})
}

func iceConnectionState(s ice.State) ICEConnectionState {
	switch s {
	case ice.StateChecking:
		return ICEConnectionStateChecking
	case ice.StateConnected:
		return ICEConnectionStateConnected
	case ice.StateCompleted:
		return ICEConnectionStateCompleted
	case ice.StateDisconnected:
		return ICEConnectionStateDisconnected
	case ice.StateFailed:
		return ICEConnectionStateFailed
	case ice.StateClosed:
		return ICEConnectionStateClosed
	case ice.StateNew:
	}
	return ICEConnectionStateNew
}

// updateConnectionState computes the sum of the states and returns the handler if it changed. pc.mu is held.
func (pc *PeerConnection) updateConnectionState() func(PeerConnectionState) {
	sum := connectionState(pc.iceState, pc.dtlsState)
	if sum == pc.connectionState {
		return nil
	}
	pc.connectionState = sum
	return pc.handlers.connectionStateChange
}

// connectionState follows https://www.w3.org/TR/webrtc/#dom-rtcpeerconnectionstate for the one transport there is.
func connectionState(i ICEConnectionState, d DTLSTransportState) PeerConnectionState {
	switch {
	case i == ICEConnectionStateFailed || d == DTLSTransportStateFailed:
		return PeerConnectionStateFailed
	case i == ICEConnectionStateDisconnected:
		return PeerConnectionStateDisconnected
	case (i == ICEConnectionStateNew || i == ICEConnectionStateClosed) &&
		(d == DTLSTransportStateNew || d == DTLSTransportStateClosed):
		return PeerConnectionStateNew
	case i == ICEConnectionStateNew || i == ICEConnectionStateChecking ||
		d == DTLSTransportStateNew || d == DTLSTransportStateConnecting:
		return PeerConnectionStateConnecting
	}
	return PeerConnectionStateConnected
}

// onDTLSState implements transportEvents.
func (pc *PeerConnection) onDTLSState(s dtls.State, err error) {
	if err != nil {
		pc.api.settings.Logger.Warn("DTLS", "state", s.String(), "error", err)
	}
	pc.task(func() func() {
		switch s {
		case dtls.StateNew:
			pc.dtlsState = DTLSTransportStateNew
		case dtls.StateConnecting:
			pc.dtlsState = DTLSTransportStateConnecting
		case dtls.StateConnected:
			pc.dtlsState = DTLSTransportStateConnected
		case dtls.StateClosed:
			pc.dtlsState = DTLSTransportStateClosed
		case dtls.StateFailed:
			pc.dtlsState = DTLSTransportStateFailed
		}
		onConnection, sum := pc.updateConnectionState(), pc.connectionState
		return func() { call(pc.events, onConnection, sum) }
	})
}

// onGatheringState implements transportEvents.
func (pc *PeerConnection) onGatheringState(s ice.GatheringState) {
	ufrag := pc.transport.engine.ice.LocalParameters().Ufrag // transport.mu is held
	pc.task(func() func() {
		state := ICEGatheringStateNew
		switch s {
		case ice.GatheringActive:
			state = ICEGatheringStateGathering
		case ice.GatheringComplete:
			state = ICEGatheringStateComplete
			pc.jsep.EndOfLocalCandidates(ufrag)
			pc.wakeGatheringWaiters(func(w *gatheringWaiter) bool { return w.begun })
		case ice.GatheringNew:
		}
		if state == pc.gatheringState {
			return nil
		}
		pc.gatheringState = state
		onState, onCandidate := pc.handlers.iceGatheringStateChange, pc.handlers.iceCandidate
		return func() {
			call(pc.events, onState, state)
			if state == ICEGatheringStateComplete {
				call(pc.events, onCandidate, nil)
			}
		}
	})
}

// onCandidate implements transportEvents.
func (pc *PeerConnection) onCandidate(c ice.Candidate) {
	pc.task(func() func() {
		if c.Ufrag != pc.localUfrag {
			return nil // a restart or a rollback has ended that generation: the peer has no use for it
		}
		candidate := newICECandidate(c)
		pc.jsep.AddLocalCandidate(c.Ufrag, candidate.attribute())
		candidate.SDPMid, candidate.SDPMLineIndex = pc.transportMID, uint16(pc.transportIndex)
		handler := pc.handlers.iceCandidate
		return func() { call(pc.events, handler, candidate) }
	})
}

// onCandidateError implements transportEvents.
func (pc *PeerConnection) onCandidateError(e ice.EventCandidateError) {
	pc.task(func() func() {
		handler := pc.handlers.iceCandidateError
		report := ICECandidateError{URL: e.URL, ErrorCode: e.Code, ErrorText: e.Text}
		if e.Local.IsValid() {
			report.Address, report.Port = e.Local.Addr().String(), e.Local.Port()
		}
		return func() { call(pc.events, handler, report) }
	})
}

// onSelectedPair implements transportEvents.
func (pc *PeerConnection) onSelectedPair(e ice.EventSelectedPair) {
	pc.task(func() func() {
		pc.selectedPair = &ICECandidatePair{Local: newICECandidate(e.Local), Remote: newICECandidate(e.Remote)}
		return nil
	})
}

// onICERole implements transportEvents.
func (pc *PeerConnection) onICERole(r ice.Role) {
	pc.task(func() func() {
		switch r {
		case ice.RoleControlling:
			pc.iceRole = ICERoleControlling
		case ice.RoleControlled:
			pc.iceRole = ICERoleControlled
		case ice.RoleUnknown:
			pc.iceRole = 0
		}
		return nil
	})
}

// onTick implements transportEvents.
func (pc *PeerConnection) onTick(now time.Time) { pc.events.rest(now) }

// onChannelRefused implements transportEvents.
func (pc *PeerConnection) onChannelRefused(dc *DataChannel, err error) {
	pc.events.post(event{run: func() { dc.closedByTransport(err) }})
}

// onChannel implements transportEvents. It runs under transport.mu: it makes the object for a channel that the peer has
// opened, so that the events which follow find it, and posts.
func (pc *PeerConnection) onChannel(e dcep.Event) {
	dc := channelOf(e.Channel)
	switch e.Kind {
	case dcep.EventMessage:
		dc.received.count(len(e.Data))
		pc.events.post(event{message: messageEvent{dc, e.Data, e.Charge, e.IsString}})
	case dcep.EventChannel:
		dc = newDataChannel(pc, e.Channel.Options())
		pc.transport.engine.attach(dc, e.Channel)
		id, _ := e.Channel.ID()
		pc.events.post(event{run: func() { pc.channelFromPeer(dc, id, e.Charge) }})
	case dcep.EventOpen:
		id, _ := e.Channel.ID()
		pc.events.post(event{run: func() { dc.opened(id, e.Charge) }})
	case dcep.EventBufferedAmountLow:
		pc.events.post(event{low: dc})
	case dcep.EventClosing:
		pc.events.post(event{run: dc.closingByPeer})
	case dcep.EventClosed:
		pc.events.post(event{run: func() { dc.closedByTransport(e.Err) }})
	case dcep.EventState:
		pc.onSCTPState(e.State)
	}
}

func (pc *PeerConnection) onSCTPState(s sctp.State) {
	transport := pc.transport.engine.link.sctp // transport.mu is held
	pc.task(func() func() {
		switch s {
		case sctp.StateNew, sctp.StateConnecting:
			transport.state = SCTPTransportStateConnecting
		case sctp.StateConnected:
			transport.state = SCTPTransportStateConnected
		case sctp.StateClosing, sctp.StateClosed:
			transport.state = SCTPTransportStateClosed
		}
		return nil
	})
}

// channelOf returns the object of the API for a channel of the layer below; nil for none.
func channelOf(c *dcep.Channel) *DataChannel {
	if c == nil {
		return nil
	}
	dc, _ := c.User.(*DataChannel)
	return dc
}

// channelFromPeer runs on the signaling goroutine. The channel is open already in OnDataChannel's handler, and OnOpen
// follows it.
func (pc *PeerConnection) channelFromPeer(dc *DataChannel, id uint16, charge int) {
	dc.mu.Lock()
	dc.id, dc.state, dc.wasOpen = &id, DataChannelStateOpen, true
	dc.mu.Unlock()
	pc.mu.Lock()
	pc.counters.dataChannelsOpened++
	handler := pc.handlers.dataChannel
	pc.mu.Unlock()
	call(pc.events, handler, dc)
	dc.opened(id, charge)
}

// countChannel counts a channel that has opened, or that was open and has closed (webrtc-stats, RTCPeerConnectionStats).
func (pc *PeerConnection) countChannel(counter *uint64) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	*counter++
}
