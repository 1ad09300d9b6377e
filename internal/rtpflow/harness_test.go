package rtpflow

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// start is a round moment: every test's clock begins there.
var start = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

// wantNoAllocs asserts that a step costs no allocation, outside of the race detector, which has its own.
func wantNoAllocs(t *testing.T, what string, step func()) {
	t.Helper()
	step()
	if n := testing.AllocsPerRun(500, step); n != 0 && !raceEnabled {
		t.Errorf("%s: %v allocations", what, n)
	}
}

// packet makes an RTP packet and its header.
func packet(t testing.TB, f Fields, payload []byte, exts ...Extension) ([]byte, *Header) {
	t.Helper()
	pkt, err := AppendHeader(nil, f, exts)
	if err != nil {
		t.Fatal(err)
	}
	pkt = append(pkt, payload...)
	h, err := ParseHeader(pkt)
	if err != nil {
		t.Fatal(err)
	}
	return pkt, &h
}

func headerOf(seq uint16, timestamp uint32, size int) *Header {
	return &Header{SequenceNumber: seq, Timestamp: timestamp, Length: 12, Payload: make([]byte, size)}
}

// seeds is how many seeds a torture test runs: n, or PARLEY_TORTURE.
func seeds(n int64) int64 {
	if v, err := strconv.ParseInt(os.Getenv("PARLEY_TORTURE"), 10, 64); err == nil && v > 0 {
		return v
	}
	return n
}
