package dtls

import (
	"crypto"
	"hash"
)

// transcript is the hash of all handshake messages so far. Until the suite is known, and in DTLS 1.2 until CertificateVerify,
// whose signature has a hash of its own, it keeps the messages.
type transcript struct {
	version Version
	hash    hash.Hash
	buf     []byte
}

// add appends a message in the form of the version: DTLS 1.2 hashes the whole header as if there were no fragments
// (RFC 6347 §4.2.6), DTLS 1.3 leaves out number and fragment fields (RFC 9147 §5.2).
func (t *transcript) add(raw []byte) {
	if t.version == VersionDTLS13 {
		t.write(raw[:4])
		t.write(raw[messageHeaderLen:])
		return
	}
	t.write(raw)
}

func (t *transcript) write(b []byte) {
	t.hash.Write(b)
	if t.version == VersionDTLS12 {
		t.buf = append(t.buf, b...)
	}
}

// begin chooses form and hash.
func (t *transcript) begin(v Version, h crypto.Hash) {
	*t = transcript{version: v, hash: h.New()}
}

// retry replaces the first ClientHello by its hash (RFC 8446 §4.4.1).
func (t *transcript) retry(helloHash []byte) {
	t.hash.Reset()
	t.write([]byte{byte(typeMessageHash), 0, 0, byte(len(helloHash))})
	t.write(helloHash)
}

func (t *transcript) sum() []byte { return t.hash.Sum(nil) }

// helloHash is the hash that stands for a first ClientHello.
func helloHash(h crypto.Hash, raw []byte) []byte {
	d := h.New()
	d.Write(raw[:4])
	d.Write(raw[messageHeaderLen:])
	return d.Sum(nil)
}
