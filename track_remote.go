package webrtc

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// A TrackRemote is a track that the peer sends. Packets are kept in a ring for a reader who is late: when it is full
// (Settings.TrackBuffer), the oldest are dropped and counted. Its methods may be called from any goroutine; reads are
// for one goroutine at a time if the order matters.
type TrackRemote struct {
	// Immutable after newTrackRemote.
	receiver *RTPReceiver
	ring     *packetRing

	// Guarded by pc.mu.
	rid                       string
	id                        string
	streams                   []string
	muted, over               bool
	codecs                    []RTPCodecParameters
	onMute, onUnmute, onEnded func()

	// Written under transport.mu: what the packets say.
	ssrc atomic.Uint32
	pt   atomic.Int32 // -1 before the first packet

	flowing bool // Guarded by transport.mu.
}

func newTrackRemote(r *RTPReceiver, rid string) *TrackRemote {
	t := &TrackRemote{receiver: r, rid: rid, muted: true, ring: newPacketRing(r.pc.api.settings.TrackBuffer)}
	t.pt.Store(-1)
	return t
}

// ID is the track's id as the peer has announced it; empty when it did not.
func (t *TrackRemote) ID() string { return get(&t.receiver.pc.mu, &t.id) }

// RID is the simulcast layer's id; empty without simulcast.
func (t *TrackRemote) RID() string { return get(&t.receiver.pc.mu, &t.rid) }

// StreamID is the id of the first stream that the track belongs to; empty when it belongs to none.
func (t *TrackRemote) StreamID() string {
	t.receiver.pc.mu.Lock()
	defer t.receiver.pc.mu.Unlock()
	if len(t.streams) == 0 {
		return ""
	}
	return t.streams[0]
}

// Msid returns "stream track", as the session description has it.
func (t *TrackRemote) Msid() string {
	stream := t.StreamID()
	if stream == "" {
		stream = "-"
	}
	return stream + " " + t.ID()
}

// Kind returns audio or video.
func (t *TrackRemote) Kind() RTPCodecType { return t.receiver.transceiver.kind }

// SSRC is the source of the latest packet; zero before the first one, since browsers need not announce it.
func (t *TrackRemote) SSRC() SSRC { return SSRC(t.ssrc.Load()) }

// PayloadType is that of the latest packet; before the first one, that of the preferred codec.
func (t *TrackRemote) PayloadType() PayloadType { return t.Codec().PayloadType }

// Codec is that of the latest packet; before the first one, the preferred one.
func (t *TrackRemote) Codec() RTPCodecParameters {
	pt := t.pt.Load()
	t.receiver.pc.mu.Lock()
	defer t.receiver.pc.mu.Unlock()
	for _, c := range t.codecs {
		if int32(c.PayloadType) == pt {
			return c
		}
	}
	if len(t.codecs) == 0 {
		return RTPCodecParameters{}
	}
	return t.codecs[0]
}

// Muted tells whether nothing comes: before the first packet, and while the direction does not let the peer send.
func (t *TrackRemote) Muted() bool { return get(&t.receiver.pc.mu, &t.muted) }

// OnMute sets the handler for the peer's pause.
func (t *TrackRemote) OnMute(f func()) { setHandler(&t.receiver.pc.mu, &t.onMute, f) }

// OnUnmute sets the handler for the first packet, at the beginning and after a pause.
func (t *TrackRemote) OnUnmute(f func()) { setHandler(&t.receiver.pc.mu, &t.onUnmute, f) }

// OnEnded sets the handler for the end of the track: its transceiver was stopped.
func (t *TrackRemote) OnEnded(f func()) { setHandler(&t.receiver.pc.mu, &t.onEnded, f) }

// Read copies the next RTP packet, decrypted, into b. It waits. Errors: io.EOF when the track has ended, net.ErrClosed,
// os.ErrDeadlineExceeded, io.ErrShortBuffer (the packet is lost; 1500 bytes are always enough).
func (t *TrackRemote) Read(b []byte) (int, error) { return t.ring.read(b) }

// ReadRTP is Read for a parsed packet, which belongs to the caller.
func (t *TrackRemote) ReadRTP() (*rtp.Packet, error) {
	buf := make([]byte, maxPacketSize)
	n, err := t.ring.read(buf)
	if err != nil {
		return nil, err
	}
	p := new(rtp.Packet)
	return p, p.Unmarshal(buf[:n])
}

// SetReadDeadline ends reads with os.ErrDeadlineExceeded from deadline on. The zero time: never.
func (t *TrackRemote) SetReadDeadline(deadline time.Time) error {
	t.ring.deadline.set(deadline)
	return nil
}

// Dropped is how many packets were dropped because nobody read them in time.
func (t *TrackRemote) Dropped() uint64 { return t.ring.lost() }

// RequestKeyFrame asks the peer for a key frame (PLI, RFC 4585). It does nothing before the first packet.
func (t *TrackRemote) RequestKeyFrame() error {
	ssrc := t.ssrc.Load()
	if ssrc == 0 {
		return nil
	}
	return t.receiver.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
}

// ended ends the reads and posts the end of the track, once. pc.mu is held.
func (t *TrackRemote) ended() {
	if t.over {
		return
	}
	t.over = true
	t.ring.close(errTrackEnded)
	pc := t.receiver.pc
	pc.events.post(event{run: func() { call0(pc.events, get(&pc.mu, &t.onEnded)) }})
}

// setMuted changes the getter's value and returns the handler to be called, or nil. pc.mu is held.
func (t *TrackRemote) setMuted(muted bool) func() {
	if t.muted == muted {
		return nil
	}
	t.muted = muted
	if muted {
		return t.onMute
	}
	return t.onUnmute
}
