package baseline

import (
	"slices"
	"sync"

	"grapevine/block"
	"grapevine/testnet/baseline/fabric"
)

// Ledger is the chain of a peer that speaks Fabric's gossip. It outlives the peer.
type Ledger struct {
	mu     sync.Mutex
	blocks []fabric.Block // guarded by mu; block h at h-1
}

func (l *Ledger) append(b fabric.Block) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, b)
}

func (l *Ledger) chain() []fabric.Block {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.blocks)
}

// Tip returns the last block's height and ID; zero when there is none.
func (l *Ledger) Tip() (uint64, block.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.blocks)
	if n == 0 {
		return 0, block.ID{}
	}
	return uint64(n), l.blocks[n-1].ID
}

// Bodies keeps the bodies of a network's blocks, each once however many of its peers have
// it: a hundred peers with ten blocks of a MiB would else take a GB. The zero value is
// empty.
type Bodies struct {
	mu   sync.Mutex
	byID map[block.ID][]byte // guarded by mu
}

// put keeps a body that has this ID.
func (b *Bodies) put(id block.ID, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		b.byID = map[block.ID][]byte{}
	}
	if _, has := b.byID[id]; !has {
		b.byID[id] = slices.Clone(body)
	}
}

// get returns a body; nil when no peer has it.
func (b *Bodies) get(id block.ID) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id]
}
