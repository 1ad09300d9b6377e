package rtpflow

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func newTestReports(seed int64, maxSize int) *Reports {
	return NewReports(ReportsConfig{CNAME: "cname@parley", SSRC: 77, Rand: rand.New(rand.NewSource(seed)), MaxSize: maxSize})
}

// drain runs the schedule up to a moment and says what was sent when.
func drain(t *testing.T, r *Reports, until time.Time) []string {
	t.Helper()
	var log []string
	for {
		d := r.Deadline()
		if d.IsZero() || d.After(until) {
			return log
		}
		r.Advance(d)
		if next := r.Deadline(); !next.IsZero() && !next.After(d) {
			t.Fatalf("deadline %v after Advance(%v)", next, d)
		}
		log = append(log, take(t, r, fmt.Sprintf("%4dms ", d.Sub(start).Milliseconds()))...)
	}
}

// take reads the compounds that wait, with an independent codec.
func take(t *testing.T, r *Reports, prefix string) []string {
	t.Helper()
	var log []string
	buf := make([]byte, 0, 1500)
	for range 1000 {
		b, ok := r.Next(buf)
		if !ok {
			return log
		}
		if len(b) > r.cfg.MaxSize {
			t.Fatalf("%d bytes", len(b))
		}
		packets, err := rtcp.Unmarshal(b)
		if err != nil {
			t.Fatal(err)
		}
		wantCompound(t, packets)
		log = append(log, prefix+describe(packets))
	}
	t.Fatal("no end of compounds")
	return nil
}

// wantCompound checks RFC 3550 §6.1 and RFC 8108 §5.3: a report comes first, each reporting source has its CNAME.
func wantCompound(t *testing.T, packets []rtcp.Packet) {
	t.Helper()
	named := map[uint32]bool{}
	for _, p := range packets {
		if sdes, ok := p.(*rtcp.SourceDescription); ok {
			for _, c := range sdes.Chunks {
				named[c.Source] = c.Items[0].Type == rtcp.SDESCNAME && c.Items[0].Text == "cname@parley"
			}
		}
	}
	for i, p := range packets {
		var ssrc uint32
		switch p := p.(type) {
		case *rtcp.SenderReport:
			ssrc = p.SSRC
		case *rtcp.ReceiverReport:
			ssrc = p.SSRC
		default:
			if i == 0 {
				t.Fatalf("a compound begins with %T", p)
			}
			continue
		}
		if !named[ssrc] {
			t.Fatalf("no CNAME for %d", ssrc)
		}
	}
}

func describe(packets []rtcp.Packet) string {
	var parts []string
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			parts = append(parts, fmt.Sprintf("SR%d/%d", p.SSRC, len(p.Reports)))
		case *rtcp.ReceiverReport:
			parts = append(parts, fmt.Sprintf("RR%d/%d", p.SSRC, len(p.Reports)))
		case *rtcp.SourceDescription:
			parts = append(parts, fmt.Sprintf("SDES%d", len(p.Chunks)))
		case *rtcp.Goodbye:
			parts = append(parts, fmt.Sprintf("BYE%v", p.Sources))
		}
	}
	return strings.Join(parts, " ")
}

func TestReportSchedule(t *testing.T) {
	r := newTestReports(1, 0)
	if !r.Deadline().IsZero() {
		t.Fatal("a deadline without streams")
	}
	video, audio, in := NewSenderStream(SenderConfig{SSRC: 1}), NewSenderStream(SenderConfig{SSRC: 2}), NewReceiverStream(ReceiverConfig{SSRC: 3})
	r.AddSender(start, video, DefaultVideoReportInterval)
	r.AddSender(start, audio, DefaultAudioReportInterval)
	r.AddReceiver(start, in, DefaultVideoReportInterval)
	t.Log("# nothing sent, nothing received: nothing to say")
	if log := drain(t, r, at(10*time.Second)); len(log) != 0 {
		t.Fatal(log)
	}
	t.Log("# a minute of all three")
	var log []string
	for i := range 600 {
		now := at(10*time.Second + time.Duration(i)*100*time.Millisecond)
		for _, s := range []*SenderStream{video, audio} {
			s.Sent(now, headerOf(uint16(i), 0, 1))
		}
		in.Receive(now, headerOf(uint16(i), 0, 1))
		log = append(log, drain(t, r, now)...)
	}
	count := map[string]int{}
	for _, line := range log {
		for _, kind := range []string{"SR1/", "SR2/", "/1"} {
			if strings.Contains(line, kind) {
				count[kind]++
			}
		}
	}
	if n := count["SR1/"]; n < 50 || n > 75 {
		t.Errorf("%d video reports in a minute", n)
	}
	if n := count["SR2/"]; n < 9 || n > 16 {
		t.Errorf("%d audio reports in a minute", n)
	}
	if n := count["/1"]; n < 50 || n > 75 {
		t.Errorf("%d reception reports in a minute", n)
	}
	t.Log("# from the same seed the same schedule")
	again := func(seed int64) []string {
		r := newTestReports(seed, 0)
		s := NewSenderStream(SenderConfig{SSRC: 1})
		r.AddSender(start, s, time.Second)
		s.Sent(start, headerOf(1, 1, 1))
		return drain(t, r, at(time.Second))
	}
	if a, b := again(7), again(7); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("%v, then %v", a, b)
	}
}

func TestReceiverOnlyReports(t *testing.T) {
	r := newTestReports(2, 0)
	in := NewReceiverStream(ReceiverConfig{SSRC: 3})
	r.AddReceiver(start, in, time.Second)
	in.Receive(start, headerOf(1, 1, 1))
	r.Advance(r.Deadline())
	if got := take(t, r, ""); !slices.Equal(got, []string{"RR77/1 SDES1"}) {
		t.Fatal(got)
	}
	r.Advance(start) // spurious
	if got := take(t, r, ""); got != nil {
		t.Fatal(got)
	}
}

func TestManyStreamsShareCompoundsOfLimitedSize(t *testing.T) {
	r := newTestReports(3, 600)
	for i := range 100 {
		out, in := NewSenderStream(SenderConfig{SSRC: uint32(1000 + i)}), NewReceiverStream(ReceiverConfig{SSRC: uint32(2000 + i)})
		r.AddSender(start, out, time.Second)
		r.AddReceiver(start, in, time.Second)
		out.Sent(start, headerOf(1, 1, 1))
		in.Receive(start, headerOf(1, 1, 1))
	}
	r.Advance(at(2 * time.Second))
	senders, blocks := 0, 0
	for _, line := range take(t, r, "") {
		for _, part := range strings.Fields(line) {
			var ssrc, n int
			if _, err := fmt.Sscanf(part, "SR%d/%d", &ssrc, &n); err == nil {
				senders++
			} else if _, err := fmt.Sscanf(part, "RR%d/%d", &ssrc, &n); err != nil {
				continue
			}
			blocks += n
		}
	}
	if senders != 100 || blocks != 100 {
		t.Fatalf("%d sender reports, %d reception reports", senders, blocks)
	}
}

func TestGoodbye(t *testing.T) {
	r := newTestReports(4, 0)
	one, two, silent := NewSenderStream(SenderConfig{SSRC: 1}), NewSenderStream(SenderConfig{SSRC: 2}), NewSenderStream(SenderConfig{SSRC: 3})
	in := NewReceiverStream(ReceiverConfig{SSRC: 9})
	for _, s := range []*SenderStream{one, two, silent} {
		r.AddSender(start, s, time.Second)
	}
	r.AddReceiver(start, in, time.Second)
	one.Sent(start, headerOf(1, 1, 1))
	two.Sent(start, headerOf(1, 1, 1))
	in.Receive(start, headerOf(1, 1, 1))
	t.Log("# a stream that ends says so")
	r.RemoveSender(at(time.Millisecond), one)
	if got := take(t, r, ""); !slices.Equal(got, []string{"RR2/0 SDES1 BYE[1]"}) {
		t.Fatal(got)
	}
	t.Log("# the end of all")
	r.Close(at(2 * time.Millisecond))
	if got := take(t, r, ""); !slices.Equal(got, []string{"SR2/1 SDES1 BYE[2]"}) {
		t.Fatal(got)
	}
	r.Close(at(3 * time.Millisecond))
	if got := take(t, r, ""); got != nil {
		t.Fatal(got)
	}
	if !r.Deadline().IsZero() || r.AddSender(start, one, time.Second) || r.AddReceiver(start, in, time.Second) {
		t.Fatal("alive after Close")
	}
	r.RemoveReceiver(in)

	t.Log("# many at once, over several packets")
	r = newTestReports(5, 200)
	for i := range 100 {
		s := NewSenderStream(SenderConfig{SSRC: uint32(i)})
		r.AddSender(start, s, time.Second)
		s.Sent(start, headerOf(1, 1, 1))
	}
	r.Close(start)
	left := 0
	for _, line := range take(t, r, "") {
		if _, list, ok := strings.Cut(line, "BYE["); ok {
			left += len(strings.Fields(strings.TrimSuffix(list, "]")))
		}
	}
	if left != 100 {
		t.Fatalf("%d said goodbye", left)
	}
}

func TestReportTablesAreCapped(t *testing.T) {
	r := NewReports(ReportsConfig{Rand: rand.New(rand.NewSource(1)), MaxStreams: 2})
	for i := range 3 {
		if ok := r.AddSender(start, NewSenderStream(SenderConfig{}), time.Second); ok != (i < 2) {
			t.Fatalf("sender %d: %v", i, ok)
		}
		if ok := r.AddReceiver(start, NewReceiverStream(ReceiverConfig{}), time.Second); ok != (i < 2) {
			t.Fatalf("receiver %d: %v", i, ok)
		}
	}
}

func TestReportsAllocateNothing(t *testing.T) {
	r := newTestReports(6, 0)
	out, in := NewSenderStream(SenderConfig{SSRC: 1}), NewReceiverStream(ReceiverConfig{SSRC: 2})
	r.AddSender(start, out, time.Second)
	r.AddReceiver(start, in, time.Second)
	buf := make([]byte, 0, 1500)
	now := start
	wantNoAllocs(t, "a report", func() {
		now = now.Add(2 * time.Second)
		out.Sent(now, headerOfTest)
		in.Receive(now, headerOfTest)
		r.Advance(now)
		for {
			if _, ok := r.Next(buf); !ok {
				break
			}
		}
	})
}

var headerOfTest = headerOf(1, 1, 1)
