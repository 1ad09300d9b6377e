package webrtc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/openparley/webrtc/sctp"
	"github.com/openparley/webrtc/sctp/dcep"
)

// sendContextLimit is how many bytes a channel may have queued before SendContext and a detached Write wait. It is more
// than a path needs to stay busy, and little enough that a writer learns soon that its peer is slow.
const sendContextLimit = 1 << 20

// DataChannelInit are the options of CreateDataChannel. Nil pointers and a nil DataChannelInit mean W3C's defaults:
// ordered, reliable, announced to the peer. W3C: RTCDataChannelInit.
type DataChannelInit struct {
	// Ordered: false lets messages overtake one another.
	Ordered *bool
	// MaxPacketLifeTime gives a message up after so many milliseconds; MaxRetransmits after so many retransmissions.
	// Only one of them may be set.
	MaxPacketLifeTime *uint16
	MaxRetransmits    *uint16
	// Protocol is a name for what is spoken on the channel; at most 65535 bytes.
	Protocol *string
	// Negotiated: both sides create the channel with the same ID.
	Negotiated *bool
	ID         *uint16
	// Priority of the channel against the others. Zero: low, as W3C has it.
	Priority PriorityType
}

// PriorityType is W3C's RTCPriorityType. Zero: low.
type PriorityType int

// The values of PriorityType.
const (
	PriorityVeryLow PriorityType = iota + 1
	PriorityLow
	PriorityMedium
	PriorityHigh
)

var priorityTypeWords = []string{"", "very-low", "low", "medium", "high"}

// String returns the W3C word.
func (p PriorityType) String() string { return enumWord(priorityTypeWords, int(p)) }

// weight is the priority of RFC 8832, section 5.1, that W3C's word stands for.
func (p PriorityType) weight() uint16 {
	switch p {
	case PriorityVeryLow:
		return 128
	case PriorityMedium:
		return 512
	case PriorityHigh:
		return 1024
	}
	return 256
}

// A DataChannelMessage is what the peer has sent. Data belongs to the handler.
type DataChannelMessage struct {
	IsString bool
	Data     []byte
}

// A DataChannel carries messages between two peers. Its methods may be called from any goroutine, and within any
// handler. W3C: RTCDataChannel.
type DataChannel struct {
	// Immutable after newDataChannel.
	pc      *PeerConnection
	options dcep.Options

	// Guarded by transport.mu.
	handle          *dcep.Channel
	link            *dataLink // goes with the handle; both are set once, before the first event
	handleThreshold int
	pooled          bool // messages lie in messageBuffers
	sent, received  messageCounter

	mu           sync.Mutex // Like pc.mu: nothing waits under it, no user code runs under it.
	state        DataChannelState
	announced    bool // OnOpen's moment has passed
	wasOpen      bool // for statistics
	id           *uint16
	lowThreshold int
	lastError    error
	detached     *DetachedDataChannel

	onOpen, onClosing, onClose, onBufferedAmountLow func()
	onMessage                                       func(DataChannelMessage)
	onError                                         func(error)
}

// messageEvent is a message on its way to the handler.
type messageEvent struct {
	channel  *DataChannel
	data     []byte
	charge   int
	isString bool
}

func newDataChannel(pc *PeerConnection, o dcep.Options) *DataChannel {
	return &DataChannel{pc: pc, options: o}
}

// CreateDataChannel makes a channel; the first one makes negotiation needed, and so does the first one after a negotiation
// that has rejected the section of data channels, which closes those that there were. label is at most 65535 bytes. Errors:
// InvalidStateError (closed), TypeError (label or protocol too long, both limits, a negotiated channel without an id, an
// id above 65534, no such priority), OperationError (the id is taken, or none is left). [createDataChannel]
//
// [createDataChannel]: https://www.w3.org/TR/webrtc/#dom-peerconnection-createdatachannel
func (pc *PeerConnection) CreateDataChannel(label string, init *DataChannelInit) (*DataChannel, error) {
	if get(&pc.mu, &pc.closed) {
		return nil, errClosed()
	}
	o, err := dataChannelOptions(label, init)
	if err != nil {
		return nil, err
	}
	dc := newDataChannel(pc, o)
	if o.Negotiated {
		id := o.ID
		dc.id = &id
	}
	now, ok := pc.transport.enter()
	if !ok {
		return nil, errClosed()
	}
	err = pc.transport.engine.createChannel(now, dc)
	pc.transport.exit(now)
	if err != nil {
		return nil, &OperationError{Err: err}
	}
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if err := pc.jsep.EnableData(); err != nil {
		return nil, fromJSEP(err)
	}
	pc.updateNegotiationNeeded()
	return dc, nil
}

// dataChannelOptions checks what W3C's createDataChannel checks.
func dataChannelOptions(label string, init *DataChannelInit) (dcep.Options, error) {
	o := dcep.Options{Label: label, Priority: PriorityLow.weight()}
	if len(label) > 65535 {
		return o, typeError("a label of %d bytes", len(label))
	}
	if init == nil {
		return o, nil
	}
	if init.Protocol != nil {
		if o.Protocol = *init.Protocol; len(o.Protocol) > 65535 {
			return o, typeError("a protocol name of %d bytes", len(o.Protocol))
		}
	}
	if init.Priority < 0 || init.Priority > PriorityHigh {
		return o, typeError("a priority %v", init.Priority)
	}
	o.Unordered = init.Ordered != nil && !*init.Ordered
	o.Priority = init.Priority.weight()
	if init.MaxPacketLifeTime != nil && init.MaxRetransmits != nil {
		return o, typeError("both MaxPacketLifeTime and MaxRetransmits")
	}
	if init.MaxPacketLifeTime != nil {
		o.Reliability = sctp.LimitedLifetime
		o.MaxPacketLifeTime = time.Duration(*init.MaxPacketLifeTime) * time.Millisecond
	}
	if init.MaxRetransmits != nil {
		o.Reliability, o.MaxRetransmits = sctp.LimitedRetransmits, *init.MaxRetransmits
	}
	if init.Negotiated != nil && *init.Negotiated {
		if init.ID == nil {
			return o, typeError("a negotiated channel needs an id")
		}
		if *init.ID == 65535 {
			return o, typeError("id 65535 is reserved")
		}
		o.Negotiated, o.ID = true, *init.ID
	}
	return o, nil
}

// Label names the channel; it need not be unique.
func (d *DataChannel) Label() string { return d.options.Label }

// Protocol is the name of what is spoken on the channel.
func (d *DataChannel) Protocol() string { return d.options.Protocol }

// Ordered tells whether messages arrive in the order in which they were sent.
func (d *DataChannel) Ordered() bool { return !d.options.Unordered }

// Negotiated tells whether the application has agreed on the channel by itself.
func (d *DataChannel) Negotiated() bool { return d.options.Negotiated }

// MaxPacketLifeTime is nil unless the channel gives messages up after so many milliseconds.
func (d *DataChannel) MaxPacketLifeTime() *uint16 {
	if d.options.Reliability != sctp.LimitedLifetime {
		return nil
	}
	ms := uint16(d.options.MaxPacketLifeTime / time.Millisecond)
	return &ms
}

// MaxRetransmits is nil unless the channel gives messages up after so many retransmissions.
func (d *DataChannel) MaxRetransmits() *uint16 {
	if d.options.Reliability != sctp.LimitedRetransmits {
		return nil
	}
	n := d.options.MaxRetransmits
	return &n
}

// ID is the SCTP stream; nil until it was chosen, which takes the DTLS role.
func (d *DataChannel) ID() *uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id == nil {
		return nil
	}
	id := *d.id
	return &id
}

// ReadyState returns the state that the handlers have been told.
func (d *DataChannel) ReadyState() DataChannelState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// OnOpen sets the handler for the moment when Send begins to work. A handler that is set when the channel is open
// already is called at once, on the signaling goroutine.
func (d *DataChannel) OnOpen(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onOpen = f
	if d.announced && d.state == DataChannelStateOpen && f != nil {
		d.pc.events.post(event{run: func() { call0(d.pc.events, f) }})
	}
}

// OnMessage sets the handler for messages. Those that arrive while there is none are discarded; none arrives before
// OnDataChannel's handler has returned.
func (d *DataChannel) OnMessage(f func(msg DataChannelMessage)) { setHandler(&d.mu, &d.onMessage, f) }

// OnClosing sets the handler for the moment when the peer begins to close the channel.
func (d *DataChannel) OnClosing(f func()) { setHandler(&d.mu, &d.onClosing, f) }

// OnClose sets the handler for the end of the channel.
func (d *DataChannel) OnClose(f func()) { setHandler(&d.mu, &d.onClose, f) }

// OnError sets the handler for an error that ends the channel; OnClose follows. The error is an RTCError.
func (d *DataChannel) OnError(f func(err error)) { setHandler(&d.mu, &d.onError, f) }

// OnBufferedAmountLow sets the handler for the moment when BufferedAmount falls to the threshold or below.
func (d *DataChannel) OnBufferedAmountLow(f func()) { setHandler(&d.mu, &d.onBufferedAmountLow, f) }

// setHandler sets one handler under the lock that guards it.
func setHandler[F any](mu *sync.Mutex, slot *F, f F) {
	mu.Lock()
	*slot = f
	mu.Unlock()
}

// BufferedAmount is the number of bytes of messages that were given to Send and not yet to the network.
func (d *DataChannel) BufferedAmount() uint64 {
	t := d.pc.transport
	if ok := t.lock(); !ok {
		return 0
	}
	defer t.mu.Unlock()
	return uint64(t.engine.bufferedAmount(d))
}

// BufferedAmountLowThreshold returns what SetBufferedAmountLowThreshold has set; zero at first.
func (d *DataChannel) BufferedAmountLowThreshold() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(d.lowThreshold)
}

// SetBufferedAmountLowThreshold sets the threshold of OnBufferedAmountLow, in bytes.
func (d *DataChannel) SetBufferedAmountLowThreshold(n uint64) {
	threshold := int(min(n, math.MaxInt))
	setHandler(&d.mu, &d.lowThreshold, threshold)
	t := d.pc.transport
	if ok := t.lock(); ok {
		t.engine.setLowThreshold(d, threshold)
		t.mu.Unlock()
	}
}

// Send queues a binary message; data is copied. It never blocks. Errors: InvalidStateError (ErrDataChannelNotOpen),
// TypeError (ErrMessageTooLarge), OperationError (ErrSendBufferFull).
func (d *DataChannel) Send(data []byte) error { return d.send(data, false) }

// SendText queues a text message, which must be UTF-8. Errors as Send's.
func (d *DataChannel) SendText(s string) error {
	if !utf8.ValidString(s) {
		return typeError("a text message that is not UTF-8")
	}
	return d.send([]byte(s), true)
}

func (d *DataChannel) send(data []byte, isString bool) error {
	if d.ReadyState() != DataChannelStateOpen {
		return &InvalidStateError{Err: ErrDataChannelNotOpen}
	}
	t := d.pc.transport
	now, ok := t.enter()
	if !ok {
		return errClosed()
	}
	err := t.engine.sendMessage(now, d, data, isString)
	t.exitLazily(now, len(data))
	return err
}

// SendContext is Send, except that it waits while more than 1 MiB of the channel's messages is queued, or all channels
// together leave no room for the message. It returns the context's error when that ends first; nothing was queued then. Not for use in handlers, where it would hold up the
// events that it waits for.
func (d *DataChannel) SendContext(ctx context.Context, data []byte) error {
	return d.sendWaiting(ctx.Done(), ctx.Err, data, false)
}

// SendTextContext is SendText in the way of SendContext.
func (d *DataChannel) SendTextContext(ctx context.Context, s string) error {
	if !utf8.ValidString(s) {
		return typeError("a text message that is not UTF-8")
	}
	return d.sendWaiting(ctx.Done(), ctx.Err, []byte(s), true)
}

// sendWaiting sends as soon as the channel's queue is short enough, or gives up with cause's error.
func (d *DataChannel) sendWaiting(giveUp <-chan struct{}, cause func() error, data []byte, isString bool) error {
	t := d.pc.transport
	for {
		if d.ReadyState() != DataChannelStateOpen {
			return &InvalidStateError{Err: ErrDataChannelNotOpen}
		}
		now, ok := t.enter()
		if !ok {
			return errClosed()
		}
		if t.engine.bufferedAmount(d) <= sendContextLimit {
			err := t.engine.sendMessage(now, d, data, isString)
			// A message that the buffer never has room for is not waited for.
			if !errors.Is(err, ErrSendBufferFull) || len(data) > t.engine.cfg.sendBuffer {
				t.exitLazily(now, len(data))
				return err
			}
		}
		room := t.await(func() bool { return t.engine.hasRoom(d, len(data)) })
		t.exit(now)
		select {
		case <-room:
		case <-giveUp:
			t.abandon(room)
			return cause()
		case <-d.pc.life.closing:
			return errClosed()
		}
	}
}

// Flush sends at once what Send has left to be bundled.
func (d *DataChannel) Flush() { d.pc.Flush() }

// Close begins to close the channel: what is queued is delivered first. It does not wait; OnClose tells the end.
func (d *DataChannel) Close() error {
	d.mu.Lock()
	if d.state == DataChannelStateClosing || d.state == DataChannelStateClosed {
		d.mu.Unlock()
		return nil
	}
	d.state = DataChannelStateClosing
	d.mu.Unlock()
	if now, ok := d.pc.transport.enter(); ok {
		d.pc.transport.engine.closeChannel(now, d)
		d.pc.transport.exit(now)
	}
	return nil
}

// Detach turns the channel into an io.ReadWriteCloser: messages go there instead of to OnMessage. Call it before the
// first message: in OnDataChannel's handler, or before the channel is open. Its error is an InvalidStateError on a
// channel that is closed or detached already.
func (d *DataChannel) Detach() (*DetachedDataChannel, error) {
	d.mu.Lock()
	if d.detached != nil || d.state == DataChannelStateClosed {
		defer d.mu.Unlock()
		return nil, invalidState("data channel is %v or detached", d.state)
	}
	detached := newDetachedDataChannel(d)
	d.detached = detached
	d.mu.Unlock()
	if ok := d.pc.transport.lock(); ok {
		d.pc.transport.engine.poolMessages(d)
		d.pc.transport.mu.Unlock()
	}
	return detached, nil
}

// deliver runs on the signaling goroutine.
func (d *DataChannel) deliver(e messageEvent) {
	d.mu.Lock()
	handler, detached := d.onMessage, d.detached
	state := d.state
	d.mu.Unlock()
	if detached != nil && state != DataChannelStateClosed {
		detached.push(e)
		return
	}
	if state == DataChannelStateOpen { // W3C: once this side has closed the channel, messages are discarded
		call(d.pc.events, handler, DataChannelMessage{IsString: e.isString, Data: e.data})
	}
	d.giveCredit(e.charge)
}

// opened runs on the signaling goroutine, for a channel of ours that is open now (connecting) and for one of the peer's
// after OnDataChannel's handler (open). A channel that was closed in the meantime does not open any more.
func (d *DataChannel) opened(id uint16, charge int) {
	d.mu.Lock()
	d.id, d.announced = &id, true
	handler, counted := d.onOpen, false
	switch d.state {
	case DataChannelStateConnecting:
		d.state, d.wasOpen, counted = DataChannelStateOpen, true, true
	case DataChannelStateOpen:
	case DataChannelStateClosing, DataChannelStateClosed:
		handler = nil
	}
	d.mu.Unlock()
	if counted {
		d.pc.countChannel(&d.pc.counters.dataChannelsOpened)
	}
	call0(d.pc.events, handler)
	d.giveCredit(charge)
}

// giveCredit returns receive window once the application has consumed what took it.
func (d *DataChannel) giveCredit(n int) { d.pc.transport.giveCredit(d.link, n) }

// closingByPeer runs on the signaling goroutine.
func (d *DataChannel) closingByPeer() {
	d.mu.Lock()
	handler := d.onClosing
	if d.state == DataChannelStateClosing || d.state == DataChannelStateClosed {
		handler = nil
	} else {
		d.state = DataChannelStateClosing
	}
	d.mu.Unlock()
	call0(d.pc.events, handler)
}

// closedByTransport runs on the signaling goroutine: the end.
func (d *DataChannel) closedByTransport(cause error) {
	d.mu.Lock()
	if d.state == DataChannelStateClosed {
		d.mu.Unlock()
		return
	}
	d.state = DataChannelStateClosed
	onError, onClose, detached, counted := d.onError, d.onClose, d.detached, d.wasOpen
	var err error
	if cause != nil {
		detail := "sctp-failure"
		if errors.Is(cause, dcep.ErrNoID) || errors.Is(cause, dcep.ErrIDInUse) || errors.Is(cause, errDataRejected) {
			detail = "data-channel-failure" // the channel's own, not the association's
		}
		err = &RTCError{Detail: detail, Err: cause}
		d.lastError = err
	}
	d.mu.Unlock()
	if counted {
		d.pc.countChannel(&d.pc.counters.dataChannelsClosed)
	}
	if detached != nil {
		detached.end(err)
	}
	if err != nil {
		call(d.pc.events, onError, err)
	}
	call0(d.pc.events, onClose)
	t := d.pc.transport
	if now, ok := t.enter(); ok {
		t.engine.releaseChannel(now, d)
		t.exit(now)
	}
}

// closeSilently is what PeerConnection.Close does to its channels: no events.
func (d *DataChannel) closeSilently() {
	d.mu.Lock()
	d.state = DataChannelStateClosed
	detached := d.detached
	d.mu.Unlock()
	if detached != nil {
		detached.end(net.ErrClosed)
	}
}

// fromSCTP turns an error of the layers below into one of this package.
func fromSCTP(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sctp.ErrMessageTooLarge):
		return &TypeError{Err: ErrMessageTooLarge}
	case errors.Is(err, sctp.ErrBufferFull):
		return &OperationError{Err: ErrSendBufferFull}
	case errors.Is(err, dcep.ErrNotOpen), errors.Is(err, dcep.ErrClosed), errors.Is(err, sctp.ErrClosed),
		errors.Is(err, sctp.ErrStreamResetting):
		return &InvalidStateError{Err: ErrDataChannelNotOpen}
	}
	return &OperationError{Err: fmt.Errorf("data channel: %w", err)}
}
