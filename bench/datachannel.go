package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// A sender fills its buffer up to a high water and goes on when it has drained to half of that. Many channels share the
// sum. A library may count what is on its way as buffered: on the impaired path, half of the buffer must be more than the
// path and its queue hold, 1.25 MB.
const (
	highWater     = 1 << 20
	highWaterPath = 4 << 20
)

// bulkScenario sends messages of one size over channels of one kind, as fast as the buffers drain.
type bulkScenario struct {
	channels int
	size     int // of a message, bytes
	figures  figures
	buffer   uint64 // high water
	delivery delivery
}

func (s bulkScenario) run(st stack, e env) (map[string]float64, error) {
	got, err := s.measure(st, e)
	if err != nil {
		return nil, err
	}
	return s.figures.of(got), nil
}

func (s bulkScenario) measure(st stack, e env) (sample, error) {
	p, err := newPair(st)
	if err != nil {
		return sample{}, err
	}
	defer p.close()
	p.delivery = s.delivery
	var m meter
	channels, err := p.openChannels(s.channels, e.wire, func() func([]byte) {
		return func(b []byte) { m.add(len(b)) }
	})
	if err != nil {
		return sample{}, err
	}
	stop, failed := make(chan struct{}), make(chan error, s.channels)
	defer close(stop)
	high := max(s.buffer/uint64(s.channels), 4*uint64(s.size))
	for _, c := range channels {
		go func() { failed <- fill(c.a, make([]byte, s.size), high, stop) }()
	}
	got, err := m.measure(e.warm, e.window)
	if err != nil {
		return sample{}, err
	}
	select {
	case err := <-failed:
		return sample{}, fmt.Errorf("send: %w", err)
	default:
		return got, nil
	}
}

// fill sends message over and over and keeps the channel's buffer between half of high and high, until stop.
func fill(c channel, message []byte, high uint64, stop <-chan struct{}) error {
	low := make(chan struct{}, 1)
	c.setLowThreshold(high / 2)
	c.onLow(func() {
		select {
		case low <- struct{}{}:
		default:
		}
	})
	for {
		for c.bufferedAmount()+uint64(len(message)) > high {
			select {
			case <-low:
			case <-stop:
				return nil
			}
		}
		select {
		case <-stop:
			return nil
		default:
		}
		if err := c.send(message); err != nil {
			return err
		}
	}
}

// lossScenario sends 16 KiB messages over the impaired path: RTT 50 ms, 100 Mbit/s, 50 ms of queue.
func lossScenario(name string, loss float64) scenario {
	return scenario{
		name:  name,
		cases: []benchCase{{name, "s/GB"}},
		path: &impairment{
			delay: 25 * time.Millisecond,
			rate:  100_000_000,
			queue: 50 * time.Millisecond,
			loss:  loss,
		},
		runs: 3,
		run: func(st stack, e env) (map[string]float64, error) {
			e.warm, e.window = 2*time.Second, 18*time.Second // the mean over t = 2..20 s
			if e.quick {
				e.window = 4 * time.Second
			}
			return bulkScenario{1, 16 << 10, figures{name: sample.wallPerGB}, highWaterPath, reliable}.run(st, e)
		},
	}
}

// largeSockets is the scenario with pion's sockets as large as this library's.
func (s scenario) largeSockets() scenario {
	run := s.run
	renamed := func(st stack, e env) (map[string]float64, error) {
		values, err := run(st, e)
		if err != nil {
			return nil, err
		}
		suffixed := make(map[string]float64, len(values))
		for name, v := range values {
			suffixed[name+largeSuffix] = v
		}
		return suffixed, nil
	}
	s.name += largeSuffix
	s.run, s.other = renamed, withLargeSockets(renamed)
	cases := make([]benchCase, 0, len(s.cases))
	for _, c := range s.cases {
		cases = append(cases, benchCase{c.name + largeSuffix, c.unit})
	}
	s.cases = cases
	return s
}

const largeSuffix = "-buffers"

const (
	rttSize        = 64
	rttWarm        = 10 // measured messages for each that is not
	rttSamples     = 20000
	rttIdleSamples = 1000
	rttPause       = 5 * time.Millisecond
)

// rttScenario plays ping-pong with one small message, each side answering from its message handler. Before each ping the
// connection is idle for the length of a pause; zero: back to back.
type rttScenario struct {
	name    string
	samples int
	pause   time.Duration
}

func (s rttScenario) run(st stack, e env) (map[string]float64, error) {
	p, err := newPair(st)
	if err != nil {
		return nil, err
	}
	defer p.close()
	channels, err := p.openChannels(1, e.wire, nil)
	if err != nil {
		return nil, err
	}
	c := channels[0]
	failed := make(chan error, 2)
	send := func(c channel, b []byte) {
		if err := c.send(b); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	c.b.onMessage(func(b []byte) { send(c.b, b) })

	var (
		warm = s.samples / rttWarm
		rtts = make([]time.Duration, 0, warm+s.samples)
		done = make(chan struct{})
		ping = make([]byte, rttSize)
		last time.Time
	)
	next := func() {
		last = time.Now()
		send(c.a, ping)
	}
	c.a.onMessage(func([]byte) {
		if len(rtts) == cap(rtts) {
			return
		}
		rtts = append(rtts, time.Since(last))
		if len(rtts) == cap(rtts) {
			close(done)
			return
		}
		binary.BigEndian.PutUint64(ping, uint64(len(rtts)))
		if s.pause > 0 {
			time.AfterFunc(s.pause, next)
			return
		}
		next()
	})
	next()
	select {
	case <-done:
	case err := <-failed:
		return nil, fmt.Errorf("send: %w", err)
	case <-time.After(30 * time.Second):
		return nil, errStalled
	}
	rtts = rtts[warm:]
	slices.Sort(rtts)
	return map[string]float64{
		s.name + "-p50": microseconds(rtts[len(rtts)/2]),
		s.name + "-p99": microseconds(rtts[len(rtts)*99/100]),
	}, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
