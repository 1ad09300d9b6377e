package sctp

// State is the state of an association as its user sees it. The handshake states of RFC 9260 section 4 are folded: nobody
// outside can act on the difference between COOKIE-WAIT and COOKIE-ECHOED.
//
//	new ──Connect──▶ connecting ──COOKIE ACK──▶ connected ──Shutdown──▶ closing ──▶ closed
//	  └──────────────────┴──────── Close, ABORT, time-out ──┴──────────────┴─────▶ closed
type State uint8

// The states; the zero value is StateNew.
const (
	StateNew State = iota
	StateConnecting
	StateConnected
	StateClosing
	StateClosed
)

func (s State) String() string {
	return [...]string{"new", "connecting", "connected", "closing", "closed"}[min(s, StateClosed)]
}

// phase is the state of RFC 9260 section 4.
type phase uint8

const (
	phaseClosed phase = iota
	phaseCookieWait
	phaseCookieEchoed
	phaseEstablished
	phaseShutdownPending
	phaseShutdownSent
	phaseShutdownReceived
	phaseShutdownAckSent
	phaseDone // closed for good
)

func (p phase) String() string {
	return [...]string{
		"CLOSED", "COOKIE-WAIT", "COOKIE-ECHOED", "ESTABLISHED", "SHUTDOWN-PENDING",
		"SHUTDOWN-SENT", "SHUTDOWN-RECEIVED", "SHUTDOWN-ACK-SENT", "DONE",
	}[min(p, phaseDone)]
}

// public folds the phase into the State that the user sees.
func (p phase) public() State {
	switch p {
	case phaseClosed:
		return StateNew
	case phaseCookieWait, phaseCookieEchoed:
		return StateConnecting
	case phaseEstablished:
		return StateConnected
	case phaseDone:
		return StateClosed
	default:
		return StateClosing
	}
}

// EventKind says which fields of an Event are set.
type EventKind uint8

const (
	// EventState: Event.State is the new state; Err says why, when it is StateClosed by anything but a clean shutdown or Close.
	EventState EventKind = iota + 1
	// EventReadable: a message became receivable and none was before.
	EventReadable
	// EventBufferedAmountLow: the buffered amount of Event.Stream crossed its threshold from above.
	EventBufferedAmountLow
	// EventStreamReset: the direction Event.Direction of Event.Stream was reset. For Incoming, every message of the stream's
	// previous life is receivable already: take them with Receive first.
	EventStreamReset
)

// Direction tells the two halves of a stream apart.
type Direction uint8

const (
	// Outgoing is the half that this side sends on.
	Outgoing Direction = iota + 1
	// Incoming is the half that the peer sends on.
	Incoming
)

// Event is a change that the association reports. Events come in the order of the changes.
type Event struct {
	Kind      EventKind
	State     State     // EventState
	Err       error     // EventState, EventStreamReset (the peer refused)
	Stream    uint16    // EventStreamReset, EventBufferedAmountLow
	Direction Direction // EventStreamReset

	serial uint64 // orders it among the messages
}
