package ledger

import (
	"fmt"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
)

// A chain makes the blocks of a small network, one on the other.
type chain struct {
	tb      testing.TB
	genesis *genesis.Genesis
	orderer sig.Key
	sender  sig.Key
	tip     block.Tip
	nonce   uint64
	blocks  []*block.Block
}

func newChain(tb testing.TB, l genesis.Limits) *chain {
	tb.Helper()
	c := &chain{tb: tb, orderer: sig.NewKey([32]byte{1}), sender: sig.NewKey([32]byte{2})}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "ledger-test",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(c.orderer.Public())},
		Admission: genesis.Admission{Type: "open"},
		Limits:    l,
	})
	if err != nil {
		tb.Fatal(err)
	}
	c.genesis = g
	c.tip = block.Tip{ID: g.ID()}
	return c
}

// txs signs n transactions with payloads of that size, none of which is like
// another one of the chain's.
func (c *chain) txs(n, payload int) []*block.Tx {
	txs := make([]*block.Tx, n)
	for i := range txs {
		c.nonce++
		txs[i] = c.sender.SignTx(c.genesis.ID(), block.TxFields{
			Nonce: c.nonce, Expiry: c.tip.Height + 10, Payload: make([]byte, payload),
		})
	}
	return txs
}

// seal signs a block of these transactions on that parent.
func (c *chain) seal(parent block.Tip, txs []*block.Tx) *block.Block {
	h := block.Draft(c.genesis.ID(), block.Limits{}, parent, int64(parent.Height+1)*1e9, c.orderer.Public(), txs)
	return block.New(c.orderer.SignHeader(h), txs)
}

// next makes the chain's next block, of n transactions.
func (c *chain) next(n, payload int) *block.Block {
	b := c.seal(c.tip, c.txs(n, payload))
	c.tip = b.Tip()
	c.blocks = append(c.blocks, b)
	return b
}

func (c *chain) open(dir string) *Ledger {
	c.tb.Helper()
	l, err := Open(Config{Dir: dir, Genesis: c.genesis})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			c.tb.Error(err)
		}
	})
	return l
}

func (c *chain) append(l *Ledger, blocks ...*block.Block) {
	c.tb.Helper()
	for _, b := range blocks {
		if err := l.Append(b); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// check compares everything that the ledger says with the first blocks of the
// chain, which must be all that it has.
func (c *chain) check(l *Ledger, height int) {
	c.tb.Helper()
	want := block.Tip{ID: c.genesis.ID()}
	if height > 0 {
		want = c.blocks[height-1].Tip()
	}
	if got := l.Tip(); got != want {
		c.tb.Fatalf("tip is %v, want %v", got, want)
	}
	for i, b := range c.blocks {
		if err := c.checkBlock(l, b, i < height); err != nil {
			c.tb.Fatalf("height %d: %v", b.Height, err)
		}
	}
}

func (c *chain) checkBlock(l *Ledger, want *block.Block, held bool) error {
	got, err := l.Block(want.Height)
	if !held {
		if !isNotFound(err) {
			return fmt.Errorf("Block: error is %v, want ErrNotFound", err)
		}
		return c.checkAbsent(l, want)
	}
	if err != nil {
		return err
	}
	if string(got.Bytes()) != string(want.Bytes()) {
		return fmt.Errorf("Block returns another one")
	}
	if h, err := l.HeightOf(want.ID()); err != nil || h != want.Height {
		return fmt.Errorf("HeightOf: %d, %v", h, err)
	}
	for i, t := range want.Txs {
		gotTx, at, err := l.Tx(t.ID())
		if err != nil {
			return err
		}
		if at != (Place{want.Height, i}) || string(gotTx.Bytes()) != string(t.Bytes()) {
			return fmt.Errorf("transaction %d: Tx returns %v at %v", i, gotTx.ID(), at)
		}
	}
	return nil
}

func (c *chain) checkAbsent(l *Ledger, b *block.Block) error {
	if _, err := l.HeightOf(b.ID()); !isNotFound(err) {
		return fmt.Errorf("HeightOf: error is %v, want ErrNotFound", err)
	}
	for _, t := range b.Txs {
		if has, err := l.HasTx(t.ID()); has || err != nil {
			return fmt.Errorf("HasTx: %v, %v", has, err)
		}
	}
	return nil
}
