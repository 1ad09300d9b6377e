package webrtc

import (
	"encoding/binary"
	"io"
	"time"
)

// A packetTrace writes decrypted packets in the pcap format. Each packet gets the headers of an IPv4 UDP datagram
// between 192.0.2.1 (here) and 192.0.2.2 (the peer), by whose ports Wireshark is told what is inside: RTP and RTCP on
// 5004, SCTP behind the plain UDP encapsulation of RFC 6951 on 9899. A nil trace does nothing.
type packetTrace struct {
	w   io.Writer
	buf []byte
}

const (
	traceRTPPort  = 5004
	traceSCTPPort = 9899
)

func newPacketTrace(w io.Writer) *packetTrace {
	t := &packetTrace{w: w}
	// The global header: magic of nanosecond time stamps, version 2.4, snap length, LINKTYPE_RAW (IP).
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = binary.LittleEndian.AppendUint64(h, 0)
	h = binary.LittleEndian.AppendUint32(h, 65535)
	h = binary.LittleEndian.AppendUint32(h, 101)
	t.write(h)
	return t
}

func (t *packetTrace) rtp(now time.Time, sent bool, pkt []byte) {
	if t != nil {
		t.packet(now, sent, traceRTPPort, pkt)
	}
}

func (t *packetTrace) sctp(now time.Time, sent bool, pkt []byte) {
	if t != nil {
		t.packet(now, sent, traceSCTPPort, pkt)
	}
}

func (t *packetTrace) packet(now time.Time, sent bool, port uint16, pkt []byte) {
	const headers = 20 + 8
	here, there := [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2}
	if !sent {
		here, there = there, here
	}
	b := t.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, uint32(now.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(now.Nanosecond()))
	b = binary.LittleEndian.AppendUint32(b, uint32(headers+len(pkt)))
	b = binary.LittleEndian.AppendUint32(b, uint32(headers+len(pkt)))
	ip := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(headers+len(pkt)))
	b = append(b, 0, 0, 0x40, 0, 64, 17, 0, 0)
	b = append(append(b, here[:]...), there[:]...)
	binary.BigEndian.PutUint16(b[ip+10:], checksumIPv4(b[ip:ip+20]))
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(pkt)))
	b = binary.BigEndian.AppendUint16(b, 0) // no UDP checksum
	b = append(b, pkt...)
	t.buf = b
	t.write(b)
}

// write drops the trace at the first error: a full disk must not fill a log too.
func (t *packetTrace) write(b []byte) {
	if t.w == nil {
		return
	}
	if _, err := t.w.Write(b); err != nil {
		t.w = nil
	}
}

func checksumIPv4(h []byte) uint16 {
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
