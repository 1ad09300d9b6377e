package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pion/rtp"
)

const (
	rtpSize    = 1200 // an RTP packet, header included
	rtpHeader  = 12
	rtpRate    = 20000 // packets a second
	rtpFrame   = 8     // packets of a frame: the last has the marker bit
	rtpMinimum = 0.95  // of the packets must arrive, or the case has failed
)

var errLost = errors.New("packets lost")

// packets makes the packets of a stream, one after another, in one buffer.
type packets struct {
	packet rtp.Packet
	frame  int
	count  int
}

func newPackets(frame int) *packets {
	return &packets{
		frame: frame,
		packet: rtp.Packet{
			Header:  rtp.Header{Version: 2, SSRC: 1, PayloadType: 96},
			Payload: make([]byte, rtpSize-rtpHeader),
		},
	}
}

// next returns the next packet; it is valid until the following call.
func (p *packets) next() *rtp.Packet {
	p.count++
	p.packet.SequenceNumber++
	p.packet.Marker = p.count%p.frame == 0
	if p.count%p.frame == 1 || p.frame == 1 {
		p.packet.Timestamp += 3000 // 30 frames a second at 90 kHz
	}
	return &p.packet
}

// runSendRecv sends RTP to a peer in the far process at a fixed rate, frame by frame, and adds up what both processes
// use: sender and receiver live apart, as they do in earnest, and do not take turns in one scheduler.
//
// Not packet by packet: 20,000 sleeps a second would cost as much as a library does. Not as fast as it goes: that would
// measure what is dropped.
func runSendRecv(st stack, e env) (map[string]float64, error) {
	far, err := startFar(*flagStack)
	if err != nil {
		return nil, err
	}
	defer far.stop()
	local, err := st.newTrack("video")
	if err != nil {
		return nil, err
	}
	p, err := far.subscribe(st, local, e.wire)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.close() }()
	var sent meter
	stop := make(chan struct{})
	defer close(stop)
	go pace(local, rtpRate, rtpFrame, &sent, stop)
	if err := far.first(); err != nil {
		return nil, err
	}
	time.Sleep(e.warm)
	before, err := far.ask(farMessage{Count: true})
	if err != nil {
		return nil, err
	}
	got, err := sent.measure(0, e.window)
	if err != nil {
		return nil, err
	}
	after, err := far.ask(farMessage{Count: true})
	if err != nil {
		return nil, err
	}
	if n := after.Received - before.Received; float64(n) < rtpMinimum*float64(got.messages) {
		return nil, fmt.Errorf("%w: %d of %d arrived", errLost, n, got.messages)
	}
	got.cpu += after.CPU - before.CPU
	return map[string]float64{"rtp-send-recv": got.cpuPerMessage()}, nil
}

// first waits for the first packet: before the transport is up a track drops what is written to it.
func (f *farProcess) first() error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		count, err := f.ask(farMessage{Count: true})
		if err != nil || count.Received > 0 {
			return err
		}
		if time.Since(begin) > connectTimeout {
			return fmt.Errorf("no media after %v", connectTimeout)
		}
	}
}

// drain reads a track to its end.
func drain(t remoteTrack, m *meter) {
	buf := make([]byte, 1500)
	for {
		n, err := t.Read(buf)
		if err != nil {
			return
		}
		m.add(n)
	}
}

// pace writes rate packets a second, frame by frame, until stop. Packets are written one by one; the last of a frame has
// the marker bit.
func pace(t track, rate, frame int, sent *meter, stop <-chan struct{}) {
	p := newPackets(frame)
	interval := time.Duration(frame) * time.Second / time.Duration(rate)
	for due := time.Now(); ; due = due.Add(interval) {
		time.Sleep(time.Until(due))
		select {
		case <-stop:
			return
		default:
		}
		for range frame {
			if err := t.WriteRTP(p.next()); err != nil {
				fmt.Fprintln(os.Stderr, "write:", err)
				return
			}
			sent.add(rtpSize)
		}
	}
}
