package main

import (
	"encoding/json"
	"io"
	"testing"
)

// Both libraries serve a few connections on one port, with the far process in a goroutine.
func TestMux(t *testing.T) {
	for name, listen := range map[string]func() (*muxStack, error){ours: parleyMux, theirs: pionMux} {
		t.Run(name, func(t *testing.T) {
			st, err := listen()
			if err != nil {
				t.Fatal(err)
			}
			clients, err := newParley()
			if err != nil {
				t.Fatal(err)
			}
			questions, in := io.Pipe()
			out, replies := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- runFar(clients, questions, replies) }()
			s := &muxServer{stack: st, far: &farProcess{in: in, out: json.NewDecoder(out)}}
			if err := s.connect(5); err != nil {
				t.Fatal(err)
			}
			if _, err := s.far.ask(farMessage{Echo: 3}); err != nil {
				t.Fatal(err)
			}
			if (st.restart == nil) != (name == theirs) {
				t.Error("who can restart?")
			}
			if st.restart != nil {
				if _, err := s.restarts(); err != nil {
					t.Error(err)
				}
			}
			s.end()
			if err := st.close(); err != nil {
				t.Error(err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
