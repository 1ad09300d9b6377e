package netsim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Node is a composite engine on a host: what has the verbs of the engine
// contract and speaks datagrams.
type Node interface {
	// HandlePacket feeds one datagram; data is valid during the call.
	HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, ecn uint8)
	// EndBatch ends the datagrams of this moment; called only after some.
	EndBatch(now time.Time)
	// Advance runs the timers that are due.
	Advance(now time.Time)
	// Deadline is when Advance wants to be called; zero: never. After
	// Advance(now) it is zero or after now.
	Deadline() time.Time
	// Transmit takes the next outgoing datagram until ok is false. data is valid
	// until the next call of any method. An unspecified local address leaves the
	// choice to the host; its port counts.
	Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool)
}

// SendErrorHandler is a Node that wants to know what became of a datagram that
// the host refused: ErrUnreachable, ErrFull or *netio.SizeError. Others' refused
// datagrams are lost.
type SendErrorHandler interface {
	HandleSendError(now time.Time, local, remote netip.AddrPort, err error)
}

// Errors of Sim.
var (
	// ErrContract: a node broke the engine contract.
	ErrContract = errors.New("netsim: engine contract broken")
	// ErrIdle: nothing is under way and no timer is armed, but the condition of
	// Run does not hold: a deadlock.
	ErrIdle = errors.New("netsim: nothing will ever happen")
	// ErrTimeout: the virtual time given to Run is over.
	ErrTimeout = errors.New("netsim: virtual time is over")
	// ErrSteps: MaxSteps is over.
	ErrSteps = errors.New("netsim: too many steps")
)

// defaultMaxSteps is hours of a busy call; a loop of engines that wake each
// other without end meets it.
const defaultMaxSteps = 20_000_000

// maxTransmit is how many datagrams a node may send at one moment.
const maxTransmit = 100_000

// Sim runs nodes over a network in virtual time, in the goroutine that calls it.
// Time stands still except inside Run and RunFor. Not safe for concurrent use.
type Sim struct {
	// Net is the network. Set by NewSim.
	Net *Network
	// MaxSteps bounds the moments of one Run; zero means 20 million.
	MaxSteps int
	// OnStep, if not nil, is called at the end of each moment, when all nodes
	// have sent: the place for a test's driver of applications, and for
	// invariants. What it makes the nodes want to send goes out at once.
	OnStep func(now time.Time) error

	now    time.Time
	nodes  []*attachment
	byHost map[*Host][]*attachment
	script []scripted // in order of time
}

type attachment struct {
	host    *Host
	node    Node
	ports   []uint16
	touched bool // has had datagrams at this moment
}

type scripted struct {
	at time.Time
	do func(now time.Time)
}

// NewSim returns a driver whose clock stands at Epoch.
func NewSim(n *Network) *Sim {
	return &Sim{Net: n, now: Epoch, byHost: make(map[*Host][]*attachment)}
}

// Now returns the virtual time.
func (s *Sim) Now() time.Time { return s.now }

// Attach puts a node on a host. It gets the datagrams for the local ports named;
// without ports all that no other node has. Nodes are served in the order of
// Attach.
func (s *Sim) Attach(h *Host, node Node, ports ...uint16) {
	a := &attachment{host: h, node: node, ports: ports}
	s.nodes = append(s.nodes, a)
	s.byHost[h] = append(s.byHost[h], a)
}

// Detach removes a node. What is under way for it is lost when it arrives.
func (s *Sim) Detach(node Node) {
	remove := func(list []*attachment) []*attachment {
		var kept []*attachment
		for _, a := range list {
			if a.node != node {
				kept = append(kept, a)
			}
		}
		return kept
	}
	s.nodes = remove(s.nodes)
	for _, h := range s.Net.hosts {
		if list, ok := s.byHost[h]; ok {
			s.byHost[h] = remove(list)
		}
	}
}

// At runs do when the clock reaches Epoch plus d, before the datagrams and timers
// of that moment: what the application or the operator does. Those of one moment
// run in the order of their calls. A time that is past means now.
func (s *Sim) At(d time.Duration, do func(now time.Time)) {
	at := Epoch.Add(d)
	if at.Before(s.now) {
		at = s.now
	}
	i := len(s.script)
	for i > 0 && s.script[i-1].at.After(at) {
		i--
	}
	s.script = append(s.script, scripted{})
	copy(s.script[i+1:], s.script[i:])
	s.script[i] = scripted{at, do}
}

// After is At, counted from now.
func (s *Sim) After(d time.Duration, do func(now time.Time)) { s.At(s.now.Sub(Epoch)+d, do) }

// Run lets time pass until the condition holds, which is looked at after each
// moment, for at most limit of virtual time. Errors: ErrTimeout, ErrIdle,
// ErrSteps, ErrContract and what OnStep returned, with the seed and the time.
func (s *Sim) Run(limit time.Duration, until func() bool) error {
	return s.fail(s.run(s.now.Add(limit), until))
}

// RunFor lets time pass, exactly d of it. Errors as Run, without ErrTimeout and
// ErrIdle.
func (s *Sim) RunFor(d time.Duration) error {
	end := s.now.Add(d)
	err := s.run(end, func() bool { return false })
	if errors.Is(err, ErrTimeout) || errors.Is(err, ErrIdle) {
		s.now = end
		return nil
	}
	return s.fail(err)
}

// RunUntilIdle lets time pass until nothing is under way and no timer is armed,
// for at most limit.
func (s *Sim) RunUntilIdle(limit time.Duration) error {
	err := s.run(s.now.Add(limit), func() bool { return false })
	if errors.Is(err, ErrIdle) {
		return nil
	}
	return s.fail(err)
}

func (s *Sim) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("seed %d, t=%v: %w", s.Net.seed, s.now.Sub(Epoch), err)
}

func (s *Sim) run(end time.Time, until func() bool) error {
	steps := s.MaxSteps
	if steps == 0 {
		steps = defaultMaxSteps
	}
	for range steps {
		// What calls of the application left to send, first of all.
		if err := s.settle(); err != nil {
			return err
		}
		if until() {
			return nil
		}
		next, ok := s.next()
		if !ok {
			return ErrIdle
		}
		if next.After(end) {
			s.now = end
			return ErrTimeout
		}
		if next.After(s.now) {
			s.now = next
		}
		if err := s.moment(); err != nil {
			return err
		}
	}
	return ErrSteps
}

// next is the time of the next moment.
func (s *Sim) next() (time.Time, bool) {
	var first time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	consider(s.Net.Deadline())
	if len(s.script) > 0 {
		consider(s.script[0].at)
	}
	for _, a := range s.nodes {
		consider(a.node.Deadline())
	}
	return first, !first.IsZero()
}

// moment does all that is due now: the script, the datagrams as one batch a
// node, the timers.
func (s *Sim) moment() error {
	for len(s.script) > 0 && !s.script[0].at.After(s.now) {
		do := s.script[0].do
		s.script = s.script[1:]
		do(s.now)
		if err := s.transmit(); err != nil {
			return err
		}
	}
	for {
		d, ok := s.Net.Next(s.now)
		if !ok {
			break
		}
		if a := s.receiver(d.Host, d.To.Port()); a != nil {
			a.node.HandlePacket(s.now, d.To, d.From, d.Data, d.ECN)
			a.touched = true
		}
	}
	for _, a := range s.nodes {
		if a.touched {
			a.touched = false
			a.node.EndBatch(s.now)
		}
	}
	return s.advance()
}

func (s *Sim) receiver(h *Host, port uint16) *attachment {
	var rest *attachment
	for _, a := range s.byHost[h] {
		if len(a.ports) == 0 && rest == nil {
			rest = a
		}
		for _, p := range a.ports {
			if p == port {
				return a
			}
		}
	}
	return rest
}

// advance runs the timers that are due, and holds the nodes to the contract.
func (s *Sim) advance() error {
	for _, a := range s.nodes {
		d := a.node.Deadline()
		if d.IsZero() || d.After(s.now) {
			continue
		}
		a.node.Advance(s.now)
		if d := a.node.Deadline(); !d.IsZero() && !d.After(s.now) {
			return fmt.Errorf("%w: node on %q: deadline %v is not after Advance(%v)",
				ErrContract, a.host.name, d.Sub(Epoch), s.now.Sub(Epoch))
		}
	}
	return nil
}

// settle sends what the nodes want to send, and gives the test its turn.
func (s *Sim) settle() error {
	if err := s.transmit(); err != nil {
		return err
	}
	if s.OnStep == nil {
		return nil
	}
	if err := s.OnStep(s.now); err != nil {
		return err
	}
	return s.transmit()
}

func (s *Sim) transmit() error {
	for _, a := range s.nodes {
		if err := s.drain(a); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) drain(a *attachment) error {
	for range maxTransmit {
		local, remote, data, ecn, ok := a.node.Transmit()
		if !ok {
			return nil
		}
		err := a.host.Send(s.now, local, remote, data, ecn)
		if err == nil {
			continue
		}
		if h, ok := a.node.(SendErrorHandler); ok {
			h.HandleSendError(s.now, local, remote, err)
		}
	}
	return fmt.Errorf("%w: node on %q transmits without end", ErrContract, a.host.name)
}
