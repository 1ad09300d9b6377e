package webrtc

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/rtpflow"
)

// statsOf returns the objects of one type.
func statsOf[S Stats](report StatsReport) (out []S) {
	for _, s := range report {
		if s, ok := s.(S); ok {
			out = append(out, s)
		}
	}
	return out
}

// checkReport checks what is true of every report: keys, types, timestamps, and that ids which objects name exist.
func checkReport(t *testing.T, report StatsReport) {
	t.Helper()
	now := milliseconds(time.Now())
	for key, s := range report {
		if s.ID() != key {
			t.Errorf("%s is kept as %s", s.ID(), key)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		if fields["id"] != key || fields["type"] == "" || fields["timestamp"] != now {
			t.Errorf("%s", text)
		}
		for name, value := range fields {
			id, ok := value.(string)
			if !ok || !strings.HasSuffix(name, "Id") || name == "trackIdentifier" {
				continue
			}
			if _, ok := report[id]; !ok {
				t.Errorf("%s of %s names %q, which is not in the report", name, key, id)
			}
		}
	}
}

func TestStatsOfAFreshConnection(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		report := p.a.GetStats()
		checkReport(t, report)
		if len(report) != 1 || len(statsOf[*PeerConnectionStats](report)) != 1 {
			t.Errorf("%v", report)
		}
	})
}

func TestStatsOfACallAreConsistent(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		near, far, track := p.negotiatedTrack()
		_, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		p.negotiate(p.a, p.b)
		for i := range uint16(300) {
			p.must(track.WriteRTP(packet(i, 1)))
			time.Sleep(20 * time.Millisecond)
		}
		for _, pc := range []*PeerConnection{p.a, p.b} {
			report := pc.GetStats()
			checkReport(t, report)
			transport := statsOf[*TransportStats](report)
			if len(transport) != 1 || transport[0].SelectedCandidatePairID == "" || transport[0].LocalCertificateID == "" ||
				transport[0].RemoteCertificateID == "" || transport[0].ICELocalUsernameFragment != ufragOf(pc.LocalDescription()) {
				t.Errorf("%+v", transport)
			}
		}
		out, in := statsOf[*OutboundRTPStreamStats](p.a.GetStats()), statsOf[*InboundRTPStreamStats](p.b.GetStats())
		if len(out) != 1 || len(in) != 1 || out[0].SSRC != in[0].SSRC || out[0].PacketsSent != in[0].PacketsReceived ||
			out[0].BytesSent != in[0].BytesReceived || out[0].Mid != near.Mid() || in[0].TrackIdentifier != far.Receiver().Track().ID() {
			t.Errorf("%+v\n%+v", out, in)
		}
	})
}

func TestIDsStayFromReportToReport(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, _ := p.dataPair(nil)
		time.Sleep(time.Second)
		first := p.a.GetStats()
		p.must(a.SendText("x"))
		time.Sleep(time.Second)
		second := p.a.GetStats()
		if len(first) != len(second) {
			t.Errorf("%d objects, then %d", len(first), len(second))
		}
		for key, s := range first {
			if reflect.TypeOf(s) != reflect.TypeOf(second[key]) {
				t.Errorf("%s was a %T and is a %T", key, s, second[key])
			}
		}
	})
}

func TestDataChannelStats(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(&DataChannelInit{Protocol: ptr("proto")})
		p.must(a.SendText("hello"))
		p.must(a.Send(make([]byte, 100)))
		p.must(a.Send(nil))
		p.must(b.Send(make([]byte, 7)))
		time.Sleep(time.Second)
		for _, side := range []struct {
			pc                                   *PeerConnection
			sent, received, bytesOut, bytesInput uint64
		}{{p.a, 3, 1, 105, 7}, {p.b, 1, 3, 7, 105}} {
			s := statsOf[*DataChannelStats](side.pc.GetStats())
			if len(s) != 1 || s[0].Label != "test" || s[0].Protocol != "proto" || s[0].State != "open" ||
				s[0].DataChannelIdentifier != int32(*a.ID()) || s[0].MessagesSent != side.sent || s[0].BytesSent != side.bytesOut ||
				s[0].MessagesReceived != side.received || s[0].BytesReceived != side.bytesInput {
				t.Errorf("%+v", s[0])
			}
		}
	})
}

func TestChannelsAreCountedWhenTheyOpenAndClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		want := func(what string, pc *PeerConnection, opened, closed uint64) {
			t.Helper()
			synctest.Wait()
			s := statsOf[*PeerConnectionStats](pc.GetStats())[0]
			if s.DataChannelsOpened != opened || s.DataChannelsClosed != closed {
				t.Errorf("%s: %d opened, %d closed", what, s.DataChannelsOpened, s.DataChannelsClosed)
			}
		}
		never, err := p.a.CreateDataChannel("never opens", nil)
		p.must(err)
		want("before the connection", p.a, 0, 0)
		p.must(never.Close())
		want("closed before it opened", p.a, 0, 0)
		a, _ := p.dataPair(nil)
		want("open", p.a, 1, 0)
		want("open", p.b, 1, 0)
		p.must(a.Close())
		time.Sleep(time.Second)
		want("closed", p.a, 1, 1)
		want("closed", p.b, 1, 1)
	})
}

func TestStatsAfterClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.dataPair(nil)
		p.must(p.a.Close())
		report := p.a.GetStats()
		s := statsOf[*PeerConnectionStats](report)
		if len(s) != 1 || s[0].DataChannelsOpened != 1 {
			t.Errorf("%+v", report)
		}
		for _, s := range report {
			if reflect.TypeOf(s) == reflect.TypeFor[*TransportStats]() {
				t.Error("a transport after Close")
			}
		}
	})
}

func TestInboundStatsNameTheSimulcastLayer(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		track := p.staticRTP(vp8, "video")
		_, err := p.a.AddTrack(track)
		p.must(err)

		t.Log("# an offer that tells its streams apart by RID alone")
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		offer := *p.a.LocalDescription()
		offer.SDP = regexp.MustCompile(`a=(ssrc|ssrc-group):.*\r\n`).ReplaceAllString(offer.SDP, "") +
			"a=rid:low send\r\na=rid:high send\r\na=simulcast:send low;high\r\n"
		p.must(p.b.SetRemoteDescription(offer))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		a, b := connected(p.a), connected(p.b)
		p.must(p.a.SetRemoteDescription(*p.b.LocalDescription()))
		within(p, 10*time.Second, "a connected", a)
		within(p, 10*time.Second, "b connected", b)
		synctest.Wait()

		t.Log("# one stream comes, of the second layer")
		p.a.transport.mu.Lock()
		flow := &p.a.transport.engine.rtp.table.flows[0]
		s := flow.encodings[0].stream
		s.exts[s.extCount] = rtpflow.Extension{ID: flow.ridExtension, Data: []byte("high")}
		s.extCount++
		p.a.transport.mu.Unlock()
		p.must(track.WriteRTP(packet(1)))
		time.Sleep(time.Second)
		in := statsOf[*InboundRTPStreamStats](p.b.GetStats())
		if len(in) != 1 || in[0].RID != "high" || in[0].Mid != "0" || in[0].PacketsReceived != 1 {
			t.Errorf("%+v", in)
		}
	})
}
