package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/arrival"
	"grapevine/node"
	"grapevine/p2p/wire"
)

const blocks = 6 // that they make together

// alternating is one of two orderers that share the producer's key: whoever has made a
// block tells the other, which makes the next when it has that one.
type alternating struct {
	world *world
	self  int
	key   sig.Key
	turn  chan uint64 // the height after which it is this one's turn
	tell  func(to wire.PeerID, msg []byte) bool
}

func (a *alternating) Join(tell func(wire.PeerID, []byte) bool) { a.tell = tell }

func (a *alternating) Hear(from wire.PeerID, msg []byte) error {
	if from != a.world.nodes[1-a.self].ID() || len(msg) != 8 {
		return fmt.Errorf("%s says %x", from, msg)
	}
	a.turn <- binary.BigEndian.Uint64(msg)
	return nil
}

func (a *alternating) Run(ctx context.Context, propose func(context.Context, *block.Block) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case height := <-a.turn:
			me, other := a.world.nodes[a.self], a.world.nodes[1-a.self]
			for me.Tip().Height < height {
				time.Sleep(time.Millisecond) // virtual
			}
			txs := []*block.Tx{a.world.tx(fmt.Sprint("block ", height+1))}
			h := block.Draft(a.world.genesis.ID(), block.Limits{}, me.Tip(), time.Now().UnixNano(), a.key.Public(), txs)
			if err := propose(ctx, block.New(a.key.SignHeader(h), txs)); err != nil {
				return err
			}
			if height+1 < blocks && !a.tell(other.ID(), binary.BigEndian.AppendUint64(nil, height+1)) {
				return errors.New("there was no room for a word to the other")
			}
		}
	}
}

// Two orderers agree on whose turn it is by messages of their own; a third node, which
// orders nothing, gets the blocks of both.
func TestOrderersTellEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		made := map[uint64]int{} // by height; guarded by mu
		orderers := make([]*alternating, 2)
		w := newWorld(t, 3, func(i int, c *node.Config) {
			c.OnAccepted = func(f node.Accepted) {
				if f.Via == arrival.Own {
					mu.Lock()
					defer mu.Unlock()
					made[f.Height] = i
				}
			}
			if i < 2 {
				orderers[i] = &alternating{self: i, key: sig.NewKey([32]byte{1, 0}), turn: make(chan uint64, 1)}
				c.Orderer = orderers[i]
			}
		})
		defer w.stop()
		for _, o := range orderers {
			o.world = w
		}
		orderers[0].turn <- 0
		w.until(time.Minute, "all have all blocks", func() bool {
			return !slices.ContainsFunc(w.nodes, func(n *node.Node) bool { return n.Tip().Height < blocks })
		})
		mu.Lock()
		defer mu.Unlock()
		for height := uint64(1); height <= blocks; height++ {
			if want := int(height+1) % 2; made[height] != want {
				t.Errorf("block %d was made by node %d, want %d", height, made[height], want)
			}
		}
	})
}
