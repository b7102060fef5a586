package splitmix

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// A Key makes draws that nobody can foresee without it, however many others they have seen: those of this package's other
// functions can be turned back into their state. The zero Key is none.
type Key struct{ k0, k1 uint64 }

// NewKey is the key that a secret text gives for one purpose. Keys for two purposes say nothing of each other. An empty secret
// gives the zero Key.
func NewKey(secret, purpose string) Key {
	if secret == "" {
		return Key{}
	}
	digest := sha256.Sum256([]byte(purpose + "\x00" + secret))
	return Key{binary.LittleEndian.Uint64(digest[:]), binary.LittleEndian.Uint64(digest[8:])}
}

// IsZero says that there is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Draw is 64 bits for a position of two numbers: SipHash-2-4 of their 16 bytes, little endian (Aumasson and Bernstein:
// SipHash: a fast short-input PRF, INDOCRYPT 2012).
func (k Key) Draw(a, b uint64) uint64 {
	s := sip{k.k0 ^ 0x736f6d6570736575, k.k1 ^ 0x646f72616e646f6d, k.k0 ^ 0x6c7967656e657261, k.k1 ^ 0x7465646279746573}
	for _, word := range [...]uint64{a, b, 16 << 56} { // the last one is the length in bytes
		s[3] ^= word
		s.round()
		s.round()
		s[0] ^= word
	}
	s[2] ^= 0xff
	for range 4 {
		s.round()
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3]
}

// sip is the state of SipHash.
type sip [4]uint64

func (s *sip) round() {
	s[0] += s[1]
	s[2] += s[3]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[1]
	s[0] += s[3]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] = bits.RotateLeft64(s[2], 32)
}
