package ledger

import (
	"errors"
	"testing"

	"grapevine/block"
	"grapevine/genesis"
)

// What people are shown of an ID finds it, if nothing else in the ledger begins like it.
func TestShortIDs(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		c := newChain(t, genesis.Limits{})
		l := c.open(dir)
		for range 3 {
			c.append(l, c.next(2, 10))
		}
		for _, b := range c.blocks {
			id := b.ID()
			if got, err := l.BlockID(id[:4]); got != id || err != nil {
				t.Errorf("block %s is found as %s, %v", id, got, err)
			}
			for _, tx := range b.Txs {
				id := tx.ID()
				if got, err := l.TxID(id[:4]); got != id || err != nil {
					t.Errorf("transaction %s is found as %s, %v", id, got, err)
				}
			}
		}
		for _, find := range []func([]byte) (block.ID, error){l.BlockID, l.TxID} {
			if id, err := find(nil); !errors.Is(err, ErrAmbiguous) || !id.IsZero() {
				t.Errorf("what all begin with: %s, %v", id, err)
			}
			if id, err := find(make([]byte, 8)); !errors.Is(err, ErrNotFound) || !id.IsZero() {
				t.Errorf("what none begins with: %s, %v", id, err)
			}
		}
	})
}
