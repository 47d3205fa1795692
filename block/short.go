package block

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"grapevine/coding"
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

// CheckList refuses bytes other than those of the list that the header, which Check has
// found right, commits to: ErrList. With coding these may be wrong in themselves: see
// ReadList.
func (h *Header) CheckList(list []byte) error {
	if len(list) != h.ListBytes() {
		return fmt.Errorf("%w: %d bytes for %d transactions, want %d", ErrList, len(list), h.TxCount, h.ListBytes())
	}
	if h.Coding == 0 && ShortListHash(list) != h.ShortHash || h.Coding != 0 && coding.New(h.ListGeometry(), list).Root() != h.ShortHash {
		return fmt.Errorf("%w: not the one that the header commits to", ErrList)
	}
	return nil
}

// ErrList says that a list is not the one that a header commits to: whoever put it there
// erred, and not the producer.
var ErrList = fmt.Errorf("%w list of short IDs", ErrMalformed)

// ListBytes returns how many bytes the list has.
func (h *Header) ListBytes() int {
	if h.Coding == 0 {
		return int(h.TxCount) * ShortSize
	}
	return int(h.ListSize)
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
