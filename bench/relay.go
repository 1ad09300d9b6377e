package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// impairment says what a relay does to each direction. The zero value passes packets on at once.
type impairment struct {
	delay time.Duration // one way
	rate  int           // bit/s, IP and UDP headers counted; 0: unlimited
	queue time.Duration // the most a packet waits for the link before it is dropped at the tail
	loss  float64       // probability
}

const (
	// relayTick is how long a sender sleeps at least: what becomes due meanwhile goes out together. At 100 Mbit/s that
	// is two or three packets of 1500 bytes.
	relayTick = 300 * time.Microsecond
	// relayBurst is how much goes out at once when the relay itself is late: a peer's socket buffer must hold it.
	relayBurst = 16
)

const (
	ipUDPOverhead = 20 + 8
	maxDatagram   = 1500 // IP packet
)

// relay is a UDP relay on loopback between two peers, in the parent process, so that its cost is nobody's. Peer A knows
// it as wire.beforeA and peer B as wire.beforeB; each peer's address is learned from its packets.
type relay struct {
	a, b     *relayPort
	largest  atomic.Int64
	finished sync.WaitGroup
}

// relayPort is the socket that one of the peers talks to.
type relayPort struct {
	conn *net.UDPConn
	peer atomic.Pointer[netip.AddrPort]
}

func startRelay(p impairment, seed uint64) (*relay, error) {
	r := &relay{}
	for _, port := range []**relayPort{&r.a, &r.b} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			r.stop()
			return nil, fmt.Errorf("relay: %w", err)
		}
		// Best effort: the system may grant less. Bursts of 64 packets must fit.
		_ = conn.SetReadBuffer(4 << 20)
		_ = conn.SetWriteBuffer(4 << 20)
		*port = &relayPort{conn: conn}
	}
	r.start(r.a, r.b, p, rand.New(rand.NewPCG(seed, 1)))
	r.start(r.b, r.a, p, rand.New(rand.NewPCG(seed, 2)))
	return r, nil
}

func (r *relay) wire() wire {
	return wire{beforeA: r.a.addr(), beforeB: r.b.addr()}
}

func (r *relay) stop() {
	for _, port := range []*relayPort{r.a, r.b} {
		if port != nil {
			_ = port.conn.Close()
		}
	}
	r.finished.Wait()
}

func (p *relayPort) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// start runs one direction: a reader that decides each packet's fate on arrival, and, if the path takes time, a sender
// that lets packets go when they are due.
func (r *relay) start(from, to *relayPort, p impairment, rng *rand.Rand) {
	l := newLink(p, to, rng)
	if p.delay > 0 || p.rate > 0 {
		r.finished.Go(l.send)
	}
	r.finished.Go(func() { r.read(from, l) })
}

func (r *relay) read(from *relayPort, l *link) {
	defer l.close()
	buf := make([]byte, 1<<16)
	for {
		n, addr, err := from.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if known := from.peer.Load(); known == nil || *known != addr {
			from.peer.Store(&addr)
		}
		r.count(n)
		l.offer(time.Now(), buf[:n])
	}
}

func (r *relay) count(n int) {
	for {
		old := r.largest.Load()
		if int64(n) <= old || r.largest.CompareAndSwap(old, int64(n)) {
			return
		}
	}
}

// largestIP is the size of the largest IP packet seen.
func (r *relay) largestIP() int { return int(r.largest.Load()) + ipUDPOverhead }

// link is one direction of a path.
type link struct {
	// Immutable.
	path impairment
	to   *relayPort

	// The reader's.
	rng  *rand.Rand
	free time.Time // when the link has sent everything accepted so far

	arrived *sync.Cond // on mu

	// Guarded by mu.
	mu      sync.Mutex
	packets []timedPacket
	spare   [][]byte
	closed  bool
}

type timedPacket struct {
	due  time.Time
	data []byte
}

func newLink(p impairment, to *relayPort, rng *rand.Rand) *link {
	l := &link{path: p, to: to, rng: rng}
	l.arrived = sync.NewCond(&l.mu)
	return l
}

// offer takes a packet, or drops it and returns false: by chance, or because the queue is full.
func (l *link) offer(now time.Time, data []byte) bool {
	if l.path.loss > 0 && l.rng.Float64() < l.path.loss {
		return false
	}
	if l.path.delay == 0 && l.path.rate == 0 {
		l.to.write(data)
		return true
	}
	if l.free.Before(now) {
		l.free = now
	}
	if l.path.rate > 0 {
		if l.free.Sub(now) > l.path.queue {
			return false
		}
		bits := (len(data) + ipUDPOverhead) * 8
		l.free = l.free.Add(time.Duration(bits) * time.Second / time.Duration(l.path.rate))
	}
	l.push(timedPacket{due: l.free.Add(l.path.delay), data: data})
	return true
}

func (l *link) push(p timedPacket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var buf []byte
	if n := len(l.spare); n > 0 {
		buf, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	p.data = append(buf[:0], p.data...)
	l.packets = append(l.packets, p)
	if len(l.packets) == 1 {
		l.arrived.Signal()
	}
}

// send lets the packets go, each when it is due.
func (l *link) send() {
	lockSleeper()
	var batch []timedPacket
	burst := 0
	for {
		batch = l.take(batch)
		if batch == nil {
			return
		}
		for _, p := range batch {
			wait := time.Until(p.due)
			if wait > 0 || burst == relayBurst {
				preciseSleep(max(wait, relayTick))
				burst = 0
			}
			l.to.write(p.data)
			burst++
		}
	}
}

// take waits for packets and returns all there are; done are those taken before, whose buffers return. Nil: closed.
func (l *link) take(done []timedPacket) []timedPacket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range done {
		l.spare = append(l.spare, p.data)
	}
	for len(l.packets) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil
	}
	taken := l.packets
	l.packets = done[:0]
	return taken
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.arrived.Signal()
}

// write passes a packet on. Before the peer's first packet its address is unknown, and the packet is lost: the
// connectivity checks of both peers repeat.
func (p *relayPort) write(data []byte) {
	if peer := p.peer.Load(); peer != nil {
		_, _ = p.conn.WriteToUDPAddrPort(data, *peer) // closed, or the peer's socket is: lost as on any wire
	}
}
