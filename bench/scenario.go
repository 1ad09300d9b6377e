package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// benchCase is one line of the result. Lower is better in each.
type benchCase struct {
	name string
	unit string
}

// scenario is one thing that a child process does with one library. It may measure several cases at once.
type scenario struct {
	name  string
	cases []benchCase
	run   func(stack, env) (map[string]float64, error)
	other func(stack, env) (map[string]float64, error) // what the other library runs instead; nil: the same
	alone bool                                         // the other library has nothing like it
	path  *impairment                                  // the relay between the peers; nil: plain loopback
	bulk  bool                                         // packets as large as they get: checked for the size of its datagrams
	runs  int                                          // the most runs that make sense; 0: as many as asked for
}

// env is what a child process is told besides its scenario and library.
type env struct {
	wire   wire
	warm   time.Duration // traffic before anything is measured
	window time.Duration // traffic that is measured
	quick  bool          // a rough look
}

// quickShare divides a number of repetitions in a rough look.
const quickShare = 4

// count is how often something is repeated.
func (e env) count(n int) int {
	if e.quick {
		return n / quickShare
	}
	return n
}

const gigabyte = 1e9

// bulk16KiB is measured twice: with the default sockets and with large ones.
var bulk16KiB = scenario{
	name: "dc-16KiB", bulk: true,
	cases: []benchCase{{"dc-16KiB", "CPU s/GB"}, {"dc-time-16KiB", "s/GB"}},
	run:   bulkScenario{1, 16 << 10, figures{"dc-16KiB": sample.cpuPerGB, "dc-time-16KiB": sample.wallPerGB}, highWater, reliable}.run,
}

var scenarios = []scenario{
	{
		name:  "setup",
		cases: []benchCase{{"setup-cpu", "ms/pair"}, {"setup-wall", "ms/pair"}},
		run:   runSetup,
	},
	{
		name:  "setup-dtls12",
		cases: []benchCase{{"setup-cpu-dtls12", "ms/pair"}},
		run:   runSetupDTLS12,
		other: renamed(runSetup, "setup-cpu", "setup-cpu-dtls12"),
	},
	{
		name: "idle",
		cases: []benchCase{
			{"idle-memory", "KiB/connection"},
			{"idle-goroutines", "goroutines/connection"},
			{"idle-cpu", "us/s"},
		},
		run: runIdle,
	},
	muxScenario{"mux-1000", 1000}.scenario(),
	muxScenario{"mux-5000", muxMost}.scenario().ours(),
	{
		name:  "dtls-handshake-12",
		cases: []benchCase{{"dtls-handshake-12", "CPU ms/pair"}},
		run:   handshakeScenario{"dtls-handshake-12", connectParley(dtls12, nil)}.run,
		other: handshakeScenario{"dtls-handshake-12", connectPion(nil)}.run,
	},
	{
		name:  "dtls-handshake-13",
		cases: []benchCase{{"dtls-handshake-13", "CPU ms/pair"}},
		run:   handshakeScenario{"dtls-handshake-13", connectParley(dtls13, nil)}.run,
		alone: true,
	},
	{
		name:  "dtls-handshake-13-mlkem",
		cases: []benchCase{{"dtls-handshake-13-mlkem", "CPU ms/pair"}},
		run:   handshakeScenario{"dtls-handshake-13-mlkem", connectParley(dtls13Hybrid, nil)}.run,
		alone: true,
	},
	{
		name:  "dtls-record",
		cases: []benchCase{{"dtls-record", "CPU ns/record"}},
		run:   recordScenario{"dtls-record", parleyRecords(dtls13)}.run,
		other: recordScenario{"dtls-record", bareAEAD}.run,
	},
	{
		name:  "dtls-record-12",
		cases: []benchCase{{"dtls-record-12", "CPU ns/record"}},
		run:   recordScenario{"dtls-record-12", parleyRecords(dtls12)}.run,
		other: recordScenario{"dtls-record-12", bareAEAD}.run,
	},
	{
		name:  "dtls-record-pion",
		cases: []benchCase{{"dtls-record-pion", "CPU ns/record"}},
		run:   recordScenario{"dtls-record-pion", parleyRecords(dtls12)}.run,
		other: recordScenario{"dtls-record-pion", pionRecords}.run,
	},
	{
		name:  "dtls-idle-memory",
		cases: []benchCase{{"dtls-idle-memory", "KiB/connection"}},
		run:   dtlsIdle(connectParley(dtls12, nil)),
		other: dtlsIdle(connectPion(nil)),
	},
	{
		name: "dc-64B", bulk: true,
		cases: []benchCase{{"dc-64B", "CPU us/message"}},
		run:   bulkScenario{1, 64, figures{"dc-64B": sample.cpuPerMessage}, highWater, reliable}.run,
	},
	{
		name: "dc-1200B", bulk: true,
		cases: []benchCase{{"dc-1200B", "CPU s/GB"}},
		run:   bulkScenario{1, 1200, figures{"dc-1200B": sample.cpuPerGB}, highWater, reliable}.run,
	},
	bulk16KiB,
	bulk16KiB.largeSockets(),
	{
		name: "dc-16KiB-unordered", bulk: true,
		cases: []benchCase{{"dc-16KiB-unordered", "CPU s/GB"}},
		run:   bulkScenario{1, 16 << 10, figures{"dc-16KiB-unordered": sample.cpuPerGB}, highWater, unordered}.run,
	},
	{
		name: "dc-16KiB-unreliable", bulk: true,
		cases: []benchCase{{"dc-16KiB-unreliable", "CPU s/GB"}},
		run:   bulkScenario{1, 16 << 10, figures{"dc-16KiB-unreliable": sample.cpuPerGB}, highWater, unreliable}.run,
	},
	{
		name: "dc-256KiB", bulk: true,
		cases: []benchCase{{"dc-256KiB", "CPU s/GB"}},
		run:   bulkScenario{1, 256 << 10, figures{"dc-256KiB": sample.cpuPerGB}, highWater, reliable}.run,
	},
	{
		name: "dc-100ch", bulk: true,
		cases: []benchCase{{"dc-100ch", "CPU s/GB"}},
		run:   bulkScenario{100, 16 << 10, figures{"dc-100ch": sample.cpuPerGB}, highWater, reliable}.run,
	},
	{
		name:  "dc-rtt",
		cases: []benchCase{{"dc-rtt-p50", "us"}, {"dc-rtt-p99", "us"}},
		run:   rttScenario{"dc-rtt", rttSamples, 0}.run,
	},
	{
		name:  "dc-rtt-idle",
		cases: []benchCase{{"dc-rtt-idle-p50", "us"}, {"dc-rtt-idle-p99", "us"}},
		run:   rttScenario{"dc-rtt-idle", rttIdleSamples, rttPause}.run,
	},
	lossScenario("dc-loss-0", 0),
	lossScenario("dc-loss-0", 0).largeSockets(),
	lossScenario("dc-loss-1", 0.01),
	lossScenario("dc-loss-1", 0.01).largeSockets(),
	lossScenario("dc-loss-3", 0.03),
	lossScenario("dc-loss-3", 0.03).largeSockets(),
	{
		name: "rtp-send-recv", bulk: true,
		cases: []benchCase{{"rtp-send-recv", "CPU us/packet"}},
		run:   runSendRecv,
	},
	{
		name:  "rtp-forward-50",
		cases: []benchCase{{"rtp-forward-50", "CPU us/packet"}},
		run:   forwardScenario{50, 1, "rtp-forward-50"}.run,
	},
	{
		name:  "rtp-forward-50-burst8",
		cases: []benchCase{{"rtp-forward-50-burst8", "CPU us/packet"}},
		run:   forwardScenario{50, 8, "rtp-forward-50-burst8"}.run,
	},
	turnScenario{name: "turn-relay", clients: 50, interval: 20 * time.Millisecond, burst: 1, size: 160}.scenario(),
	turnScenario{name: "turn-relay-indications", clients: 50, interval: 20 * time.Millisecond, burst: 1, size: 160, indications: true}.scenario(),
	turnScenario{name: "turn-relay-video", clients: 10, interval: 40 * time.Millisecond, burst: 8, size: 1200}.scenario(),
	turnScenario{name: "turn-relay-saturated", clients: 50, burst: 1, size: 160}.scenario(),
	turnScenario{name: "turn-relay-saturated-video", clients: 10, burst: 8, size: 1200}.scenario(),
}

// of is what a library runs.
func (s scenario) of(library string) func(stack, env) (map[string]float64, error) {
	if library == theirs && s.other != nil {
		return s.other
	}
	return s.run
}

func findScenario(name string) (scenario, error) {
	for _, s := range scenarios {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("no scenario %q", name)
}

// stallTime without a single byte is a stall, not noise.
const stallTime = 2 * time.Second

var errStalled = errors.New("stalled")

// meter counts what arrives.
type meter struct {
	bytes    atomic.Int64
	messages atomic.Int64
}

func (m *meter) add(n int) {
	m.bytes.Add(int64(n))
	m.messages.Add(1)
}

// sample is what arrived in a window and what the process used for it.
type sample struct {
	bytes, messages int64
	wall, cpu       time.Duration
}

// measure lets the traffic run for warm, then measures a window of it.
func (m *meter) measure(warm, window time.Duration) (sample, error) {
	time.Sleep(warm)
	start, cpu := time.Now(), processCPU()
	bytes, messages := m.bytes.Load(), m.messages.Load()
	last, lastAt := messages, start
	for time.Since(start) < window {
		time.Sleep(min(window-time.Since(start), stallTime/8))
		now := time.Now()
		if n := m.messages.Load(); n != last {
			last, lastAt = n, now
		} else if now.Sub(lastAt) >= stallTime {
			return sample{}, fmt.Errorf("%w after %d messages", errStalled, last)
		}
	}
	if m.messages.Load() == messages {
		return sample{}, fmt.Errorf("%w after %d messages", errStalled, messages)
	}
	return sample{
		bytes:    m.bytes.Load() - bytes,
		messages: m.messages.Load() - messages,
		wall:     time.Since(start),
		cpu:      processCPU() - cpu,
	}, nil
}

// figures say how the cases of a scenario come out of what was measured.
type figures map[string]func(sample) float64

func (f figures) of(s sample) map[string]float64 {
	values := make(map[string]float64, len(f))
	for name, figure := range f {
		values[name] = figure(s)
	}
	return values
}

func (s sample) cpuPerGB() float64  { return s.cpu.Seconds() / (float64(s.bytes) / gigabyte) }
func (s sample) wallPerGB() float64 { return s.wall.Seconds() / (float64(s.bytes) / gigabyte) }
func (s sample) cpuPerMessage() float64 {
	return float64(s.cpu) / float64(time.Microsecond) / float64(s.messages)
}
