package dissemination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/ledger"
	"grapevine/p2p/wire"
)

// candidate is a whole block, right in itself, on its way into the chain.
type candidate struct {
	block *block.Block
	from  wire.PeerID
	via   string
	done  chan<- error // of Propose; else nil
}

// chain holds the candidates until their height is next. Owned by the loop.
type chain struct {
	next  uint64 // the height that the committer takes next
	ready map[uint64]candidate
	taken candidate // the last that the committer took; its block is nil before the first
}

// errFilled says that a height has a block already, the same one or another.
var errFilled = errors.New("the height is filled")

// offer takes a candidate in, unless its height is filled.
func (c *chain) offer(x candidate) {
	h := x.block.Height
	if _, twice := c.ready[h]; twice || h < c.next {
		if x.done != nil {
			x.done <- errFilled
		}
		return
	}
	c.ready[h] = x
}

// at returns the block that is ready or with the committer at a height, or nil.
func (c *chain) at(height uint64) *block.Block {
	if b := c.taken.block; b != nil && b.Height == height {
		return b
	}
	return c.ready[height].block
}

// head returns the candidate at the next height, if it is there.
func (c *chain) head() (candidate, bool) {
	x, ok := c.ready[c.next]
	return x, ok
}

// take tells that the committer has the head.
func (c *chain) take() {
	c.taken = c.ready[c.next]
	delete(c.ready, c.next)
	c.next++
}

// committer is the one goroutine that writes to the ledger. A block that it has
// checked is accepted, and told so before the synced write.
func (d *Driver) committer(ctx context.Context, in <-chan candidate) error {
	for {
		var x candidate
		select {
		case <-ctx.Done():
			return nil
		case x = <-in:
		}
		err := d.commit(x)
		if x.done != nil {
			x.done <- err
		}
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
}

// errRefused marks what the producer did wrong, not this node.
var errRefused = errors.New("the chain refuses the block")

func (d *Driver) commit(x candidate) error {
	l, b := d.cfg.Ledger, x.block
	if err := l.Check(b); err != nil {
		if !errors.Is(err, ledger.ErrInvalid) && !errors.Is(err, ledger.ErrFork) {
			return fmt.Errorf("checking the block at height %d: %w", b.Height, err)
		}
		d.post(refused{x, err})
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	d.post(accepted{x, time.Now()})
	if err := l.Append(b); err != nil {
		return fmt.Errorf("appending the block at height %d: %w", b.Height, err)
	}
	d.cfg.Pool.Committed(time.Now(), b.Height, b.Txs)
	d.post(durable{b.ID()})
	return nil
}

// accepted is a block that the chain takes.
type accepted struct {
	candidate
	at time.Time
}

func (ev accepted) apply(d *Driver, now time.Time) {
	b := ev.block
	fact := Fact{
		Height: b.Height, ID: b.ID(), Txs: len(b.Txs), Bytes: int(b.BodySize),
		Via: ev.via, From: ev.from, Latency: ev.at.Sub(b.Time()), At: ev.at,
	}
	if body := d.bodies[b.ID()]; body != nil {
		d.complete(body, b) // catch-up may have been faster than the fetch
		fact.Again = body.again
	}
	f, known := d.fresh.Facts(b.ID())
	if known && ev.via != viaCatchup {
		fact.Via, fact.Hop, fact.Missing = viaName(f.Via), f.Hop, f.Missing
	}
	d.fresh.Accepted(now, b.Header.Tip())
	d.catchup.Accepted(now, b.Height)
	d.metrics.accepted(fact, f.Duplicates)
	if d.cfg.OnAccepted != nil {
		d.cfg.OnAccepted(fact)
	}
}

// durable is a block that the ledger has: it serves it from now on.
type durable struct{ id block.ID }

func (ev durable) apply(d *Driver, _ time.Time) {
	if body := d.bodies[ev.id]; body != nil {
		body.txs, body.ids = nil, nil
	}
	d.endFetches(ev.id)
	d.askWanted()
}

// refused is a block that is right in itself and wrong in this chain.
type refused struct {
	candidate
	err error
}

func (ev refused) apply(d *Driver, now time.Time) {
	d.fresh.Rejected(now, ev.block.ID())
	d.halt(ev.block.Height, fmt.Errorf("the orderer signed block %s, which this chain cannot take: %w", ev.block.ID(), ev.err))
}
