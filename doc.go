// Package webrtc connects Go programs with browsers and with each other: audio, video and data, encrypted, through NATs,
// with the API of W3C's RTCPeerConnection.
//
// The names are W3C's in Go spelling, and so is the behaviour. What W3C does not know is in [Settings], whose zero value
// works:
//
//	api, err := webrtc.NewAPI(webrtc.Settings{})
//	pc, err := api.NewPeerConnection(webrtc.Configuration{})
//
// # Threads
//
// Any method may be called from any goroutine, and within any handler, Close included. Handlers run one at a time, in the
// order of the changes that they report, on one signaling goroutine a connection (or on [Settings].SignalingLoop), while
// the library holds no lock. A handler that takes long delays the following handlers of its connection and nothing else.
// Calls that wait (SendContext, Read, ReadRTP) are not for handlers. docs/threading.md has the whole contract.
//
// After [PeerConnection.Close] returns, no handler is started any more; [PeerConnection.Done] tells when the last one has
// returned and every goroutine is gone.
package webrtc
