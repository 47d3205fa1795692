package ledger

import (
	"errors"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
)

// verify wants a whole ledger that ends at that height.
func (c *chain) verify(dir string, height int) Report {
	c.tb.Helper()
	r, err := Verify(dir, c.genesis, nil)
	if err != nil {
		c.tb.Fatalf("Verify: %v", err)
	}
	if r.Tip.Height != uint64(height) || r.Blocks != uint64(height) {
		c.tb.Fatalf("Verify reads %d blocks up to height %d, want %d", r.Blocks, r.Tip.Height, height)
	}
	return r
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, genesis.Limits{})
	if _, err := Verify(dir, c.genesis, nil); err == nil || !strings.Contains(err.Error(), "no ledger in "+dir) {
		t.Fatalf("an empty directory: %v", err)
	}
	l := c.open(dir)
	l = reopen(c, l, dir)
	l.Close()
	c.verify(dir, 0)
	l = c.open(dir)
	c.append(l, c.next(1, 10), c.next(5, 60<<10), c.next(3, 300))
	if _, err := Verify(dir, c.genesis, nil); !errors.Is(err, ErrHeld) {
		t.Fatalf("while open: %v", err)
	}
	l.Close()
	var heights []uint64
	r, err := Verify(dir, c.genesis, func(height, tip uint64) { heights = append(heights, height, tip) })
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, b := range c.blocks {
		size += len(b.Bytes())
	}
	if r.Tip != c.tip || r.Blocks != 3 || r.Txs != 9 || r.Bytes != uint64(size) || !r.Recovery.Closed() {
		t.Errorf("report is %+v", r)
	}
	if len(heights) != 6 || heights[0] != 1 || heights[4] != 3 || heights[5] != 3 {
		t.Errorf("progress is %v", heights)
	}
	other := newChain(t, genesis.Limits{MaxLifetime: 100})
	if _, err := Verify(dir, other.genesis, nil); !errors.Is(err, ErrWrongNetwork) {
		t.Errorf("another genesis: %v", err)
	}
}

// reseal gives the chain's last block another content, with a right signature.
func (c *chain) reseal(change func(b *block.Block)) []write {
	last := *c.blocks[len(c.blocks)-1]
	change(&last)
	return writes(block.New(c.orderer.SignHeader(last.Header), last.Txs))
}

// txIndex is the key of a transaction's index entry.
func (c *chain) txIndex(height, index int) []byte {
	return idKey(prefixTx, c.blocks[height-1].Txs[index].ID())
}

// Each tampering, with a chain of three blocks of two transactions, breaks one rule
// that is Verify's to find, and is named with its height.
var tamperings = []struct {
	name   string
	w      func(c *chain) []write
	height uint64
	words  string
}{
	{"no metadata", func(c *chain) []write { return []write{{[]byte(keyMeta), nil}} }, 0, "metadata has 0 bytes"},
	{"tip beyond the chain", func(c *chain) []write { return []write{{[]byte(keyTip), tipValue(4, c.tip.ID)}} }, 4, "header: expected a value"},
	{"tip of another ID", func(c *chain) []write { return []write{{[]byte(keyTip), tipValue(3, block.ID{1})}} }, 3, "the tip record's block: expected "},
	{"tip too low", func(c *chain) []write { return []write{{[]byte(keyTip), tipValue(2, c.blocks[1].ID())}} }, 0, "bodies at heights 1 to 2"},
	{"cut tip", func(c *chain) []write { return []write{{[]byte(keyTip), []byte{1}}} }, 0, "tip record has 1 bytes"},
	{"cut header", func(c *chain) []write { return []write{{headerKey(2), []byte{1}}} }, 2, "signed header: 1 bytes"},
	{"header of another height", func(c *chain) []write { return []write{{headerKey(2), c.blocks[0].SignedHeader.Bytes()}} }, 2, "header's height: expected 2, found 1"},
	{"another parent", func(c *chain) []write { return c.reseal(func(b *block.Block) { b.Parent = block.ID{9} }) }, 3, "header's parent: expected "},
	{"time", func(c *chain) []write { return c.reseal(func(b *block.Block) { b.TimeNano = c.blocks[1].TimeNano }) }, 3, "header's time: expected more than"},
	{"producer", func(c *chain) []write { return c.reseal(func(b *block.Block) { b.Producer = c.sender.Public() }) }, 3, "producer: expected the orderer"},
	{"genesis", func(c *chain) []write { return c.reseal(func(b *block.Block) { b.Genesis = block.ID{9} }) }, 3, "it belongs to network 09"},
	{"header's signature", func(c *chain) []write {
		h := c.blocks[1].SignedHeader
		h.Signature[0] ^= 1
		return []write{{headerKey(2), h.Bytes()}}
	}, 2, "header's signature"},
	{"cut body", func(c *chain) []write { return []write{{bodyKey(1, 0), c.blocks[0].Body()[1:]}} }, 1, "part 0 of the body: expected"},
	{"two transactions swapped", func(c *chain) []write {
		b := c.blocks[1]
		return []write{{bodyKey(2, 0), block.New(b.SignedHeader, []*block.Tx{b.Txs[1], b.Txs[0]}).Body()}}
	}, 2, "transaction root"},
	{"a byte of a payload", func(c *chain) []write {
		body := c.blocks[1].Body()
		body[60] ^= 1
		return []write{{bodyKey(2, 0), body}}
	}, 2, "transaction root"},
	{"a body that is no transactions", func(c *chain) []write { return []write{{bodyKey(2, 0), make([]byte, c.blocks[1].BodySize)}} }, 2, "body: expected 2 transactions"},
	{"a transaction's signature", func(c *chain) []write {
		return c.reseal(func(b *block.Block) {
			f := b.Txs[0].TxFields
			b.Txs = []*block.Tx{f.Seal(block.Signature{1})}
			b.Header = block.Draft(b.Genesis, block.Limits{}, c.blocks[1].Tip(), b.TimeNano, b.Producer, b.Txs)
		})
	}, 3, "their senders' signatures"},
	{"a transaction twice in the chain", func(c *chain) []write {
		return c.reseal(func(b *block.Block) {
			b.Txs = []*block.Tx{c.blocks[0].Txs[1], b.Txs[0]}
			b.Header = block.Draft(b.Genesis, block.Limits{}, c.blocks[1].Tip(), b.TimeNano, b.Producer, b.Txs)
		})
	}, 1, "index entry of transaction"},
	{"block index", func(c *chain) []write { return []write{{idKey(prefixBlockID, c.blocks[0].ID()), headerKey(2)[1:]}} }, 1, "expected height 1, found height 2"},
	{"transaction index", func(c *chain) []write { return []write{{c.txIndex(2, 1), entry{Place: Place{2, 0}}.appendTo(nil)}} }, 2, "expected height 2, index 1"},
	{"cut transaction index", func(c *chain) []write { return []write{{c.txIndex(2, 1), nil}} }, 2, "index entry has 0 bytes"},
	{"a stray key", func(c *chain) []write { return []write{{[]byte("zzz"), nil}} }, 0, `expected keys of a ledger only, found the key "zzz"`},
	{"a stray header", func(c *chain) []write { return []write{{headerKey(9), c.blocks[0].SignedHeader.Bytes()}} }, 0, "headers at heights 1 to 3"},
	{"a stray part", func(c *chain) []write { return []write{{bodyKey(2, 1), nil}} }, 0, "expected 1 parts of the body at height 2"},
	{"a stray block ID", func(c *chain) []write { return []write{{idKey(prefixBlockID, block.ID{3}), headerKey(1)[1:]}} }, 0, "the ID of the block at height 1"},
	{"a stray transaction", func(c *chain) []write {
		return []write{{idKey(prefixTx, block.ID{5}), entry{Place: Place{2, 1}}.appendTo(nil)}}
	}, 2, "index entry of transaction 0500"},
	{"a stray transaction at no height", func(c *chain) []write {
		return []write{{idKey(prefixTx, block.ID{5}), entry{Place: Place{9, 1}}.appendTo(nil)}}
	}, 9, "there is no height 9"},
}

func TestVerifyNamesTheFault(t *testing.T) {
	t.Parallel()
	for _, tc := range tamperings {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			c := newChain(t, genesis.Limits{})
			l := c.open(dir)
			c.append(l, c.next(2, 10), c.next(2, 10), c.next(2, 10))
			l.Close()
			tamper(c, dir, tc.w(c)...)
			_, err := Verify(dir, c.genesis, nil)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tc.words) {
				t.Fatalf("error is %v, want %q in it", err, tc.words)
			}
			var f *Fault
			if errors.As(err, &f) && f.Height != tc.height {
				t.Errorf("height is %d, want %d: %v", f.Height, tc.height, err)
			}
		})
	}
}

// Verify checks what Append leaves to its caller.
func TestVerifyFindsWhatAppendTrusts(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, genesis.Limits{})
	l := c.open(dir)
	c.orderer = sig.NewKey([32]byte{9})
	c.append(l, c.next(1, 10))
	l.Close()
	if _, err := Verify(dir, c.genesis, nil); err == nil || !strings.Contains(err.Error(), "height 1: producer") {
		t.Errorf("another producer: %v", err)
	}
}
