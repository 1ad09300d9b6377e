package sctp

import (
	"encoding/binary"
	"hash/crc32"
)

// headerSize is the size of the common header (RFC 9260 section 3.1).
const headerSize = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the common header.
type header struct {
	source, destination uint16
	tag                 uint32
	checksum            uint32 // as it stands in the packet, little endian
}

func parseHeader(pkt []byte) (header, []byte, error) {
	if len(pkt) < headerSize {
		return header{}, nil, errShortPacket
	}
	return header{
		source:      binary.BigEndian.Uint16(pkt),
		destination: binary.BigEndian.Uint16(pkt[2:]),
		tag:         binary.BigEndian.Uint32(pkt[4:]),
		checksum:    binary.LittleEndian.Uint32(pkt[8:]),
	}, pkt[headerSize:], nil
}

func appendHeader(b []byte, source, destination uint16, tag uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, source)
	b = binary.BigEndian.AppendUint16(b, destination)
	b = binary.BigEndian.AppendUint32(b, tag)
	return append(b, 0, 0, 0, 0)
}

// checksumOf computes the CRC32c of a packet as if its checksum field were zero (RFC 9260 appendix A); it zeroes the field.
func checksumOf(pkt []byte) uint32 {
	clear(pkt[8:12])
	return crc32.Checksum(pkt, castagnoli)
}

func putChecksum(pkt []byte) {
	binary.LittleEndian.PutUint32(pkt[8:], checksumOf(pkt))
}
