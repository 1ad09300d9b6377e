package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/ice/turn/turnserver"
)

// startServer runs our own server on this host until the test ends, at the same ports as coturn.
func startServer(t *testing.T, cert tls.Certificate) *turnserver.Server {
	t.Helper()
	plain, err := net.Listen("tcp", labAddr+":"+turnPort)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	secure, err := tls.Listen("tcp", labAddr+":"+turnSecurePort, config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := turnserver.Start(turnserver.Config{
		Server: turn.ServerConfig{
			Realm: "lab", Auth: turn.StaticUsers(map[string]string{turnUser: turnPassword}),
			AllowPeers: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd77::/64")}, // all are on this host
		},
		Streams: []net.Listener{plain, secure}, TLS: config,
		UDP:  []netip.AddrPort{netip.MustParseAddrPort(labAddr + ":" + turnPort), netip.MustParseAddrPort("[" + labAddr6 + "]:" + turnPort)},
		DTLS: []netip.AddrPort{netip.MustParseAddrPort(labAddr + ":" + turnSecurePort), netip.MustParseAddrPort("[" + labAddr6 + "]:" + turnSecurePort)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// TestRelayThroughOurServer makes calls between two peers of which each can be reached through our server alone.
func TestRelayThroughOurServer(t *testing.T) {
	lab.Alone(t)
	cert, _, _, trust := turnCertificate(t)
	server := startServer(t, cert)
	for _, way := range turnTransports {
		t.Run(way.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, q := relayOnly(t, way.url, trust, true), relayOnly(t, way.url, trust, true)
			if err := p.dial(ctx, q); err != nil {
				t.Fatal(err)
			}
			for _, each := range []*goPeer{p, q} {
				if err := each.roundTrip(ctx, make([]byte, 64<<10), false); err != nil {
					t.Fatal(err)
				}
				if err := each.received.wait(ctx, 5, 10); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.selected(); got != "relay by "+way.name+" to relay" {
				t.Errorf("the call goes from %s", got)
			}
			t.Logf("%+v", server.Stats())
		})
	}
}

// TestRelaysOfBothFamilies reaches our server by IPv6, and is given a relayed address of each family (RFC 8656 §7.1).
func TestRelaysOfBothFamilies(t *testing.T) {
	lab.Alone(t)
	cert, _, _, trust := turnCertificate(t)
	startServer(t, cert)
	for name, url := range map[string]string{"udp": "turn:[" + labAddr6 + "]", "dtls": "turns:[" + labAddr6 + "]?transport=udp"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			p, q := relayOnly(t, url, trust, false), relayOnly(t, url, trust, false)
			complete := webrtc.GatheringCompletePromise(p.pc)
			if err := p.dial(ctx, q); err != nil {
				t.Fatal(err)
			}
			if err := p.roundTrip(ctx, make([]byte, 64<<10), false); err != nil {
				t.Fatal(err)
			}
			<-complete
			sdp := p.pc.LocalDescription().SDP
			for _, addr := range []string{labAddr, labAddr6} {
				relays := regexp.MustCompile(" udp [0-9]+ "+regexp.QuoteMeta(addr)+" [0-9]+ typ relay ").FindAllString(sdp, -1)
				if len(relays) != 1 {
					t.Errorf("%d relays at %s in\n%s", len(relays), addr, sdp)
				}
			}
		})
	}
}

// TestBrowsersThroughOurServer makes calls with browsers that can be reached through our TURN server alone.
func TestBrowsersThroughOurServer(t *testing.T) {
	lab.Alone(t)
	cert, _, _, _ := turnCertificate(t)
	relays := startServer(t, cert)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			b, url := launchWith(t, kind, browser.Options{TrustAll: true, Names: labAddr})
			for i, way := range turnTransports[:3] {
				t.Run(way.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					server := way.url
					if kind == browser.Firefox { // which asks for certificates of names alone
						server = strings.Replace(server, labAddr, "turn.lab", 1)
					}
					c := call{goOffers: i != 1, media: true, config: &webrtc.Configuration{
						ICETransportPolicy: webrtc.ICETransportPolicyRelay, ICEServers: []webrtc.ICEServer{turnServer(server)},
					}}
					before := relays.Stats()
					s := c.run(ctx, t, newGoPeer(t, true), open(ctx, t, b, url))
					if s.Local.CandidateType != "relay" || s.Local.RelayProtocol != way.name {
						t.Errorf("the browser's candidate is %+v", s.Local)
					}
					after := relays.Stats()
					t.Logf("%d packets to the browser, %d from it", after.ToClients-before.ToClients, after.ToPeers-before.ToPeers)
				})
			}
		})
	}
}
