package main

import (
	"context"
	"errors"
	"fmt"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
)

// servedChain checks the chain that a running node serves.
type servedChain struct {
	client   *api.Client
	progress func(height, tip uint64)
	res      verified

	genesis block.ID
	orderer string
	limits  block.Limits
	tip     block.Tip
}

// servedFault is the first thing wrong with what a node serves.
type servedFault struct {
	height uint64
	error
}

func (f servedFault) Error() string { return fmt.Sprintf("height %d: %v", f.height, f.error) }
func (f servedFault) Unwrap() error { return f.error }

// run checks the blocks up to the height that the node has when it begins.
func (v *servedChain) run(ctx context.Context) error {
	s, err := v.client.Status(ctx)
	if err != nil {
		return err
	}
	if v.genesis, err = block.ParseID(s.GenesisId); err != nil {
		return fmt.Errorf("the node's genesis: %w", err)
	}
	v.orderer = s.Orderer
	v.limits = block.Limits{
		MaxTxBytes:   int(s.Limits.GetMaxTxBytes()),
		MaxBodyBytes: int(s.Limits.GetMaxBodyBytes()),
		MaxBlockTxs:  int(s.Limits.GetMaxBlockTxs()),
		MaxLifetime:  s.Limits.GetMaxLifetime(),
		Coding:       uint8(s.Limits.GetCoding()),
	}
	v.tip = block.Tip{ID: v.genesis}
	v.res.TipID = v.genesis.String()
	if s.Height == 0 {
		return nil
	}
	for served, err := range v.client.Watch(ctx, &apipb.WatchBlocksRequest{From: 1, Raw: true}) {
		if err != nil {
			return err
		}
		if err := v.check(ctx, served); err != nil {
			return servedFault{v.tip.Height + 1, err}
		}
		v.progress(v.tip.Height, s.Height)
		if v.tip.Height == s.Height {
			return nil
		}
	}
	return errors.New("the stream of blocks ended")
}

func (v *servedChain) check(ctx context.Context, served *apipb.Block) error {
	raw := served.Body.GetRaw()
	b, err := block.Decode(raw)
	if err != nil {
		return err
	}
	if got := served.Header.GetId(); got != b.ID().String() {
		return fmt.Errorf("the node calls it %s, its ID is %s", got, b.ID())
	}
	if err := b.CheckParent(v.tip); err != nil {
		return err
	}
	if err := b.Check(v.genesis, v.limits); err != nil {
		return err
	}
	if id := genesis.PeerID(b.Producer); id != v.orderer {
		return fmt.Errorf("produced by %s, the orderer is %s", id, v.orderer)
	}
	if err := sig.VerifyHeader(&b.SignedHeader); err != nil {
		return err
	}
	if err := errors.Join(sig.VerifyTxs(v.genesis, b.Txs)...); err != nil {
		return err
	}
	found, err := v.client.Block(ctx, &apipb.GetBlockRequest{Id: b.ID().String(), Txs: api.TxsNone})
	if err != nil {
		return fmt.Errorf("looking it up by its ID: %w", err)
	}
	if found.Header.GetHeight() != b.Height {
		return fmt.Errorf("by its ID the node finds the block at height %d", found.Header.GetHeight())
	}
	v.tip = b.Tip()
	v.res.Height, v.res.TipID = v.tip.Height, v.tip.ID.String()
	v.res.Blocks++
	v.res.Txs += uint64(len(b.Txs))
	v.res.Bytes += uint64(len(raw))
	return nil
}
