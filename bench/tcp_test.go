package main

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/openparley/webrtc"
)

// listening returns a stack that listens at a TCP port, and nothing else.
func listening(t *testing.T, name string) stack {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if name == theirs {
		mux := pion.NewICETCPMux(nil, l, 64)
		t.Cleanup(func() { _ = mux.Close() })
		var s pion.SettingEngine
		s.SetICETCPMux(mux)
		return newPionOver(s, pion.NetworkTypeTCP4)
	}
	mux, err := webrtc.NewTCPMux(webrtc.TCPMuxConfig{Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mux.Close(); err != nil {
			t.Error(err)
		}
	})
	return parleyOver(t, webrtc.Settings{TCPMux: mux})
}

// connecting returns a stack that connects by TCP only.
func connecting(t *testing.T, name string) stack {
	t.Helper()
	if name == theirs {
		return newPionOver(pion.SettingEngine{}, pion.NetworkTypeTCP4)
	}
	return parleyOver(t, webrtc.Settings{})
}

func parleyOver(t *testing.T, s webrtc.Settings) stack {
	t.Helper()
	s.NetworkTypes = []webrtc.NetworkType{webrtc.NetworkTypeTCP4}
	st, err := newParleyWith(s)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestICETCP makes each library connect to the TCP port of each, and sends messages both ways.
func TestICETCP(t *testing.T) {
	for _, c := range []struct{ from, to string }{{ours, ours}, {ours, theirs}, {theirs, ours}, {theirs, theirs}} {
		t.Run(c.from+" connects to "+c.to, func(t *testing.T) {
			a, err := connecting(t, c.from).newPeer()
			if err != nil {
				t.Fatal(err)
			}
			defer a.close()
			b, err := listening(t, c.to).newPeer()
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			const size, count = 16 << 10, 1000
			var echoed, returned atomic.Int64
			b.onChannel(func(ch channel) {
				ch.onMessage(func(m []byte) {
					if echoed.Add(1)%100 == 0 {
						if err := ch.send(m[:100]); err != nil {
							t.Error(err)
						}
					}
				})
			})
			ch, err := a.createChannel("tcp", reliable)
			if err != nil {
				t.Fatal(err)
			}
			open := make(chan struct{})
			ch.onOpen(func() { close(open) })
			ch.onMessage(func(m []byte) { returned.Add(1) })
			low := make(chan struct{}, 1)
			ch.setLowThreshold(1 << 20)
			ch.onLow(func() {
				select {
				case low <- struct{}{}:
				default:
				}
			})
			offer, err := a.offer()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := b.answer(offer)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.accept(answer); err != nil {
				t.Fatal(err)
			}
			if err := wait(open, "open channel"); err != nil {
				t.Fatal(err)
			}
			start, cpu := time.Now(), processCPU()
			message := make([]byte, size)
			for range count {
				if ch.bufferedAmount() > 4<<20 {
					if err := wait(low, "room"); err != nil {
						t.Fatal(err)
					}
				}
				if err := ch.send(message); err != nil {
					t.Fatal(err)
				}
			}
			waitUntil(t, "answers", func() bool { return returned.Load() == count/100 })
			d := time.Since(start)
			t.Logf("%.0f MB/s, %.2f s of CPU a gigabyte", size*count/d.Seconds()/1e6, (processCPU()-cpu).Seconds()/(size*count/1e9))
		})
	}
}
