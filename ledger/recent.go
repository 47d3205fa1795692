package ledger

import (
	"sync"

	"grapevine/block"
)

const (
	// recentBytes bounds the cache of recent blocks: one of the default 4 MiB with
	// 10,000 transactions and one before it, or the last 20 of 1,000 transactions of
	// 250 bytes.
	recentBytes = 10 << 20
	// txCost is what a decoded transaction takes besides its bytes, the struct and a
	// pointer, and blockCost what a block does, with what is rounded up.
	txCost    = 216
	blockCost = 640
)

// recent keeps the last blocks, which peers ask for; reading one back costs a hash per
// transaction. It holds consecutive heights. The blocks are copies: of those that were
// appended each transaction may be a slice of a message, and keep all of that in memory.
type recent struct {
	mu     sync.Mutex
	blocks []*block.Block // ascending heights; guarded by mu
	size   int            // the blocks' cost; guarded by mu
}

func cost(b *block.Block) int { return blockCost + int(b.BodySize) + len(b.Txs)*txCost }

// add puts in the block that follows those in the cache and drops the oldest until
// the rest is within the bound. A block beyond the bound alone is not kept.
func (r *recent) add(b *block.Block) {
	b = b.Clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks, b)
	r.size += cost(b)
	for r.size > recentBytes {
		r.size -= cost(r.blocks[0])
		r.blocks[0] = nil // the array lives on
		r.blocks = r.blocks[1:]
	}
}

// get returns the block at a height, nil when it is not kept.
func (r *recent) get(height uint64) *block.Block {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.blocks) == 0 || height < r.blocks[0].Height || height-r.blocks[0].Height >= uint64(len(r.blocks)) {
		return nil
	}
	return r.blocks[height-r.blocks[0].Height]
}
