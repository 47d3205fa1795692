package ordering

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/mempool"
)

var errDisk = errors.New("input/output error")

// network is a genesis and its orderer's key.
type network struct {
	*genesis.Genesis
	key sig.Key
}

func newNetwork() network {
	key := sig.NewKey([32]byte{1})
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "test",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		panic(err)
	}
	return network{g, key}
}

// start returns the tip of the chain without blocks.
func (n network) start() block.Tip { return block.Tip{ID: n.ID()} }

// tx makes a transaction; different nonces make different ones.
func (n network) tx(nonce uint64) *block.Tx {
	return sig.NewKey([32]byte{byte(100 + nonce%3)}).SignTx(n.ID(), block.TxFields{Nonce: nonce, Expiry: 1000})
}

// on makes a signed block of one transaction on parent.
func (n network) on(parent block.Tip, nonce uint64) *block.Block {
	txs := []*block.Tx{n.tx(nonce)}
	return block.New(n.key.SignHeader(block.Draft(n.ID(), block.Limits{}, parent, 1, n.key.Public(), txs)), txs)
}

// chain is a ledger in the smallest form.
type chain struct {
	net  network
	pool *mempool.Pool // told of each block

	mu       sync.Mutex
	blocks   []*block.Block
	tip      block.Tip
	advanced chan struct{}
}

func newChain(t testing.TB, n network) *chain {
	t.Helper()
	pool, err := mempool.Open(mempool.Config{Genesis: n.ID(), Limits: n.BlockLimits()})
	if err != nil {
		t.Fatal(err)
	}
	return &chain{net: n, pool: pool, tip: n.start(), advanced: make(chan struct{})}
}

func (c *chain) Tip() block.Tip {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tip
}

func (c *chain) Advanced() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.advanced
}

func (c *chain) Await(ctx context.Context, height uint64, _ <-chan struct{}) error {
	for {
		advanced := c.Advanced()
		if c.Tip().Height >= height {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// append makes every check that a peer would.
func (c *chain) append(b *block.Block) error {
	if err := c.link(b); err != nil {
		return err
	}
	c.pool.Committed(time.Now(), b.Height, b.Txs)
	return nil
}

// link is append without telling the pool.
func (c *chain) link(b *block.Block) error {
	err := errors.Join(b.Check(c.net.ID(), c.net.BlockLimits()), sig.VerifyHeader(&b.SignedHeader), errors.Join(sig.VerifyTxs(c.net.ID(), b.Txs)...))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := b.CheckParent(c.tip); err != nil {
		return err
	}
	c.blocks, c.tip = append(c.blocks, b), b.Tip()
	close(c.advanced)
	c.advanced = make(chan struct{})
	return nil
}

// offer puts transactions in the pool.
func (c *chain) offer(t testing.TB, nonces ...uint64) {
	t.Helper()
	for _, n := range nonces {
		if v := c.pool.Offer(time.Now(), []*block.Tx{c.net.tx(n)}); v[0].Status != mempool.Accepted {
			t.Fatalf("transaction %d: %v", n, v)
		}
	}
}
