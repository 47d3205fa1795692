package dissemination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/ledger"
)

// errFilled says that a height has a block already, the same one or another.
var errFilled = errors.New("the height is filled")

// errRefused says that the chain can take neither a block nor what stands on it.
var errRefused = errors.New("the chain refuses the block")

// Propose disseminates a block that this peer made and signed, and returns once it
// is durable in the own ledger.
func (d *Driver) Propose(ctx context.Context, b *block.Block) error {
	done := make(chan error, 1)
	var c *coded
	if b.Coding != 0 {
		c = wholeCoded(b)
	}
	d.post(func(now time.Time) { d.propose(now, b, c, done) })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.done:
		return fmt.Errorf("proposing the block at height %d: %w", b.Height, ErrStopped)
	}
	if errors.Is(err, errFilled) { // after a crash, others may bring it back first
		return d.awaitBlock(ctx, b)
	}
	return err
}

// awaitBlock returns once the ledger has a block, or another at its height.
func (d *Driver) awaitBlock(ctx context.Context, b *block.Block) error {
	err := d.cfg.Ledger.Await(ctx, b.Height, d.done)
	switch {
	case err == nil:
		return d.cfg.Ledger.Check(b)
	case ctx.Err() != nil:
		return err
	}
	return fmt.Errorf("waiting for the block at height %d: %w", b.Height, ErrStopped)
}

// propose hands a block of our own to the core; done is told when it is durable.
func (d *Driver) propose(now time.Time, b *block.Block, c *coded, done chan<- error) {
	id := b.ID()
	if d.contradicts(&b.SignedHeader, id) { // another node has our key
		done <- d.halted
		return
	}
	pooled := make([]fresh.Pooled, len(b.Txs))
	for i, t := range b.Txs {
		pooled[i].Size = t.Size()
		if at, _, ok := d.cfg.Pool.Arrived(t.ID()); ok {
			pooled[i].Arrived = at
		}
	}
	if !d.core.Propose(now, message.Describe(&b.Header), pooled) {
		done <- errFilled
		return
	}
	own := newBody(&b.SignedHeader, id, b.List())
	if c != nil {
		d.codes.add(c)
	}
	copy(own.txs, b.Txs)
	d.bodies.add(own)
	d.headers.add(id)
	d.bodies.whole[b.Height], d.proposals[id] = b, done
}

// committer is the one goroutine that writes to the ledger. A block that it has
// checked is accepted, and told so before the synced write. With one that the chain
// refuses its work is over.
func (d *Driver) committer(ctx context.Context, in <-chan *block.Block) error {
	for {
		var b *block.Block
		select {
		case <-ctx.Done():
			return nil
		case b = <-in:
		}
		switch err := d.commit(b); {
		case errors.Is(err, errRefused): // the loop may hand over what stands on it before it hears of that
			return nil
		case err != nil:
			return err
		}
	}
}

func (d *Driver) commit(b *block.Block) error {
	l := d.cfg.Ledger
	if err := l.Check(b); err != nil {
		if !errors.Is(err, ledger.ErrInvalid) && !errors.Is(err, ledger.ErrFork) {
			return fmt.Errorf("checking the block at height %d: %w", b.Height, err)
		}
		d.post(func(now time.Time) { d.refused(now, b, err) })
		return errRefused
	}
	at := time.Now()
	d.post(func(now time.Time) { d.accepted(now, b, at) })
	if err := l.Append(b); err != nil {
		return fmt.Errorf("appending the block at height %d: %w", b.Height, err)
	}
	d.cfg.Pool.Committed(time.Now(), b.Height, b.Txs)
	d.post(func(now time.Time) { d.durable(now, b) })
	return nil
}

// accepted tells that the chain takes a block, since at.
func (d *Driver) accepted(now time.Time, b *block.Block, at time.Time) {
	id := b.ID()
	if own := d.bodies.byID[id]; own != nil {
		own.txs = b.Txs // catch-up may have been faster than the fetch
	}
	for _, p := range d.neighbours { // a path's first round trip has a handshake's work in it
		d.core.Distance(p, d.cfg.Host.RTT(p)/2)
	}
	a := arrival.Accepted{
		Height: b.Height, ID: id, Txs: len(b.Txs), Bytes: int(b.BodySize), Latency: at.Sub(b.Time()), At: at,
		Facts: d.core.Accepted(now, b.Header.Tip()),
	}
	d.metrics.accepted(a)
	if d.cfg.OnAccepted != nil {
		d.cfg.OnAccepted(a)
	}
}

// durable tells that the ledger has a block: it serves it from now on.
func (d *Driver) durable(now time.Time, b *block.Block) {
	id := b.ID()
	if own := d.bodies.byID[id]; own != nil {
		own.txs, own.ids = nil, nil
	}
	delete(d.bodies.whole, b.Height)
	if c := d.codes.get(message.Ref(id)); c != nil {
		d.codes.keep(c)
	}
	d.core.Durable(id)
	d.requests.end(id)
	d.answerProposer(id, nil)
	if len(d.neighbours) > 0 {
		d.pools.askWanted(now, d.neighbours)
	}
}

// refused tells of a block that is right in itself and wrong in this chain.
func (d *Driver) refused(now time.Time, b *block.Block, why error) {
	d.core.Refused(now, b.ID())
	d.answerProposer(b.ID(), fmt.Errorf("the chain refuses the block: %w", why))
	d.halt(b.Height, fmt.Errorf("the orderer signed block %s, which this chain cannot take: %w", b.ID(), why))
}

// answerProposer tells whoever proposed a block what became of it.
func (d *Driver) answerProposer(id block.ID, err error) {
	if done := d.proposals[id]; done != nil {
		done <- err
		delete(d.proposals, id)
	}
}
