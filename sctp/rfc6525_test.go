package sctp

import (
	"fmt"
	"testing"
)

func streamResets(a *Association) (list []string) {
	for {
		e, ok := a.Event()
		if !ok {
			return list
		}
		if e.Kind == EventStreamReset {
			list = append(list, fmt.Sprintf("%d %v %v", e.Stream, map[Direction]string{Outgoing: "out", Incoming: "in"}[e.Direction], e.Err == nil))
		}
	}
}

func wantResets(t *testing.T, d *drill, want string) {
	t.Helper()
	if got := fmt.Sprint(streamResets(d.a)); got != want {
		t.Errorf("resets %s, want %s", got, want)
	}
}

func TestRFC6525Outgoing(t *testing.T) {
	t.Run("5.1.2 the request waits for the data", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   send 1 100
			0   > DATA 0 BEI 1 0 100
			10  reset 1
			100 < SACK 0 100000
			100 > RESET 0 0 1
			150 < ANSWER 0 1
			200 send 1 100
			200 > DATA 1 BEI 1 0 100 # the SSN begins again
			250 < SACK 1 100000`)
		wantResets(t, d, "[1 out true]")
	})
	t.Run("5.1.1 one request at a time, the others wait together", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   reset 1
			0   > RESET 0 -1 1
			0   reset 2
			0   reset 3
			90  < ANSWER 0 1
			90  > RESET 1 -1 2 3
			150 < ANSWER 1 0`)
		wantResets(t, d, "[1 out true 2 out true 3 out true]")
	})
	t.Run("5.1.1 it is repeated", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   reset 1
			0   > RESET 0 -1 1
			300 > RESET 0 -1 1
			900 > RESET 0 -1 1
			950 < ANSWER 0 1
			990 < ANSWER 0 1`)
		wantResets(t, d, "[1 out true]")
	})
	t.Run("5.2.7 in progress is asked again", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   reset 1
			0   > RESET 0 -1 1
			100 < ANSWER 0 6
			250 > RESET 1 -1 1 # a new number: the old one would get the old answer
			300 < ANSWER 1 1`)
		wantResets(t, d, "[1 out true]")
	})
	t.Run("5.2.7 denied", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   reset 1
			0   > RESET 0 -1 1
			100 < ANSWER 0 2`)
		wantResets(t, d, "[1 out false]")
	})
}

func TestRFC6525Incoming(t *testing.T) {
	t.Run("5.2.2 performed", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < DATA 0 BE 1 0 10 | DATA 1 BEI 1 1 10
			0   > SACK 1 *
			10  < RESET 0 1 1
			10  > ANSWER 0 1
			20  < DATA 2 BEI 1 0 10
			20  > SACK 2 *
			20  receive 3`)
		wantResets(t, d, "[1 in true]")
	})
	t.Run("5.2.2 waits for data, then answers by itself", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < DATA 0 BEI 1 0 10
			0   > SACK 0 *
			10  < RESET 0 1 1
			10  > ANSWER 0 6
			20  < DATA 2 BEI 1 0 12 # of the next life: not yet
			20  > SACK 0 *
			30  < DATA 1 BEI 1 1 11
			30  > ANSWER 0 1 | SACK 1 *
			40  < DATA 2 BEI 1 0 12
			40  > SACK 2 *
			40  receive 3`)
		for i, m := range d.got {
			if len(m.Data) != 10+i {
				t.Errorf("message %d has %d bytes", i, len(m.Data))
			}
		}
		wantResets(t, d, "[1 in true]")
	})
	t.Run("5.2.2 a peer that asks again meanwhile, or afterwards, resets once", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < RESET 0 0 1
			0   > ANSWER 0 6
			10  < RESET 0 0 1
			10  > ANSWER 0 6
			20  < RESET 1 0 1
			20  > ANSWER 1 6
			30  < DATA 0 BEI 1 0 10
			30  > ANSWER 1 1 | SACK 0 *
			40  < RESET 1 0 1
			40  > ANSWER 1 1
			50  < RESET 2 0 1
			50  > ANSWER 2 1
			60  < RESET 3 0 1
			60  > ANSWER 3 1`)
		wantResets(t, d, "[1 in true 1 in true]")
	})
	t.Run("5.2.1 a repetition gets the same answer, another number none of the kind", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < RESET 0 -1 1 2
			0   > ANSWER 0 1
			10  < RESET 0 -1 1 2
			10  > ANSWER 0 1
			20  < RESET 5 -1 1
			20  > ANSWER 5 5
			30  < RESET 1 -1 7
			30  > ANSWER 1 1`)
		wantResets(t, d, "[1 in true 2 in true 7 in true]")
	})
	t.Run("4.1 no streams are all streams", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < DATA 0 BE 4 0 10 | DATA 1 BEI 2 0 10
			0   > SACK 1 *
			10  < RESET 0 1
			10  > ANSWER 0 1`)
		wantResets(t, d, "[2 in true 4 in true]")
	})
	t.Run("5.2.2 a stream that does not exist", func(t *testing.T) {
		runDrill(t, plain(), false, `
			0   < RESET 0 -1 65535
			0   > ANSWER 0 3`)
	})
	t.Run("what was unfinished is dropped", func(t *testing.T) {
		d := runDrill(t, plain(), false, `
			0   < DATA 0 B 1 0 10 | DATA 1 BI 1 1 10
			0   > SACK 1 *
			10  < RESET 0 1 1
			10  > ANSWER 0 1
			10  receive 0`)
		if d.a.inbox.held != 0 || len(d.a.inbox.streams) != 0 {
			t.Errorf("%d bytes held, %d streams", d.a.inbox.held, len(d.a.inbox.streams))
		}
	})
}
