package webrtc

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/internal/netsim"
)

// cut takes the wires of both sides away, or gives them back.
func (p *pair) cut(down bool) {
	p.live.Do(func(n *netsim.Network) {
		for _, h := range n.Hosts() {
			for _, i := range h.Interfaces() {
				i.Up.SetDown(down)
			}
		}
	})
}

// stateLog records the states of ICE and of the connection, in the order of the events.
func stateLog(pc *PeerConnection) *[]string {
	log := new([]string)
	pc.OnICEConnectionStateChange(func(s ICEConnectionState) { *log = append(*log, "ice "+s.String()) })
	pc.OnConnectionStateChange(func(s PeerConnectionState) { *log = append(*log, s.String()) })
	return log
}

func TestStatesOnTheWayUp(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := stateLog(p.a), stateLog(p.b)
		p.dataPair(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, log := range [][]string{*a, *b} {
			log = slices.DeleteFunc(slices.Clone(log), func(s string) bool { return s == "ice completed" })
			if want := []string{"ice checking", "connecting", "ice connected", "connected"}; !slices.Equal(log, want) {
				t.Errorf("%q, want %q", log, want)
			}
		}
	})
}

func TestABlackoutThatEnds(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		log := stateLog(p.a)
		p.cut(true)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if want := []string{"ice disconnected", "disconnected"}; !slices.Equal(*log, want) {
			t.Errorf("%q, want %q", *log, want)
		}
		p.must(a.SendText("sent in the dark"))
		got := make(chan string, 1)
		b.OnMessage(func(m DataChannelMessage) { got <- string(m.Data) })
		p.cut(false)
		if m := within(p, time.Minute, "message", got); m != "sent in the dark" {
			t.Errorf("%q", m)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.a.ConnectionState() != PeerConnectionStateConnected || p.b.ConnectionState() != PeerConnectionStateConnected {
			t.Errorf("%v and %v", p.a.ConnectionState(), p.b.ConnectionState())
		}
	})
}

func TestAnICERestartRevivesAFailedConnection(t *testing.T) {
	for name, restarter := range map[string]func(p *pair) (from, to *PeerConnection){
		"by the offerer":  func(p *pair) (from, to *PeerConnection) { return p.a, p.b },
		"by the answerer": func(p *pair) (from, to *PeerConnection) { return p.b, p.a },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, pairOptions{}, func(p *pair) {
				a, b := p.dataPair(nil)
				p.cut(true)
				time.Sleep(time.Minute)
				if p.a.ConnectionState() != PeerConnectionStateFailed || p.b.ConnectionState() != PeerConnectionStateFailed {
					t.Fatalf("%v and %v", p.a.ConnectionState(), p.b.ConnectionState())
				}
				p.cut(false)
				from, to := restarter(p)
				from.RestartICE()
				p.negotiate(from, to)
				time.Sleep(10 * time.Second)
				for _, pc := range []*PeerConnection{p.a, p.b} {
					if pc.ConnectionState() != PeerConnectionStateConnected || pc.DTLSState() != DTLSTransportStateConnected {
						t.Errorf("connection %v, DTLS %v", pc.ConnectionState(), pc.DTLSState())
					}
				}
				if a.ReadyState() != DataChannelStateOpen || b.ReadyState() != DataChannelStateOpen {
					t.Fatalf("channels %v and %v", a.ReadyState(), b.ReadyState())
				}
				time.Sleep(time.Minute) // SCTP's retransmission timer has backed off
				checkEcho(p, a, b)
			})
		})
	}
}

func TestWithoutAPathTheConnectionFails(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.cut(true)
		log := stateLog(p.a)
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		dc.OnOpen(func() { t.Error("open") })
		p.negotiate(p.a, p.b)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if want := []string{"ice checking", "connecting", "ice failed", "failed"}; !slices.Equal(*log, want) {
			t.Errorf("%q, want %q", *log, want)
		}
		if s := dc.ReadyState(); s != DataChannelStateConnecting {
			t.Errorf("the channel is %v: a restart could still open it", s)
		}
		p.cut(false)
		open := make(chan struct{})
		dc.OnOpen(func() { close(open) })
		p.a.RestartICE()
		p.negotiate(p.a, p.b)
		within(p, time.Minute, "open after a restart", open)
	})
}

func TestTheICEAndDTLSRoles(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		p.dataPair(nil)
		near, far := p.a.SCTP().Transport(), p.b.SCTP().Transport()
		if near.ICETransport().Role() != ICERoleControlling || far.ICETransport().Role() != ICERoleControlled {
			t.Errorf("roles %v and %v", near.ICETransport().Role(), far.ICETransport().Role())
		}
		local, remote := near.ICETransport().GetSelectedCandidatePair(), far.ICETransport().GetSelectedCandidatePair()
		if local == nil || remote == nil || local.Local.Port != remote.Remote.Port || local.Remote.Port != remote.Local.Port {
			t.Errorf("pairs %+v and %+v", local, remote)
		}
		if certs := near.GetRemoteCertificates(); len(certs) != 1 || string(certs[0]) != string(p.b.certificate.der) {
			t.Error("another certificate")
		}
	})
}
