package block

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"grapevine/coding"
)

// Sizes in bytes of the largest canonical encodings: those of version 2, in networks that
// code. In others they are 8 less.
const (
	HeaderSize       = headerSize1 + 8
	SignedHeaderSize = HeaderSize + 64
)

// The versions of headers. A network that codes has those of version 2 alone, any other
// those of version 1.
const (
	headerUncoded = 1
	headerCoded   = 2
	headerSize1   = 222
)

// MaxHeight keeps heights exact in every JSON reader, whose numbers are doubles.
const MaxHeight = 1<<53 - 1

// Header is what a producer signs and a block ID names. The fields are those of
// the package comment, in the same order.
type Header struct {
	Version   uint8
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
	Symbols   uint32 // of the body, with coding; version 2
	ListSize  uint32 // in bytes, with coding; version 2
	Producer  PublicKey
}

// SignedHeader is a header with its producer's signature.
type SignedHeader struct {
	Header
	Signature Signature
}

// AppendTo appends the canonical bytes to b.
func (h *Header) AppendTo(b []byte) []byte {
	b = append(b, h.Version)
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
	if h.Version == headerCoded {
		b = binary.BigEndian.AppendUint32(b, h.Symbols)
		b = binary.BigEndian.AppendUint32(b, h.ListSize)
	}
	return append(b, h.Producer[:]...)
}

// Size returns how many canonical bytes the header has.
func (h *Header) Size() int {
	if h.Version == headerCoded {
		return HeaderSize
	}
	return headerSize1
}

// Size returns how many bytes the header and the signature have.
func (s *SignedHeader) Size() int { return s.Header.Size() + len(s.Signature) }

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
	size, err := headerSize(b)
	if err != nil {
		return Header{}, err
	}
	if len(b) != size {
		return Header{}, fmt.Errorf("%w header: %d bytes, want %d", ErrMalformed, len(b), size)
	}
	h := Header{
		Version:   b[0],
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
		Producer:  PublicKey(b[size-32:]),
	}
	if h.Version == headerCoded {
		h.Symbols, h.ListSize = binary.BigEndian.Uint32(b[190:]), binary.BigEndian.Uint32(b[194:])
	}
	return h, nil
}

// headerSize returns the size of the header that b begins with.
func headerSize(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, fmt.Errorf("%w header: no bytes", ErrMalformed)
	case b[0] == headerUncoded:
		return headerSize1, nil
	case b[0] == headerCoded:
		return HeaderSize, nil
	}
	return 0, fmt.Errorf("%w header version %d: this software reads versions %d and %d", ErrUnsupported, b[0], headerUncoded, headerCoded)
}

// DecodeSignedHeader reads a signed header that fills b.
func DecodeSignedHeader(b []byte) (SignedHeader, error) {
	h, rest, err := DecodeSignedHeaderPrefix(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w signed header: %d bytes follow its end", ErrMalformed, len(rest))
	}
	return h, err
}

// DecodeSignedHeaderPrefix reads the signed header that b begins with, and returns the rest.
func DecodeSignedHeaderPrefix(b []byte) (SignedHeader, []byte, error) {
	size, err := headerSize(b)
	if err != nil {
		return SignedHeader{}, nil, err
	}
	end := size + len(Signature{})
	if len(b) < end {
		return SignedHeader{}, nil, fmt.Errorf("%w signed header: %d bytes, want %d", ErrMalformed, len(b), end)
	}
	h, err := DecodeHeader(b[:size])
	return SignedHeader{Header: h, Signature: Signature(b[size:end])}, b[end:], err
}

// Check refuses a header that no block of this network could have, wherever it
// stands in the chain. It does not check the signature.
func (h *Header) Check(genesis ID, l Limits) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("header at height %d: %w: %s", h.Height, ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case h.Version != l.headerVersion():
		return bad("version %d, the network's is %d", h.Version, l.headerVersion())
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
	}
	if err := h.checkCoding(l); err != nil {
		return bad("%v", err)
	}
	return nil
}

// checkCoding refuses a coding other than the network's for a body of this size, and a
// geometry that no body of that size can have.
func (h *Header) checkCoding(l Limits) error {
	want := uint8(0)
	if l.Coding != 0 && h.BodySize > CodedAbove {
		want = l.Coding
	}
	switch {
	case h.Coding != want:
		return fmt.Errorf("coding %d of a body of %d bytes, want %d", h.Coding, h.BodySize, want)
	case want == 0 && !h.ShardRoot.IsZero():
		return errors.New("a shard root without coding")
	case want == 0 && (h.Symbols != 0 || h.ListSize != 0):
		return fmt.Errorf("%d symbols and a list of %d bytes without coding", h.Symbols, h.ListSize)
	case want == 0:
		return nil
	}
	if _, err := coding.Laid(int(h.BodySize), int(h.Symbols)); err != nil {
		return err
	}
	if least, most := uint64(h.TxCount)*ShortSize, uint64(h.TxCount)*mostListed; uint64(h.ListSize) < least || uint64(h.ListSize) > most {
		return fmt.Errorf("a list of %d bytes for %d transactions, want %d to %d", h.ListSize, h.TxCount, least, most)
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
