package webrtc

import (
	"fmt"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/openparley/webrtc/internal/rtpflow"
	"github.com/openparley/webrtc/sdp/jsep"
)

// An RTPSender sends one track. Its methods may be called from any goroutine. W3C: RTCRtpSender.
type RTPSender struct {
	// Immutable after adopt.
	pc          *PeerConnection
	transceiver *RTPTransceiver
	rtcp        *packetRing

	// Guarded by pc.mu.
	track      TrackLocal
	streams    []*outboundStream
	parameters RTPParameters
	sending    bool // negotiated
	bindings   uint64

	// Owned by the signaling goroutine.
	bound        TrackLocal
	boundContext TrackLocalContext
	boundBefore  bool
}

// Track returns the track that is being sent, or nil.
func (s *RTPSender) Track() TrackLocal { return get(&s.pc.mu, &s.track) }

// GetParameters returns what was negotiated for sending; the slices are the caller's.
func (s *RTPSender) GetParameters() RTPParameters { return get(&s.pc.mu, &s.parameters).clone() }

// SSRC returns the source that packets are sent under.
func (s *RTPSender) SSRC() SSRC {
	s.pc.mu.Lock()
	defer s.pc.mu.Unlock()
	return SSRC(s.transceiver.state.Sender.Encodings[0].SSRC)
}

// ReplaceTrack sends another track of the same kind in place of the present one, without negotiation; nil sends nothing.
// Errors: InvalidStateError (closed, stopped), TypeError (another kind). [replaceTrack]
//
// [replaceTrack]: https://www.w3.org/TR/webrtc/#dom-rtcrtpsender-replacetrack
func (s *RTPSender) ReplaceTrack(track TrackLocal) error {
	id := ""
	if track != nil {
		kind, trackID, _, err := describeTrack(track, nil)
		if err != nil {
			return err
		}
		if kind != s.transceiver.kind {
			return typeError("a track of kind %v for a sender of kind %v", kind, s.transceiver.kind)
		}
		id = trackID
	}
	s.pc.mu.Lock()
	defer s.pc.mu.Unlock()
	if s.pc.closed {
		return errClosed()
	}
	if s.transceiver.state.Stopping || s.transceiver.state.Stopped {
		return invalidState("the transceiver is stopped")
	}
	if err := s.pc.jsep.ReplaceTrack(s.transceiver.state, id); err != nil {
		return fromJSEP(err)
	}
	s.track = track
	s.pc.rebind(s)
	return nil
}

// SetStreams sets the ids of the MediaStreams that the track belongs to; it makes negotiation needed.
func (s *RTPSender) SetStreams(ids ...string) error {
	for _, id := range ids {
		if !isToken(id) {
			return typeError("the stream's id %q cannot stand in a session description", id)
		}
	}
	s.pc.mu.Lock()
	defer s.pc.mu.Unlock()
	if s.pc.closed {
		return errClosed()
	}
	if err := s.pc.jsep.SetStreams(s.transceiver.state, slices.Clone(ids)); err != nil {
		return fromJSEP(err)
	}
	s.pc.updateNegotiationNeeded()
	return nil
}

// Read copies the next RTCP packet (a compound) that speaks of this sender's stream into b: receiver reports, PLI, FIR,
// NACK. NACKs are answered without it. It waits. Errors: io.EOF when the transceiver was stopped, net.ErrClosed,
// os.ErrDeadlineExceeded, io.ErrShortBuffer. The last 64 packets are kept for a reader who is late.
func (s *RTPSender) Read(b []byte) (int, error) { return s.rtcp.read(b) }

// ReadRTCP is Read for parsed packets.
func (s *RTPSender) ReadRTCP() ([]rtcp.Packet, error) { return readRTCP(s.rtcp) }

// SetReadDeadline ends Read and ReadRTCP with os.ErrDeadlineExceeded from t on. The zero time: never.
func (s *RTPSender) SetReadDeadline(t time.Time) error {
	s.rtcp.deadline.set(t)
	return nil
}

// stream returns the object for one encoding, the same one in every negotiation. pc.mu is held.
func (s *RTPSender) stream(e jsep.Encoding) *outboundStream {
	for _, o := range s.streams {
		if o.ssrc == e.SSRC {
			return o
		}
	}
	o := &outboundStream{ssrc: e.SSRC, sender: s}
	s.streams = append(s.streams, o)
	return o
}

// rebind makes the signaling goroutine bind the sender's track as things are by then. pc.mu is held.
func (pc *PeerConnection) rebind(s *RTPSender) {
	pc.events.post(event{run: s.bind})
}

// bindSenders posts what negotiation means for the senders.
func (pc *PeerConnection) bindSenders(flows []flowUpdate) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	for i := range flows {
		pc.rebind(flows[i].transceiver.sender)
	}
}

// bind runs on the signaling goroutine, since Bind and Unbind may be the user's code.
func (s *RTPSender) bind() {
	s.pc.mu.Lock()
	track, sending, parameters := s.track, s.sending, s.parameters
	var stream *outboundStream
	if len(s.streams) > 0 {
		stream = s.streams[0]
	}
	if s.pc.closed || !sending {
		track = nil
	}
	s.bindings++
	id := fmt.Sprintf("%p-%d", s, s.bindings)
	s.pc.mu.Unlock()

	if s.bound != nil && (track != s.bound || !slices.EqualFunc(parameters.Codecs, s.boundContext.codecs, sameFormat)) {
		s.unbind()
	}
	if track == nil || s.bound != nil || stream == nil {
		return
	}
	context := TrackLocalContext{
		id: id, codecs: parameters.Codecs, exts: parameters.HeaderExtensions, ssrc: SSRC(stream.ssrc),
		writer: &senderWriter{s.pc.transport, stream},
	}
	if s.boundBefore {
		if ok := s.pc.transport.lock(); ok {
			stream.replaced = true
			s.pc.transport.mu.Unlock()
		}
	}
	s.boundBefore = true
	if _, err := track.Bind(context); err != nil {
		s.pc.api.settings.Logger.Warn("track is not sent", "track", track.ID(), "error", err)
		return
	}
	s.bound, s.boundContext = track, context
	if !s.noteBound(track) {
		s.unbind() // Close has come while Bind ran
	}
}

// noteBound tells the connection which track it is in, nil for none, so that Close can take it out; false when it was
// closed.
func (s *RTPSender) noteBound(track TrackLocal) bool {
	s.pc.mu.Lock()
	defer s.pc.mu.Unlock()
	if track == nil || s.pc.closed {
		delete(s.pc.bound, s)
		return track == nil
	}
	s.pc.bound[s] = track
	return true
}

func sameFormat(a, b RTPCodecParameters) bool {
	return a.PayloadType == b.PayloadType && equalFold(a.MimeType, b.MimeType) && a.SDPFmtpLine == b.SDPFmtpLine
}

// takeOut takes a closed connection out of the library's own tracks at once, so that they do not keep it alive. Other
// tracks learn it from net.ErrClosed when they write.
func takeOut(track TrackLocal, closed *transport) {
	if t, ok := track.(interface{ forget(*transport) }); ok {
		t.forget(closed)
	}
}

func (s *RTPSender) unbind() {
	s.noteBound(nil)
	if err := s.bound.Unbind(s.boundContext); err != nil {
		s.pc.api.settings.Logger.Warn("track was not unbound", "error", err)
	}
	s.bound = nil
}

// senderWriter is where a track's packets for one connection go.
type senderWriter struct {
	transport *transport
	stream    *outboundStream
}

// WriteRTP implements TrackLocalWriter. The marker bit ends a frame, so what was bundled leaves.
func (w *senderWriter) WriteRTP(header *rtp.Header, payload []byte) (int, error) {
	return w.write(fieldsOf(header), payload)
}

func (w *senderWriter) write(f rtpflow.Fields, payload []byte) (int, error) {
	now, ok := w.transport.enter()
	if !ok {
		return 0, errClosed()
	}
	n := w.transport.engine.rtp.sendRTP(now, w.stream, f, payload)
	switch {
	case f.Marker:
		w.transport.exit(now)
	case w.stream.sender.transceiver.kind == RTPCodecTypeVideo:
		w.transport.exitLater(now, n) // the rest of the frame follows
	default:
		w.transport.exitLazily(now, n)
	}
	return n, nil
}

func fieldsOf(h *rtp.Header) rtpflow.Fields {
	return rtpflow.Fields{
		Marker: h.Marker, PayloadType: h.PayloadType, SequenceNumber: h.SequenceNumber, Timestamp: h.Timestamp,
	}
}

// writeBatch sends packets together.
func (w *senderWriter) writeBatch(pt PayloadType, packets []*rtp.Packet) error {
	now, ok := w.transport.enter()
	if !ok {
		return errClosed()
	}
	for _, p := range packets {
		if p == nil {
			continue // nothing may panic with the transport locked
		}
		f := fieldsOf(&p.Header)
		f.PayloadType = uint8(pt)
		w.transport.engine.rtp.sendRTP(now, w.stream, f, p.Payload)
	}
	w.transport.exit(now)
	return nil
}

// Write implements TrackLocalWriter.
func (w *senderWriter) Write(b []byte) (int, error) {
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		return 0, &TypeError{Err: err}
	}
	return w.WriteRTP(&p.Header, p.Payload)
}
