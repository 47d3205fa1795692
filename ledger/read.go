package ledger

import (
	"errors"
	"fmt"

	"grapevine/block"
)

// Place is where a transaction stands in the chain.
type Place struct {
	Height uint64
	Index  int // in the block, from 0
}

// Header returns the signed header at a height.
func (l *Ledger) Header(height uint64) (block.SignedHeader, error) {
	if b := l.recent.get(height); b != nil {
		return b.SignedHeader, nil
	}
	var h block.SignedHeader
	err := l.view(func(r reader) (err error) {
		h, err = l.header(r, height)
		return err
	})
	return h, err
}

// Block returns the block at a height.
func (l *Ledger) Block(height uint64) (*block.Block, error) {
	if b := l.Recent(height); b != nil {
		return b, nil
	}
	var b *block.Block
	err := l.view(func(r reader) error {
		h, err := l.header(r, height)
		if err != nil {
			return err
		}
		b, err = l.join(r, h)
		return err
	})
	return b, err
}

// Recent returns the block at a height if it is one of the last, which are at hand, or
// nil: it never reads the disk.
func (l *Ledger) Recent(height uint64) *block.Block { return l.recent.get(height) }

// HeightOf returns the height of the block with that ID.
func (l *Ledger) HeightOf(id block.ID) (uint64, error) {
	v, err := l.get(idKey(prefixBlockID, id))
	if errors.Is(err, ErrNotFound) {
		return 0, fmt.Errorf("block %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return 0, err
	}
	height, err := decodeHeight(v)
	if err != nil {
		return 0, l.damaged("the index entry of block %s: %w", id, err)
	}
	if height > l.Tip().Height {
		return 0, fmt.Errorf("block %s: %w", id, ErrNotFound)
	}
	return height, nil
}

// BlockID returns the ID of the block whose ID begins with prefix: ErrNotFound if there is
// none, ErrAmbiguous if there are several.
func (l *Ledger) BlockID(prefix []byte) (block.ID, error) { return l.completeID(prefixBlockID, prefix) }

// TxID is BlockID for transactions.
func (l *Ledger) TxID(prefix []byte) (block.ID, error) { return l.completeID(prefixTx, prefix) }

func (l *Ledger) completeID(kind byte, prefix []byte) (id block.ID, err error) {
	found := 0
	err = l.keys(append([]byte{kind}, prefix...), func(key []byte) bool {
		copy(id[:], key[1:])
		found++
		return found < 2
	})
	switch {
	case err != nil:
		return block.ID{}, err
	case found == 0:
		return block.ID{}, fmt.Errorf("an ID that begins with %x: %w", prefix, ErrNotFound)
	case found > 1:
		return block.ID{}, fmt.Errorf("%x: %w: give more digits", prefix, ErrAmbiguous)
	}
	return id, nil
}

// Range returns the blocks from one height to another, both included, as far as the
// ledger holds them. It stops before the blocks' bytes exceed maxBytes, but returns
// the first in any case. When it does not hold the first the error is ErrNotFound.
// With an error come the blocks below the one that it is about.
func (l *Ledger) Range(from, to uint64, maxBytes int) ([]*block.Block, error) {
	var out []*block.Block
	size := 0
	for height := from; height == from || height <= min(to, l.Tip().Height); height++ {
		h, err := l.Header(height)
		if err != nil {
			return out, err
		}
		size += h.Size() + int(h.BodySize)
		if size > maxBytes && height > from {
			return out, nil
		}
		b, err := l.Block(height)
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	return out, nil
}

// FindTx returns the place of a transaction.
func (l *Ledger) FindTx(id block.ID) (Place, error) {
	var at entry
	err := l.view(func(r reader) (err error) {
		at, err = l.entry(r, idKey(prefixTx, id))
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("transaction %s: %w", id, ErrNotFound)
	}
	return at.Place, err
}

// HasTx says whether the chain has a transaction.
func (l *Ledger) HasTx(id block.ID) (bool, error) {
	_, err := l.FindTx(id)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Tx returns a transaction and its place, reading no more of its block than it must.
func (l *Ledger) Tx(id block.ID) (*block.Tx, Place, error) {
	var t *block.Tx
	var at entry
	err := l.view(func(r reader) (err error) {
		if at, err = l.entry(r, idKey(prefixTx, id)); err != nil {
			return err
		}
		t, err = l.transaction(r, id, at)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("transaction %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, Place{}, err
	}
	return t, at.Place, nil
}

// transaction reads the one that the index entry points at, from the parts of the
// body that hold it.
func (l *Ledger) transaction(r reader, id block.ID, at entry) (*block.Tx, error) {
	if b := l.recent.get(at.Height); b != nil && at.Index < len(b.Txs) {
		return b.Txs[at.Index], nil
	}
	raw := make([]byte, 0, at.size)
	for part := at.offset / partSize; len(raw) < at.size; part++ {
		from := max(at.offset-part*partSize, 0)
		err := l.part(r, at.Height, part, func(v []byte) error {
			if from >= len(v) {
				return fmt.Errorf("transaction %s ends beyond it", id)
			}
			raw = append(raw, v[from:min(len(v), from+at.size-len(raw))]...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	t, err := block.DecodeTx(raw)
	if err == nil && t.ID() != id {
		err = fmt.Errorf("transaction %s is in its place", t.ID())
	}
	if err != nil {
		return nil, l.damaged("transaction %s at offset %d of the body at height %d: %w", id, at.offset, at.Height, err)
	}
	return t, nil
}

// view runs fn on one state of the database, unless the ledger is closed.
func (l *Ledger) view(fn func(reader) error) error {
	l.reading.RLock()
	defer l.reading.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return l.db.view(fn)
}

// get returns a copy of one value.
func (l *Ledger) get(key []byte) ([]byte, error) {
	var v []byte
	err := l.view(func(r reader) (err error) {
		v, err = l.appendValue(r, nil, key)
		return err
	})
	return v, err
}

// value calls use with the value of a key, good until use returns. The error is
// ErrNotFound itself, for callers to say what of, or ErrCorrupt.
func (l *Ledger) value(r reader, key []byte, use func([]byte) error) error {
	err := r(key, use)
	if errors.Is(err, errNoKey) {
		return ErrNotFound
	}
	if err != nil {
		return l.damaged("reading key %q: %w", key, err)
	}
	return nil
}

func (l *Ledger) appendValue(r reader, buf, key []byte) ([]byte, error) {
	err := l.value(r, key, func(v []byte) error {
		buf = append(buf, v...)
		return nil
	})
	return buf, err
}

// header reads a header. Heights above the tip are not there, even while an append
// is putting one there.
func (l *Ledger) header(r reader, height uint64) (block.SignedHeader, error) {
	if tip := l.Tip().Height; height < l.Base() || height > tip {
		return block.SignedHeader{}, fmt.Errorf("height %d: %w, which holds %d to %d", height, ErrNotFound, l.Base(), tip)
	}
	return l.storedHeader(r, height)
}

func (l *Ledger) storedHeader(r reader, height uint64) (block.SignedHeader, error) {
	v, err := l.appendValue(r, nil, headerKey(height))
	if errors.Is(err, ErrNotFound) {
		return block.SignedHeader{}, l.damaged("the header at height %d is missing", height)
	}
	if err != nil {
		return block.SignedHeader{}, err
	}
	h, err := block.DecodeSignedHeader(v)
	if err == nil && h.Height != height {
		err = fmt.Errorf("it says height %d", h.Height)
	}
	if err != nil {
		return block.SignedHeader{}, l.damaged("the header at height %d: %w", height, err)
	}
	return h, nil
}

// join reads the body that belongs to a header.
func (l *Ledger) join(r reader, h block.SignedHeader) (*block.Block, error) {
	body := make([]byte, 0, h.BodySize)
	for i := range parts(int(h.BodySize)) {
		err := l.part(r, h.Height, i, func(v []byte) error {
			body = append(body, v...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	txs, err := block.DecodeBody(&h.Header, body)
	if err != nil {
		return nil, l.damaged("the body at height %d: %w", h.Height, err)
	}
	return block.New(h, txs), nil
}

// part calls use with one part of the body at a height.
func (l *Ledger) part(r reader, height uint64, part int, use func([]byte) error) error {
	err := l.value(r, bodyKey(height, part), use)
	if errors.Is(err, ErrNotFound) {
		return l.damaged("part %d of the body at height %d is missing", part, height)
	}
	return err
}

// entry reads an index entry by its key. One that points above the tip is not there.
func (l *Ledger) entry(r reader, key []byte) (entry, error) {
	var buf [entrySize]byte
	v, err := l.appendValue(r, buf[:0], key)
	if err != nil {
		return entry{}, err
	}
	at, err := decodeEntry(v)
	if err != nil {
		return entry{}, l.damaged("the index entry of transaction %x: %w", key[1:], err)
	}
	if at.Height > l.Tip().Height {
		return entry{}, ErrNotFound
	}
	return at, nil
}

// keys calls fn with every key that has the prefix, in order, until it says false.
func (l *Ledger) keys(prefix []byte, fn func(key []byte) bool) error {
	l.reading.RLock()
	defer l.reading.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return l.db.keys(prefix, fn)
}

func (l *Ledger) damaged(format string, args ...any) error {
	return damaged(l.name, fmt.Errorf(format, args...))
}
