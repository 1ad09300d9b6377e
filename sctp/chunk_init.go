package sctp

import "encoding/binary"

// initChunk is INIT and INIT ACK (RFC 9260 sections 3.3.2, 3.3.3).
type initChunk struct {
	tag        uint32
	window     uint32
	outStreams uint16
	inStreams  uint16
	tsn        uint32
	features   features
	cookie     []byte // INIT ACK; aliases the packet
	// unrecognized are the parameters to be reported back, whole (RFC 9260 section 3.2.1); aliases the packet.
	unrecognized []byte
}

// features are the extensions of one side.
type features uint8

const (
	featForwardTSN features = 1 << iota
	featReconfig
	featInterleaving
	featZeroChecksum
	featPad
)

func (f features) has(g features) bool { return f&g != 0 }

const (
	initFixedSize = 16
	// edmidDTLS is the error detection method "SCTP over DTLS" (RFC 9653 section 4).
	edmidDTLS = 1
	// maxParams bounds the parameters looked at in one chunk.
	maxParams = 64
)

func parseInit(value []byte) (initChunk, error) {
	if len(value) < initFixedSize {
		return initChunk{}, errBadInit
	}
	c := initChunk{
		tag:        binary.BigEndian.Uint32(value),
		window:     binary.BigEndian.Uint32(value[4:]),
		outStreams: binary.BigEndian.Uint16(value[8:]),
		inStreams:  binary.BigEndian.Uint16(value[10:]),
		tsn:        binary.BigEndian.Uint32(value[12:]),
	}
	// Section 3.3.2: a tag or a number of streams of zero makes the chunk invalid.
	if c.tag == 0 || c.outStreams == 0 || c.inStreams == 0 {
		return initChunk{}, errBadInit
	}
	b := value[initFixedSize:]
	for n := 0; len(b) > 0 && n < maxParams; n++ {
		p, rest, err := nextParam(b)
		if err != nil {
			return initChunk{}, err
		}
		if !c.take(p) {
			break
		}
		b = rest
	}
	return c, nil
}

// take interprets one parameter and reports whether to go on with the next.
func (c *initChunk) take(p param) bool {
	switch p.typ {
	case paramStateCookie:
		c.cookie = p.value
	case paramForwardTSN:
		c.features |= featForwardTSN
	case paramZeroChecksum:
		if len(p.value) == 4 && binary.BigEndian.Uint32(p.value) == edmidDTLS {
			c.features |= featZeroChecksum
		}
	case paramExtensions:
		for _, t := range p.value {
			switch chunkType(t) {
			case typeReconfig:
				c.features |= featReconfig
			case typeForwardTSN:
				c.features |= featForwardTSN
			case typeIData:
				c.features |= featInterleaving
			case typePad:
				c.features |= featPad
			}
		}
	case 5, 6, 9, 11, 12, paramUnrecognized, 0x8000, 0x8002, 0x8003, 0x8004, 0xC006:
		// Known, without meaning here: addresses (there is one path), preservative, host name, ECN, AUTH, adaptation layer.
	default:
		// The two highest bits say what to do (section 3.2.1).
		if p.typ&0x4000 != 0 && len(c.unrecognized)+len(p.whole) <= 256 {
			c.unrecognized = appendParam(c.unrecognized, paramUnrecognized, p.whole)
		}
		return p.typ&0x8000 != 0
	}
	return true
}

// append encodes the chunk as t with its features and cookie.
func (c initChunk) append(b []byte, t chunkType) []byte {
	start := len(b)
	b = appendChunkHeader(b, t, 0, initFixedSize)
	b = binary.BigEndian.AppendUint32(b, c.tag)
	b = binary.BigEndian.AppendUint32(b, c.window)
	b = binary.BigEndian.AppendUint16(b, c.outStreams)
	b = binary.BigEndian.AppendUint16(b, c.inStreams)
	b = binary.BigEndian.AppendUint32(b, c.tsn)
	if c.cookie != nil {
		b = appendParam(b, paramStateCookie, c.cookie)
	}
	if c.features.has(featForwardTSN) {
		b = appendParam(b, paramForwardTSN, nil)
	}
	var ext [5]byte
	e := ext[:0]
	if c.features.has(featReconfig) {
		e = append(e, byte(typeReconfig))
	}
	if c.features.has(featForwardTSN) {
		e = append(e, byte(typeForwardTSN))
	}
	if c.features.has(featInterleaving) {
		e = append(e, byte(typeIData), byte(typeIForwardTSN))
	}
	if c.features.has(featPad) {
		e = append(e, byte(typePad))
	}
	b = appendParam(b, paramExtensions, e)
	if c.features.has(featZeroChecksum) {
		b = appendParam(b, paramZeroChecksum, []byte{0, 0, 0, edmidDTLS})
	}
	b = append(b, c.unrecognized...)
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}
