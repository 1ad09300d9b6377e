// Package turn holds both ends of Traversal Using Relays around NAT (RFC 8656) as engines: [Client], which keeps one
// allocation on a server, and [Server], which hands allocations out.
//
// Both follow the engine contract of docs/engines.md: no socket, goroutine, lock or clock. The sockets of a server are in
// package turnserver below; a client is driven by whoever owns the connection to the server, an ICE agent as a rule.
//
// # Driving a client
//
// Over UDP a client shares a host's socket with whatever else it is used for: datagrams from [Client.Server] are fed to
// [Client.HandlePacket], and what [Client.Next] hands out is sent there. Over TCP, TLS and DTLS the client asks for a
// connection by EventDial. On a stream a message is cut out by a [Framer]. Application data for a peer goes through
// [Client.Wrap], which puts the relay's header in front of it, in the buffer that it lies in.
//
// # How long things take
//
// The first request carries no credentials, because they need the server's realm and nonce (RFC 8656 §7.1): an
// allocation takes two round trips. A permission or channel is asked for, and data for the peer may follow at once in Send
// indications, which the server handles in the order of arrival: the first packet to a peer waits for nothing.
//
// # Strings
//
// User names, realms and passwords are used as they are given: whoever has others than ASCII prepares them as
// RFC 8265's OpaqueString says.
package turn
