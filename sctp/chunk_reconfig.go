package sctp

import "encoding/binary"

// resetResult is the result of a re-configuration request (RFC 6525 section 4.4).
type resetResult uint32

const (
	resetNothingToDo  resetResult = 0
	resetPerformed    resetResult = 1
	resetDenied       resetResult = 2
	resetWrongSSN     resetResult = 3
	resetInProgress   resetResult = 4 // another request is
	resetBadSequence  resetResult = 5
	resetLater        resetResult = 6 // this request is
	resetResponseSize             = 12
)

// outgoingReset is the Outgoing SSN Reset Request parameter (RFC 6525 section 4.1); streams alias the packet, two bytes each.
type outgoingReset struct {
	request  uint32
	response uint32
	lastTSN  uint32
	streams  []byte
}

func parseOutgoingReset(v []byte) (outgoingReset, error) {
	if len(v) < 12 || len(v)%2 != 0 {
		return outgoingReset{}, errParamLength
	}
	return outgoingReset{
		request:  binary.BigEndian.Uint32(v),
		response: binary.BigEndian.Uint32(v[4:]),
		lastTSN:  binary.BigEndian.Uint32(v[8:]),
		streams:  v[12:],
	}, nil
}

// appendOutgoingReset encodes a whole RE-CONFIG chunk with one request.
func appendOutgoingReset(b []byte, request, response, lastTSN uint32, streams []uint16) []byte {
	n := 4 + 12 + 2*len(streams)
	b = appendChunkHeader(b, typeReconfig, 0, n)
	b = binary.BigEndian.AppendUint16(b, uint16(paramOutgoingReset))
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = binary.BigEndian.AppendUint32(b, request)
	b = binary.BigEndian.AppendUint32(b, response)
	b = binary.BigEndian.AppendUint32(b, lastTSN)
	for _, s := range streams {
		b = binary.BigEndian.AppendUint16(b, s)
	}
	return appendPadding(b, n)
}

// appendResetResponse encodes a whole RE-CONFIG chunk with one response.
func appendResetResponse(b []byte, request uint32, r resetResult) []byte {
	b = appendChunkHeader(b, typeReconfig, 0, resetResponseSize)
	b = binary.BigEndian.AppendUint16(b, uint16(paramReconfigResponse))
	b = binary.BigEndian.AppendUint16(b, resetResponseSize)
	b = binary.BigEndian.AppendUint32(b, request)
	return binary.BigEndian.AppendUint32(b, uint32(r))
}
