package webrtc

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/rtpflow"
)

const transportStatsID = "T1"

// GetStats takes statistics. It may be called at any time, also after Close, when only the connection's own object is
// left. W3C: RTCPeerConnection.getStats.
func (pc *PeerConnection) GetStats() StatsReport {
	c := statsCollector{report: make(StatsReport), time: milliseconds(time.Now())}
	pc.mu.Lock()
	c.add(&PeerConnectionStats{
		StatsCommon: c.common(StatsTypePeerConnection, "P"), DataChannelsOpened: pc.counters.dataChannelsOpened,
		DataChannelsClosed: pc.counters.dataChannelsClosed,
	})
	transport := &TransportStats{
		StatsCommon: c.common(StatsTypeTransport, transportStatsID), ICERole: pc.iceRole.String(),
		ICELocalUsernameFragment: pc.localUfrag, ICEState: pc.iceState.String(), DTLSState: pc.dtlsState.String(),
	}
	if pc.gatheringBegun {
		c.certificate("local", pc.certificate.der)
		transport.LocalCertificateID = "CFlocal"
	}
	tracks := make(map[*TrackRemote]trackName)
	for _, t := range pc.transceivers {
		c.codecs(t.receiver.parameters.Codecs)
		c.codecs(t.sender.parameters.Codecs)
		for _, track := range t.receiver.tracks {
			tracks[track] = trackName{id: track.id, rid: track.rid}
		}
	}
	begun := pc.gatheringBegun
	pc.mu.Unlock()
	if ok := pc.transport.lock(); !ok || !begun {
		if ok {
			pc.transport.mu.Unlock()
		}
		return c.report
	}
	defer pc.transport.mu.Unlock()
	engine := pc.transport.engine
	c.transport(transport, engine)
	c.rtp(&engine.rtp, tracks)
	c.data(engine)
	return c.report
}

// trackName is what the peer calls a track.
type trackName struct{ id, rid string }

// statsCollector fills one report.
type statsCollector struct {
	report StatsReport
	time   float64
}

func milliseconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1000
}

func (c *statsCollector) common(t StatsType, id string) StatsCommon {
	return StatsCommon{Timestamp: c.time, Type: t, Key: id}
}

func (c *statsCollector) add(s Stats) { c.report[s.ID()] = s }

func (c *statsCollector) certificate(which string, der []byte) {
	c.add(&CertificateStats{
		StatsCommon:          c.common(StatsTypeCertificate, "CF"+which),
		Fingerprint:          formatFingerprint(sha256Sum(der)),
		FingerprintAlgorithm: "sha-256", Base64Certificate: base64.StdEncoding.EncodeToString(der),
	})
}

func codecStatsID(pt uint8) string { return fmt.Sprintf("C%d", pt) }

func (c *statsCollector) codecs(codecs []RTPCodecParameters) {
	for _, p := range codecs {
		c.add(&CodecStats{
			StatsCommon: c.common(StatsTypeCodec, codecStatsID(uint8(p.PayloadType))), TransportID: transportStatsID,
			PayloadType: uint8(p.PayloadType), MimeType: p.MimeType, ClockRate: p.ClockRate, Channels: p.Channels,
			SDPFmtpLine: p.SDPFmtpLine,
		})
	}
}

func candidateStatsID(id uint64) string { return fmt.Sprintf("I%d", id) }

func (c *statsCollector) transport(t *TransportStats, e *composite) {
	n := &e.counters
	t.PacketsSent, t.PacketsReceived, t.BytesSent, t.BytesReceived = n.packetsSent, n.packetsReceived, n.bytesSent, n.bytesReceived
	t.PacketsDropped = n.droppedUnverified + n.droppedUnknown + n.droppedDTLS + n.droppedSRTP + n.droppedSCTP
	if e.secure.version != "" {
		t.TLSVersion = e.secure.wireVersion
		t.DTLSCipher, t.DTLSGroup, t.SRTPCipher = e.secure.cipher, e.secure.group, e.secure.profile
		t.DTLSRole = e.secure.role.String()
		if len(e.secure.peer) > 0 {
			c.certificate("remote", e.secure.peer[0])
			t.RemoteCertificateID = "CFremote"
		}
	}
	s := e.ice.Stats()
	t.SelectedCandidatePairChanges = s.SelectedChanges
	for _, candidate := range s.Candidates {
		c.candidate(candidate)
	}
	for _, p := range s.Pairs {
		id := fmt.Sprintf("CP%d", p.ID)
		if p.Selected {
			t.SelectedCandidatePairID = id
		}
		c.add(&ICECandidatePairStats{
			StatsCommon: c.common(StatsTypeCandidatePair, id), TransportID: transportStatsID,
			LocalCandidateID: candidateStatsID(p.Local), RemoteCandidateID: candidateStatsID(p.Remote),
			State: p.State.String(), Nominated: p.Nominated, Selected: p.Selected, Priority: p.Priority,
			TotalRoundTripTime: p.TotalRTT.Seconds(), CurrentRoundTripTime: p.CurrentRTT.Seconds(),
			RequestsSent: p.RequestsSent, RequestsReceived: p.RequestsRecv,
			ResponsesSent: p.ResponsesSent, ResponsesReceived: p.ResponsesRecv, ConsentRequestsSent: p.ConsentSent,
		})
	}
	c.add(t)
}

func (c *statsCollector) candidate(s ice.CandidateStats) {
	kind := StatsTypeRemoteCandidate
	if s.Local {
		kind = StatsTypeLocalCandidate
	}
	candidate := newICECandidate(s.Candidate)
	c.add(&ICECandidateStats{
		StatsCommon: c.common(kind, candidateStatsID(s.ID)), TransportID: transportStatsID,
		Address: candidate.Address, Port: candidate.Port, Protocol: candidate.Protocol.String(),
		CandidateType: candidate.Typ.String(), Priority: candidate.Priority, Foundation: candidate.Foundation,
		URL: candidate.URL, RelayProtocol: candidate.RelayProtocol, RelatedAddress: candidate.RelatedAddress, RelatedPort: candidate.RelatedPort,
		UsernameFragment: candidate.UsernameFragment, TCPType: candidate.TCPType,
	})
}

func (c *statsCollector) stream(kind StatsType, prefix string, media RTPCodecType, ssrc uint32, pt uint8) RTPStreamStats {
	return RTPStreamStats{
		StatsCommon: c.common(kind, fmt.Sprintf("%s%d", prefix, ssrc)), SSRC: ssrc, Kind: media.String(),
		TransportID: transportStatsID, CodecID: codecStatsID(pt),
	}
}

func (c *statsCollector) rtp(r *rtpPipe, tracks map[*TrackRemote]trackName) {
	for _, s := range r.incoming {
		c.inbound(s, tracks[s.track])
	}
	for ssrc, s := range r.outbound {
		if ssrc == s.ssrc {
			c.outbound(s)
		}
	}
}

func (c *statsCollector) inbound(s *inboundStream, track trackName) {
	n := s.stats.Stats()
	kind := s.receiver.transceiver.kind
	in := &InboundRTPStreamStats{
		RTPStreamStats: c.stream(StatsTypeInboundRTP, "IT", kind, n.SSRC, s.pt), Mid: s.mid, RID: track.rid, TrackIdentifier: track.id,
		PacketsReceived: n.PacketsReceived, PacketsLost: n.PacketsLost, Jitter: n.Jitter.Seconds(),
		BytesReceived: n.BytesReceived, HeaderBytesReceived: n.HeaderBytesReceived,
		LastPacketReceivedTimestamp:  milliseconds(n.LastPacketReceived),
		RetransmittedPacketsReceived: n.RetransmittedPacketsReceived, RetransmittedBytesReceived: n.RetransmittedBytesReceived,
		FramesReceived: n.FramesReceived, NACKCount: n.NACKCount, PLICount: n.PLICount, FIRCount: n.FIRCount,
		PacketsDiscarded: s.track.Dropped(),
	}
	if n.Remote.ReportsSent > 0 {
		out := &RemoteOutboundRTPStreamStats{
			RTPStreamStats: c.stream(StatsTypeRemoteOutboundRTP, "RO", kind, n.SSRC, s.pt), LocalID: in.Key,
			PacketsSent: n.Remote.PacketsSent, BytesSent: n.Remote.BytesSent,
			RemoteTimestamp: milliseconds(n.Remote.RemoteTimestamp), ReportsSent: n.Remote.ReportsSent,
		}
		in.RemoteID = out.Key
		c.add(out)
	}
	c.add(in)
}

func (c *statsCollector) outbound(s *outboundStream) {
	n := s.stats.Stats()
	kind := s.sender.transceiver.kind
	out := &OutboundRTPStreamStats{
		RTPStreamStats: c.stream(StatsTypeOutboundRTP, "OT", kind, n.SSRC, s.pt), Mid: s.mid, Active: s.active,
		PacketsSent: n.PacketsSent, BytesSent: n.BytesSent, HeaderBytesSent: n.HeaderBytesSent,
		RetransmittedPacketsSent: n.RetransmittedPacketsSent, RetransmittedBytesSent: n.RetransmittedBytesSent,
		FramesSent: n.FramesSent, NACKCount: n.NACKCount, PLICount: n.PLICount, FIRCount: n.FIRCount,
	}
	if n.PacketsSent == 0 {
		out.CodecID = "" // nothing says yet which it will be
	}
	if s.rtxStats != nil {
		addRepair(out, s.rtxStats.Stats())
	}
	if n.Remote.ReportsReceived > 0 {
		in := &RemoteInboundRTPStreamStats{
			RTPStreamStats: c.stream(StatsTypeRemoteInboundRTP, "RI", kind, n.SSRC, s.pt), LocalID: out.Key,
			PacketsLost: n.Remote.PacketsLost, FractionLost: n.Remote.FractionLost, Jitter: n.Remote.Jitter.Seconds(),
			RoundTripTime: n.Remote.RoundTripTime.Seconds(), TotalRoundTripTime: n.Remote.TotalRoundTripTime.Seconds(),
			RoundTripTimeMeasurements: n.Remote.RoundTripTimeMeasurements,
		}
		out.RemoteID = in.Key
		c.add(in)
	}
	c.add(out)
}

// addRepair counts the retransmission stream with the stream that it repairs, as webrtc-stats wants it.
func addRepair(out *OutboundRTPStreamStats, n rtpflow.OutboundStats) {
	out.PacketsSent += n.PacketsSent
	out.BytesSent += n.BytesSent
	out.HeaderBytesSent += n.HeaderBytesSent
	out.RetransmittedPacketsSent += n.RetransmittedPacketsSent
	out.RetransmittedBytesSent += n.RetransmittedBytesSent
}

func (c *statsCollector) data(e *composite) {
	if e.assoc == nil {
		return
	}
	s := e.assoc.Stats()
	c.add(&SCTPTransportStats{
		StatsCommon: c.common(StatsTypeSCTPTransport, "SCTP"), TransportID: transportStatsID,
		SmoothedRoundTripTime: s.SmoothedRTT.Seconds(), CongestionWindow: s.CongestionWindow, ReceiverWindow: s.PeerWindow,
		MTU: s.MTU, UnackData: s.BytesInFlight, PacketsSent: s.PacketsSent, PacketsReceived: s.PacketsReceived,
		ChunksRetransmitted: s.ChunksRetransmitted,
	})
	for dc := range e.live {
		if dc.handle == nil {
			continue // it came to nothing
		}
		id, known := dc.handle.ID()
		stats := &DataChannelStats{
			StatsCommon: c.common(StatsTypeDataChannel, fmt.Sprintf("D%p", dc)),
			Label:       dc.options.Label, Protocol: dc.options.Protocol,
			DataChannelIdentifier: -1, State: dc.handle.State().String(),
			MessagesSent: dc.sent.messages, BytesSent: dc.sent.bytes,
			MessagesReceived: dc.received.messages, BytesReceived: dc.received.bytes,
		}
		if known {
			stats.DataChannelIdentifier = int32(id)
		}
		c.add(stats)
	}
}

// messageCounter counts the messages of one direction of a data channel.
type messageCounter struct{ messages, bytes uint64 }

func (m *messageCounter) count(n int) {
	m.messages++
	m.bytes += uint64(n)
}
