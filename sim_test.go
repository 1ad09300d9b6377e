package webrtc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netsim"
	"github.com/openparley/webrtc/internal/rtpflow"
	"github.com/openparley/webrtc/sctp"
	"github.com/openparley/webrtc/sctp/dcep"
	"github.com/openparley/webrtc/sdp"
	"github.com/openparley/webrtc/sdp/jsep"
)

// A whole call as a pure state machine: two composites with their sessions on a simulated network, in one goroutine and
// in virtual time. A failing run prints its seed and repeats from it.

// simPeer is one side of a simulated call. It implements netsim.Node and compositeSink.
type simPeer struct {
	t       testing.TB
	sim     *netsim.Sim
	host    *netsim.Host
	name    string
	engine  *composite
	session *jsep.Session
	other   *simPeer
	log     *netsim.Log
	local   jsep.LocalParams
	first   ice.Parameters

	ports    map[uint16]ice.BaseID
	bases    map[ice.BaseID]netip.AddrPort
	nextPort uint16
	segment  int

	channels  map[string]*DataChannel
	open      map[string]bool
	received  map[string][][]byte
	connected bool
	media     *TrackRemote
	outgoing  []*outboundStream
}

var simCertificates = sync.OnceValue(func() []*Certificate {
	var certs []*Certificate
	for range 2 {
		c, err := GenerateCertificate(nil)
		if err != nil {
			panic(err)
		}
		certs = append(certs, c)
	}
	return certs
})

func newSimPeer(t testing.TB, sim *netsim.Sim, log *netsim.Log, name, addr string, link netsim.LinkConfig, cert *Certificate) *simPeer {
	t.Helper()
	random := sim.Net.Rand(name)
	p := &simPeer{
		t: t, sim: sim, name: name, log: log, host: sim.Net.Connect(name, link, addr), nextPort: 5000,
		ports: make(map[uint16]ice.BaseID), bases: make(map[ice.BaseID]netip.AddrPort),
		channels: make(map[string]*DataChannel), open: make(map[string]bool), received: make(map[string][][]byte),
	}
	kinds, err := newCapabilities(DefaultCodecs())
	simMust(t, err)
	p.session, err = jsep.New(jsep.Config{Capabilities: kinds.jsep, Rand: random})
	simMust(t, err)
	p.first, err = ice.GenerateParameters(random)
	simMust(t, err)
	prints, _ := cert.GetFingerprints()
	p.local = jsep.LocalParams{
		Fingerprints: []sdp.Fingerprint{{Algorithm: prints[0].Algorithm, Value: prints[0].Value}},
		Ufrag:        p.first.Ufrag, Pwd: p.first.Pwd,
	}
	p.engine, err = newComposite(compositeConfig{
		ice: ice.Config{Local: p.first, Rand: random}, rand: random, logger: slog.New(slog.DiscardHandler),
		certificate: dtls.Certificate{Chain: [][]byte{cert.der}, PrivateKey: cert.key},
		profiles:    []dtls.SRTPProfile{dtls.SRTPAEADAES128GCM}, maxMessageSize: 1 << 20, sendBuffer: 16 << 20,
		// The server's half of ML-KEM is random whatever the seed; see dtls.Config.Rand.
		maxDTLS: dtls.VersionDTLS13,
	}, p)
	simMust(t, err)
	sim.Attach(p.host, p)
	return p
}

func simMust(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *simPeer) note(format string, args ...any) {
	p.log.Printf("%8v %s %s", p.sim.Now().Sub(netsim.Epoch), p.name, fmt.Sprintf(format, args...))
}

// HandlePacket implements netsim.Node. The network's buffer is not ours to decrypt in.
func (p *simPeer) HandlePacket(now time.Time, local, remote netip.AddrPort, data []byte, _ uint8) {
	p.engine.handlePacket(now, p.ports[local.Port()], remote, bytes.Clone(data))
}

func (p *simPeer) EndBatch(now time.Time) { p.engine.endBatch(now) }
func (p *simPeer) Advance(now time.Time)  { p.engine.advance(now) }
func (p *simPeer) Deadline() time.Time    { return p.engine.deadline() }

func (p *simPeer) Transmit() (local, remote netip.AddrPort, data []byte, ecn uint8, ok bool) {
	out := &p.engine.out
	for len(out.msgs) > 0 {
		m := &out.msgs[0]
		if p.segment < m.Count() {
			data = m.At(p.segment)
			p.segment++
			return p.bases[out.bases[0]], m.Remote, data, m.ECN, true
		}
		p.segment = 0
		out.taken(1)
	}
	out.taken(0)
	return local, remote, nil, 0, false
}

// later does outside work: never within the engine's call.
func (p *simPeer) later(f func(now time.Time)) {
	p.sim.After(0, func(now time.Time) {
		f(now)
		p.engine.pump(now)
	})
}

func (p *simPeer) iceEvent(e ice.Event) {
	switch e := e.(type) {
	case ice.EventState:
		p.note("ice %v", e.State)
	case ice.EventInterfaces:
		p.later(func(now time.Time) {
			p.engine.ice.HandleInterfacesResult(now, e.Gen, []netip.Addr{p.host.Addr()}, nil)
		})
	case ice.EventBind:
		local := netip.AddrPortFrom(e.Addr.Addr(), p.nextPort)
		p.nextPort++
		p.ports[local.Port()], p.bases[e.Base] = e.Base, local
		p.later(func(now time.Time) { p.engine.ice.HandleBindResult(now, e.Gen, e.Base, local, nil) })
	case ice.EventCandidate:
		text := e.Candidate.String()
		p.sim.After(50*time.Millisecond, func(now time.Time) {
			mid := "0"
			use, err := p.other.session.AddRemoteCandidate(jsep.Candidate{Candidate: text, MID: &mid})
			if err == nil && use.Deliver {
				c, err := ice.ParseCandidate(use.Candidate)
				simMust(p.t, err)
				p.other.engine.addRemoteCandidate(now, c)
				p.other.engine.pump(now)
			}
		})
	}
}

func (p *simPeer) dtlsEvent(s dtls.State, err error) {
	p.note("dtls %v %v", s, err)
	p.connected = s == dtls.StateConnected
}

func (p *simPeer) channelEvent(e dcep.Event) {
	switch e.Kind {
	case dcep.EventChannel:
		dc := newDataChannel(nil, e.Channel.Options())
		p.engine.attach(dc, e.Channel)
		p.channels[dc.Label()], p.open[dc.Label()] = dc, true
		p.note("datachannel %s", dc.Label())
		p.credit(e.Charge)
	case dcep.EventOpen:
		dc := channelOf(e.Channel)
		p.open[dc.Label()] = true
		p.note("open %s", dc.Label())
		p.credit(e.Charge)
	case dcep.EventMessage:
		dc := channelOf(e.Channel)
		p.received[dc.Label()] = append(p.received[dc.Label()], e.Data)
		p.note("message %s %d", dc.Label(), len(e.Data))
		p.credit(e.Charge)
	case dcep.EventState:
		p.note("sctp %v %v", e.State, e.Err)
	}
}

func (p *simPeer) credit(n int) {
	if n > 0 {
		p.engine.link.credit.Add(int64(n))
		p.later(func(now time.Time) { p.engine.giveCredit(now, p.engine.link) })
	}
}

func (p *simPeer) channelRefused(dc *DataChannel, err error) {
	p.note("refused %s: %v", dc.Label(), err)
}
func (p *simPeer) trackFlows(*TrackRemote) { p.note("track flows") }
func (p *simPeer) allocate(n int) []byte   { return make([]byte, n) }

// apply hands the effects of a description to the engine, as PeerConnection does.
func (p *simPeer) apply(now time.Time, fx *jsep.Effects, err error) {
	p.t.Helper()
	simMust(p.t, err)
	var flows []flowUpdate
	for _, f := range fx.Flows {
		t, ok := f.Transceiver.User.(*RTPTransceiver)
		if !ok {
			t = &RTPTransceiver{kind: NewRTPCodecType(f.Kind), sender: &RTPSender{}, state: f.Transceiver}
			t.sender.transceiver = t
			t.sender.rtcp = newPacketRing(64)
			t.receiver = &RTPReceiver{transceiver: t, rtcp: newPacketRing(64)}
			p.media = &TrackRemote{receiver: t.receiver, ring: newPacketRing(4096)}
			t.receiver.tracks = []*TrackRemote{p.media}
			f.Transceiver.User = t
		}
		flows = append(flows, flowUpdate{flow: f, transceiver: t, tracks: t.receiver.tracks})
		p.outgoing = t.sender.streams
	}
	u := (&PeerConnection{firstLocal: p.first}).transportUpdate(fx)
	u.rtp = newRTPTable(flows)
	if len(flows) > 0 {
		p.outgoing = flows[0].transceiver.sender.streams
	}
	simMust(p.t, p.engine.apply(now, u))
	p.engine.pump(now)
}

// connect makes the exchange of descriptions, over a signaling channel of 50 ms.
func (p *simPeer) connect() {
	p.sim.At(0, func(now time.Time) {
		offer, err := p.session.CreateOffer(jsep.OfferOptions{}, p.local)
		simMust(p.t, err)
		fx, err := p.session.SetLocal(offer, p.local)
		p.apply(now, fx, err)
		p.sim.After(50*time.Millisecond, func(now time.Time) {
			fx, err := p.other.session.SetRemote(offer)
			p.other.apply(now, fx, err)
			answer, err := p.other.session.CreateAnswer(jsep.AnswerOptions{}, p.other.local)
			simMust(p.t, err)
			fx, err = p.other.session.SetLocal(answer, p.other.local)
			p.other.apply(now, fx, err)
			p.sim.After(50*time.Millisecond, func(now time.Time) {
				fx, err := p.session.SetRemote(answer)
				p.apply(now, fx, err)
			})
		})
	})
}

func (p *simPeer) create(label string, o dcep.Options) {
	o.Label = label
	dc := newDataChannel(nil, o)
	p.channels[label] = dc
	simMust(p.t, p.session.EnableData())
	simMust(p.t, p.engine.createChannel(p.sim.Now(), dc))
}

// simMessage is message i of a channel: its number, and a length that depends on it.
func simMessage(i int) []byte {
	sizes := []int{4, 100, 1200, 5000, 16 << 10, 60000}
	b := make([]byte, sizes[i%len(sizes)])
	binary.BigEndian.PutUint32(b, uint32(i))
	for j := 4; j < len(b); j++ {
		b[j] = byte(i + j)
	}
	return b
}

// simCall runs one whole call and returns the trace of its events.
func simCall(t testing.TB, seed uint64, link netsim.LinkConfig) *netsim.Log {
	t.Helper()
	const messages = 30
	log := new(netsim.Log)
	sim := netsim.NewSim(netsim.New(seed))
	certs := simCertificates()
	a := newSimPeer(t, sim, log, "a", "10.0.0.1", link, certs[0])
	b := newSimPeer(t, sim, log, "b", "10.0.0.2", link, certs[1])
	a.other, b.other = b, a
	_, err := a.session.AddTransceiver(jsep.KindVideo, jsep.TransceiverInit{Track: "video", Streams: []string{"s"}})
	simMust(t, err)
	a.create("ordered", dcep.Options{})
	a.create("unordered", dcep.Options{Unordered: true})
	a.create("partial", dcep.Options{Unordered: true, Reliability: sctp.LimitedRetransmits})
	a.connect()

	sent := make(map[*simPeer]int)
	sim.OnStep = func(now time.Time) error {
		for _, p := range []*simPeer{a, b} {
			if sent[p] > 0 || !p.open["ordered"] || !p.open["unordered"] || !p.open["partial"] {
				continue
			}
			for i := range messages {
				for _, label := range []string{"ordered", "unordered", "partial"} {
					simMust(t, p.engine.sendMessage(now, p.channels[label], simMessage(i), i%2 == 0))
				}
				sent[p]++
			}
			p.engine.pump(now)
		}
		return nil
	}
	// Video at 50 packets a second, from when the keys are there.
	var frame func(now time.Time)
	sequence := uint16(0)
	frame = func(now time.Time) {
		if a.connected && len(a.outgoing) > 0 {
			a.engine.rtp.sendRTP(now, a.outgoing[0], rtpflow.Fields{
				Marker: true, PayloadType: 96, SequenceNumber: sequence, Timestamp: uint32(sequence) * 1800,
			}, []byte{0x10, byte(sequence), byte(sequence >> 8)})
			sequence++
			a.engine.pump(now)
		}
		sim.After(20*time.Millisecond, frame)
	}
	sim.At(0, frame)

	complete := func() bool {
		for _, p := range []*simPeer{a, b} {
			if len(p.received["ordered"]) < messages || len(p.received["unordered"]) < messages {
				return false
			}
		}
		return sequence > 50
	}
	if err := sim.Run(5*time.Minute, complete); err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, tail(log.String(), 4000))
	}
	for _, p := range []*simPeer{a, b} {
		checkDelivery(t, seed, p, messages)
	}
	if b.media == nil || b.media.ring.count < 20 {
		t.Fatalf("seed %d: too little media arrived", seed)
	}
	return log
}

func checkDelivery(t testing.TB, seed uint64, p *simPeer, messages int) {
	t.Helper()
	for i, m := range p.received["ordered"] {
		if !bytes.Equal(m, simMessage(i)) {
			t.Fatalf("seed %d: %s: ordered message %d is wrong", seed, p.name, i)
		}
	}
	for _, label := range []string{"unordered", "partial"} {
		seen := make(map[uint32]bool)
		for _, m := range p.received[label] {
			i := binary.BigEndian.Uint32(m)
			if seen[i] || int(i) >= messages || !bytes.Equal(m, simMessage(int(i))) {
				t.Fatalf("seed %d: %s: %s message %d is wrong or came twice", seed, p.name, label, i)
			}
			seen[i] = true
		}
	}
	if n := len(p.received["ordered"]) + len(p.received["unordered"]); n != 2*messages {
		t.Fatalf("seed %d: %s: %d messages", seed, p.name, n)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// tortureSeeds is how many seeds a torture test runs: few by default, PARLEY_TORTURE of them if that is set.
func tortureSeeds(few int) uint64 {
	if n, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil {
		return uint64(n)
	}
	return uint64(few)
}

// lossyLink, once up and once down, makes a path of 100 ms round trip that loses a tenth of the packets.
var lossyLink = netsim.LinkConfig{
	Delay: 25 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.0513, Reorder: 0.05, Duplicate: 0.05,
}

func TestWholeCallOnALossyNetwork(t *testing.T) {
	seeds := 60
	if raceEnabled {
		seeds = 10 // one goroutine: there is nothing to be found
	}
	for seed := range tortureSeeds(seeds) {
		simCall(t, seed+1, lossyLink)
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	for seed := range uint64(3) {
		first, second := simCall(t, seed+1, lossyLink), simCall(t, seed+1, lossyLink)
		if first.Sum() != second.Sum() {
			t.Errorf("seed %d: the event traces differ", seed+1)
		}
	}
}
