package dcep

import (
	"testing"
	"time"

	"github.com/openparley/webrtc/sctp"
)

// FuzzPeer is a peer that sends any message with any identifier on any stream, and resets streams as it likes.
func FuzzPeer(f *testing.F) {
	open := AppendOpen(nil, &Options{Label: "x"})
	f.Add(append([]byte{0, 1, 50, byte(len(open))}, open...))
	f.Add([]byte{0, 0, 50, 1, 2, 0, 0, 51, 2, 'h', 'i', 1, 0, 2, 10})
	f.Add([]byte{0, 1, 52, 1, 0, 0, 1, 56, 1, 0, 1, 1, 0, 1, 53, 3, 1, 2, 3, 2, 50})
	f.Fuzz(func(t *testing.T, in []byte) {
		w := newWire(t, 1, RoleClient, RoleServer, sctp.Config{})
		mine := w.create(w.a, Options{Label: "mine"})
		w.create(w.a, Options{Label: "fixed", Negotiated: true, ID: 3})
		w.connect()
		w.run(100*time.Millisecond, nil)
		peer := w.b.assoc
		for len(in) >= 4 && len(in) < 1000 {
			op, stream := in[0], uint16(in[1])%6
			switch op % 4 {
			case 1:
				_ = peer.ResetStream(w.now, stream)
			case 2:
				w.run(time.Duration(in[2])*time.Millisecond, nil)
			case 3:
				w.a.Close(w.now, mine)
			default:
				n := min(int(in[3]), len(in)-4)
				_ = peer.Send(w.now, stream, uint32(in[2]), in[4:4+n], sctp.SendOptions{})
				in = in[n:]
			}
			in = in[4:]
		}
		w.run(5*time.Second, nil)
		for _, line := range w.a.log {
			if line == "" {
				t.Error("an event without kind")
			}
		}
		if used := w.a.assoc.Stats().ReceiveWindowUsed; used > 4000 {
			t.Errorf("%d bytes are charged for nothing", used)
		}
		for id, ch := range w.a.byID {
			if ch.id != int32(id) || ch.state == StateClosed {
				t.Errorf("id %d holds channel %d in state %v", id, ch.id, ch.state)
			}
		}
	})
}
