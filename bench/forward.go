package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const (
	forwardRate    = 500 // packets a second that the publisher sends
	forwardMinimum = 0.9 // of the packets must arrive, or the case has failed
)

// forwardScenario is a selective forwarding unit: one publisher, many subscribers, each on a peer connection of its
// own. The publisher and the subscribers live in another process, the far one, so that this one's CPU time is the
// forwarder's alone. Packets come in bursts of equal size; the last of a burst has the marker bit.
type forwardScenario struct {
	subscribers int
	burst       int
	name        string
}

// farMessage is one line between the forwarder and the far process.
type farMessage struct {
	// Subscribe and Publish carry an offer or, on the way back, the answer.
	Subscribe string `json:"subscribe,omitempty"`
	Publish   string `json:"publish,omitempty"`
	// Call carries the offer of a server with many connections or, on the way back, the answer; Echo asks for so many
	// messages on each of them.
	Call string `json:"call,omitempty"`
	Echo int    `json:"echo,omitempty"`
	// Start, with the size of a burst, starts the publisher.
	Start int `json:"start,omitempty"`
	// Count asks for the number of packets that all subscribers have received, and for the CPU time used so far.
	Count    bool          `json:"count,omitempty"`
	Received int64         `json:"received,omitempty"`
	CPU      time.Duration `json:"cpu,omitempty"`
}

func (s forwardScenario) run(st stack, e env) (map[string]float64, error) {
	far, err := startFar(*flagStack)
	if err != nil {
		return nil, err
	}
	defer far.stop()
	local, err := st.newTrack("forwarded")
	if err != nil {
		return nil, err
	}
	for i := range s.subscribers {
		sub, err := far.subscribe(st, local, wire{})
		if err != nil {
			return nil, fmt.Errorf("subscriber %d: %w", i, err)
		}
		defer func() { _ = sub.close() }()
	}
	var in meter
	pub, err := far.publish(st, func(t remoteTrack) { go forward(t, local, &in) })
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	defer func() { _ = pub.close() }()
	if _, err := far.ask(farMessage{Start: s.burst}); err != nil {
		return nil, err
	}
	return s.measure(far, &in, e)
}

func (s forwardScenario) measure(far *farProcess, in *meter, e env) (map[string]float64, error) {
	time.Sleep(e.warm)
	before, err := far.ask(farMessage{Count: true})
	if err != nil {
		return nil, err
	}
	got, err := in.measure(0, e.window)
	if err != nil {
		return nil, err
	}
	after, err := far.ask(farMessage{Count: true})
	if err != nil {
		return nil, err
	}
	sent := got.messages * int64(s.subscribers)
	if arrived := after.Received - before.Received; float64(arrived) < forwardMinimum*float64(sent) {
		return nil, fmt.Errorf("%w: %d of %d forwarded arrived", errLost, arrived, sent)
	}
	perPacket := got.cpuPerMessage() / float64(s.subscribers)
	return map[string]float64{s.name: perPacket}, nil
}

// forward copies one track to another. Subscribers that come and go are no error of the track.
func forward(from remoteTrack, to track, in *meter) {
	buf := make([]byte, 1500)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		in.add(n)
		if _, err := to.Write(buf[:n]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			fmt.Fprintln(os.Stderr, "forward:", err)
			return
		}
	}
}

// farProcess is the forwarder's end of the far process: one answer to each question.
type farProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// startFar starts the far process with a library.
func startFar(library string) (*farProcess, error) {
	cmd, err := childCommand(context.Background(), "-child", farName, "-stack", library)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &farProcess{cmd: cmd, in: in, out: json.NewDecoder(out)}, nil
}

// stop ends the far process, which leaves at the end of its input.
func (f *farProcess) stop() {
	_ = f.in.Close()
	_ = f.cmd.Wait()
}

func (f *farProcess) ask(m farMessage) (farMessage, error) {
	if err := json.NewEncoder(f.in).Encode(m); err != nil {
		return farMessage{}, fmt.Errorf("far process: %w", err)
	}
	var answer farMessage
	if err := f.out.Decode(&answer); err != nil {
		return farMessage{}, fmt.Errorf("far process: %w", err)
	}
	return answer, nil
}

// subscribe connects a new peer that sends the track with a new one in the far process.
func (f *farProcess) subscribe(st stack, t track, w wire) (peer, error) {
	p, err := st.newPeer()
	if err != nil {
		return nil, err
	}
	if err := p.addTrack(t); err != nil {
		return p, err
	}
	return p, connect(p, farPeer{f}, w)
}

// farPeer is a subscriber in the far process, as far as connecting it goes.
type farPeer struct{ far *farProcess }

func (p farPeer) answer(offer string) (string, error) {
	answer, err := p.far.ask(farMessage{Subscribe: offer})
	return answer.Subscribe, err
}

func (f *farProcess) publish(st stack, onTrack func(remoteTrack)) (peer, error) {
	p, err := st.newPeer()
	if err != nil {
		return nil, err
	}
	p.onTrack(onTrack)
	offer, err := f.ask(farMessage{Publish: "offer"})
	if err != nil {
		return p, err
	}
	answer, err := p.answer(offer.Publish)
	if err != nil {
		return p, err
	}
	_, err = f.ask(farMessage{Publish: answer})
	return p, err
}

const farName = "far"

// far is the far process's side: the subscribers and the publisher.
type far struct {
	stack     stack
	received  meter
	sent      meter
	track     track
	publisher peer
	callers   *callers
}

// runFar answers the forwarder's questions until its input ends.
func runFar(st stack, in io.Reader, out io.Writer) error {
	f := &far{stack: st, callers: newCallers()}
	lines, replies := bufio.NewReader(in), json.NewEncoder(out)
	questions := json.NewDecoder(lines)
	for {
		var q farMessage
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		reply, err := f.handle(q)
		if err != nil {
			return err
		}
		if err := replies.Encode(reply); err != nil {
			return err
		}
	}
}

func (f *far) handle(q farMessage) (reply farMessage, err error) {
	switch {
	case q.Subscribe != "":
		reply.Subscribe, err = f.subscribe(q.Subscribe)
	case q.Publish != "" && f.publisher == nil:
		reply.Publish, err = f.publish()
	case q.Publish != "":
		err = f.publisher.accept(q.Publish)
	case q.Call != "":
		reply.Call, err = f.callers.call(f.stack, q.Call)
	case q.Echo > 0:
		err = f.callers.echo(q.Echo)
	case q.Start > 0:
		go pace(f.track, forwardRate, q.Start, &f.sent, nil)
	case q.Count:
		reply.Received, reply.CPU = f.received.messages.Load(), processCPU()
	}
	return reply, err
}

func (f *far) subscribe(offer string) (string, error) {
	p, err := f.stack.newPeer()
	if err != nil {
		return "", err
	}
	p.onTrack(func(t remoteTrack) { go drain(t, &f.received) })
	return p.answer(offer)
}

func (f *far) publish() (string, error) {
	p, err := f.stack.newPeer()
	if err != nil {
		return "", err
	}
	if f.track, err = f.stack.newTrack("published"); err != nil {
		return "", err
	}
	if err := p.addTrack(f.track); err != nil {
		return "", err
	}
	f.publisher = p
	return p.offer()
}
