package webrtc

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A SessionDescription is an offer, an answer, or a request to roll back. Its JSON form is the browser's.
// W3C: RTCSessionDescription.
type SessionDescription struct {
	Type SDPType `json:"type"`
	SDP  string  `json:"sdp"`
}

// OfferOptions modify CreateOffer. W3C: RTCOfferOptions.
type OfferOptions struct {
	// ICERestart asks for new ICE credentials, as RestartICE does for the next offer.
	ICERestart bool `json:"iceRestart,omitempty"`
}

// AnswerOptions modify CreateAnswer. There are none yet. W3C: RTCAnswerOptions.
type AnswerOptions struct{}

// An ICECandidateInit is a candidate as it travels through signaling; its JSON form is the browser's. An empty
// Candidate says that there are no more of them. W3C: RTCIceCandidateInit.
type ICECandidateInit struct {
	Candidate        string  `json:"candidate"`
	SDPMid           *string `json:"sdpMid"`
	SDPMLineIndex    *uint16 `json:"sdpMLineIndex"`
	UsernameFragment *string `json:"usernameFragment"`
}

// An ICECandidate is a local candidate. W3C: RTCIceCandidate.
type ICECandidate struct {
	Foundation     string
	Component      uint16
	Priority       uint32
	Address        string
	Protocol       ICEProtocol
	Port           uint16
	Typ            ICECandidateType
	TCPType        string
	RelatedAddress string
	RelatedPort    uint16
	// URL is the server that a reflexive or relayed candidate was gathered by, and RelayProtocol how the one of a relayed
	// candidate is reached: "udp", "tcp", "tls", or "dtls", of which W3C does not know. Both are empty for those of the peer.
	RelayProtocol    string
	URL              string
	UsernameFragment string
	SDPMid           string
	SDPMLineIndex    uint16

	text string // the candidate attribute's value
}

// String returns the value of the candidate attribute, "candidate:…".
func (c *ICECandidate) String() string { return c.text }

// ToJSON returns the form that travels through signaling.
func (c *ICECandidate) ToJSON() ICECandidateInit {
	mid, index, ufrag := c.SDPMid, c.SDPMLineIndex, c.UsernameFragment
	return ICECandidateInit{Candidate: c.text, SDPMid: &mid, SDPMLineIndex: &index, UsernameFragment: &ufrag}
}

// MarshalJSON writes the browser's form.
func (c *ICECandidate) MarshalJSON() ([]byte, error) { return json.Marshal(c.ToJSON()) }

// check refuses a type that there is none of. Its error is a TypeError.
func (d SessionDescription) check() error {
	switch d.Type {
	case SDPTypeOffer, SDPTypePranswer, SDPTypeAnswer, SDPTypeRollback:
		return nil
	}
	return typeError("session description of type %v", d.Type)
}

// candidateText strips the attribute's name, which browsers send and some applications keep.
func candidateText(s string) string {
	return strings.TrimPrefix(strings.TrimSpace(s), "a=")
}

func (i ICECandidateInit) String() string {
	mid := "nil"
	if i.SDPMid != nil {
		mid = *i.SDPMid
	}
	return fmt.Sprintf("%s (mid %s)", i.Candidate, mid)
}
