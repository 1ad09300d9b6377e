package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	pion "github.com/pion/webrtc/v4"

	"github.com/openparley/webrtc"
)

const (
	muxMost       = 5000 // connections
	muxConnecting = 64   // connections that are being set up at the same time
	muxWaiting    = 100  // messages that wait for their echo at the same time
	muxMessage    = 64   // bytes
	muxRounds     = 4    // messages of each connection
	muxSettle     = 3 * time.Second
	muxIdle       = 8 * time.Second
	muxRestart    = 100 * time.Millisecond // between two restarts
)

// muxStack is a library with one UDP port for all its connections.
type muxStack struct {
	stack
	restart func() error // nil: it has nothing of the kind
	close   func() error
}

// parleyMux is this library on one port, bound to DTLS 1.2, the only version that the other one has.
func parleyMux() (*muxStack, error) {
	mux, err := webrtc.NewUDPMux(webrtc.UDPMuxConfig{Local: netip.AddrPortFrom(netip.IPv4Unspecified(), 0)})
	if err != nil {
		return nil, err
	}
	st, err := newParleyWith(webrtc.Settings{UDPMux: mux, DTLSMaxVersion: webrtc.DTLS12})
	if err != nil {
		return nil, err
	}
	return &muxStack{st, mux.Restart, mux.Close}, nil
}

// pionMux is pion on one port, with a socket as large as this library's.
func pionMux() (*muxStack, error) {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(pionBuffer); err != nil {
		return nil, err
	}
	if err := conn.SetWriteBuffer(pionBuffer); err != nil {
		return nil, err
	}
	mux := pion.NewICEUDPMux(nil, conn)
	var s pion.SettingEngine
	s.SetICEUDPMux(mux)
	return &muxStack{newPionWith(s), nil, mux.Close}, nil
}

// muxScenario serves many connections on one port. The peers live in the far process and are this library's for both, each
// with a socket of its own, so that this process's CPU time, memory and goroutines are those of the server alone.
type muxScenario struct {
	name        string
	connections int
}

func (s muxScenario) scenario() scenario {
	var cases []benchCase
	for _, c := range []benchCase{
		{"setup-cpu", "CPU ms/connection"},
		{"memory", "KiB/connection"},
		{"goroutines", "goroutines/connection"},
		{"idle-cpu", "us/s"},
		{"echo", "CPU us/message"},
		{"restart", "ms"},
	} {
		cases = append(cases, benchCase{s.name + "-" + c.name, c.unit})
	}
	return scenario{name: s.name, cases: cases, run: s.run(parleyMux), other: s.run(pionMux), runs: 1}
}

// ours leaves the other library out.
func (s scenario) ours() scenario {
	s.alone = true
	return s
}

func (s muxScenario) run(listen func() (*muxStack, error)) func(stack, env) (map[string]float64, error) {
	return func(_ stack, e env) (map[string]float64, error) {
		st, err := listen()
		if err != nil {
			return nil, err
		}
		defer func() { _ = st.close() }()
		far, err := startFar(ours)
		if err != nil {
			return nil, err
		}
		defer far.stop()
		server := &muxServer{stack: st, far: far}
		defer server.end()
		figures, err := server.measure(e.count(s.connections), e)
		values := make(map[string]float64, len(figures))
		for name, v := range figures {
			values[s.name+"-"+name] = v
		}
		return values, err
	}
}

// muxServer is the end of the port.
type muxServer struct {
	stack *muxStack
	far   *farProcess
	peers []peer
}

func (s *muxServer) end() {
	for _, p := range s.peers {
		_ = p.close()
	}
}

func (s *muxServer) measure(n int, e env) (map[string]float64, error) {
	// The first connections pay for what a library sets up once a process.
	if err := s.connect(muxConnecting); err != nil {
		return nil, err
	}
	time.Sleep(muxSettle / 3)
	memory, _ := footprint()
	count := float64(n)
	cpu := processCPU()
	if err := s.connect(n); err != nil {
		return nil, err
	}
	setup := processCPU() - cpu

	time.Sleep(muxSettle)
	start, cpu := time.Now(), processCPU()
	time.Sleep(min(muxIdle, 2*e.window))
	idle := float64(processCPU()-cpu) / float64(time.Since(start))
	memoryAfter, goroutines := footprint()

	cpu = processCPU()
	if _, err := s.far.ask(farMessage{Echo: muxRounds}); err != nil {
		return nil, err
	}
	echo := processCPU() - cpu

	values := map[string]float64{
		"setup-cpu":  milliseconds(setup) / count,
		"memory":     float64(memoryAfter-memory) / 1024 / count,
		"goroutines": float64(goroutines) / float64(len(s.peers)),
		"idle-cpu":   1e6 * idle / float64(len(s.peers)),
		"echo":       microseconds(echo) / float64(muxRounds*len(s.peers)),
	}
	if s.stack.restart == nil {
		return values, nil
	}
	took, err := s.restarts()
	values["restart"] = milliseconds(took)
	return values, err
}

// restarts replaces the port's sockets again and again while all connections talk, and returns how long that takes at a
// time. No message may be lost.
func (s *muxServer) restarts() (time.Duration, error) {
	echoed := make(chan error, 1)
	go func() {
		_, err := s.far.ask(farMessage{Echo: muxRounds})
		echoed <- err
	}()
	var took time.Duration
	for n := time.Duration(1); ; n++ {
		start := time.Now()
		if err := s.stack.restart(); err != nil {
			return 0, err
		}
		took += time.Since(start)
		select {
		case err := <-echoed:
			return took / n, err
		case <-time.After(muxRestart):
		}
	}
}

// connect makes connections to peers in the far process, each with a data channel, and returns when all are open.
func (s *muxServer) connect(n int) error {
	open := make(chan struct{}, n)
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	opened := func(i int) error {
		timeout.Reset(connectTimeout)
		select {
		case <-open:
			return nil
		case <-timeout.C:
			return fmt.Errorf("%w: %d of %d connections are not open after %v", errLost, n-i, n, connectTimeout)
		}
	}
	for i := range n {
		if i >= muxConnecting {
			if err := opened(i - muxConnecting); err != nil {
				return err
			}
		}
		p, err := s.stack.newPeer()
		if err != nil {
			return err
		}
		s.peers = append(s.peers, p)
		c, err := p.createChannel("echo", reliable)
		if err != nil {
			return err
		}
		c.onOpen(func() { open <- struct{}{} })
		c.onMessage(func(b []byte) { _ = c.send(b) })
		if err := connect(p, farCaller{s.far}, wire{}); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	for i := range min(n, muxConnecting) {
		if err := opened(max(0, n-muxConnecting) + i); err != nil {
			return err
		}
	}
	return nil
}

// farCaller is a peer in the far process, as far as connecting it goes.
type farCaller struct{ far *farProcess }

func (c farCaller) answer(offer string) (string, error) {
	answer, err := c.far.ask(farMessage{Call: offer})
	return answer.Call, err
}

// callers are the peers in the far process.
type callers struct {
	channels chan channel // as they open
	all      []channel
	waiting  chan struct{} // a token for each message that waits for its echo
	echoes   atomic.Int64
}

func newCallers() *callers {
	return &callers{channels: make(chan channel, 2*muxMost), waiting: make(chan struct{}, muxWaiting)}
}

func (c *callers) call(st stack, offer string) (string, error) {
	p, err := st.newPeer()
	if err != nil {
		return "", err
	}
	p.onChannel(func(ch channel) {
		ch.onMessage(func([]byte) {
			c.echoes.Add(1)
			<-c.waiting
		})
		c.channels <- ch
	})
	return p.answer(offer)
}

// echo sends messages on every channel, and returns when all have come back.
func (c *callers) echo(rounds int) error {
	for len(c.channels) > 0 {
		c.all = append(c.all, <-c.channels)
	}
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	token := func() error {
		timeout.Reset(connectTimeout)
		select {
		case c.waiting <- struct{}{}:
			return nil
		case <-timeout.C:
			return fmt.Errorf("%w after %d echoes", errStalled, c.echoes.Load())
		}
	}
	message := make([]byte, muxMessage)
	for range rounds {
		for _, ch := range c.all {
			if err := token(); err != nil {
				return err
			}
			if err := ch.send(message); err != nil {
				return err
			}
		}
	}
	for range muxWaiting {
		if err := token(); err != nil {
			return err
		}
	}
	for range muxWaiting {
		<-c.waiting
	}
	return nil
}
