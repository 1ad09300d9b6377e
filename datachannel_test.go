package webrtc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

func TestDataChannelEcho(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.b.OnDataChannel(func(d *DataChannel) {
			d.OnMessage(func(m DataChannelMessage) {
				if m.IsString {
					p.must(d.SendText("echo " + string(m.Data)))
				} else {
					p.must(d.Send(m.Data))
				}
			})
		})
		dc, err := p.a.CreateDataChannel("chat", nil)
		p.must(err)
		got := make(chan DataChannelMessage, 10)
		dc.OnMessage(func(m DataChannelMessage) { got <- m })
		open := opened(dc)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		p.must(dc.SendText("hello"))
		if m := within(p, time.Second, "text", got); !m.IsString || string(m.Data) != "echo hello" {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		p.must(dc.Send([]byte{1, 2, 3}))
		if m := within(p, time.Second, "binary", got); m.IsString || string(m.Data) != "\x01\x02\x03" {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		p.must(dc.Send(nil))
		if m := within(p, time.Second, "empty", got); m.IsString || len(m.Data) != 0 {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		p.must(dc.SendText(""))
		if m := within(p, time.Second, "empty text", got); !m.IsString || string(m.Data) != "echo " {
			t.Errorf("got %q, string %v", m.Data, m.IsString)
		}
		wantError(t, "text that is not UTF-8", dc.SendText("\xff"), &TypeError{})
	})
}

func TestDataChannelDefaults(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		if dc.Label() != "" || dc.Protocol() != "" || !dc.Ordered() || dc.Negotiated() || dc.MaxPacketLifeTime() != nil ||
			dc.MaxRetransmits() != nil || dc.ID() != nil || dc.ReadyState() != DataChannelStateConnecting ||
			dc.BufferedAmount() != 0 || dc.BufferedAmountLowThreshold() != 0 {
			t.Errorf("%+v", dc)
		}
		wantError(t, "Send", dc.Send([]byte("x")), &InvalidStateError{})
		wantError(t, "Send", dc.Send([]byte("x")), ErrDataChannelNotOpen)
		wantError(t, "SendText", dc.SendText("x"), &InvalidStateError{})
		if p.a.SCTP() != nil {
			t.Error("an SCTP transport before negotiation")
		}
	})
}

func TestDataChannelOptionsAreChecked(t *testing.T) {
	long, longest := strings.Repeat("ä", 32768), strings.Repeat("a", 65535)
	for name, c := range map[string]struct {
		label string
		init  *DataChannelInit
		want  error
	}{
		"longest label":             {longest, nil, nil},
		"long label":                {long, nil, &TypeError{}},
		"longest protocol":          {"", &DataChannelInit{Protocol: &longest}, nil},
		"long protocol":             {"", &DataChannelInit{Protocol: &long}, &TypeError{}},
		"both limits":               {"", &DataChannelInit{MaxRetransmits: ptr(uint16(0)), MaxPacketLifeTime: ptr(uint16(0))}, &TypeError{}},
		"negotiated without an id":  {"", &DataChannelInit{Negotiated: ptr(true)}, &TypeError{}},
		"negotiated with id 65535":  {"", &DataChannelInit{Negotiated: ptr(true), ID: ptr(uint16(65535))}, &TypeError{}},
		"negotiated with id 65534":  {"", &DataChannelInit{Negotiated: ptr(true), ID: ptr(uint16(65534))}, nil},
		"an id that does not count": {"", &DataChannelInit{ID: ptr(uint16(65535))}, nil},
		"no such priority":          {"", &DataChannelInit{Priority: 7}, &TypeError{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{quiet: true}, func(p *pair) {
				dc, err := p.a.CreateDataChannel(c.label, c.init)
				wantError(t, name, err, c.want)
				if err == nil && name == "an id that does not count" && dc.ID() != nil {
					t.Errorf("id %d", *dc.ID())
				}
				offer, err := p.a.CreateOffer(nil)
				p.must(err)
				if strings.Contains(offer.SDP, "m=application") != (c.want == nil) {
					t.Errorf("the offer is\n%s", offer.SDP)
				}
			})
		})
	}
}

func TestDataChannelOptionsArriveAtThePeer(t *testing.T) {
	for name, init := range map[string]*DataChannelInit{
		"reliable":  {Protocol: ptr("chat/1"), Priority: PriorityHigh},
		"unordered": {Ordered: ptr(false)},
		"lifetime":  {MaxPacketLifeTime: ptr(uint16(1500))},
		"attempts":  {Ordered: ptr(false), MaxRetransmits: ptr(uint16(3))},
		"no limit":  {MaxRetransmits: ptr(uint16(0))},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				a, b := p.dataPair(init)
				type options struct{ label, protocol, ordered, lifetime, retransmits string }
				read := func(d *DataChannel) options {
					o := options{d.Label(), d.Protocol(), fmt.Sprint(d.Ordered()), "nil", "nil"}
					if v := d.MaxPacketLifeTime(); v != nil {
						o.lifetime = fmt.Sprint(*v)
					}
					if v := d.MaxRetransmits(); v != nil {
						o.retransmits = fmt.Sprint(*v)
					}
					return o
				}
				if near, far := read(a), read(b); near != far {
					t.Errorf("%+v arrives as %+v", near, far)
				}
				if b.Negotiated() || *a.ID() != *b.ID() {
					t.Errorf("negotiated %v, ids %d and %d", b.Negotiated(), *a.ID(), *b.ID())
				}
			})
		})
	}
}

func TestIDsFollowTheDTLSRole(t *testing.T) {
	for _, role := range []DTLSRole{DTLSRoleClient, DTLSRoleServer} {
		t.Run(role.String(), func(t *testing.T) {
			inBubble(t, pairOptions{settings: func(_ string, s *Settings) { s.AnsweringDTLSRole = role }}, func(p *pair) {
				p.b.OnDataChannel(func(*DataChannel) {})
				fromB, err := p.b.CreateDataChannel("", nil)
				p.must(err)
				open := opened(fromB)
				a, _ := p.dataPair(nil)
				within(p, 5*time.Second, "open", open)
				// RFC 8832, section 6: the client's are even.
				answerer := uint16(0)
				if role == DTLSRoleServer {
					answerer = 1
				}
				if *fromB.ID() != answerer || *a.ID() != 1-answerer {
					t.Errorf("the answerer has id %d, the offerer %d", *fromB.ID(), *a.ID())
				}
			})
		})
	}
}

func TestNegotiatedChannels(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		for _, pc := range []*PeerConnection{p.a, p.b} {
			pc.OnDataChannel(func(d *DataChannel) { t.Errorf("channel %q is announced", d.Label()) })
		}
		init := &DataChannelInit{Negotiated: ptr(true), ID: ptr(uint16(7))}
		a, err := p.a.CreateDataChannel("a", init)
		p.must(err)
		if !a.Negotiated() || *a.ID() != 7 {
			t.Errorf("id %d", *a.ID())
		}
		_, err = p.a.CreateDataChannel("again", init)
		wantError(t, "an id that waits", err, &OperationError{})
		open := opened(a)
		p.negotiate(p.a, p.b)
		within(p, 5*time.Second, "open", open)
		b, err := p.b.CreateDataChannel("b", init)
		p.must(err)
		within(p, time.Second, "open", opened(b))
		_, err = p.a.CreateDataChannel("again", init)
		wantError(t, "an id that is open", err, &OperationError{})
		checkEcho(p, a, b)
	})
}

func TestAnIDIsFreeAgainAfterClose(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, _ := p.dataPair(nil)
		for i := range 20 {
			id := *a.ID()
			closed := make(chan struct{})
			a.OnClose(func() { close(closed) })
			p.must(a.Close())
			within(p, 5*time.Second, "close", closed)
			synctest.Wait() // the id is free when the handler has returned
			remote := make(chan *DataChannel, 1)
			p.b.OnDataChannel(func(d *DataChannel) { remote <- d })
			var err error
			a, err = p.a.CreateDataChannel(fmt.Sprint(i), nil)
			p.must(err)
			within(p, 5*time.Second, "open", opened(a))
			if b := within(p, 5*time.Second, "channel", remote); *a.ID() != id || b.Label() != fmt.Sprint(i) {
				t.Errorf("id %d after %d, label %q", *a.ID(), id, b.Label())
			} else {
				checkEcho(p, a, b)
			}
		}
	})
}

func TestOpenComesBeforeTheFirstMessage(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		var log []string
		p.b.OnDataChannel(func(d *DataChannel) {
			log = append(log, "datachannel "+d.ReadyState().String())
			d.OnOpen(func() { log = append(log, "open "+d.ReadyState().String()) })
			d.OnMessage(func(m DataChannelMessage) { log = append(log, "message "+string(m.Data)) })
			p.must(d.SendText("from the handler"))
		})
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		dc.OnOpen(func() { p.must(dc.SendText("hello")) })
		got := make(chan string, 1)
		dc.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
		p.negotiate(p.a, p.b)
		if m := within(p, 5*time.Second, "message", got); m != "from the handler" {
			t.Errorf("%q", m)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"datachannel open", "open open", "message hello"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
	})
}

func TestALateOpenHandlerIsCalled(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		synctest.Wait()
		within(p, time.Second, "open", opened(a))
		within(p, time.Second, "open", opened(b))
	})
}

func TestChannelsMadeInsideHandlers(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		labels := make(chan string, 10)
		make1 := func(pc *PeerConnection, label string) {
			d, err := pc.CreateDataChannel(label, nil)
			p.must(err)
			d.OnOpen(func() { labels <- label })
		}
		p.b.OnDataChannel(func(d *DataChannel) {
			switch d.Label() {
			case "first":
				make1(p.b, "in OnDataChannel")
				d.OnMessage(func(DataChannelMessage) { make1(p.b, "in OnMessage") })
			case "to be closed":
				d.OnOpen(func() { p.must(d.Close()) })
			}
		})
		first, err := p.a.CreateDataChannel("first", nil)
		p.must(err)
		first.OnOpen(func() {
			make1(p.a, "in OnOpen")
			p.must(first.SendText("x"))
		})
		closing, err := p.a.CreateDataChannel("to be closed", nil)
		p.must(err)
		closing.OnClose(func() { make1(p.a, "in OnClose") })
		p.negotiate(p.a, p.b)
		var got []string
		for range 4 {
			got = append(got, within(p, 5*time.Second, "open", labels))
		}
		slices.Sort(got)
		if want := []string{"in OnClose", "in OnDataChannel", "in OnMessage", "in OnOpen"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestAHundredChannels(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		got := make(chan string, 1000)
		for _, pc := range []*PeerConnection{p.a, p.b} {
			pc.OnDataChannel(func(d *DataChannel) {
				d.OnMessage(func(m DataChannelMessage) {
					if string(m.Data) != d.Label() {
						t.Errorf("channel %q got %q", d.Label(), m.Data)
					}
					got <- d.Label()
				})
			})
		}
		ids := map[uint16]bool{}
		var channels []*DataChannel
		for i := range 100 {
			for name, pc := range map[string]*PeerConnection{"a": p.a, "b": p.b} {
				d, err := pc.CreateDataChannel(fmt.Sprint(name, i), nil)
				p.must(err)
				d.OnOpen(func() { p.must(d.SendText(d.Label())) })
				channels = append(channels, d)
			}
		}
		p.negotiate(p.a, p.b)
		for range 200 {
			within(p, 10*time.Second, "message", got)
		}
		for _, d := range channels {
			if ids[*d.ID()] {
				t.Errorf("id %d twice", *d.ID())
			}
			ids[*d.ID()] = true
		}
	})
}

func TestAChannelAfterTheConnection(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.dataPair(nil)
		needed := countNeeded(p.a)
		remote := make(chan *DataChannel, 1)
		p.b.OnDataChannel(func(d *DataChannel) { remote <- d })
		late, err := p.a.CreateDataChannel("late", nil)
		p.must(err)
		within(p, time.Second, "open", opened(late))
		checkEcho(p, late, within(p, time.Second, "channel", remote))
		needed.want(t, "a second channel", 0)
	})
}

func TestADataSectionIsAddedToACall(t *testing.T) {
	for name, offerer := range map[string]func(p *pair) (from, to *PeerConnection){
		"by the offerer":  func(p *pair) (from, to *PeerConnection) { return p.a, p.b },
		"by the answerer": func(p *pair) (from, to *PeerConnection) { return p.b, p.a },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				_, far, track := p.negotiatedTrack()
				from, to := offerer(p)
				remote := make(chan *DataChannel, 1)
				to.OnDataChannel(func(d *DataChannel) { remote <- d })
				dc, err := from.CreateDataChannel("", nil)
				p.must(err)
				open := opened(dc)
				if from.SCTP() != nil {
					t.Error("an SCTP transport before it was negotiated")
				}
				p.negotiate(from, to)
				within(p, 5*time.Second, "open", open)
				checkEcho(p, dc, within(p, time.Second, "channel", remote))
				p.must(track.WriteRTP(packet(1, 'x')))
				if _, err := far.Receiver().Track().ReadRTP(); err != nil {
					t.Error(err)
				}
				if s := from.SCTP(); s == nil || s.State() != SCTPTransportStateConnected {
					t.Error("no SCTP transport")
				}
			})
		})
	}
}

func TestUnreliableChannelsOnABadNetwork(t *testing.T) {
	link := netsim.LinkConfig{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.1}
	for name, init := range map[string]*DataChannelInit{
		"no retransmission": {Ordered: ptr(false), MaxRetransmits: ptr(uint16(0))},
		"ordered, partial":  {MaxRetransmits: ptr(uint16(1))},
		"lifetime":          {Ordered: ptr(false), MaxPacketLifeTime: ptr(uint16(40))},
		"unordered":         {Ordered: ptr(false)},
		"reliable":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{link: &link, seed: 3}, func(p *pair) {
				a, b := p.dataPair(init)
				var got []int
				b.OnMessage(func(m DataChannelMessage) {
					var n int
					_, err := fmt.Sscan(string(m.Data), &n)
					p.must(err)
					got = append(got, n)
				})
				const total = 500
				for i := range total {
					p.must(a.SendText(fmt.Sprint(i)))
					time.Sleep(5 * time.Millisecond)
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if b.Ordered() && !slices.IsSorted(got) {
					t.Error("out of order")
				}
				slices.Sort(got)
				if n := len(slices.Compact(slices.Clone(got))); n != len(got) {
					t.Errorf("%d messages came twice", len(got)-n)
				}
				reliable := b.MaxRetransmits() == nil && b.MaxPacketLifeTime() == nil
				if reliable != (len(got) == total) || len(got) < total*3/4 {
					t.Errorf("%d of %d messages", len(got), total)
				}
			})
		})
	}
}
