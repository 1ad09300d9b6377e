//go:build !race

package webrtc

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

// loopbackPair connects two PeerConnections over sockets of the system, with a detached data channel that is open on both sides.
func loopbackPair(t *testing.T) (a, b *DetachedDataChannel) {
	t.Helper()
	api, err := NewAPI(Settings{IncludeLoopback: true, IPFilter: func(a netip.Addr) bool { return a.Is4() && a.IsLoopback() }})
	if err != nil {
		t.Fatal(err)
	}
	var pcs [2]*PeerConnection
	for i := range pcs {
		if pcs[i], err = api.NewPeerConnection(Configuration{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pcs[i].Close(); <-pcs[i].Done() })
	}
	p := &pair{t: t, a: pcs[0], b: pcs[1]}
	trickle(t, p.a, p.b)
	trickle(t, p.b, p.a)
	far := make(chan *DetachedDataChannel, 1)
	p.b.OnDataChannel(func(d *DataChannel) {
		detached, err := d.Detach()
		if err != nil {
			t.Error(err)
		}
		far <- detached
	})
	dc, err := p.a.CreateDataChannel("", nil)
	p.must(err)
	a, err = dc.Detach()
	p.must(err)
	open := opened(dc)
	p.negotiate(p.a, p.b)
	<-open
	return a, <-far
}

// stream writes messages into one end of a channel and reads them at the other, with at most window bytes on their way.
func stream(from, to *DetachedDataChannel, size, bytes, window int) error {
	underway := make(chan struct{}, window/size)
	written := make(chan error, 1)
	go func() {
		buf := make([]byte, size)
		for n := 0; n < bytes; n += size {
			underway <- struct{}{}
			if _, err := from.Write(buf); err != nil {
				written <- err
				return
			}
		}
		from.DataChannel().Flush()
		written <- nil
	}()
	buf := make([]byte, size)
	for n := 0; n < bytes; n += size {
		if _, _, err := to.ReadMessage(buf); err != nil {
			return err
		}
		<-underway
	}
	return <-written
}

// TestPacketsDoNotAllocate counts what the whole path of data channels allocates, from Write through two sockets to Read, in
// both directions at once, SACKs included. A free list grows whenever more is on its way than ever before, which is up to the
// scheduler; what a packet costs is what it costs in every span, the best one too.
func TestPacketsDoNotAllocate(t *testing.T) {
	const spans = 7
	for _, tc := range []struct{ size, span int }{{64, 2 << 20}, {1200, 16 << 20}, {16 << 10, 16 << 20}} {
		a, b := loopbackPair(t)
		run := func(window int) {
			back := make(chan error, 1)
			go func() { back <- stream(b, a, tc.size, tc.span, window) }()
			if err := errors.Join(stream(a, b, tc.size, tc.span, window), <-back); err != nil {
				t.Fatal(err)
			}
		}
		counts := func() (packets, mallocs uint64) {
			transport := a.channel.pc.transport
			transport.mu.Lock()
			defer transport.mu.Unlock()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return transport.engine.counters.packetsSent + transport.engine.counters.packetsReceived, m.Mallocs
		}
		run(1 << 20)
		var each [spans]float64
		for i := range each {
			packets, mallocs := counts()
			run(64 << 10)
			p, m := counts()
			each[i] = float64(m-mallocs) / float64(p-packets)
		}
		t.Logf("%d bytes: %.4f allocations a packet", tc.size, each)
		if least := slices.Min(each[:]); least > 0.01 {
			t.Errorf("%d bytes: %.4f allocations a packet", tc.size, least)
		}
	}
}
