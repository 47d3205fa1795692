package processes

import (
	"context"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/testnet/course"
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
		if err := submit(ctx, &orderer, txs); err != nil {
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
	return course.Transactions(w.plan, number, signer)
}

// submit hands a block's transactions in with one request, which reaches the orderer's
// pool whole: so they come into one block. Refused for now, they are handed in again.
func submit(ctx context.Context, orderer *traffic.Sender, txs []*block.Tx) error {
	out, err := orderer.Insist(ctx, 0, txs)
	if err != nil || out.Refused == 0 {
		return err
	}
	for reason := range out.Reasons {
		return fmt.Errorf("%d of %d transactions were refused: %s", out.Refused, len(txs), reason)
	}
	return fmt.Errorf("%d of %d transactions were refused", out.Refused, len(txs))
}

// usersPatience is how long a request goes from peer to peer: while one is down there
// are others, and when the run is broken off nobody waits for long.
const usersPatience = 5 * time.Second

// users submits at the plan's rate, each transaction at a random peer.
func (w *world) users(ctx context.Context) error {
	if err := wait(ctx, w.course.Began().Add(w.plan.Load.First.D())); err != nil {
		return err
	}
	sender := &traffic.Sender{Peers: w.peers(), Patience: usersPatience}
	status, err := sender.Status(ctx)
	if err != nil {
		return fmt.Errorf("asking how high the chain is: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	load := course.Users(w.plan)
	load.Sender, load.Genesis, load.Expiry = sender, w.net.GenesisID, sender.Follow(ctx, status)
	res, err := load.Run(ctx)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return fmt.Errorf("submitting %v transactions a second: %w", w.plan.Load.TxRate, err)
	}
	return nil
}
