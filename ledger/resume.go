package ledger

import (
	"errors"
	"fmt"

	"grapevine/block"
)

// resume finds the tip on disk and checks that its block is whole and that the
// indexes agree with it: what was written last is what a crash would have hurt.
func (l *Ledger) resume() error {
	tip, err := l.storedTip()
	if err != nil {
		return err
	}
	if tip.Height == 0 {
		return nil
	}
	l.tip.Store(&tip)
	b, err := l.Block(tip.Height)
	if err != nil {
		return err
	}
	if b.ID() != tip.ID {
		return l.damaged("the tip is block %s at height %d, the header there is that of %s", tip.ID, tip.Height, b.ID())
	}
	if err := b.Check(l.genesis, l.limits); err != nil {
		return l.damaged("the tip: %w", err)
	}
	tip.TimeNano = b.TimeNano
	l.tip.Store(&tip)
	return l.checkIndexes(b)
}

// storedTip returns the tip record, without its time. Without a record there must
// be no blocks.
func (l *Ledger) storedTip() (block.Tip, error) {
	v, err := l.get([]byte(keyTip))
	if errors.Is(err, ErrNotFound) {
		if err := l.keys([]byte{prefixHeader}, func([]byte) bool { v = []byte{}; return false }); err != nil {
			return block.Tip{}, l.damaged("looking for blocks: %w", err)
		}
		if v != nil {
			return block.Tip{}, l.damaged("it has blocks but no tip")
		}
		return block.Tip{ID: l.genesis}, nil
	}
	if err != nil {
		return block.Tip{}, err
	}
	height, id, err := decodeTip(v)
	if err != nil {
		return block.Tip{}, l.damaged("%w", err)
	}
	if height == 0 || height > block.MaxHeight {
		return block.Tip{}, l.damaged("the tip record says height %d", height)
	}
	return block.Tip{Height: height, ID: id}, nil
}

// checkIndexes compares the index entries of a block and its transactions with
// where they stand.
func (l *Ledger) checkIndexes(b *block.Block) error {
	height, err := l.HeightOf(b.ID())
	if err != nil || height != b.Height {
		return l.damaged("the index has block %s at height %d, it is at %d: %w", b.ID(), height, b.Height, orNone(err))
	}
	return l.view(func(r reader) error {
		offset := 0
		for i, t := range b.Txs {
			want := entry{Place: Place{Height: b.Height, Index: i}, offset: offset, size: t.Size()}
			got, err := l.entry(r, idKey(prefixTx, t.ID()))
			if err != nil || got != want {
				return l.damaged("the index has transaction %s at %v, it is at %v: %w", t.ID(), got, want, orNone(err))
			}
			offset += t.Size()
		}
		return nil
	})
}

// orNone makes an error of its absence, for messages that may have a cause.
func orNone(err error) error {
	if err == nil {
		return errors.New("the two differ")
	}
	return fmt.Errorf("reading it: %w", err)
}
