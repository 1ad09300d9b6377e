package webrtc

import (
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// NetworkType is a transport and an address family of candidates.
type NetworkType int

// The values of NetworkType.
const (
	NetworkTypeUDP4 NetworkType = iota + 1
	NetworkTypeUDP6
	NetworkTypeTCP4
	NetworkTypeTCP6
)

var networkTypeWords = []string{"unknown", "udp4", "udp6", "tcp4", "tcp6"}

// String returns the name that package net has for it.
func (v NetworkType) String() string { return enumWord(networkTypeWords, int(v)) }

// MarshalText implements encoding.TextMarshaler.
func (v NetworkType) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its error is a TypeError.
func (v *NetworkType) UnmarshalText(text []byte) error { return parseEnum(networkTypeWords, text, v) }

// networks translates Settings.NetworkTypes. A network without streams has no TCP.
func (s *Settings) networks() (n ice.Networks) {
	types := s.NetworkTypes
	if types == nil {
		types = []NetworkType{NetworkTypeUDP4, NetworkTypeUDP6, NetworkTypeTCP4, NetworkTypeTCP6}
	}
	for _, t := range types {
		n |= ice.NetworkUDP4 << (t - NetworkTypeUDP4)
	}
	if _, ok := s.network.(netio.StreamNetwork); !ok {
		n &= ice.NetworkUDP4 | ice.NetworkUDP6
	}
	return n
}

// listensTCP tells whether there are passive candidates.
func (s *Settings) listensTCP() bool { return s.TCPMux != nil || s.TCPPortMin != 0 }
