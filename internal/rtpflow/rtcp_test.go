package rtpflow

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestRTCPWritersAgreeWithAnIndependentCodec(t *testing.T) {
	block := ReportBlock{SSRC: 5, FractionLost: 25, Lost: -3, Highest: 1<<16 | 9, Jitter: 77, LSR: 8, DLSR: 9}
	info := SenderInfo{SSRC: 1, NTP: 1 << 40, RTP: 3, Packets: 4, Octets: 5}
	var b []byte
	b = AppendSenderReport(b, info, []ReportBlock{block, block})
	b = AppendReceiverReport(b, 2, []ReportBlock{block})
	b = AppendReceiverReport(b, 2, nil)
	for _, cname := range []string{"", "a", "ab", "abc@host", "0123456789abcdef"} {
		b = AppendSourceDescription(b, cname, []uint32{1, 2})
	}
	b = AppendPLI(b, 1, 2)
	b = AppendFIR(b, 1, 2, 3)
	b = AppendNACK(b, 1, 2, []uint16{65530, 65531, 10, 27, 28, 1000})
	b = AppendGoodbye(b, []uint32{1, 2})
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(packets) != 12 {
		t.Fatalf("%d packets", len(packets))
	}
	sr := packets[0].(*rtcp.SenderReport)
	if sr.SSRC != 1 || sr.NTPTime != 1<<40 || sr.RTPTime != 3 || sr.PacketCount != 4 || sr.OctetCount != 5 || len(sr.Reports) != 2 {
		t.Errorf("%+v", sr)
	}
	want := rtcp.ReceptionReport{SSRC: 5, FractionLost: 25, TotalLost: 0xfffffd, LastSequenceNumber: 1<<16 | 9, Jitter: 77, LastSenderReport: 8, Delay: 9}
	if sr.Reports[1] != want {
		t.Errorf("%+v", sr.Reports[1])
	}
	for i, cname := range []string{"", "a", "ab", "abc@host", "0123456789abcdef"} {
		sdes := packets[3+i].(*rtcp.SourceDescription)
		if len(sdes.Chunks) != 2 || sdes.Chunks[1].Source != 2 || sdes.Chunks[1].Items[0].Text != cname {
			t.Errorf("%q: %+v", cname, sdes)
		}
	}
	if pli := packets[8].(*rtcp.PictureLossIndication); pli.SenderSSRC != 1 || pli.MediaSSRC != 2 {
		t.Errorf("%+v", pli)
	}
	if fir := packets[9].(*rtcp.FullIntraRequest); !reflect.DeepEqual(fir.FIR, []rtcp.FIREntry{{SSRC: 2, SequenceNumber: 3}}) {
		t.Errorf("%+v", fir)
	}
	var lost []uint16
	for _, pair := range packets[10].(*rtcp.TransportLayerNack).Nacks {
		lost = append(lost, pair.PacketList()...)
	}
	if !slices.Equal(lost, []uint16{65530, 65531, 10, 27, 28, 1000}) {
		t.Errorf("%v", lost)
	}
	if bye := packets[11].(*rtcp.Goodbye); !slices.Equal(bye.Sources, []uint32{1, 2}) {
		t.Errorf("%+v", bye)
	}
}

func TestRTCPReadersReadWhatWasWritten(t *testing.T) {
	block := ReportBlock{SSRC: 5, FractionLost: 25, Lost: -3, Highest: 1<<16 | 9, Jitter: 77, LSR: 8, DLSR: 9}
	info := SenderInfo{SSRC: 1, NTP: 1 << 40, RTP: 3, Packets: 4, Octets: 5}
	p := one(t, AppendSenderReport(nil, info, []ReportBlock{{}, block}))
	if got, ok := p.SenderInfo(); !ok || got != info {
		t.Errorf("%+v", got)
	}
	if got, ok := p.ReportBlock(1); !ok || got != block {
		t.Errorf("%+v", got)
	}
	if _, ok := p.ReportBlock(2); ok {
		t.Error("a third block")
	}
	p = one(t, AppendReceiverReport(nil, 7, []ReportBlock{block}))
	if got, ok := p.ReportBlock(0); !ok || got != block {
		t.Errorf("%+v", got)
	}
	if ssrc, ok := p.SSRC(); !ok || ssrc != 7 {
		t.Error(ssrc)
	}
	p = one(t, AppendNACK(nil, 1, 2, []uint16{65535, 0, 16, 17}))
	var lost []uint16
	p.NACKed(func(seq uint16) { lost = append(lost, seq) })
	if !slices.Equal(lost, []uint16{65535, 0, 16, 17}) {
		t.Error(lost)
	}
	if media, ok := p.MediaSSRC(); !ok || media != 2 {
		t.Error(media)
	}
	p = one(t, AppendFIR(nil, 1, 2, 3))
	if ssrc, seq, ok := p.FIR(0); !ok || ssrc != 2 || seq != 3 {
		t.Error(ssrc, seq, ok)
	}
	p = one(t, AppendPLI(nil, 1, 2))
	if media, _ := p.MediaSSRC(); !p.IsPLI() || media != 2 {
		t.Error("PLI")
	}
	p = one(t, AppendGoodbye(nil, []uint32{1, 2}))
	if ssrc, ok := p.Goodbye(1); !ok || ssrc != 2 {
		t.Error(ssrc)
	}
	if _, ok := p.Goodbye(2); ok {
		t.Error("a third source")
	}
	if AppendNACK(nil, 1, 2, nil) != nil {
		t.Error("an empty NACK")
	}
}

func one(t *testing.T, b []byte) RTCP {
	t.Helper()
	p, rest, err := NextRTCP(b)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%d left, %v", len(rest), err)
	}
	return p
}

func TestRTCPRefusals(t *testing.T) {
	for name, b := range map[string][]byte{
		"cut header":     {0x80, 200, 0},
		"cut body":       {0x80, 200, 0, 1},
		"padding alone":  {0xa0, 200, 0, 0},
		"padding zero":   {0xa0, 201, 0, 1, 0, 0, 0, 0},
		"padding beyond": {0xa0, 201, 0, 1, 0, 0, 0, 8},
		"padding odd":    {0xa0, 201, 0, 1, 0, 0, 0, 3},
	} {
		if _, _, err := NextRTCP(b); !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := NextRTCP(make([]byte, 8)); !errors.Is(err, ErrVersion) {
		t.Errorf("version: %v", err)
	}
}

func TestNTPTime(t *testing.T) {
	for _, when := range []time.Time{
		start, start.Add(123456789), time.Date(2035, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 1000, time.UTC),
	} {
		if d := TimeOfNTP(NTPTime(when)).Sub(when); d > 0 || d < -time.Nanosecond {
			t.Errorf("%v: off by %v", when, d)
		}
	}
	if NTPTime(time.Unix(0, 0)) != 2208988800<<32 {
		t.Error("epoch")
	}
}

func FuzzRTCP(f *testing.F) {
	f.Add(AppendNACK(AppendSenderReport(nil, SenderInfo{SSRC: 1}, make([]ReportBlock, 2)), 1, 2, []uint16{1, 2, 40}))
	f.Add(AppendGoodbye(AppendSourceDescription(AppendReceiverReport(nil, 1, nil), "x", []uint32{1}), []uint32{1}))
	f.Add(AppendFIR(AppendPLI(nil, 1, 2), 1, 2, 3))
	f.Add([]byte{0xa1, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			p, after, err := NextRTCP(rest)
			if err != nil {
				return
			}
			if len(after) >= len(rest) {
				t.Fatal("no progress")
			}
			rest = after
			p.SSRC()
			p.SenderInfo()
			p.MediaSSRC()
			p.IsPLI()
			n := 0
			p.NACKed(func(uint16) { n++ })
			if n > 17*len(b) {
				t.Fatal("more than was there")
			}
			for i := -1; i < 40; i++ {
				p.ReportBlock(i)
				p.FIR(i)
				p.NACK(i)
				p.Goodbye(i)
			}
		}
	})
}
