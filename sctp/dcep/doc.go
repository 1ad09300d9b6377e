// Package dcep is the layer of WebRTC data channels over an SCTP association: the establishment protocol (RFC 8832), the
// payload protocol identifiers and the close handshake (RFC 8831), and the ids.
//
// Channels is a pure state machine under the engine contract. It owns the messages and events of its association: the caller
// takes them from Channels.Event alone and never calls Association.Event, Receive, or Credit itself. Packets, timers and the
// path stay between the caller and the association.
//
// Nothing here is safe for concurrent use: one lock guards the association and its Channels.
package dcep
