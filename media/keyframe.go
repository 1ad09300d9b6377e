package media

import "bytes"

// beginsFrame says whether a payload can be the first one of a frame. With contiguous set, the packet follows the last one
// of a frame, and formats that cannot tell are believed.
func beginsFrame(c Codec, payload []byte, contiguous bool) bool {
	if len(payload) == 0 {
		return false
	}
	switch c.MimeType {
	case MimeTypeVP8: // S set, PID zero (RFC 7741 §4.2)
		return payload[0]&0x17 == 0x10
	case MimeTypeVP9: // B (RFC 9628 §4.2)
		return payload[0]&0x08 != 0
	case MimeTypeAV1: // not Z (AV1 RTP §4.4)
		return payload[0]&0x80 == 0
	case MimeTypeH264:
		return contiguous || beginsAccessUnit(payload)
	}
	return true
}

// NAL unit types (RFC 6184 §5.2, H.264 table 7-1).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSEI   = 6
	nalSPS   = 7
	nalPPS   = 8
	nalAUD   = 9
	nalSTAPA = 24
	nalFUA   = 28
)

// beginsAccessUnit says whether an H.264 payload, or a whole NAL unit, begins a picture: parameter sets and the like, or
// a slice whose first_mb_in_slice is zero, which is one set bit (H.264 §7.4.1.2.4).
func beginsAccessUnit(payload []byte) bool {
	switch payload[0] & 0x1f {
	case nalSEI, nalSPS, nalPPS, nalAUD, nalSTAPA:
		return true
	case nalSlice, nalIDR:
		return len(payload) > 1 && payload[1]&0x80 != 0
	case nalFUA:
		if len(payload) < 3 || payload[1]&0x80 == 0 {
			return false
		}
		kind := payload[1] & 0x1f
		return kind != nalSlice && kind != nalIDR || payload[2]&0x80 != 0
	}
	return false
}

// IsKeyFrame says whether an encoded frame can be decoded without what was before. It is true for audio, and false for a
// frame that cannot be read.
func IsKeyFrame(mimeType string, frame []byte) bool {
	c, err := CodecOf(mimeType)
	return err == nil && isKeyFrame(c, frame)
}

func isKeyFrame(c Codec, frame []byte) bool {
	if len(frame) == 0 {
		return false
	}
	switch c.MimeType {
	case MimeTypeVP8: // RFC 6386 §9.1
		return frame[0]&1 == 0
	case MimeTypeVP9:
		_, _, ok := vp9KeyFrame(frame)
		return ok
	case MimeTypeAV1:
		_, ok := av1Find(frame, obuSequenceHeader)
		return ok
	case MimeTypeH264:
		for nal := range annexBUnits(frame) {
			if len(nal) > 0 && nal[0]&0x1f == nalIDR {
				return true
			}
		}
		return false
	}
	return true
}

// frameSize reads the picture size out of a key frame.
func frameSize(c Codec, frame []byte) (width, height int, ok bool) {
	switch c.MimeType {
	case MimeTypeVP8:
		// RFC 6386 §9.1: a tag of three bytes, a start code of three, then 14 bits of size and two of scale, twice.
		if len(frame) < 10 || frame[0]&1 != 0 || !bytes.Equal(frame[3:6], []byte{0x9d, 0x01, 0x2a}) {
			return 0, 0, false
		}
		return int(frame[6]) | int(frame[7]&0x3f)<<8, int(frame[8]) | int(frame[9]&0x3f)<<8, true
	case MimeTypeVP9:
		return vp9KeyFrame(frame)
	case MimeTypeAV1:
		header, ok := av1Find(frame, obuSequenceHeader)
		if !ok {
			return 0, 0, false
		}
		return av1SequenceSize(header)
	}
	return 0, 0, false
}

// bitReader reads big-endian bit fields; past the end it gives zeros and notes it.
type bitReader struct {
	data []byte
	at   int // bits
	over bool
}

func (r *bitReader) bits(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if r.at>>3 >= len(r.data) {
			r.over = true
			continue
		}
		v |= uint32(r.data[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

func (r *bitReader) flag() bool { return r.bits(1) != 0 }

// vp9KeyFrame reads the uncompressed header of VP9 (bitstream specification §6.2) up to the picture size of a key frame.
func vp9KeyFrame(frame []byte) (width, height int, ok bool) {
	r := bitReader{data: frame}
	if r.bits(2) != 2 { // frame_marker
		return 0, 0, false
	}
	profile := r.bits(1) | r.bits(1)<<1
	if profile == 3 {
		r.bits(1)
	}
	if r.bits(2) != 0 { // show_existing_frame, or not a key frame
		return 0, 0, false
	}
	r.bits(2) // show_frame, error_resilient_mode
	if r.bits(24) != 0x498342 {
		return 0, 0, false
	}
	if profile >= 2 {
		r.bits(1) // ten or twelve bits
	}
	const rgb = 7
	if r.bits(3) != rgb {
		r.bits(1) // color_range
		if profile&1 != 0 {
			r.bits(3)
		}
	} else if profile&1 != 0 {
		r.bits(1)
	}
	width, height = int(r.bits(16))+1, int(r.bits(16))+1
	return width, height, !r.over
}

// OBU types (AV1 bitstream specification §6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
)

// av1Find returns the payload of the first OBU of a kind in a low-overhead bitstream.
func av1Find(frame []byte, kind byte) ([]byte, bool) {
	for len(frame) > 0 {
		head := 1
		if frame[0]&0x04 != 0 { // extension
			head++
		}
		if len(frame) < head {
			return nil, false
		}
		size := len(frame) - head
		if frame[0]&0x02 != 0 { // has a size
			n, used := leb128(frame[head:])
			if used == 0 || n > uint64(len(frame)-head-used) {
				return nil, false
			}
			head, size = head+used, int(n)
		}
		if frame[0]>>3&0x0f == kind {
			return frame[head : head+size], true
		}
		frame = frame[head+size:]
	}
	return nil, false
}

// leb128 reads a number of at most eight bytes (AV1 §4.10.5); used is zero if there is none.
func leb128(b []byte) (v uint64, used int) {
	for i := 0; i < len(b) && i < 8; i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}

// av1SequenceSize reads a sequence header (AV1 §5.5.1) up to the largest picture size.
func av1SequenceSize(header []byte) (width, height int, ok bool) {
	r := bitReader{data: header}
	r.bits(3 + 1)  // seq_profile, still_picture
	if !r.flag() { // reduced_still_picture_header
		decoderModel, delayBits := false, 0
		if r.flag() { // timing_info_present_flag
			r.bits(32)
			r.bits(32)
			if r.flag() { // equal_picture_interval
				r.uvlc()
			}
			if decoderModel = r.flag(); decoderModel {
				delayBits = int(r.bits(5)) + 1
				r.bits(32)
				r.bits(5 + 5)
			}
		}
		displayDelay := r.flag()
		for points := r.bits(5) + 1; points > 0; points-- {
			r.bits(12)
			if r.bits(5) > 7 { // seq_level_idx
				r.bits(1)
			}
			if decoderModel && r.flag() {
				r.bits(delayBits)
				r.bits(delayBits)
				r.bits(1)
			}
			if displayDelay && r.flag() {
				r.bits(4)
			}
		}
	} else {
		r.bits(5) // seq_level_idx
	}
	widthBits, heightBits := int(r.bits(4))+1, int(r.bits(4))+1
	width, height = int(r.bits(widthBits))+1, int(r.bits(heightBits))+1
	return width, height, !r.over
}

// uvlc skips a variable-length number (AV1 §4.10.3).
func (r *bitReader) uvlc() {
	zeros := 0
	for !r.over && !r.flag() {
		zeros++
	}
	if zeros < 32 {
		r.bits(zeros)
	}
}
