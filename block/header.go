package block

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Sizes in bytes of the canonical encodings.
const (
	HeaderSize       = 222
	SignedHeaderSize = HeaderSize + 64
)

const headerVersion = 1

// MaxHeight keeps heights exact in every JSON reader, whose numbers are doubles.
const MaxHeight = 1<<53 - 1

// Header is what a producer signs and a block ID names. The fields are those of
// the package comment, in the same order.
type Header struct {
	Genesis   ID
	Params    uint32
	Height    uint64
	Parent    ID
	TimeNano  int64
	TxCount   uint32
	BodySize  uint32
	TxRoot    ID
	ShortHash ID
	Coding    uint8
	ShardRoot ID
	Producer  PublicKey
}

// SignedHeader is a header with its producer's signature.
type SignedHeader struct {
	Header
	Signature Signature
}

// AppendTo appends the canonical bytes to b.
func (h *Header) AppendTo(b []byte) []byte {
	b = append(b, headerVersion)
	b = append(b, h.Genesis[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Params)
	b = binary.BigEndian.AppendUint64(b, h.Height)
	b = append(b, h.Parent[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.TimeNano))
	b = binary.BigEndian.AppendUint32(b, h.TxCount)
	b = binary.BigEndian.AppendUint32(b, h.BodySize)
	b = append(b, h.TxRoot[:]...)
	b = append(b, h.ShortHash[:]...)
	b = append(b, h.Coding)
	b = append(b, h.ShardRoot[:]...)
	return append(b, h.Producer[:]...)
}

// Bytes returns the canonical bytes.
func (h *Header) Bytes() []byte { return h.AppendTo(make([]byte, 0, HeaderSize)) }

// ID returns the SHA-256 of the canonical bytes.
func (h *Header) ID() ID { return sha256.Sum256(h.Bytes()) }

// Time returns the header's time.
func (h *Header) Time() time.Time { return time.Unix(0, h.TimeNano) }

// Bytes returns the header's canonical bytes and the signature.
func (s *SignedHeader) Bytes() []byte {
	return append(s.AppendTo(make([]byte, 0, SignedHeaderSize)), s.Signature[:]...)
}

// DecodeHeader reads a header that fills b.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) != HeaderSize {
		return Header{}, fmt.Errorf("%w header: %d bytes, want %d", ErrMalformed, len(b), HeaderSize)
	}
	if b[0] != headerVersion {
		return Header{}, fmt.Errorf("%w header version %d: this software reads version %d", ErrUnsupported, b[0], headerVersion)
	}
	return Header{
		Genesis:   ID(b[1:33]),
		Params:    binary.BigEndian.Uint32(b[33:]),
		Height:    binary.BigEndian.Uint64(b[37:]),
		Parent:    ID(b[45:77]),
		TimeNano:  int64(binary.BigEndian.Uint64(b[77:])),
		TxCount:   binary.BigEndian.Uint32(b[85:]),
		BodySize:  binary.BigEndian.Uint32(b[89:]),
		TxRoot:    ID(b[93:125]),
		ShortHash: ID(b[125:157]),
		Coding:    b[157],
		ShardRoot: ID(b[158:190]),
		Producer:  PublicKey(b[190:222]),
	}, nil
}

// DecodeSignedHeader reads a signed header that fills b.
func DecodeSignedHeader(b []byte) (SignedHeader, error) {
	if len(b) != SignedHeaderSize {
		return SignedHeader{}, fmt.Errorf("%w signed header: %d bytes, want %d", ErrMalformed, len(b), SignedHeaderSize)
	}
	h, err := DecodeHeader(b[:HeaderSize])
	if err != nil {
		return SignedHeader{}, err
	}
	return SignedHeader{Header: h, Signature: Signature(b[HeaderSize:])}, nil
}

// Check refuses a header that no block of this network could have, wherever it
// stands in the chain. It does not check the signature.
func (h *Header) Check(genesis ID, l Limits) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("header at height %d: %w: %s", h.Height, ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case h.Genesis != genesis:
		return bad("it belongs to network %s, not %s", h.Genesis.Short(), genesis.Short())
	case h.Params != 0:
		return bad("parameters' number is %d, want 0", h.Params)
	case h.Height == 0 || h.Height > MaxHeight:
		return bad("height must be 1 to %d", uint64(MaxHeight))
	case h.TimeNano <= 0:
		return bad("time %d is not after 1970", h.TimeNano)
	case h.TxCount == 0:
		return bad("no transactions")
	case uint64(h.TxCount) > uint64(l.MaxBlockTxs):
		return bad("%d transactions, the network's limit is %d", h.TxCount, l.MaxBlockTxs)
	case uint64(h.BodySize) > uint64(l.MaxBodyBytes):
		return bad("body of %d bytes, the network's limit is %d", h.BodySize, l.MaxBodyBytes)
	case uint64(h.BodySize) < uint64(h.TxCount)*TxOverhead:
		return bad("body of %d bytes cannot hold %d transactions", h.BodySize, h.TxCount)
	case h.Coding != 0:
		return bad("coding %d is not built yet, want 0", h.Coding)
	case !h.ShardRoot.IsZero():
		return bad("a shard root without coding")
	}
	return nil
}

// CheckParent refuses a header that does not stand directly on parent.
func (h *Header) CheckParent(parent Tip) error {
	switch {
	case h.Height != parent.Height+1:
		return fmt.Errorf("header at height %d does not follow height %d", h.Height, parent.Height)
	case h.Parent != parent.ID:
		return fmt.Errorf("header at height %d stands on %s, the block at height %d is %s", h.Height, h.Parent.Short(), parent.Height, parent.ID.Short())
	case h.TimeNano <= parent.TimeNano:
		return fmt.Errorf("header at height %d has time %d, not after its parent's %d", h.Height, h.TimeNano, parent.TimeNano)
	}
	return nil
}

// Tip is the end of a chain. A chain without blocks ends at height 0 with the
// genesis ID, at time 0.
type Tip struct {
	Height   uint64
	ID       ID
	TimeNano int64
}

// Tip returns the chain's end once this header is its last.
func (h *Header) Tip() Tip { return Tip{Height: h.Height, ID: h.ID(), TimeNano: h.TimeNano} }
