// Package netsim is a network that runs from a seed: hosts with addresses,
// links with delay, loss, rates and queues, NATs, and a virtual clock that its
// caller holds. The same seed and the same calls give the same packets at the
// same nanosecond.
//
// It has three faces:
//
//   - Network is the pure engine: Host.Send puts a datagram in, Next takes out
//     what has arrived, Deadline says when to look again. It has no goroutine,
//     lock or clock.
//   - Sim drives composite engines (Node) over a Network in one goroutine: a
//     whole call is a loop, and replays from its seed.
//   - Live makes the hosts netio.Networks, for programs with goroutines of their
//     own, under testing/synctest. There time is deterministic, the interleaving
//     of goroutines is not.
//
// The topology: an interface of a host is attached to the internet or to the
// inside of a NAT by a link in each direction; a NAT has such links itself, and
// may be behind another. Packets of all flows that take a link share it.
package netsim

import "time"

// Epoch is when virtual time starts: the first moment of a synctest bubble. The
// times of traces and blackouts count from it.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
