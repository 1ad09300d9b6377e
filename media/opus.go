package media

import (
	"fmt"
	"time"
)

// OpusDuration returns how long an Opus packet plays, from its table of contents (RFC 6716 §3.1). It is zero for a packet
// that is not valid: empty, without the byte that counts frames, or longer than 120 ms.
func OpusDuration(packet []byte) time.Duration {
	if len(packet) == 0 {
		return 0
	}
	frame := opusFrame(packet[0])
	frames := time.Duration(1)
	switch packet[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0
		}
		frames = time.Duration(packet[1] & 0x3f)
	}
	if d := frames * frame; d <= 120*time.Millisecond {
		return d
	}
	return 0
}

// opusFrame is the length of one frame in the configuration that the table of contents has (RFC 6716 table 2).
func opusFrame(toc byte) time.Duration {
	const unit = 2500 * time.Microsecond
	switch config := toc >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [...]time.Duration{4, 8, 16, 24}[config&3] * unit
	case config < 16: // hybrid: 10, 20 ms
		return [...]time.Duration{4, 8}[config&1] * unit
	default: // CELT: 2.5, 5, 10, 20 ms
		return unit << (config & 3)
	}
}

// opusSamples converts to Opus's clock of 48 kHz, which RTP and Ogg share.
func opusSamples(d time.Duration) uint64 { return uint64(d * 48 / time.Millisecond) }

// OpusHeader is the identification header of Opus in a container (RFC 7845 §5.1).
type OpusHeader struct {
	Channels        uint8
	PreSkip         uint16 // samples at 48 kHz to be thrown away at the start
	InputSampleRate uint32 // of what was encoded; zero: not known
	OutputGain      int16  // 1/256 dB
	MappingFamily   uint8
	// StreamMap is the channel mapping table if the family is not zero.
	StreamMap []byte
}

const (
	opusHeadMagic = "OpusHead"
	opusTagsMagic = "OpusTags"
)

func parseOpusHeader(b []byte) (OpusHeader, error) {
	if len(b) < 19 || string(b[:8]) != opusHeadMagic {
		return OpusHeader{}, fmt.Errorf("%w: no Opus header", ErrFormat)
	}
	// RFC 7845 §5.1: a reader takes every version with a major part of zero.
	if b[8]>>4 != 0 || b[9] == 0 {
		return OpusHeader{}, fmt.Errorf("%w: Opus header version %d with %d channels", ErrFormat, b[8], b[9])
	}
	h := OpusHeader{
		Channels:        b[9],
		PreSkip:         le.Uint16(b[10:]),
		InputSampleRate: le.Uint32(b[12:]),
		OutputGain:      int16(le.Uint16(b[16:])),
		MappingFamily:   b[18],
	}
	if h.MappingFamily == 0 && h.Channels > 2 {
		return OpusHeader{}, fmt.Errorf("%w: %d channels without a mapping", ErrFormat, h.Channels)
	}
	if h.MappingFamily != 0 {
		if len(b) < 21+int(h.Channels) {
			return OpusHeader{}, fmt.Errorf("%w: short channel mapping", ErrFormat)
		}
		h.StreamMap = b[19 : 21+int(h.Channels)]
	}
	return h, nil
}

func (h OpusHeader) marshal() []byte {
	b := []byte(opusHeadMagic)
	b = append(b, 1, h.Channels)
	b = le.AppendUint16(b, h.PreSkip)
	b = le.AppendUint32(b, h.InputSampleRate)
	b = le.AppendUint16(b, uint16(h.OutputGain))
	b = append(b, h.MappingFamily)
	return append(b, h.StreamMap...)
}

func marshalOpusTags(vendor string, comments []string) []byte {
	b := []byte(opusTagsMagic)
	b = le.AppendUint32(b, uint32(len(vendor)))
	b = append(b, vendor...)
	b = le.AppendUint32(b, uint32(len(comments)))
	for _, c := range comments {
		b = le.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	return b
}
