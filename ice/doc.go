// Package ice is an Interactive Connectivity Establishment agent (RFC 8445) for one data stream with one component, as
// WebRTC's BUNDLE and rtcp-mux leave it: full implementation with trickle (RFC 8838), restarts, consent freshness
// (RFC 7675) and patient failing (RFC 8863), on host, server-reflexive and relayed UDP candidates of IPv4 and IPv6; relays
// are reached by UDP, TCP and TLS. A lite agent (RFC 8445 §2.5) is a setting.
//
// [Agent] is an engine: it opens no socket, starts no goroutine, takes no lock and never reads a clock. Its driver
//
//   - does the work that events ask for (list interfaces, bind sockets, resolve names, connect) and returns the results by
//     the Handle…Result methods, and calls [Agent.NetworkChanged] when interfaces come or go,
//   - feeds STUN datagrams and ChannelData to [Agent.HandlePacket] together with the base that they arrived at,
//   - sends what [Agent.Next] hands out,
//   - calls [Agent.Advance] at [Agent.Deadline],
//   - asks [Agent.Verified] before it takes an application packet and [Agent.Route] before it sends one, by [Agent.Wrap] if
//     the route is a relay's.
//
// # Pace and time to connect
//
// Checks leave at most one each Ta ([Config.Pace], 20 ms by default; RFC 8445 §14.2 allows 5 ms and more). The RFC's
// 50 ms would let a pair of hosts with four interfaces each wait for most of a second; 20 ms of about 120 bytes are
// 50 kbit/s, less than the audio that follows. The first check after a quiet time never waits, so that two hosts know a
// valid pair after one round trip and have nominated it after a second one.
//
// # Nomination
//
// A controlling agent nominates regularly (RFC 8445 §8.1.1), once: at once when no better pair may still succeed or when
// both ends of the valid pair are host candidates; otherwise better pairs are waited for, [Config.ReflexiveWait] for a pair
// with a reflexive end, [Config.RelayWait] for one with a relayed end. Application packets need not wait for it: any valid
// pair carries them (RFC 8445 §12.1).
//
// # Staying connected
//
// A nomination is not for ever. While a relay is in use, pairs that need none are checked on, and the controlling agent
// nominates one that works. A pair that does not answer any more gives way to another that does; candidates that come later,
// of a new interface or of a relay that was lost and found again, are checked although there is a nomination. A request of
// the peer on another pair than the selected one is taken for a hint that the peer has lost it.
package ice
