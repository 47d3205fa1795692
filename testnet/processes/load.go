package processes

import (
	"context"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/testnet/scenario"
	"grapevine/testnet/traffic"
)

// load submits what the plan has, and returns when all of it is acknowledged. It runs in
// a goroutine of its own.
func (w *world) load(ctx context.Context) error {
	if w.plan.Load.TxRate > 0 {
		return w.users(ctx)
	}
	orderer := traffic.Sender{Peers: w.peers()[:1], Patience: w.plan.End()} // it may be down for a while
	for _, e := range w.plan.Events {
		if e.Kind != scenario.Propose {
			continue
		}
		txs := w.transactions(e.Block) // before it is due
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.due:
		}
		if err := w.submit(ctx, &orderer, txs); err != nil {
			return fmt.Errorf("handing in block %d of the plan: %w", e.Block, err)
		}
	}
	return nil
}

func wait(ctx context.Context, until time.Time) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(until)):
		return nil
	}
}

func (w *world) peers() []traffic.Peer {
	var peers []traffic.Peer
	for i, p := range w.net.Peers {
		peers = append(peers, traffic.Peer{Name: p.Name(), Client: w.clients[i]})
	}
	return peers
}

// transactions makes those of a block, which is to be at the next height or soon after.
// They have a sender of their own, so that no limit of a sender's counts.
func (w *world) transactions(number int) []*block.Tx {
	signer := traffic.Signer{Key: sig.Generate(), Genesis: w.net.GenesisID, Expiry: traffic.Expiry(uint64(number), genesis.DefaultMaxLifetime)}
	return signer.Batch(w.plan.TxCount(number), w.plan.TxBytes(number), w.plan.Random("payload", uint64(number)))
}

// busyPause is how long to wait when a peer says that it takes no more for now.
const busyPause = 200 * time.Millisecond

// submit hands a block's transactions in with one request, which reaches the orderer's
// pool whole: so they come into one block. Refused for now, they are handed in again.
func (w *world) submit(ctx context.Context, orderer *traffic.Sender, txs []*block.Tx) error {
	for {
		out, err := orderer.Deliver(ctx, 0, txs)
		if err != nil {
			return err
		}
		if out.Accepted+out.Duplicate == len(txs) {
			return nil
		}
		if w.course.Now() >= w.plan.End() {
			for reason := range out.Reasons {
				return fmt.Errorf("%d of %d transactions were refused: %s", out.Refused+len(out.Busy), len(txs), reason)
			}
		}
		if err := wait(ctx, time.Now().Add(busyPause)); err != nil {
			return err
		}
	}
}

// usersPatience is how long a request goes from peer to peer: while one is down there
// are others, and when the run is broken off nobody waits for long.
const usersPatience = 5 * time.Second

// askTimeout is how long a peer may take to say how high its chain is.
const askTimeout = 2 * time.Second

// users submits at the plan's rate, each transaction at a random peer.
func (w *world) users(ctx context.Context) error {
	of := w.plan.Load
	if err := wait(ctx, w.course.Began().Add(of.First.D())); err != nil {
		return err
	}
	res, err := traffic.Load{
		Rate: of.TxRate, Duration: time.Duration(of.Blocks) * of.Every.D(), Size: int(of.TxSize) - block.TxOverhead,
		Sender: &traffic.Sender{Peers: w.peers(), Patience: usersPatience}, Genesis: w.net.GenesisID, Expiry: w.expiry(ctx),
	}.Run(ctx)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return fmt.Errorf("submitting %v transactions a second: %w", of.TxRate, err)
	}
	return nil
}

// expiry returns a function that asks the peers how high the chain is, and says how far
// above it a transaction may expire. When nobody answers, it is as high as before.
func (w *world) expiry(ctx context.Context) func() uint64 {
	var height uint64
	return func() uint64 {
		for _, c := range w.clients {
			ask, cancel := context.WithTimeout(ctx, askTimeout)
			s, err := c.Status(ask)
			cancel()
			if err == nil {
				height = max(height, s.Height)
				break
			}
		}
		return traffic.Expiry(height, genesis.DefaultMaxLifetime)
	}
}
