package rtpflow

import (
	"math/rand"
	"testing"
	"time"
)

func TestRFC3550A1SequenceNumbers(t *testing.T) {
	r := NewReceiverStream(ReceiverConfig{SSRC: 1})
	for _, step := range []struct {
		story string
		seq   uint16
		want  Arrival
	}{
		{"the first", 65533, Arrival{VerdictNew, 1<<16 | 65533, 0}},
		{"one from before it", 65532, Arrival{VerdictLate, 1<<16 | 65532, 0}},
		{"a gap over the end", 1, Arrival{VerdictNew, 2<<16 | 1, 3}},
		{"one of it comes late", 65535, Arrival{VerdictLate, 1<<16 | 65535, 0}},
		{"and again", 65535, Arrival{VerdictDuplicate, 1<<16 | 65535, 0}},
		{"the newest again", 1, Arrival{VerdictDuplicate, 2<<16 | 1, 0}},
		{"far away", 30000, Arrival{Verdict: VerdictSuspect}},
		{"not confirmed", 2, Arrival{VerdictNew, 2<<16 | 2, 0}},
		{"far away again", 40000, Arrival{Verdict: VerdictSuspect}},
		{"confirmed", 40001, Arrival{VerdictRestart, 3<<16 | 40001, 0}},
		{"and on", 40002, Arrival{VerdictNew, 3<<16 | 40002, 0}},
	} {
		if got := r.Receive(start, headerOf(step.seq, 0, 10)); got != step.want {
			t.Fatalf("%s: %+v, want %+v", step.story, got, step.want)
		}
	}
	st := r.Stats()
	if st.PacketsReceived != 7 || st.PacketsDuplicated != 2 || st.PacketsSuspect != 2 {
		t.Errorf("%+v", st)
	}
	// 65532..2 are seven numbers; five packets and two duplicates came: A.3 counts those too.
	if st.PacketsLost != 0 {
		t.Errorf("%d lost", st.PacketsLost)
	}
	if st.BytesReceived != 70 || st.HeaderBytesReceived != 84 {
		t.Errorf("%+v", st)
	}
}

func TestSequenceNumbersAgainstAModel(t *testing.T) {
	for seed := range seeds(50) {
		rnd := rand.New(rand.NewSource(seed))
		r := NewReceiverStream(ReceiverConfig{})
		next, received := uint64(1<<16|rnd.Intn(1<<15)), map[uint64]bool{}
		highest := uint64(0)
		for range 5000 {
			next += uint64(rnd.Intn(4))
			ext := next
			if highest > 0 && rnd.Intn(3) == 0 {
				ext = highest - uint64(rnd.Intn(500))
			}
			a := r.Receive(start, headerOf(uint16(ext), 0, 1))
			want := VerdictNew
			if received[ext] {
				want = VerdictDuplicate
			} else if ext < highest {
				want = VerdictLate
			}
			if a.Verdict != want || a.Extended != ext {
				t.Fatalf("seed %d: %+v, want verdict %d of %d", seed, a, want, ext)
			}
			if want == VerdictNew && highest > 0 && a.Missing != int(ext-highest-1) {
				t.Fatalf("seed %d: %d missing", seed, a.Missing)
			}
			received[ext] = true
			highest = max(highest, ext)
		}
	}
}

func TestRFC3550A3LossAndReport(t *testing.T) {
	r := NewReceiverStream(ReceiverConfig{SSRC: 9})
	if _, ok := r.ReportBlock(start); ok {
		t.Fatal("a report about nothing")
	}
	for seq := uint16(65500); seq != 64; seq++ {
		if seq%4 != 0 { // every fourth is lost
			r.Receive(start, headerOf(seq, 0, 1))
		}
	}
	b, ok := r.ReportBlock(start)
	if !ok || b.SSRC != 9 || b.Highest != 1<<16|63 || b.LSR != 0 || b.DLSR != 0 {
		t.Fatalf("%+v", b)
	}
	// 65500 is lost but nothing before 65501 was seen: 99 expected, 24 lost.
	if b.Lost != 24 || b.FractionLost != 24*256/99 {
		t.Fatalf("%+v", b)
	}
	t.Log("# a clean interval")
	for seq := uint16(64); seq < 100; seq++ {
		r.Receive(start, headerOf(seq, 0, 1))
	}
	if b, _ = r.ReportBlock(start); b.FractionLost != 0 || b.Lost != 24 {
		t.Fatalf("%+v", b)
	}
	t.Log("# retransmissions repair the loss")
	for seq := uint16(65504); seq != 64; seq += 4 {
		if a := r.ReceiveRepaired(start, headerOf(seq, 0, 1)); a.Verdict != VerdictLate {
			t.Fatalf("%d: %+v", seq, a)
		}
	}
	if b, _ = r.ReportBlock(start); b.Lost != 0 || b.FractionLost != 0 {
		t.Fatalf("%+v", b)
	}
	if st := r.Stats(); st.RetransmittedPacketsReceived != 24 || st.PacketsLost != 0 || st.PacketsReceived != 135 {
		t.Fatalf("%+v", st)
	}
	t.Log("# a retransmission from far away, and one of a stream that has not begun, are nothing")
	if a := r.ReceiveRepaired(start, headerOf(30000, 0, 1)); a.Verdict != VerdictSuspect {
		t.Fatalf("%+v", a)
	}
	if a := NewReceiverStream(ReceiverConfig{}).ReceiveRepaired(start, headerOf(1, 0, 1)); a.Verdict != VerdictSuspect {
		t.Fatalf("%+v", a)
	}
}

func TestRFC3550A8Jitter(t *testing.T) {
	t.Log("# packets every 20 ms, alternately 5 ms late: |D| is 5 ms, the estimate tends to it")
	r := NewReceiverStream(ReceiverConfig{ClockRate: 48000})
	now := start
	for i := range 400 {
		late := time.Duration(i%2) * 5 * time.Millisecond
		r.Receive(now.Add(late), headerOf(uint16(i), uint32(i)*960+1<<31, 1))
		now = now.Add(20 * time.Millisecond)
	}
	if j := r.Stats().Jitter; j < 4900*time.Microsecond || j > 5100*time.Microsecond {
		t.Errorf("%v", j)
	}
	if b, _ := r.ReportBlock(now); b.Jitter < 235 || b.Jitter > 245 {
		t.Errorf("%d units", b.Jitter)
	}
	t.Log("# a jump of the timestamps is no jitter")
	r.Receive(now, headerOf(400, 400*960+1<<31+48000*3600, 1))
	if j := r.Stats().Jitter; j > 5100*time.Microsecond {
		t.Errorf("%v", j)
	}
	t.Log("# a steady stream has none, for hours")
	r = NewReceiverStream(ReceiverConfig{ClockRate: 90000})
	for i := range 50000 {
		r.Receive(start.Add(time.Duration(i)*time.Second), headerOf(uint16(i), uint32(i)*90000, 1))
	}
	if j := r.Stats().Jitter; j != 0 {
		t.Errorf("%v", j)
	}
}

func TestRFC3550RoundTripTime(t *testing.T) {
	s, r := NewSenderStream(SenderConfig{SSRC: 3}), NewReceiverStream(ReceiverConfig{SSRC: 3})
	if _, ok := s.SenderInfo(start); ok {
		t.Fatal("a report of a stream that has sent nothing")
	}
	s.Sent(start, headerOf(1, 1000, 100))
	r.Receive(at(30*time.Millisecond), headerOf(1, 1000, 100))
	info, ok := s.SenderInfo(at(time.Second))
	if !ok || info.RTP != 1000+90000 || info.Packets != 1 || info.Octets != 100 || info.NTP != NTPTime(at(time.Second)) {
		t.Fatalf("%+v", info)
	}
	t.Log("# 30 ms there, 500 ms at the peer, 40 ms back")
	r.HandleSenderReport(at(1030*time.Millisecond), info)
	b, _ := r.ReportBlock(at(1530 * time.Millisecond))
	rtt, ok := s.HandleReportBlock(at(1570*time.Millisecond), b)
	if !ok || rtt < 69*time.Millisecond || rtt > 71*time.Millisecond {
		t.Fatalf("%v %v", rtt, ok)
	}
	st := s.Stats()
	if st.Remote.RoundTripTime != rtt || st.Remote.RoundTripTimeMeasurements != 1 || st.Remote.TotalRoundTripTime != rtt ||
		st.Remote.ReportsReceived != 1 || st.Remote.HighestSequenceNumber != 1 || st.PacketsSent != 1 || st.BytesSent != 100 {
		t.Fatalf("%+v", st)
	}
	if st := r.Stats().Remote; st.PacketsSent != 1 || st.ReportsSent != 1 || !st.LastReport.Equal(at(1030*time.Millisecond)) {
		t.Fatalf("%+v", st)
	}
	if c, ok := r.CaptureTime(1000); !ok || c.Sub(start).Abs() > time.Microsecond {
		t.Fatalf("%v", c)
	}
	if _, ok := NewReceiverStream(ReceiverConfig{}).CaptureTime(1); ok {
		t.Fatal("a capture time out of nothing")
	}
	t.Log("# a report from the future, or from the last hour, measures nothing")
	b.DLSR += 65536
	if _, ok := s.HandleReportBlock(at(1570*time.Millisecond), b); ok {
		t.Error("negative round trip")
	}
	b.LSR, b.DLSR = b.LSR-3600*65536, 0
	if _, ok := s.HandleReportBlock(at(1570*time.Millisecond), b); ok {
		t.Error("round trip of an hour")
	}
	t.Log("# on a short path rounding may exceed the time: still not zero")
	b.LSR, b.DLSR = compactNTP(at(time.Second)), 100
	if rtt, ok := s.HandleReportBlock(at(time.Second+time.Millisecond), b); !ok || rtt <= 0 {
		t.Error(rtt, ok)
	}
}

func TestSenderCounts(t *testing.T) {
	s := NewSenderStream(SenderConfig{SSRC: 3, ClockRate: 48000})
	h := headerOf(1, 100, 50)
	h.Marker, h.Padding = true, 4
	s.Sent(start, h)
	s.SentAgain(at(time.Second), h)
	s.Sent(at(2*time.Second), headerOf(2, 50, 10)) // out of order: the clock stays
	info, _ := s.SenderInfo(at(time.Second))
	if info.RTP != 100+48000 || info.Packets != 3 || info.Octets != 110 {
		t.Errorf("%+v", info)
	}
	s.CountFIR()
	s.CountNACK()
	s.CountPLI()
	st := s.Stats()
	if st.SSRC != 3 || st.PacketsSent != 3 || st.BytesSent != 110 || st.HeaderBytesSent != 44 || st.RetransmittedPacketsSent != 1 ||
		st.RetransmittedBytesSent != 50 || st.FramesSent != 1 || st.NACKCount != 1 || st.PLICount != 1 || st.FIRCount != 1 {
		t.Errorf("%+v", st)
	}
	if !st.LastPacketSent.Equal(at(2 * time.Second)) {
		t.Error(st.LastPacketSent)
	}
}

func TestBookkeepingAllocatesNothing(t *testing.T) {
	r, s := NewReceiverStream(ReceiverConfig{}), NewSenderStream(SenderConfig{})
	seq := uint16(0)
	h := headerOf(0, 0, 1000)
	wantNoAllocs(t, "bookkeeping", func() {
		seq += 2
		h.SequenceNumber = seq
		r.Receive(start, h)
		h.SequenceNumber--
		r.ReceiveRepaired(start, h)
		s.Sent(start, h)
		s.SentAgain(start, h)
		b, _ := r.ReportBlock(start)
		s.HandleReportBlock(start, b)
	})
}
