package ledger

import (
	"errors"
	"fmt"

	"grapevine/block"
)

// Check refuses a block that Append would refuse: one that does not follow the tip
// (ErrGap, ErrFork), and one that breaks a rule that needs the chain (ErrInvalid):
// its time is not after its parent's, or one of its transactions is in the chain
// already. A block that the ledger holds is right. Check looks at no signature and
// repeats nothing of block.Check.
func (l *Ledger) Check(b *block.Block) error {
	_, err := l.check(b)
	return err
}

// check says besides whether the ledger holds the block.
func (l *Ledger) check(b *block.Block) (held bool, err error) {
	tip := l.Tip()
	switch {
	case b.Genesis != l.genesis:
		return false, refuse(b, ErrInvalid, "it belongs to network %s, not %s", b.Genesis.Short(), l.genesis.Short())
	case b.Height == 0:
		return false, refuse(b, ErrInvalid, "the first height is 1")
	case b.Height <= tip.Height:
		return l.compare(b)
	case b.Height > tip.Height+1:
		return false, refuse(b, ErrGap, "the ledger ends at height %d", tip.Height)
	case b.Parent != tip.ID:
		return false, refuse(b, ErrFork, "it stands on %s, the ledger's block at height %d is %s", b.Parent.Short(), tip.Height, tip.ID.Short())
	}
	if l.checked.Load() == b { // by Check, a moment ago, and against the same tip
		return false, nil
	}
	if err := b.CheckParent(tip); err != nil {
		return false, refuse(b, ErrInvalid, "%v", err)
	}
	if err := l.checkNew(b); err != nil {
		return false, err
	}
	l.checked.Store(b)
	return false, nil
}

// compare tells the block that the ledger holds from another one at its height.
func (l *Ledger) compare(b *block.Block) (bool, error) {
	h, err := l.Header(b.Height)
	if err != nil {
		return false, err
	}
	if id := h.ID(); id != b.ID() {
		return false, refuse(b, ErrFork, "the ledger holds %s at this height", id.Short())
	}
	return true, nil
}

// checkNew refuses a block with a transaction that is in the chain already.
func (l *Ledger) checkNew(b *block.Block) error {
	return l.view(func(r reader) error {
		key := make([]byte, idKeySize)
		key[0] = prefixTx
		for _, t := range b.Txs {
			id := t.ID()
			copy(key[1:], id[:])
			at, err := l.entry(r, key)
			if err == nil {
				return refuse(b, ErrInvalid, "transaction %s stands in the chain already, at height %d", id, at.Height)
			}
			if !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

func refuse(b *block.Block, why error, format string, args ...any) error {
	return fmt.Errorf("block %s at height %d: %w: %s", b.ID().Short(), b.Height, why, fmt.Sprintf(format, args...))
}

// Append checks the block as Check does and makes it the tip; on return it is on
// disk. A block that the ledger holds is no error. The caller has checked the
// signatures and has called the block's own Check.
//
// An error that is neither ErrGap, ErrFork nor ErrInvalid means that the disk
// failed: the ledger then refuses all blocks (ErrFailed) until it is opened again.
func (l *Ledger) Append(b *block.Block) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.failed != nil {
		return fmt.Errorf("block %s at height %d: %w: %w", b.ID().Short(), b.Height, ErrFailed, l.failed)
	}
	if held, err := l.check(b); held || err != nil {
		return err
	}
	if err := l.complete(b); err != nil {
		return err
	}
	if err := l.db.commit(writes(b)); err != nil {
		l.failed = fmt.Errorf("committing height %d: %w", b.Height, err)
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	l.recent.add(b)
	l.checked.Store(nil) // it need not be kept twice
	l.move(b.Tip())
	return nil
}

// complete refuses a block that could not be stored, or not be read again.
func (l *Ledger) complete(b *block.Block) error {
	size := 0
	for _, t := range b.Txs {
		size += t.Size()
	}
	switch {
	case len(b.Txs) != int(b.TxCount) || size != int(b.BodySize):
		return refuse(b, ErrInvalid, "it has %d transactions of %d bytes, its header says %d of %d", len(b.Txs), size, b.TxCount, b.BodySize)
	case len(b.Txs) > l.limits.MaxBlockTxs || size > l.limits.MaxBodyBytes:
		return refuse(b, ErrInvalid, "it has %d transactions of %d bytes, the network's limits are %d and %d", len(b.Txs), size, l.limits.MaxBlockTxs, l.limits.MaxBodyBytes)
	}
	return nil
}

// writes returns all that is stored of a block.
func writes(b *block.Block) []write {
	id := b.ID()
	w := make([]write, 0, 3+parts(int(b.BodySize))+len(b.Txs))
	w = append(w,
		write{headerKey(b.Height), b.SignedHeader.Bytes()},
		write{idKey(prefixBlockID, id), headerKey(b.Height)[1:]},
		write{[]byte(keyTip), tipValue(b.Height, id)},
	)
	return appendIndex(appendBody(w, b.Height, b.Body()), b)
}

func appendBody(w []write, height uint64, body []byte) []write {
	for part := 0; len(body) > 0; part++ {
		n := min(partSize, len(body))
		w = append(w, write{bodyKey(height, part), body[:n:n]})
		body = body[n:]
	}
	return w
}

// appendIndex cuts all keys and values from one allocation: there may be 10,000.
func appendIndex(w []write, b *block.Block) []write {
	const each = idKeySize + entrySize
	slab := make([]byte, 0, each*len(b.Txs))
	offset := 0
	for i, t := range b.Txs {
		id := t.ID()
		at := entry{Place: Place{Height: b.Height, Index: i}, offset: offset, size: t.Size()}
		slab = append(slab, prefixTx)
		slab = at.appendTo(append(slab, id[:]...))
		kv := slab[i*each:]
		w = append(w, write{kv[:idKeySize:idKeySize], kv[idKeySize:]})
		offset += t.Size()
	}
	return w
}
