package dtls

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// seedMessages are the handshake messages of both versions, as two sides exchange them.
func seedMessages(f *testing.F) {
	f.Helper()
	for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
		for _, cookies := range []bool{false, true} {
			client, server := testConfig(f, RoleClient, 1), testConfig(f, RoleServer, 1)
			client.MaxVersion, server.Cookies = v, cookies
			client.SRTPProfiles = []SRTPProfile{SRTPAEADAES128GCM}
			server.SRTPProfiles = client.SRTPProfiles
			client.Protocols, server.Protocols = []string{"webrtc"}, []string{"webrtc"}
			l := newLink(f, 1, client, server)
			l.forward = func(from int, _ []byte) bool {
				for _, m := range l.peers[from].conn.flight.messages {
					if !m.ccs() {
						f.Add(byte(m.header().typ), m.raw[messageHeaderLen:])
					}
				}
				return true
			}
			l.mustConnect()
		}
	}
	f.Add(byte(typeKeyUpdate), []byte{1})
	f.Add(byte(typeNewSessionTicket), []byte{0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0, 1, 9, 0, 0})
	f.Add(byte(contentACK), ackContent())
}

func ackContent() []byte {
	a := ackList{numbers: []recordNumber{{2, 1}, {0, 3}}}
	return a.append(nil, 100)
}

// FuzzMessages: no body panics a parser, and what parses comes out the same when it is written and read again.
func FuzzMessages(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		s := cryptobyte.String(body)
		switch messageType(typ) {
		case typeClientHello:
			m, err := parseClientHello(s)
			if err != nil {
				return
			}
			again(t, m.marshal, func(b []byte) error { _, err := parseClientHello(b); return err })
		case typeServerHello:
			m, err := parseServerHello(s)
			if err != nil {
				return
			}
			again(t, m.marshal, func(b []byte) error { _, err := parseServerHello(b); return err })
		case typeHelloVerifyRequest:
			m, err := parseHelloVerifyRequest(s)
			if err != nil {
				return
			}
			if b, err := m.marshal(); err != nil || !bytes.Equal(b, body) {
				t.Fatalf("%x became %x (%v)", body, b, err)
			}
		case typeEncryptedExtensions:
			_, _ = parseEncryptedExtensions(s)
		case typeCertificate:
			for _, v := range []Version{VersionDTLS12, VersionDTLS13} {
				context, chain, err := parseCertificate(v, s)
				if err != nil {
					continue
				}
				if b, err := marshalCertificate(v, context, chain); err != nil || !bytes.Equal(b, body) {
					t.Fatalf("%x became %x (%v)", body, b, err)
				}
			}
		case typeCertificateRequest:
			_, _ = parseCertificateRequest(VersionDTLS12, s)
			_, _ = parseCertificateRequest(VersionDTLS13, s)
		case typeServerKeyExchange:
			if _, _, _, ok := parseECDHParams(&s); ok {
				_, _, _ = readSignature(&s)
			}
		case typeCertificateVerify:
			_, _, _ = readSignature(&s)
		case typeNewSessionTicket:
			_ = checkTicket(s)
		case messageType(contentACK):
			_ = parseACK(body, func(recordNumber) error { return nil })
		}
	})
}

func again(t *testing.T, marshal func() ([]byte, error), parse func([]byte) error) {
	t.Helper()
	b, err := marshal()
	if err != nil {
		return // a list may have grown past its length field's range by the extensions that are always written
	}
	if err := parse(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
}

// FuzzRecord: a record's parts lie within the datagram, and parsing makes progress.
func FuzzRecord(f *testing.F) {
	f.Add(plainRecord(contentHandshake, 7, []byte("body")))
	f.Add([]byte{0x2c, 0, 1, 0, 2, 9, 9})
	f.Add([]byte{0x20, 5, 1, 2, 3})
	f.Add([]byte{0x3f, 5, 1, 2, 3})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		for rest := pkt; len(rest) > 0; {
			h, next, ok := parseRecord(rest)
			if !ok {
				return
			}
			if len(h.raw)+len(h.body)+len(next) != len(rest) || len(next) >= len(rest) {
				t.Fatalf("%d + %d + %d of %d", len(h.raw), len(h.body), len(next), len(rest))
			}
			rest = next
		}
	})
}

// FuzzReassembly: whatever the fragments say, the caps hold.
func FuzzReassembly(f *testing.F) {
	f.Add(fragment(fragmentHeader{typ: typeClientHello, length: 8, seq: 0, offset: 2}, []byte("body")))
	f.Add(append(fragment(fragmentHeader{typ: 2, length: 4, seq: 1}, []byte("body")), fragment(fragmentHeader{typ: 2, length: 0, seq: 0}, nil)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r reassembler
		s := cryptobyte.String(data)
		for {
			h, body, ok := readFragment(&s)
			if !ok {
				return
			}
			if h.offset+h.fragLen > h.length {
				continue
			}
			r.add(h, body, uint64(h.typ)%3)
			if r.reserved < 0 || r.reserved > maxReassembly+maxMessageLen {
				t.Fatalf("%d bytes reserved", r.reserved)
			}
			if m, ok := r.peek(); ok {
				if int(m.raw[1])<<16|int(m.raw[2])<<8|int(m.raw[3]) != len(m.raw)-messageHeaderLen {
					t.Fatal("a message of the wrong length")
				}
				r.accept()
			}
		}
	})
}

// FuzzCertificate: a certificate of the peer is not ours to choose.
func FuzzCertificate(f *testing.F) {
	f.Add(selfSigned(f, testKeys().p256).Chain[0])
	f.Add(selfSigned(f, testKeys().rsa).Chain[0])
	f.Fuzz(func(_ *testing.T, der []byte) {
		_, _ = leafKey(der)
	})
}

// FuzzConn feeds a connection, at some point of its handshake, with mutated datagrams, in the clear and as if sealed.
func FuzzConn(f *testing.F) {
	for step := range byte(6) {
		f.Add(step, plainRecord(contentHandshake, 9, fragment(fragmentHeader{typ: typeServerHello, length: 3, seq: 1}, []byte{1, 2, 3})))
		f.Add(step, []byte{0x2e, 0, 1, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0})
	}
	f.Fuzz(func(t *testing.T, at byte, data []byte) {
		client, server := testConfig(t, RoleClient, 1), testConfig(t, RoleServer, 1)
		client.Groups = []Group{GroupX25519}
		if at&64 != 0 {
			client.MaxVersion = VersionDTLS12
		}
		server.Cookies = at&32 != 0
		l := newLink(t, 1, client, server)
		n := byte(0)
		l.forward = func(from int, _ []byte) bool {
			if n++; n == at%16 {
				feed(l, 1-from, data)
			}
			return true
		}
		l.start()
		l.run(time.Minute, func() bool {
			return l.bothConnected() || l.client().conn.state.terminal() || l.server().conn.state.terminal()
		})
		for i := range l.peers {
			feed(l, i, data)
		}
		l.pump()
	})
}

// feed delivers a datagram as it is, and as the content of every record type in the newest epoch of the sender.
func feed(l *link, to int, data []byte) {
	l.deliver(to, bytes.Clone(data))
	w := l.peers[1-to].conn.write
	front, back := w.prot.overhead()
	for _, typ := range []contentType{contentHandshake, contentAlert, contentACK, contentChangeCipherSpec} {
		if len(data) > 4096 {
			return
		}
		buf := make([]byte, front+len(data)+back)
		copy(buf[front:], data)
		if rec, err := w.seal(buf, front, len(data), typ); err == nil {
			l.deliver(to, rec)
		}
	}
}
