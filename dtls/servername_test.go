package dtls

import (
	"bytes"
	"errors"
	"testing"
)

func TestServerNameIsTold(t *testing.T) {
	forEachVersion(t, func(t *testing.T, client, server Config) {
		client.ServerName = "turn.example"
		server.Cookies = true
		hellos := 0
		l := newLink(t, 1, client, server)
		l.forward = func(_ int, pkt []byte) bool {
			if bytes.Contains(pkt, []byte("\x00\x00\x00\x11\x00\x0f\x00\x00\x0cturn.example")) {
				hellos++
			}
			return true
		}
		l.mustConnect()
		l.agree()
		if hellos != 2 {
			t.Errorf("the name stands in %d of 2 hellos", hellos)
		}
	})
}

// A server may nod at a name that it was told (RFC 6066 §3), and at no other.
func TestNodAtTheServerName(t *testing.T) {
	nod := []extension{extServerName}
	for name, want := range map[string]bool{"turn.example": true, "": false} {
		cfg := testConfig(t, RoleClient, 1)
		cfg.ServerName = name
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var alert *AlertError
		err = unsolicited(nod, c.offeredParameters())
		if refused := errors.As(err, &alert) && alert.Alert == AlertUnsupportedExtension; refused == want {
			t.Errorf("%q: %v", name, err)
		}
	}
}
