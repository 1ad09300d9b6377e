package sctp

import (
	"errors"
	"testing"
	"time"
)

// plain is the configuration of most scripts: DATA chunks, no probing, no pacing that would move packets in time.
func plain() Config {
	return Config{DisableInterleaving: true, Congestion: CongestionCUBIC, HeartbeatInterval: -1, ReceiveWindow: 100_000, MaxReceiveWindow: 100_000, MaxMessageSize: 50_000}
}

func TestRFC9260Setup(t *testing.T) {
	t.Run("5.1 the side that asks", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0   connect
			0   > INIT
			50  < INITACK
			50  > COOKIE
			60  state connecting
			100 < COOKIEACK
			100 state connected`)
	})
	t.Run("5.1 the side that answers keeps nothing before the cookie", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0  < INIT
			0  > INITACK
			0  state new
			50 < COOKIE
			50 > COOKIEACK
			50 state connected`)
	})
	t.Run("5.1 user data goes with COOKIE ECHO, in that packet only", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0   connect
			0   > INIT
			0   send 1 100
			0   send 1 2000
			50  < INITACK
			50  > COOKIE | DATA 0 BE 1 0 100 | DATA 1 B 1 1 1008
			100 < COOKIEACK | SACK 1 100000
			100 > DATA 2 EI 1 1 992
			150 < SACK 2 100000`)
	})
	t.Run("5.1 INIT is repeated, with backoff, and then COOKIE ECHO", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0    connect
			0    > INIT
			300  > INIT
			900  > INIT
			1000 < INITACK
			1000 > COOKIE
			1300 > COOKIE
			1400 < COOKIEACK
			1400 state connected`)
	})
	t.Run("5.2.1 INITs cross", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0   connect
			0   > INIT
			10  < INIT
			10  > INITACK
			50  < INITACK
			50  > COOKIE
			60  < COOKIE
			60  > COOKIEACK
			60  state connected
			90  < COOKIEACK
			90  state connected`)
	})
	t.Run("5.2.4 a cookie that was used already is acknowledged again", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0  < INIT
			0  > INITACK
			50 < COOKIE
			50 > COOKIEACK
			90 < COOKIE
			90 > COOKIEACK
			90 state connected`)
	})
	t.Run("5.1.5 an old cookie is refused", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0     < INIT
			0     > INITACK
			61000 < COOKIE
			61000 > ERROR 3
			61000 state new`)
	})
	t.Run("5.2.6 a stale cookie begins anew", func(t *testing.T) {
		runDrill(t, plain(), true, `
			0  connect
			0  > INIT
			50 < INITACK
			50 > COOKIE
			90 < ERROR 3
			90 > INIT`)
	})
	t.Run("5.2.2 an INIT to an association that stands changes nothing", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 < INIT
			0 > INITACK
			9 state connected`)
	})
	t.Run("5.2.4 A the peer has lost its state", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0 < INIT
			0 > INITACK`)
		k, err := openCookie(d.a.secret[:], d.cookie)
		if err != nil {
			t.Fatal(err)
		}
		k.peer.tag++ // the restarted peer has another tag
		pkt := append(appendHeader(nil, 5000, 5000, k.localTag), appendChunk(nil, typeCookieEcho, 0, k.seal(d.a.secret[:]))...)
		putChecksum(pkt)
		_ = d.a.HandlePacket(d.now, pkt)
		if !errors.Is(d.a.err, ErrPeerRestarted) {
			t.Errorf("error %v", d.a.err)
		}
	})
	t.Run("5.1.3 a cookie of somebody else", func(t *testing.T) {
		d := runDrill(t, plain(), true, `
			0 < INIT
			0 > INITACK`)
		d.cookie[20] ^= 1
		d.feed([]string{"COOKIE"})
		if d.a.State() != StateNew || d.a.stats.Dropped.Cookie != 1 {
			t.Errorf("state %v, %+v", d.a.State(), d.a.stats.Dropped)
		}
	})
}

func TestRFC9260VerificationTag(t *testing.T) {
	d := runDrill(t, plain(), false, ``)
	for _, tc := range []struct {
		name  string
		tag   uint32
		chunk []byte
		want  State
	}{
		{"8.5 any chunk", d.a.localTag + 1, appendChunk(nil, typeShutdown, 0, make([]byte, 4)), StateConnected},
		{"8.5.1 A INIT with a tag", d.a.localTag, d.init(typeInit), StateConnected},
		{"8.5.1 B ABORT with a wrong tag", d.a.localTag + 1, appendChunk(nil, typeAbort, 0, nil), StateConnected},
		{"8.5.1 B ABORT with T and our own tag", d.a.localTag, appendChunk(nil, typeAbort, 1, nil), StateConnected},
		{"8.5.1 B ABORT with T and the peer's tag", d.peerTag, appendChunk(nil, typeAbort, 1, nil), StateClosed},
	} {
		pkt := append(appendHeader(nil, 5000, 5000, tc.tag), tc.chunk...)
		putChecksum(pkt)
		_ = d.a.HandlePacket(d.now, pkt)
		if d.a.State() != tc.want {
			t.Errorf("%s: %v", tc.name, d.a.State())
		}
	}
}

func TestRFC9260Chunks(t *testing.T) {
	t.Run("3.2 unknown chunks", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0  < TYPE 191 | HB   # skip
			0  > HBACK
			10 < TYPE 255 | HB   # skip and report
			10 > ERROR 6 | HBACK
			20 < TYPE 60 | HB    # stop
			30 < TYPE 100 | HB   # stop and report
			30 > ERROR 6`)
	})
	t.Run("3.3.1 no user data", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 < DATA 0 BE 1 0 0
			0 > ABORT 9
			0 state closed`)
	})
	t.Run("6.5 a stream that does not exist", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   < DATA 0 BE 65535 0 10
			0   > ERROR 1 | SACK 0 100000
			100 receive 0`)
	})
	t.Run("8.3 a heartbeat is answered", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 < HB
			0 > HBACK`)
	})
	t.Run("8.3 an idle association sends one", func(t *testing.T) {
		c := plain()
		c.HeartbeatInterval = 5 * time.Second
		runDrill(t, c, false, `
			5000  > HB
			10000 > HB`)
	})
}

func TestRFC9260Acknowledgement(t *testing.T) {
	t.Run("6.2 every second packet at once, one alone delayed", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   < DATA 0 BE 1 0 100
			100 > SACK 0 99836
			100 < DATA 1 BE 1 1 100
			110 < DATA 2 BE 1 2 100
			110 > SACK 2 99508
			110 receive 3`)
	})
	t.Run("6.2 one SACK for a batch", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 batch
			0 < DATA 0 BE 1 0 100
			0 < DATA 1 BE 1 1 100
			0 < DATA 2 BE 1 2 100
			0 batch
			0 > SACK 2 99508`)
	})
	t.Run("6.7 a gap is reported at once, and so is its end", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0  < DATA 0 BE 1 0 10
			1  < DATA 2 BE 1 2 10
			1  > SACK 0 99852 gaps 2-2
			2  < DATA 5 BE 1 5 10
			2  > SACK 0 99778 gaps 2-2,5-5
			3  < DATA 3 BE 1 3 10
			3  > SACK 0 99704 gaps 2-3,5-5
			4  < DATA 1 BE 1 1 10
			4  > SACK 3 99630 gaps 5-5
			4  receive 4
			5  < DATA 4 BE 1 4 10
			5  > SACK 5 * 
			5  receive 2`)
	})
	t.Run("6.2 duplicates are reported", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   < DATA 0 BE 1 0 10
			10  < DATA 0 BE 1 0 10
			10  > SACK 0 99926 dup 0`)
	})
	t.Run("RFC 7053 the I bit", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 < DATA 0 BEI 1 0 10
			0 > SACK 0 99926`)
	})
	t.Run("6.1 a SACK goes with data", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0  < DATA 0 BE 1 0 10
			50 send 1 10
			50 > SACK 0 99926 | DATA 0 BEI 1 0 10
			90 < SACK 0 100000`)
	})
	t.Run("6.2 the window opens again", func(t *testing.T) {
		c := plain()
		c.ReceiveWindow, c.MaxReceiveWindow = 8000, 8000
		runDrill(t, c, false, `
			0  < DATA 0 BE 1 0 1000 | DATA 1 BE 1 1 1000 | DATA 2 BE 1 2 1000
			0  < DATA 3 BE 1 3 1000 | DATA 4 BE 1 4 1000 | DATA 5 BE 1 5 1000
			0  > SACK 5 1616
			10 < DATA 6 BEI 1 6 1000
			10 > SACK 6 552
			10 receive 7
			20 credit 1128
			30 credit 2256 # a quarter of the window more than the peer knows
			30 > SACK 6 3488`)
	})
}

func TestRFC9260Transmission(t *testing.T) {
	t.Run("6.9 fragments fill packets", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 3000
			0   > DATA 0 B 1 0 1144
			0   > DATA 1 - 1 0 1144
			0   > DATA 2 EI 1 0 712
			100 < SACK 2 100000`)
	})
	t.Run("6.10 small messages are bundled", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 10
			0   > DATA 0 BEI 1 0 10
			100 < SACK 0 100000
			200 shutdown
			200 > SHUTDOWN -1`)
	})
	t.Run("6.1 A one chunk may probe a shut window", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0    send 1 100
			0    > DATA 0 BEI 1 0 100
			100  < SACK 0 0
			200  send 1 100
			200  send 1 100
			200  > DATA 1 BEI 1 1 100
			300  < SACK 0 0
			600  > DATA 1 BE 1 1 100
			900  < SACK 0 5000 # the window has opened: what was refused goes again at once
			900  > DATA 1 BE 1 1 100 | DATA 2 BEI 1 2 100
			1000 < SACK 2 5000`)
	})
	t.Run("6.3.3 T3-rtx repeats and backs off", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0    send 1 100
			0    > DATA 0 BEI 1 0 100
			300  > DATA 0 BEI 1 0 100
			900  > DATA 0 BEI 1 0 100
			1000 < SACK 0 100000`)
	})
	t.Run("7.2.4 what three packets overtook is sent again", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 5600
			0   > DATA 0 B 1 0 1144
			0   > DATA 1 - 1 0 1144
			0   > DATA 2 - 1 0 1144
			0   > DATA 3 - 1 0 1144
			0   > DATA 4 EI 1 0 1024
			100 < SACK 0 100000
			101 < SACK 0 100000 gaps 2-2
			102 < SACK 0 100000 gaps 2-3
			103 < SACK 0 100000 gaps 2-4
			103 > DATA 1 I 1 0 1144
			200 < SACK 4 100000`)
	})
	t.Run("RFC 8985 7 a tail that is lost is probed", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0    send 1 100
			0    > DATA 0 BEI 1 0 100
			100  < SACK 0 100000 
			1000 send 1 2000
			1000 > DATA 1 B 1 1 1144
			1000 > DATA 2 EI 1 1 856
			1205 > DATA 2 EI 1 1 856
			1305 < SACK 0 100000 gaps 2-2
			1305 > DATA 1 BI 1 1 1144
			1400 < SACK 2 100000`)
	})
	t.Run("6.2.1 a SACK for what was never sent", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 100
			0   > DATA 0 BEI 1 0 100
			50  < SACK 7 100000
			60  state connected
			100 < SACK 0 100000`)
	})
	t.Run("8.1 nobody there", func(t *testing.T) {
		c := plain()
		c.MaxRetransmits = 2
		runDrill(t, c, false, `
			0    send 1 100
			0    > DATA 0 BEI 1 0 100
			300  > DATA 0 BEI 1 0 100
			900  > DATA 0 BEI 1 0 100
			2100 > ABORT 12
			2100 state closed`)
	})
}

func TestRFC9260Shutdown(t *testing.T) {
	t.Run("9.2 after the data", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 100
			0   > DATA 0 BEI 1 0 100
			10  shutdown
			10  state closing
			100 < SACK 0 100000
			100 > SHUTDOWN -1
			200 < SHUTDOWNACK
			200 > COMPLETE
			200 state closed`)
	})
	t.Run("9.2 the peer begins", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   < SHUTDOWN -1
			0   > SHUTDOWNACK
			300 > SHUTDOWNACK
			350 < COMPLETE
			350 state closed`)
	})
	t.Run("9.2 both begin", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   shutdown
			0   > SHUTDOWN -1
			10  < SHUTDOWN -1
			10  > SHUTDOWNACK
			50  < SHUTDOWNACK
			50  > COMPLETE
			50  state closed`)
	})
	t.Run("9.1 ABORT", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 close
			0 > ABORT 12
			0 state closed`)
		d := runDrill(t, plain(), false, `
			0 < ABORT 12
			0 state closed`)
		if !errors.Is(d.a.err, ErrClosed) {
			t.Errorf("error %v", d.a.err)
		}
	})
}
