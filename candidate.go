package webrtc

import (
	"strings"

	"github.com/openparley/webrtc/ice"
)

// An ICECandidatePair is a pair of candidates. W3C: RTCIceCandidatePair.
type ICECandidatePair struct {
	Local  *ICECandidate
	Remote *ICECandidate
}

// An ICECandidateError tells of a failure of gathering. W3C: RTCPeerConnectionIceErrorEvent.
type ICECandidateError struct {
	// Address and Port are the local ones; empty when the error belongs to none.
	Address string
	Port    uint16
	// URL is the server; empty when the error belongs to none.
	URL string
	// ErrorCode is the server's, or 701 when it could not be reached.
	ErrorCode int
	ErrorText string
}

func newICECandidate(c ice.Candidate) *ICECandidate {
	o := &ICECandidate{
		Foundation: c.Foundation, Component: c.Component, Priority: c.Priority,
		Address: c.Host, Port: c.Addr.Port(), TCPType: c.TCPType,
		URL: c.URL, UsernameFragment: c.Ufrag, text: c.String(),
	}
	if c.Host == "" {
		o.Address = c.Addr.Addr().String()
	}
	_ = o.Protocol.UnmarshalText([]byte(c.Transport)) // an unknown one stays zero
	switch c.Type {
	case ice.TypeHost:
		o.Typ = ICECandidateTypeHost
	case ice.TypeServerReflexive:
		o.Typ = ICECandidateTypeSrflx
	case ice.TypePeerReflexive:
		o.Typ = ICECandidateTypePrflx
	case ice.TypeRelay:
		o.Typ = ICECandidateTypeRelay
		if c.URL != "" {
			o.RelayProtocol = c.Relay.String()
		}
	}
	if c.Related.IsValid() {
		o.RelatedAddress, o.RelatedPort = c.Related.Addr().String(), c.Related.Port()
	}
	return o
}

// attribute returns the value of a=candidate, without the attribute's name.
func (c *ICECandidate) attribute() string { return strings.TrimPrefix(c.text, "candidate:") }
