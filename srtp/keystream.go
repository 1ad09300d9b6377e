package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// counterMode is AES in counter mode for many short messages with counter blocks of their own.
//
// cipher.NewCTR copies the expanded key to the heap for every message, and block by block the standard library's AES
// costs four times as much as its bulk code. AES-GCM is counter mode too, allocates nothing, and takes its first counter
// block J0 from the nonce: for a nonce N of 16 bytes, J0 = (N·H ⊕ L)·H in GF(2^128), with H = AES(0) and L the block that
// holds the length of the nonce (NIST SP 800-38D §7.1). H is known to who has the key, so N = J0·H⁻² ⊕ L·H⁻¹ picks any
// counter. The GHASH tag that comes with it is thrown away; SRTP's own tag authenticates. GCM's counter wraps at 32 bits
// and SRTP's runs in the low 16, so the two agree for a whole packet.
type counterMode struct {
	aead    cipher.AEAD
	toNonce productTable // by H⁻²
	offset  element      // L·H⁻¹
	nonce   [aes.BlockSize]byte
	ready   bool
	h       element
	scratch []byte // ciphertext and the tag that nobody needs
}

func newCounterMode(block cipher.Block) (*counterMode, error) {
	aead, err := cipher.NewGCMWithNonceSize(block, aes.BlockSize)
	if err != nil {
		return nil, err
	}
	var zero, h [aes.BlockSize]byte
	block.Encrypt(h[:], zero[:])
	return &counterMode{aead: aead, h: newElement(&h)}, nil
}

// prepare costs about as much as sealing ten packets, so it waits for the first one.
func (c *counterMode) prepare() {
	inverse := c.h.inverse()
	c.toNonce = newProductTable(inverse.mul(inverse))
	c.offset = inverse.mul(element{lo: 8 * aes.BlockSize})
	c.ready = true
}

// xor writes src XOR key stream to dst, which has the length of src and overlaps it entirely or not at all. The low 16
// bits of the counter block are the block counter of the packet and have to be zero.
func (c *counterMode) xor(dst, src []byte, counter *[aes.BlockSize]byte) {
	if !c.ready {
		c.prepare()
	}
	// GCM encrypts the plaintext from J0+1 on.
	j0 := newElement(counter)
	j0.lo = j0.lo&^0xffffffff | uint64(uint32(j0.lo)-1)
	n := c.toNonce.mul(j0)
	n.hi ^= c.offset.hi
	n.lo ^= c.offset.lo
	binary.BigEndian.PutUint64(c.nonce[:8], n.hi)
	binary.BigEndian.PutUint64(c.nonce[8:], n.lo)
	c.scratch = c.aead.Seal(c.scratch[:0], c.nonce[:], src, nil)
	copy(dst, c.scratch[:len(src)])
}

// element is an element of GF(2^128) in GCM's order of bits: the coefficient of x⁰ is the top bit of hi (NIST SP
// 800-38D §6.3).
type element struct{ hi, lo uint64 }

func newElement(b *[aes.BlockSize]byte) element {
	return element{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
}

// timesX multiplies by x; the modulus is x¹²⁸ + x⁷ + x² + x + 1.
func (e element) timesX() element {
	carry := -(e.lo & 1)
	return element{hi: e.hi>>1 ^ carry&(0xe1<<56), lo: e.lo>>1 | e.hi<<63}
}

func (e element) mul(f element) element {
	t := newProductTable(f)
	return t.mul(e)
}

// inverse returns e^(2^128-2), the product of e^(2^k) for k = 1..127. The inverse of zero, which AES gives for one key
// in 2^128, is zero.
func (e element) inverse() element {
	// p holds e^(2^n - 1); 127 is reached by doubling and adding one: 1, 3, 7, 15, 31, 63, 127.
	p := e
	for n := 1; n < 127; n = 2*n + 1 {
		q := p
		for range n {
			q = q.mul(q)
		}
		p = p.mul(q)
		p = p.mul(p).mul(e)
	}
	return p.mul(p)
}

// productTable holds the products of one element with all polynomials of degree below 4, by their four bits.
type productTable [16]element

func newProductTable(e element) productTable {
	var t productTable
	for bit := 8; bit > 0; bit >>= 1 {
		t[bit] = e
		e = e.timesX()
	}
	for bit := 2; bit < 16; bit *= 2 {
		for i := 1; i < bit; i++ {
			t[bit+i] = element{hi: t[bit].hi ^ t[i].hi, lo: t[bit].lo ^ t[i].lo}
		}
	}
	return t
}

// reduction4 is what four bits that fell off the end come back as, in the top 16 bits of hi.
var reduction4 = func() (r [16]uint64) {
	for i := range r {
		e := element{lo: uint64(i)}
		for range 4 {
			e = e.timesX()
		}
		r[i] = e.hi
	}
	return r
}()

// mul multiplies four bits at a time, from the highest powers down. Its time may tell something about H through the cache;
// but H, which is the key of GHASH, protects nothing here.
func (t *productTable) mul(e element) element {
	var z element
	for _, limb := range [2]uint64{e.lo, e.hi} {
		for range 16 {
			z = element{hi: z.hi>>4 ^ reduction4[z.lo&15], lo: z.lo>>4 | z.hi<<60}
			p := &t[limb&15]
			z.hi ^= p.hi
			z.lo ^= p.lo
			limb = bits.RotateLeft64(limb, -4)
		}
	}
	return z
}
