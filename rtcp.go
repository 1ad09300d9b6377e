package webrtc

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtcp"

	"github.com/openparley/webrtc/internal/rtpflow"
)

// WriteRTCP sends a compound of RTCP packets: PLI, FIR, NACK, application-defined ones. A zero sender SSRC of a PLI or FIR
// is filled in; the packets are not kept and not changed. Reports are sent without it. While the connection is not up,
// packets are discarded, as media is. Errors: InvalidStateError (closed), TypeError (it cannot be written, or is empty).
func (pc *PeerConnection) WriteRTCP(packets []rtcp.Packet) error {
	if len(packets) == 0 || slices.Contains(packets, nil) {
		return typeError("no RTCP packet")
	}
	t := pc.transport
	if ok := t.lock(); !ok {
		return errClosed()
	}
	reporter := t.engine.rtp.reporter
	t.mu.Unlock()
	packets = slices.Clone(packets)
	for i, p := range packets {
		packets[i] = withSender(p, reporter)
	}
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		return &TypeError{Err: err}
	}
	if len(raw) > maxPacketSize-srtpOverhead {
		return typeError("an RTCP compound of %d bytes", len(raw))
	}
	now, ok := t.enter()
	if !ok {
		return errClosed()
	}
	if _, reachable := t.engine.ice.Route(); reachable && t.engine.rtp.session != nil && !t.engine.rtp.ended {
		t.engine.rtp.rtcpOut = append(t.engine.rtp.rtcpOut, raw)
		t.engine.rtp.countFeedback(packets)
	}
	t.exit(now)
	return nil
}

// withSender fills in who asks, in a copy.
func withSender(p rtcp.Packet, ssrc uint32) rtcp.Packet {
	switch p := p.(type) {
	case *rtcp.PictureLossIndication:
		if p.SenderSSRC == 0 {
			return &rtcp.PictureLossIndication{SenderSSRC: ssrc, MediaSSRC: p.MediaSSRC}
		}
	case *rtcp.FullIntraRequest:
		if p.SenderSSRC == 0 {
			return &rtcp.FullIntraRequest{SenderSSRC: ssrc, MediaSSRC: p.MediaSSRC, FIR: slices.Clone(p.FIR)}
		}
	}
	return p
}

// countFeedback counts what the application asks for, as W3C's inbound-rtp has it.
func (r *rtpPipe) countFeedback(packets []rtcp.Packet) {
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.PictureLossIndication:
			if s := r.inbound[p.MediaSSRC]; s != nil {
				s.stats.CountPLI()
			}
		case *rtcp.FullIntraRequest:
			for _, e := range p.FIR {
				if s := r.inbound[e.SSRC]; s != nil {
					s.stats.CountFIR()
				}
			}
		}
	}
}

// handleRTCP takes an SRTCP packet: the bookkeeping learns from it, and the applications' rings get the whole compound.
func (r *rtpPipe) handleRTCP(now time.Time, pkt []byte) {
	compound, err := r.session.UnprotectRTCP(pkt[:0], pkt)
	if err != nil {
		r.c.counters.droppedSRTP++
		return
	}
	r.c.trace.rtp(now, false, compound)
	var senders [4]*RTPSender
	var receivers [4]*RTPReceiver
	for rest := compound; len(rest) > 0; {
		var p rtpflow.RTCP
		if p, rest, err = rtpflow.NextRTCP(rest); err != nil {
			r.dropped.malformed++
			return
		}
		r.handleRTCPPacket(now, &p, senders[:], receivers[:])
	}
	for _, s := range senders {
		if s != nil {
			s.rtcp.push(compound)
		}
	}
	for _, s := range receivers {
		if s != nil {
			s.rtcp.push(compound)
		}
	}
}

// handleRTCPPacket notes whom the packet concerns in senders and receivers, as far as there is room.
func (r *rtpPipe) handleRTCPPacket(now time.Time, p *rtpflow.RTCP, senders []*RTPSender, receivers []*RTPReceiver) {
	switch p.Type {
	case rtpflow.TypeSenderReport, rtpflow.TypeReceiverReport:
		if info, ok := p.SenderInfo(); ok {
			if s := r.inbound[info.SSRC]; s != nil {
				s.stats.HandleSenderReport(now, info)
				note(receivers, s.receiver)
			} else if s := r.repairs[info.SSRC]; s != nil {
				s.stats.HandleSenderReport(now, info)
			}
		}
		for i := 0; ; i++ {
			b, ok := p.ReportBlock(i)
			if !ok {
				break
			}
			if s := r.outbound[b.SSRC]; s != nil {
				s.stats.HandleReportBlock(now, b)
				note(senders, s.sender)
			}
		}
	case rtpflow.TypeTransportFeedback:
		if ssrc, ok := p.MediaSSRC(); ok && p.Count == rtpflow.FeedbackNACK {
			if s := r.outbound[ssrc]; s != nil {
				note(senders, s.sender)
				r.handleNACK(now, s, p)
			}
		}
	case rtpflow.TypePayloadFeedback:
		r.handleKeyFrameRequest(p, senders)
	case rtpflow.TypeGoodbye:
		for i := 0; ; i++ {
			ssrc, ok := p.Goodbye(i)
			if !ok {
				break
			}
			r.forget(ssrc, receivers)
		}
	}
}

func (r *rtpPipe) handleNACK(now time.Time, s *outboundStream, p *rtpflow.RTCP) {
	s.stats.CountNACK()
	for i := 0; ; i++ {
		pid, blp, ok := p.NACK(i)
		if !ok {
			return
		}
		r.resend(now, s, pid)
		for bit := range uint16(16) {
			if blp&(1<<bit) != 0 {
				r.resend(now, s, pid+1+bit)
			}
		}
	}
}

func (r *rtpPipe) handleKeyFrameRequest(p *rtpflow.RTCP, senders []*RTPSender) {
	if p.IsPLI() {
		if ssrc, ok := p.MediaSSRC(); ok {
			if s := r.outbound[ssrc]; s != nil {
				s.stats.CountPLI()
				note(senders, s.sender)
			}
		}
		return
	}
	requester, _ := p.SSRC()
	for i := 0; p.Count == rtpflow.FeedbackFIR; i++ {
		ssrc, seq, ok := p.FIR(i)
		if !ok {
			return
		}
		if s := r.outbound[ssrc]; s != nil && s.fir.Accept(requester, seq) {
			s.stats.CountFIR()
			note(senders, s.sender)
		}
	}
}

// forget drops a source that has said BYE.
func (r *rtpPipe) forget(ssrc uint32, receivers []*RTPReceiver) {
	if s := r.inbound[ssrc]; s != nil {
		note(receivers, s.receiver)
		r.dropInbound(s)
	}
	delete(r.repairs, ssrc)
}

// note puts v into the first free place, once.
func note[T comparable](set []T, v T) {
	var none T
	for i := range set {
		if set[i] == v {
			return
		}
		if set[i] == none {
			set[i] = v
			return
		}
	}
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }

// parseAPT reads "apt=96".
func parseAPT(fmtp string) (uint8, bool) {
	for _, param := range strings.Split(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(key, "apt") {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 7)
			return uint8(n), err == nil
		}
	}
	return 0, false
}
