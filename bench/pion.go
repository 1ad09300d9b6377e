package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	pion "github.com/pion/webrtc/v4"
)

// pionStack is github.com/pion/webrtc with its default codecs and interceptors.
type pionStack struct{ api *pion.API }

func newPion() (stack, error) { return newPionWith(pion.SettingEngine{}), nil }

// newPionWith is pion with some settings; those about addresses are set here.
func newPionWith(s pion.SettingEngine) stack { return newPionOver(s, pion.NetworkTypeUDP4) }

// newPionOver is newPionWith over another kind of network.
func newPionOver(s pion.SettingEngine, network pion.NetworkType) stack {
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(isLoopback)
	s.SetNetworkTypes([]pion.NetworkType{network})
	return &pionStack{api: pion.NewAPI(pion.WithSettingEngine(s))}
}

// pionBuffer is what this library asks the system for, too.
const pionBuffer = 4 << 20

// largeSockets is the system's network with large socket buffers, which pion does not ask for.
type largeSockets struct{ transport.Net }

func (n largeSockets) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	return conn, errors.Join(conn.SetReadBuffer(pionBuffer), conn.SetWriteBuffer(pionBuffer))
}

// withLargeSockets runs a scenario with pion on largeSockets.
func withLargeSockets(run func(stack, env) (map[string]float64, error)) func(stack, env) (map[string]float64, error) {
	return func(_ stack, e env) (map[string]float64, error) {
		system, err := stdnet.NewNet()
		if err != nil {
			return nil, err
		}
		var s pion.SettingEngine
		s.SetNet(largeSockets{system})
		return run(newPionWith(s), e)
	}
}

func (s *pionStack) newPeer() (peer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := pion.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	pc, err := s.api.NewPeerConnection(pion.Configuration{Certificates: []pion.Certificate{*cert}})
	if err != nil {
		return nil, err
	}
	return &pionPeer{pc: pc}, nil
}

func (s *pionStack) newTrack(id string) (track, error) {
	return pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeVP8}, id, "bench")
}

type pionPeer struct{ pc *pion.PeerConnection }

func (p *pionPeer) createChannel(label string, d delivery) (channel, error) {
	var init pion.DataChannelInit
	ordered, again := d == reliable, uint16(0)
	init.Ordered = &ordered
	if d == unreliable {
		init.MaxRetransmits = &again
	}
	dc, err := p.pc.CreateDataChannel(label, &init)
	if err != nil {
		return nil, err
	}
	return pionChannel{dc}, nil
}

func (p *pionPeer) onChannel(f func(channel)) {
	p.pc.OnDataChannel(func(dc *pion.DataChannel) { f(pionChannel{dc}) })
}

func (p *pionPeer) addTrack(t track) error {
	local, ok := t.(pion.TrackLocal)
	if !ok {
		return errors.New("a track of another library")
	}
	sender, err := p.pc.AddTrack(local)
	if err != nil {
		return err
	}
	// The interceptors see RTCP only while the application reads it.
	go func() {
		buf := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buf); err != nil {
				return
			}
		}
	}()
	return nil
}

func (p *pionPeer) onTrack(f func(remoteTrack)) {
	p.pc.OnTrack(func(t *pion.TrackRemote, _ *pion.RTPReceiver) { f(pionTrack{t}) })
}

func (p *pionPeer) offer() (string, error) {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return p.setLocal(offer)
}

func (p *pionPeer) answer(offer string) (string, error) {
	err := p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return p.setLocal(answer)
}

func (p *pionPeer) setLocal(d pion.SessionDescription) (string, error) {
	gathered := make(chan struct{})
	p.pc.OnICECandidate(func(c *pion.ICECandidate) {
		if c == nil {
			close(gathered)
		}
	})
	if err := p.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	if err := wait(gathered, "candidates"); err != nil {
		return "", err
	}
	return p.pc.LocalDescription().SDP, nil
}

func (p *pionPeer) accept(answer string) error {
	return p.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer})
}

func (p *pionPeer) close() error { return p.pc.Close() }

type pionChannel struct{ dc *pion.DataChannel }

func (c pionChannel) onOpen(f func())          { c.dc.OnOpen(f) }
func (c pionChannel) send(b []byte) error      { return c.dc.Send(b) }
func (c pionChannel) bufferedAmount() uint64   { return c.dc.BufferedAmount() }
func (c pionChannel) setLowThreshold(n uint64) { c.dc.SetBufferedAmountLowThreshold(n) }
func (c pionChannel) onLow(f func())           { c.dc.OnBufferedAmountLow(f) }

func (c pionChannel) onMessage(f func([]byte)) {
	c.dc.OnMessage(func(m pion.DataChannelMessage) { f(m.Data) })
}

type pionTrack struct{ t *pion.TrackRemote }

func (t pionTrack) Read(b []byte) (int, error) {
	n, _, err := t.t.Read(b)
	return n, err
}
