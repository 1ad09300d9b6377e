package dtls

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"time"

	"golang.org/x/crypto/chacha20"
)

// protection is the keys of one direction and epoch. Its scratch space keeps sealing and opening free of allocations.
type protection struct {
	// Immutable.
	aead     cipher.AEAD
	v13      bool
	explicit bool // DTLS 1.2 AES-GCM: half of the nonce is in the record (RFC 5288 §3)
	iv       [12]byte
	snBlock  cipher.Block // record number encryption with AES
	snChaCha []byte       // or with ChaCha20

	// Scratch.
	nonce [12]byte
	aad   [plainHeaderLen]byte
	mask  [aes.BlockSize]byte
}

const explicitNonceLen = 8

func newProtection12(s *suite, key, iv []byte) (*protection, error) {
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	p := &protection{aead: aead, explicit: !s.chacha}
	copy(p.iv[:], iv)
	return p, nil
}

func newProtection13(s *suite, key, iv, sn []byte) (*protection, error) {
	aead, err := s.aead(key)
	if err != nil {
		return nil, err
	}
	p := &protection{aead: aead, v13: true}
	copy(p.iv[:], iv)
	if s.chacha {
		p.snChaCha = sn
		return p, nil
	}
	p.snBlock, err = aes.NewCipher(sn)
	return p, err
}

// overhead is the room that a record needs before and after its plaintext.
func (p *protection) overhead() (front, back int) {
	switch {
	case p == nil:
		return plainHeaderLen, 0
	case p.v13:
		return unifiedHeaderLen, 1 + tagLen
	case p.explicit:
		return plainHeaderLen + explicitNonceLen, tagLen
	}
	return plainHeaderLen, tagLen
}

// setNonce derives the nonce from the record number and nothing else. number has the epoch on top in DTLS 1.2 and lacks it in 1.3.
func (p *protection) setNonce(number uint64) {
	p.nonce = p.iv
	if p.explicit {
		binary.BigEndian.PutUint64(p.nonce[4:], number)
		return
	}
	tail := p.nonce[4:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^number)
}

// setMask computes the record number's mask from the beginning of the ciphertext (RFC 9147 §4.2.3).
func (p *protection) setMask(ciphertext []byte) {
	if p.snBlock != nil {
		p.snBlock.Encrypt(p.mask[:], ciphertext[:aes.BlockSize])
		return
	}
	// The key and nonce have the right length, so the constructor cannot fail.
	c, err := chacha20.NewUnauthenticatedCipher(p.snChaCha, ciphertext[4:16])
	if err != nil {
		return
	}
	c.SetCounter(binary.LittleEndian.Uint32(ciphertext))
	clear(p.mask[:])
	c.XORKeyStream(p.mask[:], p.mask[:])
}

func (p *protection) setAAD12(number uint64, typ contentType, n int) {
	binary.BigEndian.PutUint64(p.aad[:], number)
	p.aad[8] = byte(typ)
	binary.BigEndian.PutUint16(p.aad[9:], uint16(VersionDTLS12))
	binary.BigEndian.PutUint16(p.aad[11:], uint16(n))
}

// writeEpoch numbers and protects outgoing records.
type writeEpoch struct {
	epoch   uint64
	seq     uint64 // of the next record
	version Version
	prot    *protection // nil: plaintext
}

// seal frames and protects buf[head:head+n] in place and returns the record.
func (w *writeEpoch) seal(buf []byte, head, n int, typ contentType) ([]byte, error) {
	front, back := w.prot.overhead()
	switch {
	case head < front || n < 0 || n > maxPlaintext || cap(buf)-head-n < back:
		return nil, ErrNoRoom
	case w.seq > maxSequence || w.prot != nil && w.prot.v13 && w.seq >= recordLimit:
		return nil, ErrKeyExhausted
	}
	seq := w.seq
	w.seq++
	rec := buf[head-front : head+n+back]
	switch {
	case w.prot == nil:
		putPlainHeader(rec, typ, w.version, uint16(w.epoch), seq, n)
	case w.prot.v13:
		w.prot.seal13(rec, w.epoch, seq, n, typ)
	default:
		w.prot.seal12(rec, w.epoch, seq, n, typ)
	}
	return rec, nil
}

func (p *protection) seal12(rec []byte, epoch, seq uint64, n int, typ contentType) {
	front, _ := p.overhead()
	number := epoch<<48 | seq
	putPlainHeader(rec, typ, VersionDTLS12, uint16(epoch), seq, len(rec)-plainHeaderLen)
	if p.explicit {
		binary.BigEndian.PutUint64(rec[plainHeaderLen:], number)
	}
	p.setNonce(number)
	p.setAAD12(number, typ, n)
	p.aead.Seal(rec[front:front], p.nonce[:], rec[front:front+n], p.aad[:])
}

func (p *protection) seal13(rec []byte, epoch, seq uint64, n int, typ contentType) {
	rec[unifiedHeaderLen+n] = byte(typ)
	putUnifiedHeader(rec, epoch, seq, len(rec)-unifiedHeaderLen)
	header, body := rec[:unifiedHeaderLen], rec[unifiedHeaderLen:]
	p.setNonce(seq)
	p.aead.Seal(body[:0], p.nonce[:], body[:n+1], header)
	p.setMask(body)
	header[1] ^= p.mask[0]
	header[2] ^= p.mask[1]
}

// readEpoch opens incoming records.
type readEpoch struct {
	epoch   uint64
	prot    *protection // nil: plaintext
	replay  replayWindow
	forged  uint64
	expires time.Time // zero: in use
}

// open authenticates a record and decrypts it in place. The number is marked as seen.
func (r *readEpoch) open(h *recordHeader) (typ contentType, plain []byte, err error) {
	switch {
	case r.prot == nil:
		// No window in the clear: one forged number would shut out everything after it. Messages have numbers of their own.
		return h.typ, h.body, nil
	case r.prot.v13:
		typ, plain, err = r.open13(h)
	default:
		typ, plain, err = r.open12(h)
	}
	if err != nil {
		return 0, nil, err
	}
	r.replay.mark(h.seq)
	return typ, plain, nil
}

func (r *readEpoch) open12(h *recordHeader) (contentType, []byte, error) {
	if !r.replay.fresh(h.seq) {
		return 0, nil, ErrReplay
	}
	p := r.prot
	front, back := p.overhead()
	n := len(h.body) - (front - plainHeaderLen) - back
	if n < 0 {
		return 0, nil, ErrMalformed
	}
	body := h.body
	number := r.epoch<<48 | h.seq
	if p.explicit {
		p.setNonce(binary.BigEndian.Uint64(body))
		body = body[explicitNonceLen:]
	} else {
		p.setNonce(number)
	}
	p.setAAD12(number, h.typ, n)
	plain, err := p.aead.Open(body[:0], p.nonce[:], body, p.aad[:])
	if err != nil {
		r.forged++
		return 0, nil, ErrUnauthenticated
	}
	return h.typ, plain, nil
}

func (r *readEpoch) open13(h *recordHeader) (contentType, []byte, error) {
	// The mask takes 16 bytes of ciphertext, as many as a tag has.
	if len(h.body) < tagLen {
		return 0, nil, ErrMalformed
	}
	p := r.prot
	p.setMask(h.body)
	h.unmask(p.mask[:])
	h.seq = expandSequence(h.seq, r.replay.next, 8*h.seqLen)
	if !r.replay.fresh(h.seq) {
		return 0, nil, ErrReplay
	}
	p.setNonce(h.seq)
	plain, err := p.aead.Open(h.body[:0], p.nonce[:], h.body, h.raw)
	if err != nil {
		r.forged++
		return 0, nil, ErrUnauthenticated
	}
	// TLSInnerPlaintext: the content, its type, zeros (RFC 8446 §5.2).
	for n := len(plain) - 1; n >= 0; n-- {
		if plain[n] != 0 {
			return contentType(plain[n]), plain[:n], nil
		}
	}
	return 0, nil, fatal(AlertUnexpectedMessage, "a record without a content type")
}
