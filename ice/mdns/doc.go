// Package mdns resolves and answers for the ".local" names that stand for addresses in ICE candidates
// (draft-ietf-mmusic-mdns-ice-candidates): multicast DNS (RFC 6762), as far as hosts' addresses need it.
//
// [Agent] is an engine after docs/engines.md: no socket, goroutine, lock or clock. Its driver, package mdnsio below, sends
// what [Agent.Next] hands out to the groups of both families and feeds what comes in.
//
// # Asking
//
// A name is asked for in one packet a type, A and AAAA, because browsers' responders understand one question a packet.
// Questions are repeated after one second, and then after twice as long each time (RFC 6762 §5.2). The first answer with
// an address of the name ends the query. No cache is kept: the names of candidates are asked for once.
//
// The same question serves a driver that shares port 5353 and one that cannot and asks from a port of its own, whom a
// responder answers by unicast (RFC 6762 §5.1, §6.7).
//
// # Answering
//
// A published name has one address. It is random (version 4 UUID), so that nothing is probed (RFC 6762 §8.1 asks for it only
// where a name might be taken); it is announced twice and taken back with a goodbye (§8.3, §10.1). A question for the other
// type is answered by an NSEC record, so that nobody waits for it (§6.1).
package mdns
