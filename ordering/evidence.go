package ordering

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/coding"
	"grapevine/durable"
	"grapevine/genesis"
)

// Evidence proves to anybody who has the genesis that a network's orderer broke
// the rules: with two signed headers at one height, or with a signed block that no
// chain can have. It needs no signature of whoever found it.
//
// Its canonical bytes, integers big-endian, are one of
//
//	size  field
//	   1  version = 1
//	   1  kind = 1: two headers
//	   h  signed header, the one with the lower ID
//	   h  signed header
//
//	   1  version = 1
//	   1  kind = 2: an invalid block
//	   h  signed header
//	   4  transaction count
//	   n  the transactions' bytes, none if the header alone is the proof
//
//	   1  version = 1
//	   1  kind = 3: a list, or 4: a body, that is right under its root, and makes no block
//	   h  signed header
//	   n  the symbols of its data
//
// where h is 286 or 294, as the header's version says.
//
// Rules that need the chain (the parent, its time, a transaction committed before)
// are not among what it proves: who has the chain sees for itself.
type Evidence struct {
	// First and Second are the two headers, First the one with the lower ID. Second
	// is nil when the evidence is an invalid block, whose header is First.
	First  block.SignedHeader
	Second *block.SignedHeader
	// Txs are an invalid block's transactions.
	Txs []*block.Tx
	// Coded are the symbols of the data of a list, or of a body if IsBody, that makes no
	// block, with zeros to the end of the last leaf. Nil: the evidence is something else.
	Coded  []byte
	IsBody bool
}

const (
	evidenceVersion = 1
	kindTwoHeaders  = 1
	kindInvalid     = 2
	kindList        = 3
	kindBody        = 4
)

// Equivocation is the evidence of two headers, in either order.
func Equivocation(a, b block.SignedHeader) *Evidence {
	if !lower(&a, &b) {
		a, b = b, a
	}
	return &Evidence{First: a, Second: &b}
}

// MalformedString is the evidence of a list or a body that is right under its root, and makes
// no block: the symbols of its data.
func MalformedString(h *block.SignedHeader, data []byte, isBody bool) *Evidence {
	e := &Evidence{First: *h, IsBody: isBody}
	g := e.geometry()
	e.Coded = append(make([]byte, 0, g.Data*g.Symbol), data...)[:g.Data*g.Symbol]
	return e
}

func (e *Evidence) geometry() coding.Geometry {
	if e.IsBody {
		return e.First.BodyGeometry()
	}
	return e.First.ListGeometry()
}

// InvalidBlock is the evidence of a block that breaks a rule.
func InvalidBlock(b *block.Block) *Evidence { return &Evidence{First: b.SignedHeader, Txs: b.Txs} }

func lower(a, b *block.SignedHeader) bool {
	x, y := a.Header.ID(), b.Header.ID()
	return bytes.Compare(x[:], y[:]) < 0
}

// Height returns that of the header or headers.
func (e *Evidence) Height() uint64 { return e.First.Height }

// Encode returns the canonical bytes.
func (e *Evidence) Encode() []byte {
	if e.Second != nil {
		b := append([]byte{evidenceVersion, kindTwoHeaders}, e.First.Bytes()...)
		return append(b, e.Second.Bytes()...)
	}
	if e.Coded != nil {
		kind := byte(kindList)
		if e.IsBody {
			kind = kindBody
		}
		return append(append([]byte{evidenceVersion, kind}, e.First.Bytes()...), e.Coded...)
	}
	b := append([]byte{evidenceVersion, kindInvalid}, e.First.Bytes()...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Txs)))
	for _, t := range e.Txs {
		b = append(b, t.Bytes()...)
	}
	return b
}

// DecodeEvidence reads evidence that fills raw and keeps raw, which must not change
// afterwards. It says nothing of whether the evidence proves anything: Verify does.
func DecodeEvidence(raw []byte) (*Evidence, error) {
	if len(raw) < 2 {
		return nil, fmt.Errorf("%w evidence: %d bytes", block.ErrMalformed, len(raw))
	}
	if raw[0] != evidenceVersion {
		return nil, fmt.Errorf("%w evidence version %d: this software reads version %d", block.ErrUnsupported, raw[0], evidenceVersion)
	}
	first, rest, err := block.DecodeSignedHeaderPrefix(raw[2:])
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	switch raw[1] {
	case kindTwoHeaders:
		second, err := block.DecodeSignedHeader(rest)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		if !lower(&first, &second) {
			return nil, fmt.Errorf("%w evidence: the headers are the same, or in the wrong order", block.ErrMalformed)
		}
		return &Evidence{First: first, Second: &second}, nil
	case kindInvalid:
		if len(rest) < 4 {
			return nil, fmt.Errorf("%w evidence: %d bytes after the header, want at least 4", block.ErrMalformed, len(rest))
		}
		// The header may lie about the body; the proof has a count of its own.
		body := rest[4:]
		txs, err := block.DecodeBody(&block.Header{TxCount: binary.BigEndian.Uint32(rest), BodySize: uint32(len(body))}, body)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		return &Evidence{First: first, Txs: txs}, nil
	case kindList, kindBody:
		return &Evidence{First: first, Coded: rest, IsBody: raw[1] == kindBody}, nil
	}
	return nil, fmt.Errorf("%w evidence kind %d: want 1 to 4", block.ErrUnsupported, raw[1])
}

// KeepEvidence writes a proof's bytes to a file, from which the node's later lives
// read it: a node that has one appends nothing more.
func KeepEvidence(path string, proof []byte) error {
	if err := durable.Replace(path, proof, 0o644); err != nil {
		return fmt.Errorf("keeping the proof against the orderer: %w", err)
	}
	return nil
}

// KeptEvidence reads the proof that an earlier life kept; nil if there is none.
func KeptEvidence(path string, g *genesis.Genesis) (*Evidence, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the proof against the orderer: %w", err)
	}
	e, err := DecodeEvidence(raw)
	if err == nil {
		err = e.Verify(g)
	}
	if err != nil {
		return nil, fmt.Errorf("the proof against the orderer in %s proves nothing: move it away if it was not this node that wrote it: %w", path, err)
	}
	return e, nil
}

// Verify returns nil if the evidence convicts the network's orderer, and otherwise
// says why it does not.
func (e *Evidence) Verify(g *genesis.Genesis) error {
	if err := g.CheckProducer(&e.First); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if e.Second == nil {
		return e.verifyInvalid(g)
	}
	if err := g.CheckProducer(e.Second); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if e.First.Height != e.Second.Height {
		return fmt.Errorf("evidence: one header is at height %d, the other at %d", e.First.Height, e.Second.Height)
	}
	if e.First.Header == e.Second.Header {
		return errors.New("evidence: both headers are the same")
	}
	return nil
}

// verifyInvalid judges a block by what its header commits to: other transactions
// under a good header would only convict who put them there.
func (e *Evidence) verifyInvalid(g *genesis.Genesis) error {
	h := &e.First.Header
	if h.Check(g.ID(), g.BlockLimits()) != nil {
		return nil
	}
	if e.Coded != nil {
		return e.verifyCoded(g)
	}
	b := block.New(e.First, e.Txs)
	switch err := b.Check(g.ID(), g.BlockLimits()); {
	case errors.Is(err, block.ErrRoot):
		return fmt.Errorf("evidence: the header at height %d does not commit to these %d transactions", h.Height, len(e.Txs))
	case err != nil:
		return nil
	}
	for _, err := range sig.VerifyTxs(g.ID(), e.Txs) {
		if err != nil {
			return nil
		}
	}
	return fmt.Errorf("evidence: the block at height %d breaks no rule", h.Height)
}

// verifyCoded judges a list or a body under a header that is right in itself.
func (e *Evidence) verifyCoded(g *genesis.Genesis) error {
	h := &e.First.Header
	if h.Coding == 0 {
		return fmt.Errorf("evidence: the header at height %d has no coding", h.Height)
	}
	geometry, root := e.geometry(), h.ShortHash
	if e.IsBody {
		root = h.ShardRoot
	}
	if len(e.Coded) != geometry.Data*geometry.Symbol || coding.New(geometry, e.Coded).Root() != root {
		return fmt.Errorf("evidence: the header at height %d does not commit to these %d bytes", h.Height, len(e.Coded))
	}
	if !e.IsBody {
		if _, err := h.ReadList(e.Coded); err != nil {
			return nil
		}
	} else if txs, err := h.ReadLaid(e.Coded); err != nil || block.New(e.First, txs).Check(g.ID(), g.BlockLimits()) != nil {
		return nil
	}
	return fmt.Errorf("evidence: the block at height %d breaks no rule", h.Height)
}
