package sctp

import "encoding/binary"

// chunkType is the type of a chunk (RFC 9260 section 3.2; RFC 3758, 4820, 6525, 8260).
type chunkType uint8

const (
	typeData             chunkType = 0
	typeInit             chunkType = 1
	typeInitAck          chunkType = 2
	typeSack             chunkType = 3
	typeHeartbeat        chunkType = 4
	typeHeartbeatAck     chunkType = 5
	typeAbort            chunkType = 6
	typeShutdown         chunkType = 7
	typeShutdownAck      chunkType = 8
	typeError            chunkType = 9
	typeCookieEcho       chunkType = 10
	typeCookieAck        chunkType = 11
	typeShutdownComplete chunkType = 14
	typeIData            chunkType = 64
	typeReconfig         chunkType = 130
	typePad              chunkType = 132
	typeForwardTSN       chunkType = 192
	typeIForwardTSN      chunkType = 194
)

// chunkHeaderSize is type, flags and length.
const chunkHeaderSize = 4

// chunk is one chunk of a packet; value aliases the packet and excludes padding.
type chunk struct {
	typ   chunkType
	flags uint8
	value []byte
}

// nextChunk takes the first chunk off b. Its length is at least four and within b, so a loop over a packet ends.
func nextChunk(b []byte) (c chunk, rest []byte, err error) {
	if len(b) < chunkHeaderSize {
		return chunk{}, nil, errChunkLength
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < chunkHeaderSize || n > len(b) {
		return chunk{}, nil, errChunkLength
	}
	c = chunk{typ: chunkType(b[0]), flags: b[1], value: b[chunkHeaderSize:n]}
	return c, b[min(pad4(n), len(b)):], nil
}

func pad4(n int) int { return (n + 3) &^ 3 }

// appendChunkHeader begins a chunk whose value will have n bytes.
func appendChunkHeader(b []byte, t chunkType, flags uint8, n int) []byte {
	b = append(b, byte(t), flags)
	return binary.BigEndian.AppendUint16(b, uint16(n+chunkHeaderSize))
}

// appendChunk appends a whole chunk, padding included.
func appendChunk(b []byte, t chunkType, flags uint8, value []byte) []byte {
	b = appendChunkHeader(b, t, flags, len(value))
	b = append(b, value...)
	return appendPadding(b, len(value))
}

// appendPadding pads a value of n bytes to a multiple of four.
func appendPadding(b []byte, n int) []byte {
	for ; n&3 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

// paramType is the type of a parameter inside INIT, INIT ACK and RE-CONFIG, or the code of an error cause: they share a form.
type paramType uint16

const (
	paramHeartbeatInfo    paramType = 1
	paramStateCookie      paramType = 7
	paramUnrecognized     paramType = 8
	paramOutgoingReset    paramType = 13
	paramIncomingReset    paramType = 14
	paramSSNTSNReset      paramType = 15
	paramReconfigResponse paramType = 16
	paramAddOutgoing      paramType = 17
	paramAddIncoming      paramType = 18
	paramZeroChecksum     paramType = 0x8001
	paramExtensions       paramType = 0x8008
	paramForwardTSN       paramType = 0xC000

	causeInvalidStream    paramType = 1
	causeStaleCookie      paramType = 3
	causeOutOfResource    paramType = 4
	causeUnrecognized     paramType = 6
	causeInvalidParameter paramType = 7
	causeNoUserData       paramType = 9
	causeUserAbort        paramType = 12
	causeProtocol         paramType = 13
)

// param is one parameter; value aliases the chunk and excludes padding.
type param struct {
	typ   paramType
	value []byte
	whole []byte // with its header, for reports of unknown parameters
}

// nextParam takes the first parameter off b; like nextChunk it always makes progress.
func nextParam(b []byte) (p param, rest []byte, err error) {
	if len(b) < 4 {
		return param{}, nil, errParamLength
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < 4 || n > len(b) {
		return param{}, nil, errParamLength
	}
	p = param{typ: paramType(binary.BigEndian.Uint16(b)), value: b[4:n], whole: b[:n]}
	return p, b[min(pad4(n), len(b)):], nil
}

func appendParam(b []byte, t paramType, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t))
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)+4))
	b = append(b, value...)
	return appendPadding(b, len(value))
}
