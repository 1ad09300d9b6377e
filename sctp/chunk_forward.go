package sctp

import "encoding/binary"

// forwardEntry tells the receiver of a FORWARD TSN that messages up to mid (an SSN without interleaving) of a stream are
// given up (RFC 3758 section 3.2, RFC 8260 section 2.3.1).
type forwardEntry struct {
	stream    uint16
	unordered bool // I-FORWARD-TSN only
	mid       uint32
}

// forwardChunk is a received FORWARD-TSN or I-FORWARD-TSN; the list stays encoded and aliases the packet.
type forwardChunk struct {
	cum          uint32
	interleaving bool
	list         []byte
}

func parseForward(value []byte, interleaving bool) (forwardChunk, error) {
	size := 4
	if interleaving {
		size = 8
	}
	if len(value) < 4 || (len(value)-4)%size != 0 {
		return forwardChunk{}, errChunkLength
	}
	return forwardChunk{cum: binary.BigEndian.Uint32(value), interleaving: interleaving, list: value[4:]}, nil
}

// next takes the first entry off the list.
func (f *forwardChunk) next() (forwardEntry, bool) {
	if len(f.list) == 0 {
		return forwardEntry{}, false
	}
	e := forwardEntry{stream: binary.BigEndian.Uint16(f.list)}
	if f.interleaving {
		e.unordered = f.list[3]&1 != 0
		e.mid = binary.BigEndian.Uint32(f.list[4:])
		f.list = f.list[8:]
	} else {
		e.mid = uint32(binary.BigEndian.Uint16(f.list[2:]))
		f.list = f.list[4:]
	}
	return e, true
}

// appendForward encodes a FORWARD-TSN or I-FORWARD-TSN.
func appendForward(b []byte, cum uint32, entries []forwardEntry, interleaving bool) []byte {
	if interleaving {
		b = appendChunkHeader(b, typeIForwardTSN, 0, 4+8*len(entries))
	} else {
		b = appendChunkHeader(b, typeForwardTSN, 0, 4+4*len(entries))
	}
	b = binary.BigEndian.AppendUint32(b, cum)
	for _, e := range entries {
		b = binary.BigEndian.AppendUint16(b, e.stream)
		if !interleaving {
			b = binary.BigEndian.AppendUint16(b, uint16(e.mid))
			continue
		}
		var u uint16
		if e.unordered {
			u = 1
		}
		b = binary.BigEndian.AppendUint16(b, u)
		b = binary.BigEndian.AppendUint32(b, e.mid)
	}
	return b
}

// forwardEntrySize is the encoded size of one entry.
func forwardEntrySize(interleaving bool) int {
	if interleaving {
		return 8
	}
	return 4
}
