//go:build !race

package netio

import (
	"bytes"
	"testing"
)

func TestSystemStreamAllocatesNothing(t *testing.T) {
	a, b := tcpStreams(t)
	packet := numbered(1, 1200)
	msgs := []Message{{Data: bytes.Repeat(packet, 8), Segment: 1200}}
	var batch Batch
	defer batch.Release()
	allocs := testing.AllocsPerRun(1000, func() {
		if n, err := a.WriteBatch(msgs); n != 1 || err != nil {
			t.Error(n, err)
		}
		for got := 0; got < 8; got += len(batch.Messages) {
			if err := b.ReadBatch(&batch); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs >= 1 {
		t.Errorf("%.2f allocations for eight packets", allocs)
	}
}
