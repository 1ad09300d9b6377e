package turnserver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

// A browser that hangs up says goodbye to its peer and gives the allocation back in one write: both count.
func TestLastPacketBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		defer l.close()
		peer := l.listen("peer", "32.0.0.1:6000")
		defer peer.Close()
		d, conn := l.stream("31.0.0.1:40000")
		defer conn.Close()
		d.allocate()
		if err := d.c.Bind(time.Now(), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		d.until(func() bool { return d.c.Ready(peer.LocalAddr()) })
		write := d.write
		var all []byte
		d.write = func(pkt []byte) { all = append(all, pkt...) }
		d.send("goodbye", peer.LocalAddr())
		d.c.Close(time.Now())
		d.flush()
		d.write = write
		d.write(all)
		read(t, peer, "goodbye")
		d.until(func() bool { return d.c.State() == turn.StateClosed })
	})
}
