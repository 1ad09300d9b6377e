// Package sctp is an SCTP association as WebRTC data channels need it: a pure engine without goroutines, locks, clock or
// sockets, driven by the transport that owns it (see docs/engines.md for the verbs).
//
// It implements RFC 9260 (one path, no multi-homing), partial reliability (RFC 3758), stream reset (RFC 6525), SACK-IMMEDIATELY
// (RFC 7053), message interleaving (RFC 8260), zero checksums over DTLS (RFC 9653), path MTU discovery (RFC 8899) and the
// set-up carried in SDP (draft-hancke-tsvwg-snap).
//
// Nothing in this package is safe for concurrent use: the caller holds one lock around every call.
//
// The caller's duties: call Connect on both sides; feed datagrams with HandlePacket and call EndBatch after each batch; after
// every entry take packets with Next until it reports false, messages with Receive and events with Event, and arm one timer
// at Deadline; give back what it consumed with Credit.
package sctp
