package packets

import (
	"context"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/testnet/course"
	"grapevine/testnet/traffic"
)

// orderer makes the plan's blocks, in place of peer 0's own. It makes their
// transactions too, when they are due: that costs no time in a bubble, and no memory
// before.
type orderer struct {
	nodes  *nodes
	sender sig.Key
	due    chan int // numbers of blocks
}

func newOrderer(ns *nodes) *orderer {
	return &orderer{nodes: ns, sender: sig.NewKey(ns.seed("sender", 0)), due: make(chan int, ns.w.plan.Load.Blocks)}
}

// Run implements node.Orderer.
func (o *orderer) Run(ctx context.Context, propose func(context.Context, *block.Block) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case number := <-o.due:
			if err := propose(ctx, o.make(number)); err != nil && ctx.Err() == nil {
				return fmt.Errorf("block %d of the plan: %w", number, err)
			}
		}
	}
}

// make fills the pools, as warm as the plan wants them, and makes the block.
func (o *orderer) make(number int) *block.Block {
	ns := o.nodes
	tip := ns.life(0).Tip()
	txs := course.Transactions(ns.w.plan, number, traffic.Signer{Key: o.sender, Genesis: ns.genesis.ID(), Expiry: tip.Height + lifetime})
	for i := range ns.w.plan.Peers {
		if nd := ns.life(i); nd != nil {
			var held, young []*block.Tx
			for k, t := range txs {
				switch {
				case i == 0 && ns.w.plan.Young(number, k):
					young = append(young, t)
				case i == 0 && ns.w.plan.Load.Warm > 0, i > 0 && ns.w.plan.Warm(number, i, k):
					held = append(held, t)
				}
			}
			if len(held) > 0 {
				nd.Offer(time.Now().Add(-time.Minute), held)
			}
			if len(young) > 0 {
				nd.Offer(time.Now(), young)
			}
		}
	}
	key := ns.keys[0]
	h := block.Draft(ns.genesis.ID(), ns.genesis.BlockLimits(), tip, time.Now().UnixNano(), key.Public(), txs)
	return block.New(key.SignHeader(h), txs)
}

// lifetime is for how many heights a transaction may stand in a block.
const lifetime = 1000
