package block

import (
	"encoding/hex"
	"fmt"
)

// ID is a SHA-256 hash that names a transaction, a block or a network.
type ID [32]byte

// String returns the ID as 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight hexadecimal digits, for people.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero says whether the ID is all zero, which no hash is in practice.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes the ID as hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	got, err := ParseID(string(text))
	if err == nil {
		*id = got
	}
	return err
}

// ParseID reads 64 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("ID %q has %d characters: want 64 hexadecimal digits", s, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("ID %q: want 64 hexadecimal digits: %w", s, err)
	}
	return id, nil
}

// ShortDigits is how many hexadecimal digits Short returns, and the fewest that a
// shortened ID has.
const ShortDigits = 8

// ParsePrefix reads the beginning of an ID, as people are shown it: 8 to 64 hexadecimal
// digits, an even number of them.
func ParsePrefix(s string) ([]byte, error) {
	if len(s) < ShortDigits || len(s) > 2*len(ID{}) || len(s)%2 != 0 {
		return nil, fmt.Errorf("ID %q has %d characters: want 64 hexadecimal digits, or the first 8 or more of them, an even number", s, len(s))
	}
	prefix, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("ID %q: want hexadecimal digits: %w", s, err)
	}
	return prefix, nil
}

// PublicKey is a raw Ed25519 public key.
type PublicKey [32]byte

// String returns the key as 64 hexadecimal digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// Signature is a raw Ed25519 signature.
type Signature [64]byte

// Domain separates what one key signs for one purpose from what it signs for
// another. Each is a fixed string that ends in a zero byte, so none is a prefix
// of another.
type Domain string

// The domains that this network's keys sign in. The genesis ID follows the
// domain in every signed string, so a signature counts in one network only.
const (
	DomainTx       Domain = "grapevine transaction 1\x00"
	DomainHeader   Domain = "grapevine header 1\x00"
	DomainRecord   Domain = "grapevine member record 1\x00"
	DomainEvidence Domain = "grapevine evidence 1\x00"
)

// SigningBytes returns what is signed: domain ‖ genesis ‖ content.
func SigningBytes(d Domain, genesis ID, content []byte) []byte {
	b := make([]byte, 0, len(d)+len(genesis)+len(content))
	b = append(b, d...)
	b = append(b, genesis[:]...)
	return append(b, content...)
}
