package ice

import (
	"net/netip"
	"slices"
	"time"

	"github.com/openparley/webrtc/ice/turn"
)

// addConnectedRelay asks for an allocation over a connection of its own to each address of a server, or announces again
// what there is.
func (a *Agent) addConnectedRelay(s *server) {
	if s.Kind != ServerTURN || s.Transport == turn.UDP {
		return
	}
	for _, addr := range s.addrs {
		remote := netip.AddrPortFrom(addr.WithZone(""), s.port())
		i := slices.IndexFunc(a.relays, func(r *relay) bool {
			return r.conf == s.Server && r.client.Server().Addr() == remote.Addr()
		})
		switch {
		case i < 0:
			a.newRelay(&base{gen: a.gather.gen, stream: true}, s, remote)
		case a.relays[i].state == relayAllocated:
			a.announceRelay(a.relays[i])
		}
	}
}

// dialRelay passes on that a client needs a connection.
func (a *Agent) dialRelay(r *relay, e turn.EventDial) {
	a.undial(r)
	a.lastBase++
	r.under = &base{id: a.lastBase, gen: a.gather.gen, stream: true}
	r.dialed = e.Gen
	host := e.Domain
	if host == "" {
		host = r.conf.Host
	}
	a.post(EventDial{Base: r.under.id, Network: r.conf.Transport.String(), Remote: e.Server, Host: host})
}

// undial gives up the connection of a relay.
func (a *Agent) undial(r *relay) {
	if r.under.stream && r.under.bound {
		a.post(EventUnbind{r.under.id})
	}
	if r.under.stream {
		r.under = &base{stream: true}
	}
}

// HandleDialResult says that the connection which EventDial or EventConnect has asked for is there, with its local address, or why not. A
// result that comes too late is answered by EventUnbind.
func (a *Agent) HandleDialResult(now time.Time, id BaseID, local netip.AddrPort, err error) {
	if c := a.connection(id); c != nil {
		a.connected(now, c, local, err)
		return
	}
	i := slices.IndexFunc(a.relays, func(r *relay) bool { return r.under.stream && r.under.id == id })
	if i < 0 || a.relays[i].under.bound {
		if err == nil && i < 0 {
			a.post(EventUnbind{id})
		}
		return
	}
	a.now = now
	r := a.relays[i]
	if err == nil {
		r.under.local, r.under.bound = normalize(local), true
	}
	r.client.HandleDialResult(now, r.dialed, err)
	a.run(now)
}

// HandleDisconnect says that a connection is of no use any more; EventUnbind follows for it.
func (a *Agent) HandleDisconnect(now time.Time, id BaseID, err error) {
	if c := a.connection(id); c != nil {
		a.now = now
		a.dropConnection(c)
		a.run(now)
		return
	}
	i := slices.IndexFunc(a.relays, func(r *relay) bool { return r.under.stream && r.under.bound && r.under.id == id })
	if i < 0 {
		return
	}
	a.now = now
	r := a.relays[i]
	a.undial(r)
	r.client.HandleDisconnect(now, r.dialed, err)
	a.run(now)
}
