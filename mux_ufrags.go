package webrtc

import "slices"

// maxMuxUfrags is how many local ufrags of a connection a mux knows: those of restarts that are under way.
const maxMuxUfrags = 4

// A ufragTable tells a mux whose a check is that begins with one of our ufrags (RFC 8445, section 7.2.2). The mux's lock guards it,
// and the lists of the connections' own ufrags.
type ufragTable[C any] map[string]C

// follow makes a ufrag the connection's, whose ufrags are own. Of too many the oldest is forgotten.
func (x ufragTable[C]) follow(ufrag string, c C, own *[]string) {
	if _, known := x[ufrag]; known {
		return
	}
	x[ufrag] = c
	if *own = append(*own, ufrag); len(*own) > maxMuxUfrags {
		delete(x, (*own)[0])
		*own = slices.Delete(*own, 0, 1)
	}
}

// forget removes all ufrags of a connection.
func (x ufragTable[C]) forget(own *[]string) {
	for _, ufrag := range *own {
		delete(x, ufrag)
	}
	*own = nil
}
