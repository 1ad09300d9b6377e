package sctp

import "time"

// Stats is a snapshot of an association's counters. Bytes are user data unless said otherwise.
type Stats struct {
	State State
	// Packets, with the bytes of whole SCTP packets.
	PacketsSent, PacketsReceived         uint64
	PacketBytesSent, PacketBytesReceived uint64
	// Messages and their bytes: accepted by Send; handed out by Receive; given up by partial reliability.
	MessagesSent, MessagesReceived, MessagesAbandoned uint64
	BytesSent, BytesReceived                          uint64
	// Data chunks.
	ChunksSent, ChunksRetransmitted, BytesRetransmitted uint64
	Timeouts, TailProbes, FastRecoveries                uint64
	// SpuriousRecoveries are loss recoveries that were found needless and undone.
	SpuriousRecoveries uint64
	// The path.
	SmoothedRTT, LatestRTT, MinRTT, RTO time.Duration
	MTU                                 int
	CongestionWindow, BytesInFlight     int
	PacingRate                          int // bytes a second; zero: not paced
	PeerWindow                          int
	ReceiveWindow, ReceiveWindowUsed    int
	BufferedBytes                       int // queued, not yet sent
	Unacknowledged                      int // chunks sent and not acknowledged; zero with BufferedBytes zero: all has arrived
	// Negotiated.
	Interleaving, ZeroChecksum, PartialReliability, Reconfig bool
	MaxOutgoingStreams, MaxIncomingStreams                   int
	// Dropped counts what was thrown away, by reason.
	Dropped Dropped
}

// Dropped counts received packets and chunks that were thrown away.
type Dropped struct {
	ShortPacket, Ports, Checksum, VerificationTag uint64 // packets
	ChunkFormat, UnknownChunk, Unexpected         uint64 // chunks
	DuplicateData, WindowFull, BadStream          uint64 // data chunks
	Cookie                                        uint64
}

// Stats returns a snapshot.
func (a *Association) Stats() Stats {
	s := a.stats
	s.State = a.phase.public()
	s.SmoothedRTT, s.LatestRTT, s.MinRTT = a.rtt.smoothed, a.rtt.latest, a.rtt.lowest
	s.RTO = a.rtt.timeout(a.path.RTT)
	s.MTU = a.path.MTU
	s.CongestionWindow, s.PacingRate = a.cc.window(), a.cc.pacingRate()
	s.BytesInFlight = a.out.flight
	s.PeerWindow = a.peerWindow
	s.ReceiveWindow = a.window.size
	s.ReceiveWindowUsed = a.window.lent + a.inbox.held
	s.BufferedBytes = a.queue.buffered
	s.Unacknowledged = a.out.len()
	s.Interleaving, s.ZeroChecksum = a.interleaving, a.sendZero
	s.PartialReliability = a.peerFeatures.has(featForwardTSN)
	s.Reconfig = a.peerFeatures.has(featReconfig)
	s.MaxOutgoingStreams, s.MaxIncomingStreams = a.maxOut, a.maxIn
	return s
}
