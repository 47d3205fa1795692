package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"grapevine/block"
)

// strays finds a key that belongs to no block. The walk up the chain has found every
// key that must be there, so of a kind whose count is right none is a stray.
func (v *verifier) strays() error {
	var first error
	var txs uint64
	err := v.ledger.db.keys(nil, func(key []byte) bool {
		if len(key) == idKeySize && key[0] == prefixTx {
			txs++
			return true
		}
		first = v.stray(key)
		return first == nil
	})
	if err != nil {
		return &Fault{0, "keys", "a readable list", err.Error()}
	}
	if first != nil || txs == v.report.Txs {
		return first
	}
	err = v.ledger.db.keys([]byte{prefixTx}, func(key []byte) bool {
		first = v.strayTx(key)
		return first == nil
	})
	return errors.Join(first, err)
}

// stray checks a key that is not an entry of the transaction index.
func (v *verifier) stray(key []byte) error {
	fault := func(expected string) error {
		return &Fault{0, "keys", expected, fmt.Sprintf("the key %q", key)}
	}
	switch {
	case string(key) == keyMeta || string(key) == keyTip:
		return nil
	case key[0] == prefixHeader && len(key) == headerKeySize:
		if height := binary.BigEndian.Uint64(key[1:]); height == 0 || height > v.report.Tip.Height {
			return fault(fmt.Sprintf("headers at heights 1 to %d", v.report.Tip.Height))
		}
	case key[0] == prefixBody && len(key) == bodyKeySize:
		height, part := binary.BigEndian.Uint64(key[1:]), int(binary.BigEndian.Uint16(key[9:]))
		h, err := v.stored(height)
		if err != nil {
			return fault(fmt.Sprintf("bodies at heights 1 to %d", v.report.Tip.Height))
		}
		if n := parts(int(h.BodySize)); part >= n {
			return fault(fmt.Sprintf("%d parts of the body at height %d", n, height))
		}
	case key[0] == prefixBlockID && len(key) == idKeySize:
		raw, err := v.value(0, "index entry of a block", key)
		if err != nil {
			return err
		}
		height, err := decodeHeight(raw)
		if err != nil {
			return fault("a height under it")
		}
		if h, err := v.stored(height); err != nil || h.ID() != block.ID(key[1:]) {
			return fault(fmt.Sprintf("the ID of the block at height %d", height))
		}
	default:
		return fault("keys of a ledger only")
	}
	return nil
}

// stored returns a header that the walk has checked.
func (v *verifier) stored(height uint64) (block.SignedHeader, error) {
	if height == 0 || height > v.report.Tip.Height {
		return block.SignedHeader{}, fmt.Errorf("there is no height %d", height)
	}
	raw, err := v.value(height, "header", headerKey(height))
	if err != nil {
		return block.SignedHeader{}, err
	}
	return block.DecodeSignedHeader(raw)
}

// strayTx checks an entry of the transaction index against the block that it names.
func (v *verifier) strayTx(key []byte) error {
	what := fmt.Sprintf("index entry of transaction %x", key[1:])
	raw, err := v.value(0, what, key)
	if err != nil {
		return err
	}
	at, err := decodeEntry(raw)
	if err != nil {
		return &Fault{0, what, "a place", err.Error()}
	}
	h, err := v.stored(at.Height)
	if err != nil {
		return &Fault{at.Height, what, "a height of the chain", err.Error()}
	}
	b, err := v.ledger.join(v.read, h)
	if err != nil {
		return err
	}
	if at.Index >= len(b.Txs) || b.Txs[at.Index].ID() != block.ID(key[1:]) {
		return &Fault{at.Height, what, "a transaction in that place", fmt.Sprintf("another or none at %v", at)}
	}
	return nil
}
