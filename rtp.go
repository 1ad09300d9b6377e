package webrtc

import (
	"io"
	"slices"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/rtpflow"
	"github.com/openparley/webrtc/srtp"
)

const (
	// maxInboundStreams bounds what a peer can make us remember by inventing sources.
	maxInboundStreams = 512
	// Intervals of reports (RFC 3550, section 6.2, with the minimum scaled as RFC 4585 allows): video is watched more
	// closely, since its sender adapts.
	audioReportInterval = 5 * time.Second
	videoReportInterval = time.Second
)

// An rtpPipe is the RTP part of a composite: SRTP, the streams in both directions, their reports and retransmissions.
//
// Not safe for concurrent use; guarded by transport.mu.
type rtpPipe struct {
	c *composite

	session  *srtp.Session
	table    *rtpTable
	demux    *rtpflow.Demuxer
	inbound  map[uint32]*inboundStream
	incoming []*inboundStream          // those of inbound, in the order of their first packets
	repairs  map[uint32]*inboundStream // retransmission streams, for their own reports
	outbound map[uint32]*outboundStream
	reports  *rtpflow.Reports
	early    earlyRTPQueue
	rtcpOut  [][]byte // compounds of the application and of feedback, before protection
	reporter uint32   // whose feedback it is: the first outgoing source, or 1
	ended    bool
	scratch  []byte // of the packet that is being made

	dropped rtpDropped
}

// rtpDropped counts packets that were thrown away, by reason.
type rtpDropped struct {
	early, malformed, unrouted, duplicate, unsent uint64
}

// inboundStream is one source of the peer's.
type inboundStream struct {
	stats    *rtpflow.ReceiverStream
	track    *TrackRemote
	receiver *RTPReceiver
	nack     *rtpflow.NACKGenerator
	// keyFrames asks for one when packets are lost for good.
	keyFrames rtpflow.KeyFrameRequester
	mid       string
	pt        uint8
	reported  bool
	last      time.Time // of its latest packet
}

// outboundStream is one stream that we send. Its identity is immutable; the rest is guarded by transport.mu.
type outboundStream struct {
	ssrc   uint32
	sender *RTPSender

	stats     *rtpflow.SenderStream
	history   *rtpflow.History
	rtx       *rtpflow.RTXSender
	rtxStats  *rtpflow.SenderStream
	fir       rtpflow.FIRFilter
	exts      [2]rtpflow.Extension
	extCount  int
	mid       string
	pt        uint8
	active    bool
	scheduled bool

	// A track that takes the place of another goes on where that one has stopped: its sequence numbers and timestamps are
	// shifted.
	replaced       bool
	sent           bool
	sequenceShift  uint16
	timestampShift uint32
	lastSequence   uint16
	lastTimestamp  uint32
	lastSent       time.Time
	clock          *[128]uint32
}

// place shifts a packet's numbers so that the stream goes on without a jump.
func (s *outboundStream) place(now time.Time, f *rtpflow.Fields) {
	if s.replaced {
		s.replaced = false
		if s.sent {
			passed := uint64(max(now.Sub(s.lastSent), 0)) * uint64(s.clock[f.PayloadType&127]) / uint64(time.Second)
			s.sequenceShift = s.lastSequence + 1 - f.SequenceNumber
			s.timestampShift = s.lastTimestamp + uint32(max(passed, 1)) - f.Timestamp
		}
	}
	f.SequenceNumber += s.sequenceShift
	f.Timestamp += s.timestampShift
	if !s.sent || int16(f.SequenceNumber-s.lastSequence) > 0 {
		s.lastSequence, s.lastTimestamp = f.SequenceNumber, f.Timestamp
	}
	s.sent, s.lastSent = true, now
}

func (r *rtpPipe) init(c *composite) { r.c = c }

// setTable takes over what was negotiated.
func (r *rtpPipe) setTable(now time.Time, t *rtpTable) {
	r.table = t
	if r.demux == nil && len(t.flows) == 0 {
		return
	}
	if r.demux == nil {
		r.demux = rtpflow.NewDemuxer(maxInboundStreams)
		r.inbound, r.repairs = make(map[uint32]*inboundStream), make(map[uint32]*inboundStream)
		r.outbound = make(map[uint32]*outboundStream)
		r.reports = rtpflow.NewReports(rtpflow.ReportsConfig{CNAME: t.cname, Rand: r.c.cfg.rand})
		r.reporter = 1
	}
	for _, s := range slices.Clone(r.incoming) {
		if !t.has(s.track) {
			r.dropInbound(s) // its section has ended; peers do not always say BYE
		}
	}
	r.demux.SetTable(&t.demux)
	for _, s := range r.outbound {
		s.active = false
	}
	for i := range t.flows {
		if !t.flows[i].receive {
			for _, track := range t.flows[i].tracks {
				track.flowing = false
			}
		}
	}
	for i := range t.flows {
		for j := range t.flows[i].encodings {
			r.activate(now, &t.flows[i], &t.flows[i].encodings[j])
		}
	}
	for ssrc, s := range r.outbound {
		if !s.active {
			r.reports.RemoveSender(now, s.stats)
			s.scheduled = false
			delete(r.outbound, ssrc)
			if s.rtx != nil {
				delete(r.outbound, s.rtx.SSRC())
			}
		}
	}
}

// activate begins or goes on with one outgoing stream.
func (r *rtpPipe) activate(now time.Time, f *rtpFlow, e *rtpEncoding) {
	s := e.stream
	s.active, s.clock = true, &e.clock
	s.mid, s.extCount = f.mid, 0
	if f.midExtension != 0 {
		s.exts[s.extCount] = rtpflow.Extension{ID: f.midExtension, Data: []byte(f.mid)}
		s.extCount++
	}
	if s.stats == nil {
		s.stats = rtpflow.NewSenderStream(rtpflow.SenderConfig{SSRC: s.ssrc, ClockRate: firstRate(&e.clock)})
	}
	if e.nack && s.history == nil {
		s.history = rtpflow.NewHistory(rtpflow.HistoryConfig{})
	}
	if e.rtx != nil && s.rtx == nil {
		s.rtx = rtpflow.NewRTXSender(*e.rtx)
		s.rtxStats = rtpflow.NewSenderStream(rtpflow.SenderConfig{SSRC: e.rtx.SSRC, ClockRate: firstRate(&e.clock)})
	}
	r.outbound[s.ssrc] = s
	if r.reporter == 1 {
		r.reporter = s.ssrc
	}
	if !s.scheduled {
		s.scheduled = r.reports.AddSender(now, s.stats, reportInterval(f.kind))
	}
}

func reportInterval(k RTPCodecType) time.Duration {
	if k == RTPCodecTypeAudio {
		return audioReportInterval
	}
	return videoReportInterval
}

// setKeys begins SRTP with what DTLS agreed on (RFC 5764), once there is media. Without a profile there is none, which is
// no error of a connection for data.
func (r *rtpPipe) setKeys(now time.Time, conn *dtls.Conn) error {
	state := conn.ConnectionState()
	profile := srtp.Profile(state.SRTPProfile)
	if profile == 0 || r.demux == nil || r.session != nil {
		return nil // a connection for data alone does without
	}
	material, err := conn.ExportKeyingMaterial(srtp.ExporterLabel, nil, srtp.KeyingMaterialLength(profile))
	if err != nil {
		return err
	}
	local, remote, err := srtp.SplitKeyingMaterial(profile, material, state.Role == dtls.RoleClient)
	if err != nil {
		return err
	}
	if r.session, err = srtp.New(srtp.Config{Profile: profile, Local: local, Remote: remote}); err != nil {
		return err
	}
	for _, pkt := range r.early.take() {
		r.handlePacket(now, pkt)
	}
	return nil
}

// handlePacket takes an SRTP or SRTCP packet and decrypts it in place. RFC 5761, section 4, tells them apart.
func (r *rtpPipe) handlePacket(now time.Time, pkt []byte) {
	if r.session == nil || r.ended {
		if r.ended || !r.early.push(pkt) {
			r.dropped.early++
		}
		return
	}
	if r.demux == nil || len(pkt) < 2 {
		r.dropped.unrouted++
		return
	}
	if pkt[1] >= 192 && pkt[1] <= 223 {
		r.handleRTCP(now, pkt)
		return
	}
	plain, err := r.session.UnprotectRTP(pkt[:0], pkt)
	if err != nil {
		r.c.counters.droppedSRTP++
		return
	}
	r.c.trace.rtp(now, false, plain)
	h, err := rtpflow.ParseHeader(plain)
	if err != nil {
		r.dropped.malformed++
		return
	}
	route, err := r.demux.Route(&h)
	if err != nil {
		r.dropped.unrouted++
		return
	}
	r.handleRTP(now, plain, &h, route)
}

// handleRTP takes a packet whose section is known.
func (r *rtpPipe) handleRTP(now time.Time, pkt []byte, h *rtpflow.Header, route rtpflow.Route) {
	flow := &r.table.flows[route.Target]
	if route.Repair {
		r.handleRepair(now, pkt, h, route, flow)
		return
	}
	s := r.stream(now, h, route, flow)
	if s == nil {
		r.dropped.unrouted++
		return
	}
	r.deliver(now, s, s.stats.Receive(now, h), pkt, h)
}

// handleRepair unwraps a retransmission and delivers what is in it (RFC 4588). An empty one is padding that probes the
// path.
func (r *rtpPipe) handleRepair(now time.Time, pkt []byte, h *rtpflow.Header, route rtpflow.Route, flow *rtpFlow) {
	repair := r.repairs[h.SSRC]
	if repair == nil && len(r.repairs) < maxInboundStreams {
		repair = &inboundStream{stats: rtpflow.NewReceiverStream(rtpflow.ReceiverConfig{
			SSRC: h.SSRC, ClockRate: flow.clockRates[h.PayloadType&127],
		})}
		r.repairs[h.SSRC] = repair
	}
	if repair != nil {
		repair.stats.Receive(now, h)
	}
	s := r.inbound[route.MediaSSRC]
	if s == nil || len(h.Payload) < 3 {
		return
	}
	original, err := rtpflow.UnwrapRTX(pkt, h, route.MediaSSRC, route.MediaPayloadType)
	if err != nil {
		r.dropped.malformed++
		return
	}
	oh, err := rtpflow.ParseHeader(original)
	if err != nil {
		r.dropped.malformed++
		return
	}
	r.deliver(now, s, s.stats.ReceiveRepaired(now, &oh), original, &oh)
}

// stream returns the bookkeeping of a source, and begins it at the first packet.
func (r *rtpPipe) stream(now time.Time, h *rtpflow.Header, route rtpflow.Route, flow *rtpFlow) *inboundStream {
	layer := max(route.Layer, 0)
	if layer >= len(flow.tracks) {
		return nil
	}
	track := flow.tracks[layer]
	s := r.inbound[h.SSRC]
	if s == nil {
		if len(r.inbound) >= maxInboundStreams {
			r.dropInbound(slices.MinFunc(r.incoming, func(a, b *inboundStream) int { return a.last.Compare(b.last) }))
		}
		s = &inboundStream{
			receiver: flow.receiver, mid: flow.mid,
			stats: rtpflow.NewReceiverStream(rtpflow.ReceiverConfig{
				SSRC: h.SSRC, ClockRate: flow.clockRates[h.PayloadType&127],
			}),
		}
		if flow.nack[h.PayloadType&127] {
			s.nack = rtpflow.NewNACKGenerator(rtpflow.NACKConfig{})
			s.nack.SetRTT(r.answerTime())
		}
		r.inbound[h.SSRC] = s
		r.incoming = append(r.incoming, s)
		s.reported = r.reports.AddReceiver(now, s.stats, reportInterval(flow.kind))
	}
	s.last = now
	if s.track != track || s.pt != h.PayloadType {
		s.track, s.receiver, s.pt = track, flow.receiver, h.PayloadType
		track.ssrc.Store(h.SSRC)
		track.pt.Store(int32(h.PayloadType))
	}
	if !track.flowing {
		track.flowing = true
		r.c.sink.trackFlows(track)
	}
	return s
}

// dropInbound forgets a source.
func (r *rtpPipe) dropInbound(s *inboundStream) {
	ssrc := s.stats.SSRC()
	r.reports.RemoveReceiver(s.stats)
	delete(r.inbound, ssrc)
	r.incoming = slices.DeleteFunc(r.incoming, func(o *inboundStream) bool { return o == s })
	r.demux.Forget(ssrc)
}

// deliver gives a packet to the track's reader.
func (r *rtpPipe) deliver(now time.Time, s *inboundStream, a rtpflow.Arrival, pkt []byte, h *rtpflow.Header) {
	if s.nack != nil {
		s.nack.Receive(now, a)
	}
	if a.Verdict == rtpflow.VerdictDuplicate || a.Verdict == rtpflow.VerdictSuspect {
		r.dropped.duplicate++
		return
	}
	if len(h.Payload) == 0 {
		return // padding that probes the path
	}
	s.track.ring.push(pkt)
}

// sendRTP protects and enqueues one packet of a stream. It returns the packet's size, zero for one that cannot leave:
// before the keys, and without a route.
func (r *rtpPipe) sendRTP(now time.Time, s *outboundStream, f rtpflow.Fields, payload []byte) int {
	route, ok := r.c.ice.Route()
	if !ok || r.session == nil || !s.active || r.ended || r.c.out.full() {
		r.dropped.unsent++
		return 0
	}
	size := route.Headroom + rtpHeaderRoom + len(payload) + srtpOverhead
	if size > maxPacketSize+rtpHeaderRoom {
		r.dropped.unsent++
		return 0
	}
	f.SSRC, s.pt = s.ssrc, f.PayloadType
	s.place(now, &f)
	buf := r.c.out.room(size)
	plain, err := rtpflow.AppendHeader(buf[route.Headroom:route.Headroom], f, s.exts[:s.extCount])
	if err != nil {
		r.dropped.unsent++
		return 0
	}
	plain = append(plain, payload...)
	h, err := rtpflow.ParseHeader(plain)
	if err != nil {
		r.dropped.malformed++
		return 0
	}
	s.stats.Sent(now, &h)
	if s.history != nil {
		s.history.Store(now, f.SequenceNumber, plain)
	}
	r.protect(now, route, buf, plain)
	return len(plain)
}

const (
	// rtpHeaderRoom is what a header with our extensions takes at most.
	rtpHeaderRoom = 12 + 4 + 64
	// srtpOverhead is the largest tag and trailer.
	srtpOverhead = 32
)

// protect encrypts an RTP packet in the outbox and commits it.
func (r *rtpPipe) protect(now time.Time, route ice.Route, buf, plain []byte) {
	r.c.trace.rtp(now, true, plain)
	pkt, err := r.session.ProtectRTP(plain[:0], plain)
	if err != nil {
		r.dropped.unsent++
		return
	}
	r.c.sendVia(route, buf, route.Headroom, pkt)
}

// resend answers a NACK for one packet: in the retransmission stream if there is one.
func (r *rtpPipe) resend(now time.Time, s *outboundStream, seq uint16) {
	if s.history == nil || r.c.out.full() {
		return
	}
	pkt := s.history.Resend(now, seq, s.stats.Stats().Remote.RoundTripTime)
	route, ok := r.c.ice.Route()
	if pkt == nil || !ok {
		return
	}
	buf := r.c.out.room(route.Headroom + len(pkt) + 2 + srtpOverhead)
	plain := buf[route.Headroom:route.Headroom]
	stats := s.stats
	if s.rtx != nil {
		if plain, ok = s.rtx.Append(plain, pkt); !ok {
			return
		}
		stats = s.rtxStats
	} else {
		plain = append(plain, pkt...)
	}
	h, err := rtpflow.ParseHeader(plain)
	if err != nil {
		return
	}
	stats.SentAgain(now, &h)
	r.protect(now, route, buf, plain)
}

// advance runs the timers of reports and of missing packets.
func (r *rtpPipe) advance(now time.Time) {
	if r.reports == nil {
		return
	}
	r.reports.Advance(now)
	answer := r.answerTime()
	for _, s := range r.incoming {
		if s.nack != nil {
			s.nack.SetRTT(answer)
			s.keyFrames.SetRTT(answer)
			s.nack.Advance(now)
		}
	}
}

// answerTime is how long an answer to a NACK takes: the round trip, and a quarter more before it is asked again.
func (r *rtpPipe) answerTime() time.Duration {
	rtt := r.c.ice.RTT()
	return rtt + rtt/4
}

func (r *rtpPipe) deadline() (d time.Time) {
	if r.reports == nil || r.session == nil || r.ended {
		return d
	}
	d = r.reports.Deadline()
	for _, s := range r.incoming {
		if s.nack != nil {
			d = earliest(d, s.nack.Deadline())
			d = earliest(d, s.keyFrames.Deadline(time.Time{}))
		}
	}
	return d
}

// pump sends the RTCP that is due.
func (r *rtpPipe) pump(now time.Time) (moved bool) {
	if r.reports == nil || r.session == nil || r.ended {
		return false
	}
	for _, s := range r.incoming {
		if s.nack == nil {
			continue
		}
		ssrc := s.stats.SSRC()
		for {
			pkt, n := s.nack.Next(now, r.scratch[:0], r.reporter, ssrc)
			r.scratch = pkt
			if n == 0 {
				break
			}
			s.stats.CountNACK()
			r.rtcpOut = append(r.rtcpOut, slices.Clone(pkt))
		}
		if s.nack.TakeLost() {
			s.keyFrames.Request()
		}
		if _, ok := s.keyFrames.Take(now); ok {
			s.stats.CountPLI()
			r.rtcpOut = append(r.rtcpOut, rtpflow.AppendPLI(nil, r.reporter, ssrc))
		}
	}
	route, ok := r.c.ice.Route()
	if !ok {
		r.rtcpOut = r.rtcpOut[:0] // feedback does not wait: it speaks of now
		return false
	}
	for _, pkt := range r.rtcpOut {
		moved = true
		buf := r.c.out.room(route.Headroom + len(pkt) + srtpOverhead)
		r.protectRTCP(now, route, buf, append(buf[route.Headroom:route.Headroom], pkt...))
	}
	r.rtcpOut = r.rtcpOut[:0]
	for {
		buf := r.c.out.room(route.Headroom + maxPacketSize + srtpOverhead)
		pkt, more := r.reports.Next(buf[route.Headroom:route.Headroom])
		if !more {
			return moved
		}
		moved = true
		r.protectRTCP(now, route, buf, pkt)
	}
}

func (r *rtpPipe) protectRTCP(now time.Time, route ice.Route, buf, plain []byte) {
	r.c.trace.rtp(now, true, plain)
	pkt, err := r.session.ProtectRTCP(plain[:0], plain)
	if err != nil {
		r.dropped.unsent++
		return
	}
	r.c.sendVia(route, buf, route.Headroom, pkt)
}

// end is the end of DTLS: the keys are not used any more. Readers go on waiting until Close, as W3C's tracks stay live.
func (r *rtpPipe) end(time.Time) {
	r.ended = true
	r.early = earlyRTPQueue{}
}

// close says BYE.
func (r *rtpPipe) close(now time.Time) {
	if r.reports != nil && !r.ended {
		r.reports.Close(now)
		r.pump(now)
	}
	r.end(now)
}

var _ io.Writer = (*senderWriter)(nil)
