package block

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// ShortSize is the length of a short ID in bytes. With 10,000 transactions in a
// block and 100,000 in a pool, 48 bits collide in one block of 281,000 (BIP 152).
const ShortSize = 6

const (
	domainShortKey  = "grapevine short key 1\x00"
	domainShortList = "grapevine short list 1\x00"
)

// SipKey is the key of a SipHash.
type SipKey struct{ K0, K1 uint64 }

// ShortKey returns the key of the block's short IDs.
func (h *Header) ShortKey() SipKey {
	b := make([]byte, 0, len(domainShortKey)+32+8+32)
	b = append(b, domainShortKey...)
	b = append(b, h.Parent[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Height)
	b = append(b, h.TxRoot[:]...)
	return NewSipKey(sha256.Sum256(b))
}

// NewSipKey takes the key from the first 16 bytes of a hash.
func NewSipKey(hash ID) SipKey {
	return SipKey{binary.LittleEndian.Uint64(hash[:]), binary.LittleEndian.Uint64(hash[8:])}
}

// Short returns the transaction's short ID, in the low 48 bits.
func (k SipKey) Short(id ID) uint64 { return k.Sum64(id) & (1<<48 - 1) }

// List returns the short IDs of a block's transactions, packed.
func (k SipKey) List(ids []ID) []byte {
	out := make([]byte, 0, len(ids)*ShortSize)
	for _, id := range ids {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], k.Short(id))
		out = append(out, b[:ShortSize]...)
	}
	return out
}

// ShortAt returns the i-th short ID of a packed list.
func ShortAt(list []byte, i int) uint64 {
	var b [8]byte
	copy(b[:ShortSize], list[i*ShortSize:])
	return binary.LittleEndian.Uint64(b[:])
}

// ShortListHash returns the hash of a packed list that a header commits to.
func ShortListHash(list []byte) ID {
	return sha256.Sum256(append([]byte(domainShortList), list...))
}

// CheckShorts refuses a packed list other than the one the header commits to.
func (h *Header) CheckShorts(list []byte) error {
	if uint64(len(list)) != uint64(h.TxCount)*ShortSize {
		return fmt.Errorf("%w short IDs: %d bytes for %d transactions", ErrMalformed, len(list), h.TxCount)
	}
	if ShortListHash(list) != h.ShortHash {
		return fmt.Errorf("%w short IDs: not the list that the header commits to", ErrMalformed)
	}
	return nil
}

// Sum64 returns SipHash-2-4 of the ID (Aumasson and Bernstein 2012, §2), whose
// 32 bytes are four whole words and a length word.
func (k SipKey) Sum64(id ID) uint64 {
	v0 := k.K0 ^ 0x736f6d6570736575
	v1 := k.K1 ^ 0x646f72616e646f6d
	v2 := k.K0 ^ 0x6c7967656e657261
	v3 := k.K1 ^ 0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	absorb := func(m uint64) {
		v3 ^= m
		round()
		round()
		v0 ^= m
	}
	for i := 0; i < len(id); i += 8 {
		absorb(binary.LittleEndian.Uint64(id[i:]))
	}
	absorb(uint64(len(id)) << 56)
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
