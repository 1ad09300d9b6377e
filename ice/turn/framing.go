package turn

import (
	"encoding/binary"
	"fmt"
)

const (
	channelHeader = 4
	firstChannel  = 0x4000
	lastChannel   = 0x4fff // RFC 8656 §12
	maxFrame      = 65535 + headerSize
)

// FrameLength tells how long the message at the start of a stream is, padding included (RFC 8656 §12.5, RFC 8489 §6.2.2);
// zero: more bytes are needed to tell. ErrPacket: what is there is no TURN message, and the stream is of no use any more.
func FrameLength(b []byte) (int, error) {
	if len(b) < channelHeader {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]&0xc0 == 0:
		if n%4 != 0 {
			return 0, fmt.Errorf("%w: stream: length %d", ErrPacket, n)
		}
		return headerSize + n, nil
	case IsChannelData(b):
		return channelHeader + (n+3)&^3, nil
	}
	return 0, fmt.Errorf("%w: stream: first byte %#x", ErrPacket, b[0])
}

// Framer cuts a stream into messages. The zero value is ready. Not safe for concurrent use.
type Framer struct {
	// NoChannels makes ChannelData an error: without an allocation it makes no sense, and what looks like it is another
	// protocol.
	NoChannels bool

	buf  []byte
	read int
}

// Space returns where the next bytes of the stream are to be put, at least one; [Framer.Put] follows. It invalidates what
// Next has returned.
func (f *Framer) Space() []byte {
	if f.read > 0 {
		f.buf = f.buf[:copy(f.buf, f.buf[f.read:])]
		f.read = 0
	}
	if len(f.buf) == cap(f.buf) {
		grown := make([]byte, len(f.buf), min(max(2048, 2*cap(f.buf)), 2*maxFrame))
		copy(grown, f.buf)
		f.buf = grown
	}
	return f.buf[len(f.buf):cap(f.buf)]
}

// Put says that the first n bytes of Space were filled.
func (f *Framer) Put(n int) { f.buf = f.buf[:len(f.buf)+n] }

// Buffered is how many bytes wait for the rest of their message.
func (f *Framer) Buffered() int { return len(f.buf) - f.read }

// Next returns the next whole message, which is valid until Space is called; nil: more bytes are needed. ErrPacket: the
// stream is broken.
func (f *Framer) Next() ([]byte, error) {
	rest := f.buf[f.read:]
	if f.NoChannels && len(rest) > 0 && rest[0]&0xc0 != 0 {
		return nil, fmt.Errorf("%w: stream: first byte %#x", ErrPacket, rest[0])
	}
	n, err := FrameLength(rest)
	if err != nil || n == 0 || n > len(rest) {
		return nil, err
	}
	f.read += n
	return rest[:n:n], nil
}

// channelData reads ChannelData: the channel, and the data without padding (RFC 8656 §12.6). A nil slice: malformed.
func channelData(pkt []byte) (channel uint16, data []byte) {
	n := int(binary.BigEndian.Uint16(pkt[2:]))
	if n > len(pkt)-channelHeader {
		return 0, nil
	}
	return binary.BigEndian.Uint16(pkt), pkt[channelHeader : channelHeader+n : channelHeader+n]
}

// appendChannelData frames data for a datagram, or for a stream with padding to a multiple of four bytes.
func appendChannelData(dst []byte, channel uint16, data []byte, stream bool) []byte {
	dst = binary.BigEndian.AppendUint16(dst, channel)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	dst = append(dst, data...)
	if stream {
		dst = append(dst, padding[:-len(data)&3]...)
	}
	return dst
}

var padding [4]byte

// indicationSize is the length of what is in front of the data in a Send or Data indication.
func indicationSize(ipv4 bool) int {
	if ipv4 {
		return headerSize + 4 + 8 + 4
	}
	return headerSize + 4 + 20 + 4
}
