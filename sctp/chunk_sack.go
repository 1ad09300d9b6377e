package sctp

import "encoding/binary"

const sackFixedSize = 12

// tsnRange is a run of TSNs, both ends included.
type tsnRange struct{ first, last uint32 }

// sackChunk is a received SACK (RFC 9260 section 3.3.4); the lists stay encoded and alias the packet.
type sackChunk struct {
	cum    uint32
	window uint32
	gaps   []byte // 4 bytes each: offsets of first and last from cum
	dups   []byte // 4 bytes each
}

func parseSack(value []byte) (sackChunk, error) {
	if len(value) < sackFixedSize {
		return sackChunk{}, errChunkLength
	}
	nGaps := int(binary.BigEndian.Uint16(value[8:]))
	nDups := int(binary.BigEndian.Uint16(value[10:]))
	lists := value[sackFixedSize:]
	if len(lists) < 4*(nGaps+nDups) {
		return sackChunk{}, errChunkLength
	}
	return sackChunk{
		cum:    binary.BigEndian.Uint32(value),
		window: binary.BigEndian.Uint32(value[4:]),
		gaps:   lists[:4*nGaps],
		dups:   lists[4*nGaps : 4*(nGaps+nDups)],
	}, nil
}

func (s *sackChunk) gapCount() int { return len(s.gaps) / 4 }

func (s *sackChunk) gap(i int) tsnRange {
	g := s.gaps[4*i:]
	return tsnRange{
		first: s.cum + uint32(binary.BigEndian.Uint16(g)),
		last:  s.cum + uint32(binary.BigEndian.Uint16(g[2:])),
	}
}

func (s *sackChunk) dupCount() int    { return len(s.dups) / 4 }
func (s *sackChunk) dup(i int) uint32 { return binary.BigEndian.Uint32(s.dups[4*i:]) }

// appendSack encodes a SACK of at most room bytes; gaps that do not fit, the highest, are left out, then duplicates.
func appendSack(b []byte, cum, window uint32, gaps []tsnRange, dups []uint32, room int) []byte {
	room = (room - chunkHeaderSize - sackFixedSize) / 4
	// A gap block cannot reach further than 65535 from the cumulative TSN.
	for len(gaps) > 0 && gaps[len(gaps)-1].last-cum > 0xffff {
		gaps = gaps[:len(gaps)-1]
	}
	gaps = gaps[:max(0, min(len(gaps), room))]
	dups = dups[:max(0, min(len(dups), room-len(gaps)))]
	b = appendChunkHeader(b, typeSack, 0, sackFixedSize+4*(len(gaps)+len(dups)))
	b = binary.BigEndian.AppendUint32(b, cum)
	b = binary.BigEndian.AppendUint32(b, window)
	b = binary.BigEndian.AppendUint16(b, uint16(len(gaps)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(dups)))
	for _, g := range gaps {
		b = binary.BigEndian.AppendUint16(b, uint16(g.first-cum))
		b = binary.BigEndian.AppendUint16(b, uint16(g.last-cum))
	}
	for _, d := range dups {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return b
}
