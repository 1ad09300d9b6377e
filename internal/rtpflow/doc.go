// Package rtpflow holds the pieces of the RTP pipeline as plain structs: reading and writing headers and RTCP, choosing
// the stream that a packet belongs to, the bookkeeping of senders and receivers, the schedule of reports, and
// retransmission.
//
// Nothing here has a goroutine, a lock or a clock: the transport owns the structs, drives them and gives them the time.
// None is safe for concurrent use. Handling a packet allocates nothing, whatever is in it; every table has a cap.
package rtpflow
