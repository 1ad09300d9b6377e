package webrtc

import (
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/ice/turn"
)

// iceServers translates the parsed URLs. Servers that may be behind a proxy are left to it by their names.
func iceServers(servers []ICEServer, proxied bool) (out []ice.Server) {
	for _, server := range servers {
		for _, text := range server.URLs {
			u, err := parseICEServerURL(text)
			if err != nil {
				continue // validate has refused it
			}
			s := ice.Server{URL: text, Host: u.host, Port: u.port}
			switch u.scheme {
			case "stun":
			case "turn", "turns":
				s.Kind, s.Username, s.Password = ice.ServerTURN, server.Username, server.Credential
				s.Transport, s.ByName = turnTransport(u), proxied
			default:
				s.Useless = "a STUN server by TLS tells the address of a TCP connection, which no candidate uses"
			}
			out = append(out, s)
		}
	}
	return out
}

// turnTransport is RFC 7065, section 3.1: the scheme tells whether it is secure, the query which protocol is below.
func turnTransport(u iceServerURL) turn.Transport {
	switch {
	case u.scheme == "turns" && u.tcp:
		return turn.TLS
	case u.scheme == "turns":
		return turn.DTLS
	case u.tcp:
		return turn.TCP
	}
	return turn.UDP
}

func icePolicy(p ICETransportPolicy) ice.TransportPolicy {
	if p == ICETransportPolicyRelay {
		return ice.PolicyRelay
	}
	return ice.PolicyAll
}
