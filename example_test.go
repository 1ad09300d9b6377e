package webrtc_test

import (
	"log"
	"net/netip"

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
