package sctp

import "time"

// Association is one SCTP association over one path. Not safe for concurrent use; driven by its owner through the engine
// verbs. Make one with New.
type Association struct {
	cfg    Config
	phase  phase
	events []Event
	stats  Stats
}

// New makes an association that waits for Connect. It fails when Config is out of range or Rand fails.
func New(cfg Config) (*Association, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Association{cfg: cfg}, nil
}

// Connect begins the set-up (RFC 9260 section 5.1). Both sides call it: the collision of INITs that follows is resolved as
// section 5.2.1 says. Calling it again does nothing.
func (a *Association) Connect(now time.Time) {}

// LocalInit returns the INIT chunk of this side, for a=sctp-init (base64 is the caller's). It is the same at every call.
func (a *Association) LocalInit() []byte { return nil }

// ConnectInit connects without a handshake: both sides have exchanged their INIT chunks in SDP (draft-hancke-tsvwg-snap).
// The association is connected at once. remote is not kept. An unusable chunk is an error and changes nothing: fall back to
// Connect (on both sides).
func (a *Association) ConnectInit(now time.Time, remote []byte) error { return nil }

// HandlePacket feeds one SCTP packet. It may be changed or reused by the caller afterwards. The error says why something was
// dropped and is for logs only.
func (a *Association) HandlePacket(now time.Time, pkt []byte) error { return nil }

// EndBatch says that the packets which arrived together have all been fed: decides about the one SACK that answers them.
func (a *Association) EndBatch(now time.Time) {}

// Next appends the next outgoing packet to dst[:0] and reports whether there was one. The packet is at most max bytes long;
// max should be the largest packet the path may carry (Path.MaxMTU): the engine keeps to Path.MTU by itself, and exceeds it for
// probes and for the retransmission of chunks that were sent before the MTU shrank. While data is queued packets come equally
// long. It uses the time of the last call that was given one.
func (a *Association) Next(dst []byte, max int) ([]byte, bool) { return dst[:0], false }

// Advance runs the timers that are due.
func (a *Association) Advance(now time.Time) {}

// Deadline is when Advance wants to be called next; zero: no timer is armed.
func (a *Association) Deadline() time.Time { return time.Time{} }

// Event takes the next event.
func (a *Association) Event() (Event, bool) { return Event{}, false }

// SetPath tells what is known about the path: at the start, after a change of route, when a datagram was refused as too big.
func (a *Association) SetPath(now time.Time, p Path) {}

// Send queues one message. data is copied. It may be called before the association is connected. Errors: ErrClosed,
// ErrEmptyMessage, ErrMessageTooLarge, ErrBufferFull, ErrStreamID, ErrStreamResetting.
func (a *Association) Send(now time.Time, stream uint16, ppid uint32, data []byte, o SendOptions) error {
	return nil
}

// Receive takes the next complete message, copied into alloc(n); ordered messages of a stream come in order. When it reports
// false nothing is complete and alloc was not called.
func (a *Association) Receive(alloc func(n int) []byte) (Message, bool) { return Message{}, false }

// Credit gives n bytes of Message.Charge back to the receive window.
func (a *Association) Credit(now time.Time, n int) {}

// SetMaxSendSize sets Config.MaxSendSize (the peer's a=max-message-size); zero: no limit.
func (a *Association) SetMaxSendSize(n int) {}

// SetPriority sets the weight of a stream against the others; zero: 256. W3C's priorities are 128, 256, 512, 1024.
func (a *Association) SetPriority(stream uint16, weight uint16) {}

// ResetStream resets the outgoing direction of a stream (RFC 6525) once everything queued on it was acknowledged or given up.
// EventStreamReset with Outgoing follows. Send fails in between. Errors: ErrClosed, ErrStreamID, ErrTooManyResets.
func (a *Association) ResetStream(now time.Time, stream uint16) error { return nil }

// BufferedAmount is the number of bytes queued on a stream and not yet sent.
func (a *Association) BufferedAmount(stream uint16) int { return 0 }

// SetBufferedAmountLowThreshold sets the threshold of EventBufferedAmountLow for a stream; the default is zero.
func (a *Association) SetBufferedAmountLowThreshold(stream uint16, n int) {}

// Shutdown closes the association after everything queued was delivered (RFC 9260 section 9.2).
func (a *Association) Shutdown(now time.Time) {}

// Close ends the association at once: one ABORT comes out of Next, everything else is dropped. EventState follows with
// StateClosed and no error.
func (a *Association) Close(now time.Time) {}

// State is the state now.
func (a *Association) State() State { return a.phase.public() }

// Stats returns a snapshot.
func (a *Association) Stats() Stats { return a.stats }
