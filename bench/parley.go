package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/netip"

	"github.com/openparley/webrtc"
)

// parleyStack is this library with its default settings.
type parleyStack struct{ api *webrtc.API }

func newParley() (stack, error) { return newParleyWith(webrtc.Settings{}) }

// newParleyWith is this library with some settings; those about addresses are set here.
func newParleyWith(s webrtc.Settings) (stack, error) {
	s.IncludeLoopback, s.InterfaceFilter, s.IPFilter = true, isLoopback, netip.Addr.Is4
	api, err := webrtc.NewAPI(s)
	if err != nil {
		return nil, err
	}
	return &parleyStack{api: api}, nil
}

func (s *parleyStack) newPeer() (peer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	pc, err := s.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}})
	if err != nil {
		return nil, err
	}
	return &parleyPeer{pc: pc}, nil
}

func (s *parleyStack) newTrack(id string) (track, error) {
	return webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, id, "bench")
}

type parleyPeer struct{ pc *webrtc.PeerConnection }

func (p *parleyPeer) createChannel(label string, d delivery) (channel, error) {
	var init webrtc.DataChannelInit
	ordered, again := d == reliable, uint16(0)
	init.Ordered = &ordered
	if d == unreliable {
		init.MaxRetransmits = &again
	}
	dc, err := p.pc.CreateDataChannel(label, &init)
	if err != nil {
		return nil, err
	}
	return parleyChannel{dc}, nil
}

func (p *parleyPeer) onChannel(f func(channel)) {
	p.pc.OnDataChannel(func(dc *webrtc.DataChannel) { f(parleyChannel{dc}) })
}

func (p *parleyPeer) addTrack(t track) error {
	local, ok := t.(webrtc.TrackLocal)
	if !ok {
		return errors.New("a track of another library")
	}
	_, err := p.pc.AddTrack(local)
	return err
}

func (p *parleyPeer) onTrack(f func(remoteTrack)) {
	p.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { f(t) })
}

func (p *parleyPeer) offer() (string, error) {
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return p.setLocal(offer)
}

func (p *parleyPeer) answer(offer string) (string, error) {
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return "", err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return p.setLocal(answer)
}

func (p *parleyPeer) setLocal(d webrtc.SessionDescription) (string, error) {
	gathered := make(chan struct{})
	p.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
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

func (p *parleyPeer) accept(answer string) error {
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

func (p *parleyPeer) close() error { return p.pc.Close() }

type parleyChannel struct{ dc *webrtc.DataChannel }

func (c parleyChannel) onOpen(f func())          { c.dc.OnOpen(f) }
func (c parleyChannel) send(b []byte) error      { return c.dc.Send(b) }
func (c parleyChannel) bufferedAmount() uint64   { return c.dc.BufferedAmount() }
func (c parleyChannel) setLowThreshold(n uint64) { c.dc.SetBufferedAmountLowThreshold(n) }
func (c parleyChannel) onLow(f func())           { c.dc.OnBufferedAmountLow(f) }

func (c parleyChannel) onMessage(f func([]byte)) {
	c.dc.OnMessage(func(m webrtc.DataChannelMessage) { f(m.Data) })
}
