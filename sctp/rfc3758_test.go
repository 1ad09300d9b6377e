package sctp

import "testing"

func TestRFC3758Sender(t *testing.T) {
	t.Run("A5 a message that was lost too often is forwarded over", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 100 rtx=1
			0   > DATA 0 BEI 1 0 100
			300 > DATA 0 BEI 1 0 100
			900 > FWD 0 1:0
			950 send 1 100
			950 > DATA 1 BEI 1 1 100
			999 < SACK 1 100000`)
	})
	t.Run("A4 FORWARD-TSN is repeated", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0    send 1 100 rtx=0
			0    > DATA 0 BEI 1 0 100
			300  > FWD 0 1:0
			900  > FWD 0 1:0
			1000 < SACK 0 100000`)
	})
	t.Run("C1 the point moves over what was acknowledged in between", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   send 1 1144 rtx=0
			0   > DATA 0 BEI 1 0 1144
			0   send 2 1144 u rtx=0
			0   > DATA 1 BEUI 2 0 1144
			0   send 3 1144
			0   > DATA 2 BEI 3 0 1144
			0   send 1 1144 rtx=0
			0   > DATA 3 BEI 1 1 1144
			0   send 3 4000
			0   > DATA 4 B 3 1 1144
			0   > DATA 5 - 3 1 1144
			0   > DATA 6 - 3 1 1144
			0   > DATA 7 EI 3 1 568
			100 < SACK -1 100000 gaps 2-2,4-7
			100 > FWD 3 1:1
			150 < SACK 7 100000`)
	})
	t.Run("a message given up half sent lets the peer skip it", func(t *testing.T) {
		c := plain()
		d := runDrill(t, c, false, `
			0   send 1 40000 life=50
			0   > DATA 0 B 1 0 1144
			0   > DATA 1 - 1 0 1144
			0   > DATA 2 - 1 0 1144
			0   > DATA 3 - 1 0 1144
			0   > DATA 4 - 1 0 1144
			0   > DATA 5 - 1 0 1144
			0   > DATA 6 - 1 0 1144
			0   > DATA 7 - 1 0 1144
			0   > DATA 8 - 1 0 1144
			0   > DATA 9 - 1 0 1144
			0   > DATA 10 - 1 0 1144
			100 < SACK 10 100000
			100 > FWD 11 1:0
			150 < SACK 11 100000`)
		if d.a.BufferedAmount(1) != 0 || d.a.stats.MessagesAbandoned != 1 {
			t.Errorf("%d bytes left, %d given up", d.a.BufferedAmount(1), d.a.stats.MessagesAbandoned)
		}
	})
	t.Run("a message whose time passed unsent leaves no trace", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0    send 1 100
			0    > DATA 0 BEI 1 0 100
			100  < SACK 0 0
			200  send 1 100
			200  > DATA 1 BEI 1 1 100
			200  send 1 100 life=50
			250  < SACK 1 0
			300  send 1 100
			300  > DATA 2 BEI 1 2 100
			350  < SACK 2 100000`)
	})
}

func TestRFC3758Receiver(t *testing.T) {
	t.Run("3.6 what is complete is delivered, the rest dropped", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0  < DATA 1 BE 1 1 10
			0  > SACK -1 99926 gaps 1-1
			1  < DATA 3 B 1 3 10 | DATA 6 BE 1 4 11
			1  > SACK -1 99777 gaps 1-1,3-3,6-6
			1  receive 0
			2  < FWD 4 1:3
			2  > SACK 4 * gaps 6-6
			2  receive 2`)
		if len(d.got[1].Data) != 11 || d.a.inbox.held != 0 {
			t.Errorf("got %v, %d bytes held", d.got, d.a.inbox.held)
		}
	})
	t.Run("3.6 an old FORWARD-TSN is answered", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0 < FWD 4 1:3
			0 > SACK 4 100000
			9 < FWD 2
			9 > SACK 4 100000`)
	})
	t.Run("3.6 unordered fragments go too", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0 < DATA 1 U 1 0 10 | DATA 2 U 1 0 10
			0 > SACK -1 * gaps 1-2
			1 < DATA 4 BU 1 0 10
			1 > SACK -1 * gaps 1-2,4-4
			2 < FWD 0
			2 > SACK 2 * gaps 4-4
			3 < DATA 3 EU 1 0 10
			3 > SACK 4 *
			4 < DATA 5 EU 1 0 10
			4 receive 1
			104 > SACK 5 *`)
		if len(d.got) == 1 && len(d.got[0].Data) != 20 {
			t.Errorf("%d bytes", len(d.got[0].Data))
		}
	})
}
