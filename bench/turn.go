package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/internal/netio"
)

// turnScenario relays through a TURN server in a process of its own, whose CPU time is what counts; clients and peers are
// here, and the same for each server.
type turnScenario struct {
	name        string
	clients     int           // each with an allocation, and a peer
	interval    time.Duration // between two bursts of one sender, client or peer; 0: as fast as the server relays
	burst       int           // datagrams that follow each other at once
	size        int           // of the payload
	indications bool          // Send and Data indications, without channels
}

const (
	// turnMinimum is the share of the packets that must arrive.
	turnMinimum = 0.95
	// turnWindow is how many bursts of each sender are under way where the server is kept busy.
	turnWindow = 2
	// turnStall is when what was lost of them is replaced.
	turnStall = 20 * time.Millisecond
	// turnLook is how often clients and peers look for what has arrived.
	turnLook = 2 * time.Millisecond
)

// scenario measures this library's server beside coturn.
func (s turnScenario) scenario() scenario {
	return scenario{
		name:  s.name,
		cases: []benchCase{{s.name, "CPU us/packet"}},
		run:   s.via(startOurTURN),
		other: s.via(startCoturn),
	}
}

// via measures with the server that start starts.
func (s turnScenario) via(start func() (*turnProcess, error)) func(stack, env) (map[string]float64, error) {
	return func(_ stack, e env) (map[string]float64, error) {
		server, err := start()
		if err != nil {
			return nil, err
		}
		defer server.stop()
		load, err := newTURNLoad(s)
		if err != nil {
			return nil, err
		}
		defer load.close()
		if err := load.connect(server); err != nil {
			return nil, err
		}
		return load.measure(server, e)
	}
}

// turnSender is a client or a peer: it sends the same datagram again and again, and counts what comes from the other side.
type turnSender struct {
	conn   netio.PacketConn
	packet netio.Message
	other  *turnSender
}

// turnLoad is all that surrounds the server.
type turnLoad struct {
	turnScenario
	poller        netio.Poller
	senders       []*turnSender // tagged by their places
	sent, arrived meter
}

func newTURNLoad(s turnScenario) (*turnLoad, error) {
	network, ok := netio.System.(netio.Polling)
	if !ok {
		return nil, errors.New("this system has no poller for so many sockets")
	}
	p, err := network.NewPoller(0)
	if err != nil {
		return nil, err
	}
	return &turnLoad{turnScenario: s, poller: p}, nil
}

func (l *turnLoad) close() {
	_ = l.poller.Close()
	for _, x := range l.senders {
		_ = x.conn.Close()
	}
}

func (l *turnLoad) newSender() (*turnSender, error) {
	conn, err := l.poller.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"), uint64(len(l.senders)))
	if err != nil {
		return nil, err
	}
	x := &turnSender{conn: conn}
	l.senders = append(l.senders, x)
	return x, nil
}

// send sends a burst, one datagram at a time, as most senders do.
func (l *turnLoad) send(x *turnSender, burst int) {
	for range burst {
		if n, err := x.conn.WriteBatch([]netio.Message{x.packet}); n == 1 && err == nil {
			l.sent.add(len(x.packet.Data))
		}
	}
}

// receive counts what arrives until the poller is closed. It looks now and then, without waiting: a thread that waits is woken
// by who sends, and the server would have to do that for each packet, as it does not for peers that are elsewhere. Where
// the server is kept busy, as much follows as has arrived.
func (l *turnLoad) receive() {
	if l.interval > 0 {
		lockSleeper()
	}
	count := func(tag uint64, msgs []netio.Message) {
		n := 0
		for i := range msgs {
			n += msgs[i].Count()
			l.arrived.add(len(msgs[i].Data))
		}
		l.arrived.messages.Add(int64(n - len(msgs)))
		if l.interval == 0 {
			l.send(l.senders[tag].other, n)
		}
	}
	for l.poller.Read(count) == nil {
		if l.interval > 0 {
			preciseSleep(turnLook)
		}
	}
}

// connect makes the allocations.
func (l *turnLoad) connect(server *turnProcess) error {
	for range l.clients {
		client, err := l.newSender()
		if err != nil {
			return err
		}
		peer, err := l.newSender()
		if err != nil {
			return err
		}
		client.other, peer.other = peer, client
		c, err := turn.New(turn.Config{Server: server.addr, Username: turnUser, Password: turnPassword, Rand: rand.Reader})
		if err != nil {
			return err
		}
		c.Allocate(time.Now())
		if err := l.until(client, c, func() bool { return c.State() == turn.StateAllocated }); err != nil {
			return err
		}
		if err := l.open(client, peer, c); err != nil {
			return err
		}
	}
	return nil
}

// open asks for a channel or a permission, and lays out what client and peer send.
func (l *turnLoad) open(client, peer *turnSender, c *turn.Client) error {
	addr := peer.conn.LocalAddr()
	var err error
	ready := addr
	if l.indications {
		ready = netip.AddrPortFrom(addr.Addr(), 0)
		err = c.CreatePermission(time.Now(), addr.Addr())
	} else {
		err = c.Bind(time.Now(), addr)
	}
	if err != nil {
		return err
	}
	if err := l.until(client, c, func() bool { return c.Ready(ready) }); err != nil {
		return err
	}
	peer.packet = netio.Message{Data: make([]byte, l.size), Remote: c.Relayed()[0]}
	framed, ok := c.Append(nil, peer.packet.Data, addr)
	if !ok {
		return fmt.Errorf("no way to the peer: %v", c.State())
	}
	client.packet = netio.Message{Data: framed, Remote: c.Server()}
	return nil
}

// until exchanges requests and responses until the condition holds.
func (l *turnLoad) until(x *turnSender, c *turn.Client, cond func() bool) error {
	watchdog := time.AfterFunc(stallTime, func() { _ = l.poller.Close() })
	defer watchdog.Stop()
	for !cond() {
		for {
			pkt, ok := c.Next(nil)
			if !ok {
				break
			}
			if _, err := x.conn.WriteBatch([]netio.Message{{Data: pkt, Remote: c.Server()}}); err != nil {
				return err
			}
		}
		err := l.poller.Read(func(_ uint64, msgs []netio.Message) {
			for i := range msgs {
				_, _, _ = c.HandlePacket(time.Now(), msgs[i].At(0))
			}
		})
		if err != nil {
			return fmt.Errorf("%w: no answer of the server: %w", errStalled, err)
		}
	}
	return nil
}

func (l *turnLoad) measure(server *turnProcess, e env) (map[string]float64, error) {
	var work sync.WaitGroup
	end := make(chan struct{})
	work.Go(l.receive)
	work.Go(func() {
		if l.interval == 0 {
			l.saturate(end)
		} else {
			l.pace(end)
		}
	})
	defer func() {
		close(end)
		_ = l.poller.Close()
		work.Wait()
	}()
	time.Sleep(e.warm)
	cpu, err := server.cpu()
	if err != nil {
		return nil, err
	}
	before := l.sent.messages.Load()
	got, err := l.arrived.measure(0, e.window)
	if err != nil {
		return nil, err
	}
	after, err := server.cpu()
	if err != nil {
		return nil, err
	}
	if n := l.sent.messages.Load() - before; float64(got.messages) < turnMinimum*float64(n) {
		return nil, fmt.Errorf("%w: %d of %d relayed arrived", errLost, got.messages, n)
	}
	return map[string]float64{
		l.name: float64(after-cpu) / float64(time.Microsecond) / float64(got.messages),
	}, nil
}

// pace lets the senders send in turns, spread evenly over the interval.
func (l *turnLoad) pace(end <-chan struct{}) {
	lockSleeper()
	senders := slices.Clone(l.senders)
	mathrand.New(mathrand.NewPCG(1, 1)).Shuffle(len(senders), func(i, j int) { senders[i], senders[j] = senders[j], senders[i] })
	step := l.interval / time.Duration(len(senders))
	due := time.Now()
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		default:
		}
		due = due.Add(step)
		if wait := time.Until(due); wait > 0 {
			preciseSleep(wait)
		}
		l.send(senders[i%len(senders)], l.burst)
	}
}

// saturate begins, and begins again where everything was lost: what arrives lets as much follow.
func (l *turnLoad) saturate(end <-chan struct{}) {
	tick := time.NewTicker(turnStall)
	defer tick.Stop()
	last := int64(-1)
	for {
		if n := l.arrived.messages.Load(); n != last {
			last = n
		} else {
			last = -1
		}
		if last <= 0 {
			for _, x := range l.senders {
				l.send(x, l.burst*turnWindow)
			}
		}
		select {
		case <-end:
			return
		case <-tick.C:
		}
	}
}
