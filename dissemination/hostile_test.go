package dissemination

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"grapevine/p2p/wire"
)

var hostileSeeds = flag.Int("hostile-seeds", 6, "with how many seeds a driver is tried among hostile neighbours")

// begin lets everybody loose: two neighbours that come and go, three that stay and use
// all lanes at once, and the node's own pool, orderer and metrics.
func (c *crowd) begin() {
	for _, id := range []wire.PeerID{"a", "b"} {
		c.play(string(id), func(r *rand.Rand) {
			c.lie(r, id, []wire.Lane{wire.Blocks, wire.Bodies, wire.Catchup}[r.IntN(3)])
			if r.IntN(100) == 0 {
				c.driver.PeerDown(id)
				c.driver.PeerUp(id, wire.Hello{Base: 1, Tip: r.Uint64N(100)})
			}
		})
	}
	if c.seed%3 == 1 { // not all are neighbours of all
		c.driver.SetMembers(1000, nil)
	}
	for _, id := range []wire.PeerID{"d", "e"} {
		c.driver.PeerUp(id, wire.Hello{Base: 1, Tip: 100 * (c.seed % 2)})
	}
	for _, id := range []wire.PeerID{"c", "d", "e"} {
		for lane := wire.Blocks; lane < wire.NumLanes; lane++ {
			c.play(fmt.Sprint(id, lane), func(r *rand.Rand) { c.lie(r, id, lane) })
		}
	}
	c.play("pool", func(r *rand.Rand) {
		if r.IntN(3) == 0 {
			c.pool.Offer(time.Now(), c.some(r).Txs[:r.IntN(4)])
		}
	})
	c.play("orderer", func(r *rand.Rand) {
		if h := c.ledger.Tip().Height; r.IntN(40) == 0 && h < chainBlocks && h+1 != c.bad {
			if err := c.driver.Propose(c.ctx, c.chain[h]); err != nil && c.ctx.Err() == nil && !errors.Is(err, ErrStopped) {
				c.t.Errorf("proposing the block at height %d: %v", h+1, err)
			}
		}
	})
	c.play("metrics", func(*rand.Rand) { c.driver.stats() })
	c.play("loop", func(r *rand.Rand) { // is busy, while the committer and the readers go on
		busy := time.Duration(r.IntN(8)) * time.Millisecond
		c.driver.post(func(time.Time) { time.Sleep(busy) })
	})
}

// wantNothingLeft looks at what the driver holds when the chain is whole and everybody
// is gone.
func (c *crowd) wantNothingLeft() {
	d := c.driver
	for what, n := range map[string]int{
		"whole blocks": len(d.bodies.whole), "blocks for the committer": len(d.queue), "proposals": len(d.proposals),
		"answers for ranges": len(d.ranges.reads), "requests": len(d.requests.open), "wanted transactions": len(d.pools.wants),
		"pending blocks": d.core.Stats().Pending,
	} {
		if n > 0 {
			c.t.Errorf("%d %s are left over", n, what)
		}
	}
	for id, b := range d.bodies.byID {
		if !d.core.Known(id) {
			c.t.Errorf("the body at height %d is left over", b.header.Height)
		}
	}
	for id := range d.headers.known {
		if !d.core.Known(id) {
			c.t.Errorf("the header of block %s is left over", id)
		}
	}
	if at := d.core.Deadline(); !at.IsZero() && at.Before(time.Now()) {
		c.t.Errorf("a deadline is left over, %v ago", time.Since(at))
	}
}

// run plays until the chain is at a height and the driver has halted if it is to, from
// 300 ms on with the honest neighbour too. Then all fall silent and go; a driver that is
// to stop does so before.
func (c *crowd) run(upto uint64, stop bool) {
	var silence context.CancelFunc
	c.ctx, silence = context.WithCancel(c.t.Context())
	var clearing sync.WaitGroup
	end := make(chan struct{})
	clearing.Go(func() { c.clear(end) })
	c.begin()
	time.Sleep(300 * time.Millisecond)
	c.driver.PeerUp(honest, wire.Hello{Base: 1, Tip: chainBlocks})
	c.play(string(honest), c.answer)
	done := func() bool { return c.ledger.Tip().Height >= upto && (c.bad == 0 || len(c.halted) > 0) }
	for begun := time.Now(); !done() && time.Since(begun) < 5*time.Minute; {
		time.Sleep(50 * time.Millisecond)
	}
	if stop {
		c.stop()
		time.Sleep(100 * time.Millisecond)
	}
	silence()
	c.lanes.Wait()
	close(end)
	clearing.Wait()
	for _, id := range []wire.PeerID{"a", "b", "c", "d", "e", honest} {
		c.driver.PeerDown(id)
	}
	time.Sleep(time.Second)
	c.settle()
	if h := c.ledger.Tip().Height; h < upto {
		c.t.Errorf("in five minutes with an honest neighbour the chain came to height %d, want %d", h, upto)
	}
	if halted := len(c.halted) > 0; halted != (c.bad > 0) {
		c.t.Errorf("halted: %v, want %v", halted, c.bad > 0)
	}
	for want := uint64(1); len(c.facts) > 0; want++ {
		if f := <-c.facts; f.Height != want {
			c.t.Errorf("accepted height %d, want %d", f.Height, want)
			break
		}
	}
}

// Whatever neighbours send, right and wrong, on all lanes at once, the driver keeps
// running, accepts the chain in order, charges no honest neighbour, and gets all of the
// chain from it; and when they are gone nothing is left over. Of three drivers one halts
// at a bad block, and one stops while all go on; and every second three are of a network that
// codes.
func TestDriverAmongHostileNeighbours(t *testing.T) {
	for seed := range uint64(*hostileSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 1))
			room := func() bool { // now and then there is none
				mu.Lock()
				defer mu.Unlock()
				return r.IntN(20) > 0
			}
			openWith(t, int(seed/3%2), seed, room, func(d *desk) {
				switch seed % 3 {
				case 0:
					c := newCrowd(d, seed, 0)
					c.run(chainBlocks, false)
					c.wantNothingLeft()
				case 1:
					newCrowd(d, seed, chainBlocks/2).run(chainBlocks/2-1, false)
				case 2:
					newCrowd(d, seed, 0).run(seed%chainBlocks, true)
				}
			})
		})
	}
}
