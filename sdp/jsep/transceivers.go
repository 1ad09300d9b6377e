package jsep

import (
	"slices"
	"strings"

	"github.com/openparley/webrtc/sdp"
)

// maxRIDs bounds the encodings of one sender, and the simulcast streams taken from the other side.
const maxRIDs = 16

// AddTransceiver adds a transceiver (webrtc-pc §5.1 addTransceiver). TypeError: bad kind, direction,
// stream or RIDs. NotSupportedError: the capabilities have no codec of the kind.
func (s *Session) AddTransceiver(kind string, init TransceiverInit) (*Transceiver, error) {
	if s.closed() {
		return nil, errClosed()
	}
	d := orSendRecv(init.Direction)
	if kind != KindAudio && kind != KindVideo {
		return nil, fail(NameType, "kind %q", kind)
	}
	if !validDirection(d) {
		return nil, fail(NameType, "direction %q", d)
	}
	if len(s.cfg.Capabilities.of(kind).Codecs) == 0 {
		return nil, fail(NameNotSupported, "no codec for %s", kind)
	}
	if err := checkStreams(init.Streams); err != nil {
		return nil, err
	}
	rids, err := sendRIDs(kind, init.RIDs)
	if err != nil {
		return nil, err
	}
	t, err := s.newTransceiver(kind, d, rids)
	if err != nil {
		return nil, err
	}
	t.Sender.Streams = unique(init.Streams)
	t.attach(init.Track)
	s.st.transceivers = append(slices.Clone(s.st.transceivers), t)
	return t, nil
}

func validDirection(d sdp.Direction) bool {
	switch d {
	case sdp.SendRecv, sdp.SendOnly, sdp.RecvOnly, sdp.Inactive:
		return true
	}
	return false
}

// sendRIDs checks the RIDs of encodings. Audio has no simulcast, and one encoding needs no RID (webrtc-pc §5.1).
func sendRIDs(kind string, rids []string) ([]string, error) {
	if len(rids) > maxRIDs {
		return nil, fail(NameOperation, "more than %d encodings", maxRIDs)
	}
	for i, r := range rids {
		if r == "" || len(r) > 255 || !isRID(r) {
			return nil, fail(NameType, "rid %q", r)
		}
		if slices.Contains(rids[:i], r) {
			return nil, fail(NameType, "rid %q twice", r)
		}
	}
	if kind == KindAudio || len(rids) == 1 {
		return nil, nil
	}
	return rids, nil
}

func isRID(r string) bool {
	for _, c := range []byte(r) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func unique(in []string) []string {
	var out []string
	for _, v := range in {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (s *Session) newTransceiver(kind string, d sdp.Direction, rids []string) (*Transceiver, error) {
	t := &Transceiver{Index: -1, Kind: kind, Direction: d}
	t.Sender.CNAME = s.cname
	var err error
	if t.Sender.id, err = s.rand.id(); err != nil {
		return nil, err
	}
	if len(rids) == 0 {
		rids = []string{""}
	}
	t.Sender.Encodings, err = s.newEncodings(rids)
	return t, err
}

// newEncodings draws SSRCs that nobody in the session uses.
func (s *Session) newEncodings(rids []string) ([]Encoding, error) {
	out := make([]Encoding, 0, len(rids))
	for _, rid := range rids {
		e := Encoding{RID: rid}
		var err error
		if e.SSRC, err = s.newSSRC(out, 0); err != nil {
			return nil, err
		}
		if e.RTX, err = s.newSSRC(out, e.SSRC); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// newSSRC draws a number that is not in use in the session, not in fresh, and not also.
func (s *Session) newSSRC(fresh []Encoding, also uint32) (uint32, error) {
	n, err := s.rand.uint64()
	if err != nil {
		return 0, err
	}
	has := func(list []Encoding, id uint32) bool {
		return slices.ContainsFunc(list, func(e Encoding) bool { return e.SSRC == id || e.RTX == id })
	}
	inUse := func(id uint32) bool {
		return id == 0 || id == also || has(fresh, id) || slices.ContainsFunc(s.st.transceivers, func(t *Transceiver) bool {
			return has(t.Sender.Encodings, id) ||
				slices.ContainsFunc(t.Receiver.SSRCs, func(r sdp.SSRC) bool { return r.ID == id })
		})
	}
	// Counting on from a number in use ends even with a source that repeats itself.
	id := uint32(n)
	for inUse(id) {
		id++
	}
	return id, nil
}

// AddTrack attaches a track to the first sender that may take it, or adds a transceiver (webrtc-pc §5.1 addTrack).
// reused tells which. Two tracks may have the same id; that one and the same track is not sent twice is the caller's to
// see to.
func (s *Session) AddTrack(kind, track string, streams []string) (t *Transceiver, reused bool, err error) {
	if s.closed() {
		return nil, false, errClosed()
	}
	if track == "" {
		return nil, false, fail(NameType, "track without id")
	}
	if err := checkStreams(streams); err != nil {
		return nil, false, err
	}
	for _, o := range s.st.transceivers {
		if o.Sender.Track == "" && o.Kind == kind && !o.Stopping && !o.Stopped && !o.hasSent {
			o.Sender.Streams, o.trackAdded = unique(streams), true
			o.attach(track)
			o.Direction = sdp.DirectionFrom(true, o.Direction.Receives())
			return o, true, nil
		}
	}
	t, err = s.AddTransceiver(kind, TransceiverInit{Track: track, Streams: streams})
	if err != nil {
		return nil, false, err
	}
	t.addedByTrack, t.trackAdded = true, true
	return t, false, nil
}

// RemoveTrack detaches the sender's track (webrtc-pc §5.1 removeTrack). changed is false if there was nothing to do.
func (s *Session) RemoveTrack(t *Transceiver) (changed bool, err error) {
	if s.closed() {
		return false, errClosed()
	}
	if t.Stopping || t.Stopped || t.Sender.Track == "" {
		return false, nil
	}
	t.Sender.Track = ""
	t.Direction = sdp.DirectionFrom(false, t.Direction.Receives())
	return true, nil
}

// ReplaceTrack sets the id of the sender's track without negotiation; empty: none. A sender keeps the id of its first
// track on the a=msid line. InvalidStateError: t is stopping or stopped.
func (s *Session) ReplaceTrack(t *Transceiver, track string) error {
	if s.closed() {
		return errClosed()
	}
	if t.Stopping || t.Stopped {
		return fail(NameInvalidState, "the transceiver is stopped")
	}
	t.attach(track)
	return nil
}

// attach sets the track. Its id goes to the a=msid line if it can stand there, and if none went there before.
func (t *Transceiver) attach(track string) {
	t.Sender.Track = track
	if !t.Sender.announced && isToken(track) && len(track) <= maxMSID {
		t.Sender.id = track
	}
}

// maxMSID is the longest identifier of a=msid (RFC 8830 §2); browsers take longer ones for streams.
const maxMSID = 64

// isToken: the token of RFC 8866 §9.
func isToken(v string) bool {
	for _, c := range []byte(v) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return v != ""
}

// checkStreams: an id of a stream stands on a line of the description.
func checkStreams(streams []string) error {
	for _, id := range streams {
		if id == "" || len(id) > 256 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fail(NameType, "stream id %q", id)
		}
	}
	return nil
}

// SetStreams sets the streams of the sender (RTCRtpSender.setStreams). Doubles are dropped.
func (s *Session) SetStreams(t *Transceiver, streams []string) error {
	if s.closed() {
		return errClosed()
	}
	if err := checkStreams(streams); err != nil {
		return err
	}
	t.Sender.Streams = unique(streams)
	return nil
}

// SetDirection sets the wanted direction. InvalidStateError: t is stopping or stopped. TypeError: no such direction.
func (s *Session) SetDirection(t *Transceiver, d sdp.Direction) error {
	if s.closed() {
		return errClosed()
	}
	if t.Stopping || t.Stopped {
		return fail(NameInvalidState, "the transceiver is stopped")
	}
	if !validDirection(d) {
		return fail(NameType, "direction %q", d)
	}
	t.Direction = d
	return nil
}

// StopTransceiver begins to stop t (RTCRtpTransceiver.stop). One that was never associated with a section is stopped and
// removed at once. Idempotent.
func (s *Session) StopTransceiver(t *Transceiver) error {
	if s.closed() {
		return errClosed()
	}
	if t.Stopping || t.Stopped {
		return nil
	}
	t.Stopping, t.Direction = true, sdp.Inactive
	if t.MID == "" {
		// No description will ever tell the other side of it.
		t.stop()
		s.st.transceivers = without(s.st.transceivers, t)
	}
	return nil
}

// stop is webrtc-pc's "stop the RTCRtpTransceiver".
func (t *Transceiver) stop() {
	t.Stopping, t.Stopped = true, true
	t.Direction, t.CurrentDirection = sdp.Inactive, ""
	t.Receptive = false
}

func without(list []*Transceiver, t *Transceiver) []*Transceiver {
	return slices.DeleteFunc(slices.Clone(list), func(o *Transceiver) bool { return o == t })
}

// SetCodecPreferences sets or, with none, resets the codecs of t and their order. InvalidModificationError: a codec that
// the capabilities lack, or only auxiliary codecs.
func (s *Session) SetCodecPreferences(t *Transceiver, codecs []sdp.Codec) error {
	if s.closed() {
		return errClosed()
	}
	if len(codecs) == 0 {
		t.Preferred = nil
		return nil
	}
	k := s.cfg.Capabilities.of(t.Kind)
	usable := false
	var preferred []sdp.Codec
	for i := range codecs {
		c := codecs[i]
		if !(isRTX(&c) && k.RTX) && findCodec(k.Codecs, &c) == nil {
			return fail(NameInvalidModification, "codec %s/%d is not among the capabilities", c.Name, c.ClockRate)
		}
		if isRTX(&c) || findCodec(preferred, &c) == nil {
			preferred = append(preferred, c)
		}
		usable = usable || !isAuxiliary(&c)
	}
	if !usable {
		return fail(NameInvalidModification, "preferences without a media codec")
	}
	t.Preferred = preferred
	return nil
}
