package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openparley/webrtc"
)

// A report is what one side has negotiated and measured.
type report struct {
	Name, Other string
	State       webrtc.PeerConnectionState
	SetUp       time.Duration
	Transport   transportReport
	Streams     []streamReport
	Chat        chatReport
	Transfers   []transferReport
	Recordings  []recordingReport
}

// transportReport describes the path and its encryption, in words.
type transportReport struct {
	Pair, RTT, Role       string
	DTLS, Group, DTLSRole string
	SRTP                  string
	Sent, Received        uint64 // bytes
	PacketsOut, PacketsIn uint64
	Dropped, SCTPRepeated uint64
	// Of all media together.
	mediaPackets uint64
	mediaLost    int64
	roundTrip    float64 // seconds
}

// streamReport is one RTP stream. What the sender cannot know comes from the receiver's reports, and is negative if none
// has come.
type streamReport struct {
	Sent                  bool
	Kind, Codec           string
	Packets, Bytes        uint64
	Frames, Retransmitted uint64
	Lost                  int64
	Jitter, RoundTrip     float64 // seconds
}

// report takes stock. c is nil if there was no chat.
func (p *peer) report(c *chat) *report {
	r := &report{Name: p.name, Other: p.other, State: p.pc.ConnectionState()}
	stats := p.pc.GetStats()
	r.Transport = readTransport(stats)
	r.Streams = readStreams(stats)
	if c != nil {
		r.Chat = c.report()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.SetUp = p.setUp
	for _, t := range p.transfers {
		r.Transfers = append(r.Transfers, t.report())
	}
	for _, recording := range p.recordings {
		r.Recordings = append(r.Recordings, recording.report())
	}
	return r
}

// find returns the object of a type with the given id.
func find[T webrtc.Stats](stats webrtc.StatsReport, id string) (object T, ok bool) {
	object, ok = stats[id].(T)
	return object, ok
}

// all returns the objects of a type.
func all[T webrtc.Stats](stats webrtc.StatsReport) (objects []T) {
	for _, s := range stats {
		if object, ok := s.(T); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

func readTransport(stats webrtc.StatsReport) (r transportReport) {
	for _, t := range all[*webrtc.TransportStats](stats) {
		r.DTLS, r.Group, r.DTLSRole, r.SRTP, r.Role = dtlsVersion(t), t.DTLSGroup, t.DTLSRole, t.SRTPCipher, t.ICERole
		r.Sent, r.Received, r.PacketsOut, r.PacketsIn = t.BytesSent, t.BytesReceived, t.PacketsSent, t.PacketsReceived
		r.Dropped = t.PacketsDropped
		pair, ok := find[*webrtc.ICECandidatePairStats](stats, t.SelectedCandidatePairID)
		if !ok {
			continue
		}
		local, _ := find[*webrtc.ICECandidateStats](stats, pair.LocalCandidateID)
		remote, _ := find[*webrtc.ICECandidateStats](stats, pair.RemoteCandidateID)
		r.Pair = candidate(local) + " – " + candidate(remote)
		r.roundTrip = pair.CurrentRoundTripTime
		r.RTT = duration(r.roundTrip)
	}
	for _, s := range all[*webrtc.SCTPTransportStats](stats) {
		r.SCTPRepeated = s.ChunksRetransmitted
	}
	for _, s := range all[*webrtc.InboundRTPStreamStats](stats) {
		r.mediaLost += s.PacketsLost
		r.mediaPackets += s.PacketsReceived
	}
	return r
}

func candidate(c *webrtc.ICECandidateStats) string {
	if c == nil {
		return "?"
	}
	return fmt.Sprintf("%s %s %s", c.CandidateType, c.Protocol, net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port))))
}

// dtlsVersion is the version and the cipher suite. W3C gives the version as it stands on the wire.
func dtlsVersion(t *webrtc.TransportStats) string {
	version := map[string]string{"FEFD": "1.2", "FEFC": "1.3"}[strings.ToUpper(t.TLSVersion)]
	if version == "" {
		version = t.TLSVersion
	}
	return strings.TrimSpace(version + " " + t.DTLSCipher)
}

func readStreams(stats webrtc.StatsReport) (streams []streamReport) {
	for _, s := range all[*webrtc.OutboundRTPStreamStats](stats) {
		stream := streamReport{
			Sent: true, Kind: s.Kind, Codec: codec(stats, s.CodecID), Packets: s.PacketsSent, Bytes: s.BytesSent,
			Frames: s.FramesSent, Retransmitted: s.RetransmittedPacketsSent, Lost: -1, Jitter: -1, RoundTrip: -1,
		}
		if remote, ok := find[*webrtc.RemoteInboundRTPStreamStats](stats, s.RemoteID); ok {
			stream.Lost, stream.Jitter = int64(remote.PacketsLost), remote.Jitter
			if remote.RoundTripTimeMeasurements > 0 {
				stream.RoundTrip = remote.RoundTripTime
			}
		}
		streams = append(streams, stream)
	}
	for _, s := range all[*webrtc.InboundRTPStreamStats](stats) {
		streams = append(streams, streamReport{
			Kind: s.Kind, Codec: codec(stats, s.CodecID), Packets: s.PacketsReceived, Bytes: s.BytesReceived,
			Frames: s.FramesReceived, Retransmitted: s.RetransmittedPacketsReceived,
			Lost: s.PacketsLost, Jitter: s.Jitter, RoundTrip: -1,
		})
	}
	slices.SortFunc(streams, func(a, b streamReport) int {
		if a.Sent != b.Sent {
			if a.Sent {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Kind, b.Kind)
	})
	return streams
}

func codec(stats webrtc.StatsReport, id string) string {
	c, ok := find[*webrtc.CodecStats](stats, id)
	if !ok {
		return "?"
	}
	_, name, _ := strings.Cut(c.MimeType, "/")
	return fmt.Sprintf("%s/%d (%d)", name, c.ClockRate, c.PayloadType)
}
