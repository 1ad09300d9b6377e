package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
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
	secure, err := tls.Listen("tcp", labAddr+":"+turnSecurePort, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server, err := turnserver.Start(turnserver.Config{
		Server: turn.ServerConfig{
			Realm: "lab", Auth: turn.StaticUsers(map[string]string{turnUser: turnPassword}),
			AllowPeers: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}, // both peers are on this host
		},
		UDP: []netip.AddrPort{netip.MustParseAddrPort(labAddr + ":" + turnPort)}, Streams: []net.Listener{plain, secure},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
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
