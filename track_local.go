package webrtc

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/rtp"
)

// A TrackLocal is a source of media that senders carry to their peers. One track may be sent over any number of
// connections: Bind is called once for each, when a codec was agreed upon, and Unbind when the sender ends.
//
// Most applications use TrackLocalStaticRTP or TrackLocalStaticSample; implement TrackLocal to choose the codec or the
// packets for each peer.
type TrackLocal interface {
	// Bind is called when a sender is ready for packets, with no lock held and from any goroutine. It returns the codec
	// that it will send, one of the context's.
	Bind(TrackLocalContext) (RTPCodecParameters, error)
	// Unbind undoes Bind.
	Unbind(TrackLocalContext) error
	// ID names the track, RID its simulcast layer ("" without simulcast), StreamID the MediaStream it belongs to.
	ID() string
	RID() string
	StreamID() string
	Kind() RTPCodecType
}

// A TrackLocalContext is what a track learns of one connection that it is sent over.
type TrackLocalContext struct {
	id     string
	codecs []RTPCodecParameters
	exts   []RTPHeaderExtensionParameter
	ssrc   SSRC
	writer TrackLocalWriter
}

// ID names the binding; it is the same in Bind and Unbind.
func (c TrackLocalContext) ID() string { return c.id }

// CodecParameters are the codecs that the peer receives, in its order of preference.
func (c TrackLocalContext) CodecParameters() []RTPCodecParameters { return c.codecs }

// HeaderExtensions are the negotiated header extensions. MID and RID are filled in by the sender.
func (c TrackLocalContext) HeaderExtensions() []RTPHeaderExtensionParameter { return c.exts }

// SSRC is the source that packets are sent under. The sender writes it into them.
func (c TrackLocalContext) SSRC() SSRC { return c.ssrc }

// WriteStream is where packets go.
func (c TrackLocalContext) WriteStream() TrackLocalWriter { return c.writer }

// A TrackLocalWriter sends RTP packets to one peer. Its methods may be called from any goroutine and never wait for the
// network: packets that do not fit are dropped and counted.
type TrackLocalWriter interface {
	// WriteRTP sends a packet with the given header and payload, neither of which is kept or changed. The SSRC is
	// replaced by the sender's; contributing sources and header extensions are left out, since the ids of extensions are
	// another connection's. It returns the number of bytes of the packet before encryption.
	WriteRTP(header *rtp.Header, payload []byte) (int, error)
	// Write sends a packet in wire form.
	io.Writer
}

// binding is one connection that a static track is sent over.
type binding struct {
	id     string
	pt     PayloadType
	codec  RTPCodecParameters
	writer TrackLocalWriter
}

// A TrackLocalStaticRTP is a track that the application feeds with RTP packets. The sequence numbers and timestamps are
// the application's; SSRC and payload type are rewritten for each peer. Its methods may be called from any goroutine.
type TrackLocalStaticRTP struct {
	id, rid, streamID string
	codec             RTPCodecCapability

	// bindings is replaced, never changed, so that a write takes no lock.
	bindings atomic.Pointer[[]binding]
	mu       sync.Mutex // serialises Bind and Unbind
}

// NewTrackLocalStaticRTP makes a track of the given codec. id and streamID become the msid of the session description
// (RFC 8830); they may not contain spaces. Its error is a TypeError.
func NewTrackLocalStaticRTP(codec RTPCodecCapability, id, streamID string, options ...func(*TrackLocalStaticRTP)) (*TrackLocalStaticRTP, error) {
	if codec.kind() == 0 {
		return nil, typeError("%q is neither an audio nor a video type", codec.MimeType)
	}
	if !isToken(id) || !isToken(streamID) {
		return nil, typeError("track %q of stream %q: an identifier is empty or has characters that a session description does not allow", id, streamID)
	}
	t := &TrackLocalStaticRTP{id: id, streamID: streamID, codec: codec}
	for _, o := range options {
		o(t)
	}
	t.bindings.Store(new([]binding))
	return t, nil
}

// WithRTPStreamID makes the track a simulcast layer with the given RID (RFC 8852).
func WithRTPStreamID(rid string) func(*TrackLocalStaticRTP) {
	return func(t *TrackLocalStaticRTP) { t.rid = rid }
}

// isToken reports whether s can stand in an msid attribute (RFC 8830, section 2; RFC 4566 "token").
func isToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == ',' || c == '/' || c == ':' || c == ';' || c == '<' || c == '=' ||
			c == '>' || c == '?' || c == '@' || c == '[' || c == '\\' || c == ']' || c == '(' || c == ')' {
			// GUIDs in braces are what browsers send; braces are token characters.
			return false
		}
	}
	return true
}

// Bind implements TrackLocal. Its error is a NotSupportedError when the peer does not receive the track's codec.
func (t *TrackLocalStaticRTP) Bind(c TrackLocalContext) (RTPCodecParameters, error) {
	i := slices.IndexFunc(c.codecs, func(p RTPCodecParameters) bool { return t.codec.matches(p.RTPCodecCapability) })
	if i < 0 {
		return RTPCodecParameters{}, &NotSupportedError{Err: fmt.Errorf("the peer does not receive %s", t.codec.MimeType)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := append(slices.Clone(*t.bindings.Load()), binding{c.id, c.codecs[i].PayloadType, c.codecs[i], c.writer})
	t.bindings.Store(&b)
	return c.codecs[i], nil
}

// Unbind implements TrackLocal.
func (t *TrackLocalStaticRTP) Unbind(c TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := slices.DeleteFunc(slices.Clone(*t.bindings.Load()), func(b binding) bool { return b.id == c.id })
	t.bindings.Store(&b)
	return nil
}

// forget removes the bindings to a connection that was closed.
func (t *TrackLocalStaticRTP) forget(closed *transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := slices.DeleteFunc(slices.Clone(*t.bindings.Load()), func(b binding) bool {
		w, ok := b.writer.(*senderWriter)
		return ok && w.transport == closed
	})
	t.bindings.Store(&b)
}

// ID implements TrackLocal.
func (t *TrackLocalStaticRTP) ID() string { return t.id }

// RID implements TrackLocal.
func (t *TrackLocalStaticRTP) RID() string { return t.rid }

// StreamID implements TrackLocal.
func (t *TrackLocalStaticRTP) StreamID() string { return t.streamID }

// Kind implements TrackLocal.
func (t *TrackLocalStaticRTP) Kind() RTPCodecType { return t.codec.kind() }

// Codec returns the codec that the track was made with.
func (t *TrackLocalStaticRTP) Codec() RTPCodecCapability { return t.codec }

// WriteRTP sends a packet to every connection that the track is bound to. The packet is not kept and not changed. A
// track without connections takes packets and does nothing. If connections fail, the others are served all the same, and
// the errors are joined; a closed connection is no error.
func (t *TrackLocalStaticRTP) WriteRTP(p *rtp.Packet) error {
	bindings := *t.bindings.Load()
	var failed error
	for i := range bindings {
		if err := bindings[i].write(p); err != nil {
			failed = joinUnlessClosed(failed, err)
		}
	}
	return failed
}

// write sends one packet. The library's own writer gets no header that would have to live on the heap.
func (b *binding) write(p *rtp.Packet) (err error) {
	if w, ok := b.writer.(*senderWriter); ok {
		f := fieldsOf(&p.Header)
		f.PayloadType = uint8(b.pt)
		_, err = w.write(f, p.Payload)
		return err
	}
	header := p.Header
	header.PayloadType = uint8(b.pt)
	_, err = b.writer.WriteRTP(&header, p.Payload)
	return err
}

// WriteRTPBatch is WriteRTP for packets that are there at once, such as those of a frame: each connection sends them
// together, which costs a fraction of sending them one by one.
func (t *TrackLocalStaticRTP) WriteRTPBatch(packets []*rtp.Packet) error {
	var failed error
	for _, b := range *t.bindings.Load() {
		if err := b.writeBatch(packets); err != nil {
			failed = joinUnlessClosed(failed, err)
		}
	}
	return failed
}

func (b *binding) writeBatch(packets []*rtp.Packet) error {
	if w, ok := b.writer.(*senderWriter); ok {
		return w.writeBatch(b.pt, packets)
	}
	for _, p := range packets {
		if p == nil {
			continue
		}
		if err := b.write(p); err != nil {
			return err
		}
	}
	return nil
}

// Write is WriteRTP for a packet in wire form.
func (t *TrackLocalStaticRTP) Write(b []byte) (int, error) {
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		return 0, &TypeError{Err: err}
	}
	return len(b), t.WriteRTP(&p)
}
