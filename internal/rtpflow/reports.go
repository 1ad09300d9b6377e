package rtpflow

import (
	"encoding/binary"
	"io"
	"slices"
	"time"
)

// Default intervals of reports: RFC 3550 §6.2 has five seconds; video reports come every second, as RFC 4585 §3.4 allows
// where bandwidth does, for a round-trip time that is not out of date.
const (
	DefaultAudioReportInterval = 5 * time.Second
	DefaultVideoReportInterval = time.Second
)

// ReportsConfig says how reports are made.
type ReportsConfig struct {
	// CNAME is the canonical name of this endpoint, at most 255 bytes (RFC 7022).
	CNAME string
	// SSRC is who reports when no stream is being sent. Zero: 1, as browsers do.
	SSRC uint32
	// Rand gives the randomness of the intervals. It has to be set.
	Rand io.Reader
	// MaxSize is how large a compound may be. Zero: 1200 bytes. Below 200 is 200.
	MaxSize int
	// MaxStreams is how many streams may be reported on, senders and receivers each. Zero: 1024.
	MaxStreams int
}

// Reports is the schedule of compound RTCP packets: SR or RR with reception reports, SDES with the CNAME, BYE. Each
// stream has its interval; streams that are due at about the same time share a compound.
type Reports struct {
	cfg       ReportsConfig
	senders   []scheduled[*SenderStream]
	receivers []scheduled[*ReceiverStream]
	leaving   []uint32
	goodbye   bool // leaving may be written now
	closed    bool
	now       time.Time
	deadline  time.Time // earliest of all streams
	random    [2]byte
	blocks    [maxReportBlocks]ReportBlock
	ssrcs     [maxReportBlocks]uint32
}

type scheduled[S comparable] struct {
	stream   S
	interval time.Duration
	next     time.Time
	due      bool
}

// together is how much earlier a stream may report to share a packet with another.
const together = 100 * time.Millisecond

// NewReports makes an empty schedule.
func NewReports(cfg ReportsConfig) *Reports {
	if cfg.SSRC == 0 {
		cfg.SSRC = 1
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = 1200
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1024
	}
	cfg.MaxSize = max(cfg.MaxSize, 200)
	cfg.CNAME = cfg.CNAME[:min(len(cfg.CNAME), 100)]
	return &Reports{cfg: cfg}
}

// AddSender starts the reports of a stream that is sent. It is false when there are too many, or after Close.
func (r *Reports) AddSender(now time.Time, s *SenderStream, interval time.Duration) bool {
	if r.closed || len(r.senders) >= r.cfg.MaxStreams {
		return false
	}
	r.senders = append(r.senders, scheduled[*SenderStream]{s, interval, r.first(now, interval), false})
	r.rearm()
	return true
}

// AddReceiver starts the reports about a stream that is received. It is false when there are too many, or after Close.
func (r *Reports) AddReceiver(now time.Time, s *ReceiverStream, interval time.Duration) bool {
	if r.closed || len(r.receivers) >= r.cfg.MaxStreams {
		return false
	}
	r.receivers = append(r.receivers, scheduled[*ReceiverStream]{s, interval, r.first(now, interval), false})
	r.rearm()
	return true
}

// RemoveSender ends the reports of a stream; if it sent anything, its BYE follows (RFC 3550 §6.6).
func (r *Reports) RemoveSender(now time.Time, s *SenderStream) {
	n := len(r.senders)
	r.senders = slices.DeleteFunc(r.senders, func(x scheduled[*SenderStream]) bool { return x.stream == s })
	if len(r.senders) < n && s.packets > 0 && len(r.leaving) < r.cfg.MaxStreams {
		r.now = now
		r.leaving = append(r.leaving, s.SSRC())
		r.goodbye = true
	}
	r.rearm()
}

// RemoveReceiver ends the reports about a stream.
func (r *Reports) RemoveReceiver(s *ReceiverStream) {
	r.receivers = slices.DeleteFunc(r.receivers, func(x scheduled[*ReceiverStream]) bool { return x.stream == s })
	r.rearm()
}

// first is soon, so that a round-trip time is known early (RFC 3550 §6.2: half the interval at the start).
func (r *Reports) first(now time.Time, interval time.Duration) time.Time {
	return now.Add(r.randomize(interval / 2))
}

// randomize spreads an interval over 0.5 to 1.5 of itself, so that peers do not fall into step (RFC 3550 §6.2).
func (r *Reports) randomize(interval time.Duration) time.Duration {
	if _, err := io.ReadFull(r.cfg.Rand, r.random[:]); err != nil {
		return interval
	}
	return interval/2 + interval*time.Duration(binary.BigEndian.Uint16(r.random[:]))/65536
}

// Deadline returns when Advance wants to be called; zero: never.
func (r *Reports) Deadline() time.Time { return r.deadline }

func (r *Reports) rearm() {
	r.deadline = time.Time{}
	if r.closed {
		return
	}
	for i := range r.senders {
		r.earlier(r.senders[i].next)
	}
	for i := range r.receivers {
		r.earlier(r.receivers[i].next)
	}
}

func (r *Reports) earlier(t time.Time) {
	if r.deadline.IsZero() || t.Before(r.deadline) {
		r.deadline = t
	}
}

// Advance marks the streams whose reports are due; Next gives them.
func (r *Reports) Advance(now time.Time) {
	if r.closed || r.deadline.IsZero() || now.Before(r.deadline) {
		return
	}
	r.now = now
	horizon := now.Add(together)
	for i := range r.senders {
		advance(r, &r.senders[i], now, horizon)
	}
	for i := range r.receivers {
		advance(r, &r.receivers[i], now, horizon)
	}
	r.rearm()
}

func advance[S comparable](r *Reports, s *scheduled[S], now, horizon time.Time) {
	if s.next.After(horizon) {
		return
	}
	s.due = true
	// An interval of less than a tick would not let the deadline pass.
	s.next = now.Add(max(r.randomize(s.interval), time.Millisecond))
}

// Close makes Next give one last compound with the reports and the BYE of every stream that was sent. Idempotent.
func (r *Reports) Close(now time.Time) {
	if r.closed {
		return
	}
	r.closed, r.now = true, now
	for i := range r.senders {
		r.senders[i].due = r.senders[i].stream.packets > 0
		if r.senders[i].due {
			r.leaving = append(r.leaving, r.senders[i].stream.SSRC())
		}
	}
	for i := range r.receivers {
		r.receivers[i].due = true
	}
	r.goodbye = len(r.leaving) > 0
	r.rearm()
}

// Next appends the next compound to dst[:0]; call it until it is false. It does not allocate if dst has MaxSize bytes.
func (r *Reports) Next(dst []byte) ([]byte, bool) {
	dst = dst[:0]
	sources := 0
	cname := cnameChunkSize(r.cfg.CNAME)
	room := func(n int) bool {
		return len(dst)+n+4+(sources+1)*cname <= r.cfg.MaxSize && sources < maxReportBlocks-1
	}
	// A compound begins with a report (RFC 3550 §6.1); the first one of it carries the reception reports.
	for i := range r.senders {
		s := &r.senders[i]
		if !s.due || !room(senderReportSize) {
			continue
		}
		s.due = false
		info, ok := s.stream.SenderInfo(r.now)
		if !ok || !s.stream.active() {
			continue
		}
		s.stream.reported = s.stream.packets
		dst = AppendSenderReport(dst, info, r.nextBlocks(r.cfg.MaxSize-len(dst)-senderReportSize-4-(sources+1)*cname))
		r.ssrcs[sources] = info.SSRC
		sources++
	}
	reporter := r.cfg.SSRC
	if sources > 0 {
		reporter = r.ssrcs[0]
	} else if len(r.senders) > 0 && r.senders[0].stream.packets > 0 {
		reporter = r.senders[0].stream.SSRC()
	}
	bye := r.goodbye && !r.anyDueSender()
	if sources == 0 && (bye || r.anyDueReceiver()) {
		dst = AppendReceiverReport(dst, reporter, r.nextBlocks(r.cfg.MaxSize-receiverReportHeader-4-cname))
		r.ssrcs[0], sources = reporter, 1
	}
	if sources == 0 {
		return nil, false
	}
	dst = AppendSourceDescription(dst, r.cfg.CNAME, r.ssrcs[:sources])
	if n := min(len(r.leaving), maxReportBlocks, (r.cfg.MaxSize-len(dst)-4)/4); bye && n > 0 {
		dst = AppendGoodbye(dst, r.leaving[:n])
		r.leaving = append(r.leaving[:0], r.leaving[n:]...)
		r.goodbye = len(r.leaving) > 0
	}
	return dst, true
}

// nextBlocks makes the reception reports that are due and fit into size bytes.
func (r *Reports) nextBlocks(size int) []ReportBlock {
	n := 0
	for i := range r.receivers {
		s := &r.receivers[i]
		if !s.due {
			continue
		}
		if n == len(r.blocks) || (n+1)*reportBlockSize > size {
			break
		}
		s.due = false
		if b, ok := s.stream.ReportBlock(r.now); ok {
			r.blocks[n] = b
			n++
		}
	}
	return r.blocks[:n]
}

// anyDueReceiver also forgets the ones that have received nothing: there is nothing to report.
func (r *Reports) anyDueReceiver() bool {
	found := false
	for i := range r.receivers {
		s := &r.receivers[i]
		s.due = s.due && s.stream.started
		found = found || s.due
	}
	return found
}

func (r *Reports) anyDueSender() bool {
	return slices.ContainsFunc(r.senders, func(s scheduled[*SenderStream]) bool { return s.due && s.stream.active() })
}
