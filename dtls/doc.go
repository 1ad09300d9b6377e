// Package dtls is a DTLS 1.2 (RFC 6347) and DTLS 1.3 (RFC 9147) engine, client and server, for WebRTC.
//
// A [Conn] is a plain struct that turns datagrams and a clock reading into datagrams and events. It starts no goroutine, takes
// no lock, opens no socket and never reads the clock; random bytes come from [Config.Rand]. It is driven as
// docs/engines.md says:
//
//	c, err := dtls.New(dtls.Config{Role: dtls.RoleClient, Certificate: cert, VerifyPeer: check})
//	c.Start(now)                       // the client's first flight; a server waits
//	for { pkt, ok := c.Next(buf); … }  // send what it has to say
//	app, rest, err := c.Open(now, pkt) // feed a datagram, record by record
//	c.Advance(now)                     // at c.Deadline()
//	ev, ok := c.Event()                // connecting, connected, closed, failed
//
// Application data is sealed and opened in place without an allocation: [Conn.Seal], [Conn.Open].
//
// What is spoken: ECDHE (X25519MLKEM768 in DTLS 1.3, X25519, P-256, P-384) with ECDSA, Ed25519 and RSA certificates; AES-128-GCM,
// AES-256-GCM and ChaCha20-Poly1305; the extended master secret (RFC 7627) is required in DTLS 1.2; use_srtp (RFC 5764); exporters
// (RFC 5705). What is not: session resumption, early data, renegotiation, PSK, CCM, CBC, RSA key transport, connection ids.
//
// Certificates are judged by the caller alone ([Config.VerifyPeer]): WebRTC compares fingerprints and knows no authorities.
//
// Plaintext is nobody's word. Until a record was authenticated, whatever arrives may be forged: a forged alert is counted
// and ignored, a malformed message is dropped, and only when nothing better has come within [Config.Grace] does such a
// reason end the handshake.
package dtls
