// Package sdp gives session descriptions (RFC 8866) the shape that WebRTC gives them: typed sections with the attributes
// of RFC 9429 parsed into fields, on top of the grammar of github.com/pion/sdp/v3.
//
// [Parse] reads a description, [Session.Marshal] writes one. Attributes that the package does not know are kept, in
// order, in Attributes, so that a description survives a round trip. The order of the lines that Marshal writes is
// fixed: equal values give equal text.
//
// The package checks what one line says (ranges, numbers, tokens). What the lines mean together, and whether an answer
// fits an offer, is the business of sdp/jsep.
//
// Nothing here is safe for concurrent use; values may be shared between goroutines while nobody writes them.
package sdp
