package sctp

import "encoding/binary"

// Flags of DATA and I-DATA (RFC 9260 section 3.3.1, RFC 7053, RFC 8260 section 2.1).
const (
	flagEnd       = 1
	flagBegin     = 2
	flagUnordered = 4
	flagImmediate = 8
)

const (
	dataHeaderSize  = 16
	idataHeaderSize = 20
)

// dataChunk is a DATA or I-DATA chunk. mid is the SSN of a DATA chunk. seq orders the fragments of a message: the TSN in DATA,
// the FSN in I-DATA. payload aliases the packet.
type dataChunk struct {
	tsn     uint32
	stream  uint16
	flags   uint8
	mid     uint32
	seq     uint32
	ppid    uint32 // valid in the first fragment
	payload []byte
}

func parseData(c chunk) (dataChunk, error) {
	v := c.value
	if len(v) < dataHeaderSize-chunkHeaderSize {
		return dataChunk{}, errChunkLength
	}
	tsn := binary.BigEndian.Uint32(v)
	return dataChunk{
		tsn:     tsn,
		stream:  binary.BigEndian.Uint16(v[4:]),
		flags:   c.flags,
		mid:     uint32(binary.BigEndian.Uint16(v[6:])),
		seq:     tsn,
		ppid:    binary.BigEndian.Uint32(v[8:]),
		payload: v[12:],
	}, nil
}

func parseIData(c chunk) (dataChunk, error) {
	v := c.value
	if len(v) < idataHeaderSize-chunkHeaderSize {
		return dataChunk{}, errChunkLength
	}
	d := dataChunk{
		tsn:     binary.BigEndian.Uint32(v),
		stream:  binary.BigEndian.Uint16(v[4:]),
		flags:   c.flags,
		mid:     binary.BigEndian.Uint32(v[8:]),
		seq:     binary.BigEndian.Uint32(v[12:]),
		payload: v[16:],
	}
	// The field is the PPID in the first fragment, whose FSN is implicitly zero.
	if c.flags&flagBegin != 0 {
		d.ppid, d.seq = d.seq, 0
	}
	return d, nil
}

// appendDataChunk encodes d as DATA or I-DATA, padding included.
func appendDataChunk(b []byte, d *dataChunk, interleaving bool) []byte {
	if interleaving {
		b = appendChunkHeader(b, typeIData, d.flags, idataHeaderSize-chunkHeaderSize+len(d.payload))
		b = binary.BigEndian.AppendUint32(b, d.tsn)
		b = binary.BigEndian.AppendUint16(b, d.stream)
		b = append(b, 0, 0)
		b = binary.BigEndian.AppendUint32(b, d.mid)
		if d.flags&flagBegin != 0 {
			b = binary.BigEndian.AppendUint32(b, d.ppid)
		} else {
			b = binary.BigEndian.AppendUint32(b, d.seq)
		}
	} else {
		b = appendChunkHeader(b, typeData, d.flags, dataHeaderSize-chunkHeaderSize+len(d.payload))
		b = binary.BigEndian.AppendUint32(b, d.tsn)
		b = binary.BigEndian.AppendUint16(b, d.stream)
		b = binary.BigEndian.AppendUint16(b, uint16(d.mid))
		b = binary.BigEndian.AppendUint32(b, d.ppid)
	}
	b = append(b, d.payload...)
	return appendPadding(b, len(d.payload))
}
