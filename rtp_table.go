package webrtc

import (
	"slices"

	"github.com/openparley/webrtc/internal/rtpflow"
	"github.com/openparley/webrtc/sdp/jsep"
)

// An rtpTable is what was negotiated about RTP. It is immutable: negotiation makes a new one and hands it over.
type rtpTable struct {
	demux rtpflow.Table
	flows []rtpFlow
	cname string
}

// rtpFlow is one media section.
type rtpFlow struct {
	kind         RTPCodecType
	receiver     *RTPReceiver
	tracks       []*TrackRemote // by layer
	clockRates   [128]uint32    // by payload type that we receive
	nack         [128]bool      // payload types whose losses are asked for
	receive      bool
	encodings    []rtpEncoding
	midExtension uint8
	ridExtension uint8
	mid          string
}

// rtpEncoding is one stream that is sent.
type rtpEncoding struct {
	stream *outboundStream
	rtx    *rtpflow.RTXConfig // nil: retransmit in the stream itself
	nack   bool
	clock  [128]uint32
}

// flowUpdate is a section as negotiation left it, with the objects of the API that it concerns.
type flowUpdate struct {
	flow        jsep.Flow
	transceiver *RTPTransceiver
	tracks      []*TrackRemote
}

// newRTPTable translates the sections. pc.mu is held.
func newRTPTable(flows []flowUpdate) *rtpTable {
	t := &rtpTable{}
	for i := range flows {
		f := &flows[i]
		flow := rtpFlow{
			kind: f.transceiver.kind, receiver: f.transceiver.receiver, tracks: f.tracks, receive: f.flow.Receive, mid: f.flow.MID,
		}
		t.cname = f.flow.CNAME
		section := rtpflow.Section{Target: i, MID: f.flow.MID, RIDs: f.flow.RIDs}
		for _, e := range f.flow.ReceiveExtensions {
			switch e.URI {
			case jsep.ExtensionMID:
				t.demux.MIDExtension = uint8(e.ID)
			case jsep.ExtensionRID:
				t.demux.RIDExtension = uint8(e.ID)
			case jsep.ExtensionRepairedRID:
				t.demux.RepairedRIDExtension = uint8(e.ID)
			}
		}
		for _, e := range f.flow.SendExtensions {
			switch e.URI {
			case jsep.ExtensionMID:
				flow.midExtension = uint8(e.ID)
			case jsep.ExtensionRID:
				flow.ridExtension = uint8(e.ID)
			}
		}
		flow.receiveFormats(&section, &f.flow)
		section.Sources = announcedSources(&f.flow)
		if f.flow.Send {
			flow.sendFormats(f)
		}
		t.flows = append(t.flows, flow)
		if f.flow.Receive {
			t.demux.Sections = append(t.demux.Sections, section)
		}
	}
	return t
}

// has reports whether a section that is left has the track.
func (t *rtpTable) has(track *TrackRemote) bool {
	for i := range t.flows {
		if slices.Contains(t.flows[i].tracks, track) {
			return true
		}
	}
	return false
}

// receiveFormats notes the payload types that we receive.
func (flow *rtpFlow) receiveFormats(section *rtpflow.Section, f *jsep.Flow) {
	for _, c := range f.ReceiveCodecs {
		pt := rtpflow.PayloadType{Number: c.PayloadType}
		if apt, ok := retransmits(c.Name, c.Fmtp); ok {
			pt.Repair, pt.Of = true, apt
		}
		section.PayloadTypes = append(section.PayloadTypes, pt)
		flow.clockRates[c.PayloadType&127] = c.ClockRate
		for _, fb := range c.Feedback {
			flow.nack[c.PayloadType&127] = flow.nack[c.PayloadType&127] || fb == "nack"
		}
	}
}

// sendFormats notes what the sender's streams need.
func (flow *rtpFlow) sendFormats(f *flowUpdate) {
	for i := range f.flow.Encodings {
		e := rtpEncoding{stream: f.transceiver.sender.stream(f.flow.Encodings[i])}
		var rtx rtpflow.RTXConfig
		for _, c := range f.flow.SendCodecs {
			e.clock[c.PayloadType&127] = c.ClockRate
			if apt, ok := retransmits(c.Name, c.Fmtp); ok {
				rtx.PayloadTypes[apt&127] = c.PayloadType
			}
			for _, fb := range c.Feedback {
				e.nack = e.nack || fb == "nack"
			}
		}
		if f.flow.RTX && f.flow.Encodings[i].RTX != 0 {
			rtx.SSRC, rtx.Sequence = f.flow.Encodings[i].RTX, randomUint16()&0x7fff
			e.rtx = &rtx
		}
		flow.encodings = append(flow.encodings, e)
	}
}

// announcedSources lists the a=ssrc lines, those of retransmissions with what they repair.
func announcedSources(f *jsep.Flow) (sources []rtpflow.Source) {
	repairs := make(map[uint32]uint32)
	for _, g := range f.SSRCGroups {
		if g.Semantics == "FID" && len(g.SSRCs) == 2 {
			repairs[g.SSRCs[1]] = g.SSRCs[0]
		}
	}
	for _, s := range f.SSRCs {
		sources = append(sources, rtpflow.Source{SSRC: s.ID, Repairs: repairs[s.ID]})
	}
	return sources
}

func firstRate(clock *[128]uint32) uint32 {
	for _, rate := range clock {
		if rate != 0 {
			return rate
		}
	}
	return 0
}

// retransmits parses the apt parameter of a retransmission format (RFC 4588, section 8.1).
func retransmits(name, fmtp string) (apt uint8, ok bool) {
	if !equalFold(name, "rtx") {
		return 0, false
	}
	return parseAPT(fmtp)
}
