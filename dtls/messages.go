package dtls

import (
	"golang.org/x/crypto/cryptobyte"
)

type messageType uint8

const (
	typeHelloRequest        messageType = 0
	typeClientHello         messageType = 1
	typeServerHello         messageType = 2
	typeHelloVerifyRequest  messageType = 3
	typeNewSessionTicket    messageType = 4
	typeEncryptedExtensions messageType = 8
	typeCertificate         messageType = 11
	typeServerKeyExchange   messageType = 12
	typeCertificateRequest  messageType = 13
	typeServerHelloDone     messageType = 14
	typeCertificateVerify   messageType = 15
	typeClientKeyExchange   messageType = 16
	typeFinished            messageType = 20
	typeKeyUpdate           messageType = 24
	typeMessageHash         messageType = 254
)

// messageHeaderLen is the length of a handshake header: type, length, sequence number, fragment offset, fragment length (RFC 9147 §5.2).
const messageHeaderLen = 12

// message is a whole handshake message. raw has a header as if it had come unfragmented.
type message struct {
	typ   messageType
	seq   uint16
	epoch uint16
	raw   []byte
}

func (m *message) body() cryptobyte.String { return m.raw[messageHeaderLen:] }

// newMessage frames a body.
func newMessage(typ messageType, seq uint16, body []byte) message {
	h := fragmentHeader{typ: typ, length: len(body), seq: seq, fragLen: len(body)}
	raw := make([]byte, 0, messageHeaderLen+len(body))
	return message{typ: typ, seq: seq, raw: append(h.append(raw), body...)}
}

// parseMessage takes a framed message of epoch 0 apart again.
func parseMessage(raw []byte) message {
	s := cryptobyte.String(raw)
	h, _, _ := readFragment(&s)
	return message{typ: h.typ, seq: h.seq, raw: raw}
}

type fragmentHeader struct {
	typ     messageType
	length  int
	seq     uint16
	offset  int
	fragLen int
}

func (h fragmentHeader) append(b []byte) []byte {
	return append(b, byte(h.typ), byte(h.length>>16), byte(h.length>>8), byte(h.length), byte(h.seq>>8), byte(h.seq),
		byte(h.offset>>16), byte(h.offset>>8), byte(h.offset), byte(h.fragLen>>16), byte(h.fragLen>>8), byte(h.fragLen))
}

// readFragment takes one fragment from the content of a record.
func readFragment(s *cryptobyte.String) (h fragmentHeader, body []byte, ok bool) {
	var typ uint8
	var length, offset, fragLen uint32
	ok = s.ReadUint8(&typ) && s.ReadUint24(&length) && s.ReadUint16(&h.seq) && s.ReadUint24(&offset) && s.ReadUint24(&fragLen) &&
		s.ReadBytes(&body, int(fragLen))
	h.typ, h.length, h.offset, h.fragLen = messageType(typ), int(length), int(offset), int(fragLen)
	return h, body, ok
}

type extension uint16

const (
	extServerName          extension = 0
	extSupportedGroups     extension = 10
	extPointFormats        extension = 11
	extSignatureAlgorithms extension = 13
	extUseSRTP             extension = 14
	extALPN                extension = 16
	extExtendedMaster      extension = 23
	extSupportedVersions   extension = 43
	extCookie              extension = 44
	extAuthorities         extension = 47
	extKeyShare            extension = 51
	extRenegotiationInfo   extension = 0xff01
)

const (
	maxExtensions = 64
	scsv          = 0x00ff // TLS_EMPTY_RENEGOTIATION_INFO_SCSV, RFC 5746 §3.3
	fallbackSCSV  = 0x5600 // TLS_FALLBACK_SCSV, RFC 7507
)

// readExtensions walks a list of extensions and refuses one that comes twice (RFC 8446 §4.2).
func readExtensions(s *cryptobyte.String, each func(extension, cryptobyte.String) error) error {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return errDecode
	}
	var seen [maxExtensions]extension
	n := 0
	for !list.Empty() {
		var typ uint16
		var data cryptobyte.String
		if !list.ReadUint16(&typ) || !list.ReadUint16LengthPrefixed(&data) || n == maxExtensions {
			return errDecode
		}
		for _, t := range seen[:n] {
			if t == extension(typ) {
				return fatal(AlertDecodeError, "extension %d comes twice", typ)
			}
		}
		seen[n] = extension(typ)
		n++
		if err := each(extension(typ), data); err != nil {
			return err
		}
	}
	return nil
}

func addExtension(b *cryptobyte.Builder, typ extension, body cryptobyte.BuilderContinuation) {
	b.AddUint16(uint16(typ))
	b.AddUint16LengthPrefixed(body)
}

// readUint16s reads a list of numbers with a 16-bit length in front, at least one.
func readUint16s[T ~uint16](s *cryptobyte.String, out *[]T) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() || len(list)%2 != 0 {
		return false
	}
	*out = make([]T, 0, len(list)/2)
	for !list.Empty() {
		var v uint16
		if !list.ReadUint16(&v) {
			return false
		}
		*out = append(*out, T(v))
	}
	return true
}

func addUint16s[T ~uint16](b *cryptobyte.Builder, list []T) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(uint16(v))
		}
	})
}

func addBytes8(b *cryptobyte.Builder, data []byte) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(data) })
}

func addBytes16(b *cryptobyte.Builder, data []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(data) })
}

func addBytes24(b *cryptobyte.Builder, data []byte) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(data) })
}

// readSRTP reads use_srtp's data: profiles and the master key identifier (RFC 5764 §4.1.1).
func readSRTP(s *cryptobyte.String, profiles *[]SRTPProfile, mki *[]byte) bool {
	var id cryptobyte.String
	if !readUint16s(s, profiles) || !s.ReadUint8LengthPrefixed(&id) {
		return false
	}
	*mki = id
	return s.Empty()
}

// readProtocols reads ALPN's data (RFC 7301 §3.1).
func readProtocols(s *cryptobyte.String, out *[]string) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || list.Empty() || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var p cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&p) || p.Empty() {
			return false
		}
		*out = append(*out, string(p))
	}
	return true
}

func addServerName(b *cryptobyte.Builder, name string) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(0) // host_name
		addBytes16(b, []byte(name))
	})
}

// checkServerName parses server_name (RFC 6066 §3), which a server here does not look at: it has one certificate.
func checkServerName(data cryptobyte.String) error {
	var list, name cryptobyte.String
	var typ uint8
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || !list.ReadUint8(&typ) || typ != 0 ||
		!list.ReadUint16LengthPrefixed(&name) || name.Empty() || !list.Empty() {
		return fatal(AlertDecodeError, "malformed server_name")
	}
	return nil
}

// checkAuthorities parses certificate_authorities (RFC 8446 §4.2.4), of which WebRTC knows none.
func checkAuthorities(data cryptobyte.String) error {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || list.Empty() || !data.Empty() {
		return fatal(AlertDecodeError, "malformed certificate_authorities")
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return fatal(AlertDecodeError, "malformed certificate_authorities")
		}
	}
	return nil
}

func addProtocols(b *cryptobyte.Builder, list []string) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range list {
			addBytes8(b, []byte(p))
		}
	})
}
