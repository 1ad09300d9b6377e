package webrtc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/openparley/webrtc/dtls"
	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/sctp"
	"github.com/openparley/webrtc/sctp/dcep"
)

// A composite is one bundled transport as an engine: ICE below, DTLS over it, SRTP and SCTP over that. It follows the
// engine contract (docs/engines.md): no goroutine, no lock, no clock. transport.go drives it with sockets and a timer;
// the simulator drives it directly.
//
// Not safe for concurrent use; guarded by transport.mu.
type composite struct {
	// Immutable after newComposite.
	cfg  compositeConfig
	sink compositeSink

	ice   *ice.Agent
	dtls  *dtls.Conn        // nil until the role is known
	assoc *sctp.Association // nil while no data section is negotiated
	link  *dataLink         // above assoc
	rtp   rtpPipe

	dtlsState dtls.State
	secure    securityInfo
	started   bool // the DTLS client's first flight was asked for
	iceState  ice.State
	waiting   []*DataChannel // made before a data section was negotiated
	live      map[*DataChannel]struct{}
	closed    bool

	early earlyQueue
	out   outbox
	trace *packetTrace

	route     ice.Route // the one that the path's parameters were taken from
	hasRoute  bool
	pathKnown bool
	pathLimit int // what the system has told about the path; zero: nothing

	counters transportCounters
}

// compositeConfig is what a composite is made from.
type compositeConfig struct {
	ice         ice.Config
	certificate dtls.Certificate
	profiles    []dtls.SRTPProfile
	minDTLS     dtls.Version
	maxDTLS     dtls.Version
	rand        io.Reader
	keyLog      io.Writer
	logger      *slog.Logger

	maxMessageSize int
	sendBuffer     int
	trackBuffer    int
}

// A compositeSink receives what a composite reports. Its methods are called within the entries of the composite, under
// transport.mu: they may post events and ask for outside work, and must not wait or call back.
type compositeSink interface {
	// iceEvent tells states and candidates, and asks for sockets, interfaces and names.
	iceEvent(ice.Event)
	// dtlsEvent tells the DTLS state; err is the cause of a failure.
	dtlsEvent(state dtls.State, err error)
	// channelEvent tells everything about data channels.
	channelEvent(dcep.Event)
	// channelRefused tells that a channel which was waiting for the association came to nothing: it was closed (err is
	// nil) or could not be made.
	channelRefused(dc *DataChannel, err error)
	// trackFlows tells of the first packet of a track, and of the first after a pause.
	trackFlows(*TrackRemote)
	// allocate gives the memory of a data channel message.
	allocate(n int) []byte
}

// transportCounters count what passes the transport, for statistics (webrtc-stats, RTCTransportStats).
type transportCounters struct {
	packetsSent, packetsReceived uint64
	bytesSent, bytesReceived     uint64
	// dropped counts datagrams that were no packet of ours, by what they looked like.
	droppedUnverified, droppedUnknown, droppedDTLS, droppedSRTP, droppedSCTP uint64
}

func newComposite(cfg compositeConfig, sink compositeSink) (*composite, error) {
	agent, err := ice.New(cfg.ice)
	if err != nil {
		return nil, err
	}
	c := &composite{cfg: cfg, sink: sink, ice: agent}
	c.rtp.init(c)
	return c, nil
}

// A transportUpdate is what negotiation decided. Every field may be given again without harm.
type transportUpdate struct {
	// local, if its Ufrag is set, are the credentials to gather with: those that the agent was made with, or others,
	// which begin a new generation.
	local ice.Parameters
	role  ice.Role
	// servers replace the agent's, if newServers is set.
	servers    []ice.Server
	newServers bool
	policy     ice.TransportPolicy // goes with the servers

	// ready says that both sides are described; what follows is meaningful then.
	ready        bool
	remote       ice.Parameters
	candidates   []ice.Candidate
	noMore       bool
	dtlsRole     dtls.Role
	fingerprints fingerprints

	data *dataUpdate
	// noData: there is no data section, or none any more.
	noData bool
	rtp    *rtpTable
}

// dataUpdate describes the negotiated data section.
type dataUpdate struct {
	sctp                  *SCTPTransport
	localPort, remotePort uint16
	maxMessageSize        int // of the peer; zero: no limit
}

// apply takes over what negotiation decided, which sdp/jsep has checked and committed. What fails here nevertheless, such as a
// source of randomness, fails the connection: half a description in force would be neither the old state nor the new one.
func (c *composite) apply(now time.Time, u transportUpdate) error {
	if c.closed {
		return nil
	}
	err := c.takeOver(now, u)
	if err != nil {
		c.fail(now, err)
	}
	return err
}

func (c *composite) takeOver(now time.Time, u transportUpdate) error {
	if u.newServers {
		c.ice.SetPolicy(u.policy)
		if err := c.ice.SetServers(u.servers); err != nil {
			return fmt.Errorf("ice: %w", err)
		}
	}
	if u.local.Ufrag != "" {
		if u.local.Ufrag != c.ice.LocalParameters().Ufrag {
			if err := c.ice.Restart(now, u.local); err != nil {
				return fmt.Errorf("ice: %w", err)
			}
		}
		c.ice.Gather(now)
	}
	if u.role != ice.RoleUnknown {
		c.ice.SetRole(now, u.role)
	}
	if u.rtp != nil {
		c.rtp.setTable(now, u.rtp)
	}
	if u.noData {
		c.endSCTP(now)
	}
	if !u.ready {
		return nil
	}
	if err := c.ice.SetRemoteParameters(now, u.remote); err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	for _, candidate := range u.candidates {
		c.addRemoteCandidate(now, candidate)
	}
	if u.noMore {
		c.ice.RemoteEndOfCandidates(now)
	}
	if c.dtls == nil && c.dtlsState != dtls.StateFailed {
		if err := c.makeDTLS(u.dtlsRole, u.fingerprints); err != nil {
			return fmt.Errorf("dtls: %w", err)
		}
	}
	if c.dtlsState == dtls.StateConnected {
		if err := c.rtp.setKeys(now, c.dtls); err != nil {
			return fmt.Errorf("srtp: %w", err)
		}
	}
	if u.data != nil {
		if err := c.makeSCTP(now, *u.data); err != nil {
			return fmt.Errorf("sctp: %w", err)
		}
	}
	return nil
}

// addRemoteCandidate hands a candidate to ICE. One that ICE has no use for (a full table, an unknown transport) is not
// an error of the application: RFC 8838, section 9, lets an agent ignore candidates.
func (c *composite) addRemoteCandidate(now time.Time, candidate ice.Candidate) {
	if err := c.ice.AddRemoteCandidate(now, candidate); err != nil {
		c.cfg.logger.Debug("remote candidate ignored", "candidate", candidate.String(), "error", err)
	}
}

// fail ends the connection for a reason that DTLS does not know of. The peer is told, if there are keys to tell it with.
func (c *composite) fail(now time.Time, err error) {
	c.setDTLSState(now, dtls.EventState{State: dtls.StateFailed, Err: err})
	if c.dtls != nil {
		c.dtls.Close(now)
	}
}

func (c *composite) makeDTLS(role dtls.Role, prints fingerprints) error {
	conn, err := dtls.New(dtls.Config{
		Role: role, Certificate: c.cfg.certificate, SRTPProfiles: c.cfg.profiles,
		VerifyPeer: prints.verify,
		MinVersion: c.cfg.minDTLS, MaxVersion: c.cfg.maxDTLS,
		Rand: c.cfg.rand, KeyLog: c.cfg.keyLog,
	})
	if err != nil {
		return err
	}
	c.dtls = conn
	return nil
}

// makeSCTP makes the association and the channels over it; while there is one, a data section only moves the limits.
func (c *composite) makeSCTP(now time.Time, d dataUpdate) error {
	if c.assoc != nil {
		c.assoc.SetMaxSendSize(d.maxMessageSize)
		return nil
	}
	assoc, err := sctp.New(sctp.Config{
		Rand: c.cfg.rand, LocalPort: d.localPort, RemotePort: d.remotePort,
		MaxMessageSize: c.cfg.maxMessageSize, MaxSendSize: d.maxMessageSize, SendBuffer: c.cfg.sendBuffer,
		EnableZeroChecksum: true,
	})
	if err != nil {
		return err
	}
	c.assoc = assoc
	c.link = &dataLink{channels: dcep.New(assoc, dcep.Config{}), sctp: d.sctp}
	c.createWaiting(now)
	c.connectSCTP(now)
	return nil
}

// endSCTP ends the association when negotiation has ended its section (RFC 8841, sections 10.3 and 10.4): an ABORT says so,
// the channels close, and another section begins with nothing of it. Channels that wait for an association are refused.
func (c *composite) endSCTP(now time.Time) {
	c.refuseWaiting()
	if c.assoc == nil {
		return
	}
	c.assoc.Close(now)
	c.pumpSCTP(now)
	c.assoc, c.link = nil, nil
}

// connectSCTP begins the association as soon as there are keys.
func (c *composite) connectSCTP(now time.Time) {
	if c.assoc == nil || c.dtlsState != dtls.StateConnected {
		return
	}
	role := dcep.RoleClient
	if c.dtls.ConnectionState().Role == dtls.RoleServer {
		role = dcep.RoleServer
	}
	c.link.channels.SetRole(now, role)
	c.pathKnown = false
	c.updatePath(now)
	c.assoc.Connect(now)
}

// handlePacket takes one datagram. RFC 7983 tells the protocols apart by the first byte. It reports false for a STUN message
// that has failed its checks.
func (c *composite) handlePacket(now time.Time, base ice.BaseID, remote netip.AddrPort, pkt []byte) (ok bool) {
	if len(pkt) == 0 || c.closed {
		return false
	}
	c.counters.packetsReceived++
	c.counters.bytesReceived += uint64(len(pkt))
	switch b := pkt[0]; {
	case b <= 3 || b >= 64 && b <= 79: // STUN, and a relay's ChannelData
		inner, err := c.ice.HandlePacket(now, base, remote, pkt)
		if err != nil {
			c.logDropped("STUN packet dropped", err)
		}
		if len(inner.Data) > 0 && inner.Data[0] > 3 {
			c.handleApplication(now, inner.Base, inner.Remote, inner.Data)
		}
		return err == nil
	default:
		c.handleApplication(now, base, remote, pkt)
		return true
	}
}

// handleApplication takes a packet that is not STUN: from a verified source at once, otherwise it waits for the
// verification, since the first ClientHello often overtakes the check that vouches for it.
func (c *composite) handleApplication(now time.Time, base ice.BaseID, remote netip.AddrPort, pkt []byte) {
	if !c.ice.Verified(base, remote) || c.dtls == nil {
		if c.dtlsState == dtls.StateConnected || !c.early.push(base, remote, pkt) {
			c.counters.droppedUnverified++
		}
		return
	}
	if !c.early.empty() {
		c.replayEarly(now)
	}
	c.handleVerified(now, pkt)
}

func (c *composite) handleVerified(now time.Time, pkt []byte) {
	switch b := pkt[0]; {
	case b >= 20 && b <= 63:
		c.handleDTLS(now, pkt)
	case b >= 128 && b <= 191:
		c.rtp.handlePacket(now, pkt)
	default:
		c.counters.droppedUnknown++
	}
}

// replayEarly gives the packets that waited to the engines, those whose source was verified in the meantime.
func (c *composite) replayEarly(now time.Time) {
	if c.dtls == nil {
		return
	}
	c.early.replay(func(base ice.BaseID, remote netip.AddrPort, pkt []byte) bool {
		if !c.ice.Verified(base, remote) {
			return false
		}
		c.handleVerified(now, pkt)
		return true
	})
}

// handleDTLS opens the records of a datagram. Application data is SCTP.
func (c *composite) handleDTLS(now time.Time, pkt []byte) {
	for len(pkt) > 0 {
		app, rest, err := c.dtls.Open(now, pkt)
		if err != nil {
			c.counters.droppedDTLS++
			c.logDropped("DTLS record dropped", err)
		}
		if len(app) > 0 {
			c.handleSCTP(now, app)
		}
		if len(rest) >= len(pkt) {
			return // Open promises progress; a loop must not depend on promises
		}
		pkt = rest
	}
}

// logDropped costs nothing unless somebody listens: whoever sends garbage does not choose what it costs.
func (c *composite) logDropped(what string, err error) {
	if c.cfg.logger.Enabled(context.Background(), slog.LevelDebug) {
		c.cfg.logger.Debug(what, "error", err)
	}
}

func (c *composite) handleSCTP(now time.Time, pkt []byte) {
	if c.assoc == nil {
		c.counters.droppedSCTP++
		return
	}
	c.trace.sctp(now, false, pkt)
	if err := c.assoc.HandlePacket(now, pkt); err != nil {
		c.counters.droppedSCTP++
		c.logDropped("SCTP packet dropped", err)
	}
}

// endBatch answers what came in since the last one.
func (c *composite) endBatch(now time.Time) {
	if c.assoc != nil {
		c.assoc.EndBatch(now)
	}
	c.pump(now)
}

// advance runs the timers that are due.
func (c *composite) advance(now time.Time) {
	c.ice.Advance(now)
	if c.dtls != nil {
		c.dtls.Advance(now)
	}
	if c.assoc != nil {
		c.assoc.Advance(now)
	}
	c.rtp.advance(now)
	c.pump(now)
}

// deadline is when advance wants to be called next; zero: never.
func (c *composite) deadline() time.Time {
	d := c.ice.Deadline()
	if c.dtls != nil {
		d = earliest(d, c.dtls.Deadline())
	}
	if c.assoc != nil {
		d = earliest(d, c.assoc.Deadline())
	}
	return earliest(d, c.rtp.deadline())
}

// earliest returns the earlier of two deadlines, of which the zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pump moves outputs between the engines until all are dry. What is to be sent ends in the outbox.
func (c *composite) pump(now time.Time) {
	for moved := true; moved; {
		moved = c.pumpICE(now)
		moved = c.pumpDTLS(now) || moved
		moved = c.pumpSCTP(now) || moved
		moved = c.rtp.pump(now) || moved
	}
}

func (c *composite) pumpICE(now time.Time) (moved bool) {
	for {
		e, ok := c.ice.Event()
		if !ok {
			break
		}
		moved = true
		if s, ok := e.(ice.EventState); ok {
			c.iceState = s.State
		}
		c.sink.iceEvent(e)
	}
	moved = c.pumpTransmits() || moved
	if !c.early.empty() && c.dtls != nil {
		before := c.early.len()
		c.replayEarly(now)
		moved = moved || c.early.len() != before
	}
	return moved
}

// pumpTransmits takes what ICE has to send.
func (c *composite) pumpTransmits() (moved bool) {
	for {
		t, ok := c.ice.Next(c.out.room(maxPacketSize))
		if !ok {
			return moved
		}
		moved = true
		c.send(t.Base, t.Remote, t.ECN, t.Data)
	}
}

func (c *composite) pumpDTLS(now time.Time) (moved bool) {
	if c.dtls == nil {
		return false
	}
	route, ok := c.ice.Route()
	if ok {
		moved = c.updatePath(now)
		if !c.started && !c.closed {
			c.started, moved = true, true
			c.dtls.Start(now)
		}
	}
	for ok && !c.out.full() {
		buf := c.out.room(route.Headroom + maxPacketSize)
		pkt, more := c.dtls.Next(buf[route.Headroom:route.Headroom])
		if !more {
			break
		}
		moved = true
		c.sendVia(route, buf, route.Headroom, pkt)
	}
	for {
		e, more := c.dtls.Event()
		if !more {
			return moved
		}
		moved = true
		if s, isState := e.(dtls.EventState); isState {
			c.setDTLSState(now, s)
		}
	}
}

func (c *composite) setDTLSState(now time.Time, s dtls.EventState) {
	if c.dtlsState == dtls.StateFailed {
		return // for good
	}
	c.dtlsState = s.State
	err := s.Err
	if s.State == dtls.StateConnected {
		c.secure = newSecurityInfo(c.dtls.ConnectionState())
		if kerr := c.rtp.setKeys(now, c.dtls); kerr != nil {
			err = kerr
			c.cfg.logger.Warn("no SRTP keys", "error", kerr)
		}
	}
	c.sink.dtlsEvent(s.State, err)
	switch s.State {
	case dtls.StateConnected:
		// What still waits is a forger's: looking at it again would cost every packet to come.
		c.counters.droppedUnverified += uint64(c.early.len())
		c.early = earlyQueue{}
		c.connectSCTP(now)
		for {
			app, ok := c.dtls.Pending()
			if !ok {
				break
			}
			c.handleSCTP(now, app)
		}
		if c.assoc != nil {
			c.assoc.EndBatch(now)
		}
	case dtls.StateClosed, dtls.StateFailed:
		// Nothing reaches the peer any more, and nothing from it is believed.
		if c.assoc != nil {
			c.assoc.Close(now)
		}
		c.rtp.end(now)
	case dtls.StateNew, dtls.StateConnecting:
	}
}

// pumpSCTP takes the association's packets, seals each where it lies, and takes the channels' events.
func (c *composite) pumpSCTP(now time.Time) (moved bool) {
	if c.assoc == nil {
		return false
	}
	if route, ok := c.ice.Route(); ok && c.dtlsState == dtls.StateConnected {
		front, back := c.dtls.Overhead()
		head := route.Headroom + front
		for !c.out.full() {
			buf := c.out.room(head + maxPacketSize + back)
			pkt, more := c.assoc.Next(buf[head:head], maxPacketSize-head-back)
			if !more {
				break
			}
			moved = true
			c.trace.sctp(now, true, pkt)
			record, err := c.dtls.Seal(buf, head, len(pkt))
			if err != nil {
				c.counters.droppedDTLS++
				continue
			}
			c.sendVia(route, buf, route.Headroom, record)
		}
	}
	for {
		e, more := c.link.channels.Event(now, c.sink.allocate)
		if !more {
			return moved
		}
		moved = true
		c.sink.channelEvent(e)
	}
}

// close says goodbye on the wire, into the outbox.
func (c *composite) close(now time.Time) {
	if c.closed {
		return
	}
	if c.assoc != nil {
		c.assoc.Close(now)
		c.pumpSCTP(now)
	}
	c.rtp.close(now)
	if c.dtls != nil {
		c.dtls.Close(now)
		c.pumpDTLS(now)
	}
	c.ice.Close(now)
	c.pumpTransmits() // allocations are given back
	c.closed = true
}
