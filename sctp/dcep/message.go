package dcep

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/openparley/webrtc/sctp"
)

// The payload protocol identifiers of RFC 8831 section 8. The two partial ones are deprecated and refused.
const (
	PPIDControl       = 50
	PPIDString        = 51
	PPIDBinaryPartial = 52
	PPIDBinary        = 53
	PPIDStringPartial = 54
	PPIDStringEmpty   = 56
	PPIDBinaryEmpty   = 57
)

// Message types and channel types (RFC 8832 section 5).
const (
	typeAck  = 2
	typeOpen = 3

	channelReliable   = 0x00
	channelRetransmit = 0x01
	channelTimed      = 0x02
	channelUnordered  = 0x80

	openHeaderSize = 12
)

var errMalformed = errors.New("dcep: malformed message")

// AppendOpen encodes DATA_CHANNEL_OPEN (RFC 8832 section 5.1). Label and protocol must be at most 65535 bytes each.
func AppendOpen(b []byte, o *Options) []byte {
	var kind byte
	var limit uint32
	switch o.Reliability {
	case sctp.LimitedRetransmits:
		kind, limit = channelRetransmit, uint32(o.MaxRetransmits)
	case sctp.LimitedLifetime:
		kind, limit = channelTimed, uint32(min(max(o.MaxPacketLifeTime.Milliseconds(), 0), 1<<32-1))
	}
	if o.Unordered {
		kind |= channelUnordered
	}
	b = append(b, typeOpen, kind)
	b = binary.BigEndian.AppendUint16(b, o.Priority)
	b = binary.BigEndian.AppendUint32(b, limit)
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.Label)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.Protocol)))
	b = append(b, o.Label...)
	return append(b, o.Protocol...)
}

// ParseOpen decodes DATA_CHANNEL_OPEN. It fails when a length does not fit or the channel type is unknown.
func ParseOpen(b []byte) (Options, error) {
	if len(b) < openHeaderSize || b[0] != typeOpen {
		return Options{}, errMalformed
	}
	label := int(binary.BigEndian.Uint16(b[8:]))
	protocol := int(binary.BigEndian.Uint16(b[10:]))
	if len(b) != openHeaderSize+label+protocol {
		return Options{}, errMalformed
	}
	text := b[openHeaderSize:]
	o := Options{
		Priority:  binary.BigEndian.Uint16(b[2:]),
		Label:     string(text[:label]),
		Protocol:  string(text[label:]),
		Unordered: b[1]&channelUnordered != 0,
	}
	limit := binary.BigEndian.Uint32(b[4:])
	switch b[1] &^ channelUnordered {
	case channelReliable: // the limit is to be ignored
	case channelRetransmit:
		o.Reliability, o.MaxRetransmits = sctp.LimitedRetransmits, uint16(min(limit, 65535))
	case channelTimed:
		o.Reliability, o.MaxPacketLifeTime = sctp.LimitedLifetime, time.Duration(limit)*time.Millisecond
	default:
		return Options{}, errMalformed
	}
	return o, nil
}

// IsAck tells whether b is DATA_CHANNEL_ACK (RFC 8832 section 5.2).
func IsAck(b []byte) bool { return len(b) == 1 && b[0] == typeAck }

var (
	ackMessage = []byte{typeAck}
	// emptyPayload stands for a message of no bytes, which SCTP cannot carry (RFC 8831 section 6.6).
	emptyPayload = []byte{0}
)

// PPIDOf is the identifier of a user message. SCTP carries a byte for an empty one.
func PPIDOf(isString, empty bool) uint32 {
	switch {
	case isString && empty:
		return PPIDStringEmpty
	case isString:
		return PPIDString
	case empty:
		return PPIDBinaryEmpty
	default:
		return PPIDBinary
	}
}
