package dtls

import (
	"fmt"
	"testing"
	"time"
)

// dtls12 limits a configuration.
func dtls12(cfg Config) Config {
	cfg.MaxVersion = VersionDTLS12
	return cfg
}

func TestHandshake12(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		for _, suite := range suites {
			if suite.version != VersionDTLS12 {
				continue
			}
			t.Run(fmt.Sprintf("%v/cookies=%v", suite.id, cookies), func(t *testing.T) {
				client, server := dtls12(testConfig(t, RoleClient, 1)), dtls12(testConfig(t, RoleServer, 1))
				client.CipherSuites = []CipherSuite{suite.id}
				client.SRTPProfiles = []SRTPProfile{SRTPAES128CMSHA1_80, SRTPAEADAES128GCM}
				server.SRTPProfiles = []SRTPProfile{SRTPAEADAES128GCM, SRTPAES128CMSHA1_80}
				server.Cookies = cookies
				if suite.auth == authRSA {
					server.Certificate = selfSigned(t, testKeys().rsa)
				}
				l := newLink(t, 1, client, server)
				l.mustConnect()
				s := l.agree()
				if s.Version != VersionDTLS12 || s.CipherSuite != suite.id || s.SRTPProfile != SRTPAEADAES128GCM || s.Group != GroupX25519 ||
					s.HelloRetried != cookies {
					t.Fatalf("%+v", s)
				}
				if trips := l.now.Sub(epoch0); !cookies && trips > 45*time.Millisecond {
					t.Fatalf("the handshake took %v", trips)
				}
			})
		}
	}
}

func TestHandshake12Lossy(t *testing.T) {
	for seed := range uint64(60) {
		client, server := dtls12(testConfig(t, RoleClient, seed)), dtls12(testConfig(t, RoleServer, seed))
		client.MTU, server.MTU = 300, 256
		server.Cookies = seed%2 == 0
		l := newLink(t, seed, client, server)
		l.loss, l.dup, l.jitter = 0.3, 0.2, 50*time.Millisecond
		l.mustConnect()
		l.loss = 0
		l.agree()
	}
}
