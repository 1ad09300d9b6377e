package webrtc_test

import (
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/openparley/webrtc"
)

// One UDP port and one goroutine for the callbacks serve all connections of a server.
func ExampleNewUDPMux() {
	mux, err := webrtc.NewUDPMux(webrtc.UDPMuxConfig{Local: netip.MustParseAddrPort("0.0.0.0:3478")})
	if err != nil {
		log.Fatal(err)
	}
	loop := webrtc.NewSharedLoop()
	api, err := webrtc.NewAPI(webrtc.Settings{UDPMux: mux, SignalingLoop: loop})
	if err != nil {
		log.Fatal(err)
	}
	// For each peer: a connection, negotiated as always.
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		log.Fatal(err)
	}
	// In the end: the connections, then what they share.
	_ = pc.Close()
	<-pc.Done()
	loop.Close()
	_ = mux.Close()
}

// Where the network lets nothing out but by the proxy of HTTPS_PROXY, a TURN server by TLS is still reached.
func ExampleSettings_serverProxy() {
	api, err := webrtc.NewAPI(webrtc.Settings{
		ServerProxy: func(server *url.URL) (*url.URL, error) {
			return http.ProxyFromEnvironment(&http.Request{URL: server})
		},
	})
	if err != nil {
		log.Print(err)
		return
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{ICEServers: []webrtc.ICEServer{{
		URLs: []string{"turns:turn.example.org:443"}, Username: "alice", Credential: "wonderland",
	}}})
	if err != nil {
		log.Print(err)
		return
	}
	defer pc.Close()
	fmt.Println(pc.ConnectionState())
	// Output: new
}
