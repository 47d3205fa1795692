package ledger

import (
	"runtime"
	"slices"
	"testing"

	"grapevine/block"
	"grapevine/genesis"
)

// inMessages returns a block as it comes from others: each of its transactions is a slice
// of a message of its own, which has more in it.
func inMessages(t *testing.T, b *block.Block, message int) *block.Block {
	t.Helper()
	txs := make([]*block.Tx, len(b.Txs))
	for i, tx := range b.Txs {
		var err error
		if txs[i], _, err = block.DecodeTxPrefix(append(slices.Clone(tx.Bytes()), make([]byte, message)...)); err != nil {
			t.Fatal(err)
		}
	}
	return block.New(b.SignedHeader, txs)
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestRecentHoldsWhatItCounts compares the cache's count with what it keeps in memory, of
// blocks of few and of many transactions that came in large messages.
func TestRecentHoldsWhatItCounts(t *testing.T) {
	for _, of := range []struct{ blocks, txs, payload, message int }{
		{300, 2, 200, 128 << 10}, {2000, 1, 0, 4 << 10}, {3, 1000, 100, 64 << 10}, {5, 40, 60_000, 256 << 10},
	} {
		c := newChain(t, genesis.Limits{})
		blocks := make([]*block.Block, of.blocks)
		for i := range blocks {
			blocks[i] = c.next(of.txs, of.payload)
		}
		c.blocks = nil
		var r recent
		before := heap()
		for i, b := range blocks {
			r.add(inMessages(t, b, of.message))
			if got := r.get(b.Height); got == nil || got.ID() != b.ID() || got.Check(c.genesis.ID(), c.genesis.BlockLimits()) != nil {
				t.Fatalf("block %d is not what it was", i)
			}
		}
		held := heap() - before
		runtime.KeepAlive(&r)
		runtime.KeepAlive(blocks)
		t.Logf("%d blocks of %d transactions of %d bytes: counts %d KiB, holds %d KiB", of.blocks, of.txs, of.payload, r.size>>10, held>>10)
		if most := r.size + r.size/10 + 64<<10; held > most {
			t.Errorf("%d blocks of %d transactions of %d bytes: it counts %d bytes and holds %d", of.blocks, of.txs, of.payload, r.size, held)
		}
	}
}
