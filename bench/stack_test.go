package main

import (
	"encoding/json"
	"io"
	"testing"
	"time"
)

// Each library connects through the relay, and only through it.
func TestStacksMeetAtTheRelay(t *testing.T) {
	for name, newStack := range stacks {
		t.Run(name, func(t *testing.T) {
			st, err := newStack()
			if err != nil {
				t.Fatal(err)
			}
			r, err := startRelay(impairment{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.stop()
			p, err := newPair(st)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			var m meter
			channels, err := p.openChannels(2, r.wire(), func() func([]byte) {
				return func(b []byte) { m.add(len(b)) }
			})
			if err != nil {
				t.Fatal(err)
			}
			const messages, size = 20, 16 << 10
			for i := range messages {
				if err := channels[i%2].a.send(make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
			waitUntil(t, "all messages", func() bool { return m.messages.Load() == messages })
			if got := m.bytes.Load(); got != messages*size {
				t.Errorf("%d bytes, want %d", got, messages*size)
			}
			if got := r.largestIP(); got < 1000 || got > maxDatagram {
				t.Errorf("the largest datagram that the relay saw has %d bytes", got)
			}
		})
	}
}

// The far process's protocol, with the far process in a goroutine.
func TestForwarderAndFarProcess(t *testing.T) {
	for name, newStack := range stacks {
		t.Run(name, func(t *testing.T) {
			st, err := newStack()
			if err != nil {
				t.Fatal(err)
			}
			questions, in := io.Pipe()
			out, replies := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- runFar(st, questions, replies) }()
			far := &farProcess{in: in, out: json.NewDecoder(out)}

			local, err := st.newTrack("forwarded")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				sub, err := far.subscribe(st, local, wire{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = sub.close() }()
			}
			var forwarded meter
			pub, err := far.publish(st, func(t remoteTrack) { go forward(t, local, &forwarded) })
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pub.close() }()
			if _, err := far.ask(farMessage{Start: 8}); err != nil {
				t.Fatal(err)
			}
			waitUntil(t, "forwarded packets at both subscribers", func() bool {
				count, err := far.ask(farMessage{Count: true})
				if err != nil {
					t.Fatal(err)
				}
				return count.Received > 100
			})
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > connectTimeout {
			t.Fatalf("no %s after %v", what, connectTimeout)
		}
	}
}
