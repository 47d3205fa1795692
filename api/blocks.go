package api

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/ledger"
)

// detail is how much of a block a request asks for.
type detail struct {
	txs string // TxsNone, TxsIDs or TxsFull
	raw bool
}

func parseDetail(txs, def string, raw bool) (detail, error) {
	switch txs {
	case "":
		txs = def
	case TxsNone, TxsIDs, TxsFull:
	default:
		return detail{}, invalid("txs is %q: want none, ids or full", txs)
	}
	return detail{txs: txs, raw: raw}, nil
}

// GetBlock implements apipbconnect.NodeHandler.
func (n *node) GetBlock(ctx context.Context, req *connect.Request[apipb.GetBlockRequest]) (*connect.Response[apipb.GetBlockResponse], error) {
	d, err := parseDetail(req.Msg.Txs, TxsIDs, req.Msg.Raw)
	if err != nil {
		return nil, err
	}
	height, err := n.height(req.Msg)
	if err != nil {
		return nil, err
	}
	cost, err := n.cost(height, d)
	if err != nil {
		return nil, err
	}
	if err := holdingsOf(ctx).takeSoon(ctx, cost); err != nil {
		return nil, err
	}
	b, err := n.block(height, d)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apipb.GetBlockResponse{Block: b}), nil
}

// height returns the height of the block that a request names.
func (n *node) height(req *apipb.GetBlockRequest) (uint64, error) {
	tip := n.cfg.Ledger.Tip().Height
	switch {
	case req.Height > 0 && req.Id != "":
		return 0, invalid("height %d and id %q: give one of them", req.Height, req.Id)
	case req.Id != "":
		id, err := completeID("block", req.Id, n.cfg.Ledger.BlockID)
		if err != nil {
			return 0, err
		}
		height, err := n.cfg.Ledger.HeightOf(id)
		if errors.Is(err, ledger.ErrNotFound) {
			return 0, connect.NewError(connect.CodeNotFound, fmt.Errorf("block %s is not in the chain, which ends at height %d", id, tip))
		}
		return height, err
	case req.Height > 0:
		return req.Height, nil
	case tip == 0:
		return 0, connect.NewError(connect.CodeNotFound, errors.New("the chain has no block yet"))
	}
	return tip, nil
}

// completeID reads an ID, or the beginning of one that full knows.
func completeID(what, text string, full func(prefix []byte) (block.ID, error)) (block.ID, error) {
	prefix, err := block.ParsePrefix(text)
	if err != nil {
		return block.ID{}, invalid("%s %w", what, err)
	}
	if len(prefix) == len(block.ID{}) {
		return block.ID(prefix), nil
	}
	id, err := full(prefix)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return id, connect.NewError(connect.CodeNotFound, fmt.Errorf("no %s in the chain has an ID that begins with %s", what, text))
	case errors.Is(err, ledger.ErrAmbiguous):
		return id, invalid("%s %w", what, err)
	}
	return id, err
}

// cost returns what the answer with a block takes of the budget.
func (n *node) cost(height uint64, d detail) (int, error) {
	h, err := n.cfg.Ledger.Header(height)
	if errors.Is(err, ledger.ErrNotFound) {
		return 0, n.notHeld(height)
	}
	return blockCost(&h.Header, d), err
}

// block reads as much of a block as d asks for.
func (n *node) block(height uint64, d detail) (*apipb.Block, error) {
	var b *block.Block
	var err error
	if d.txs == TxsNone && !d.raw {
		var h block.SignedHeader
		h, err = n.cfg.Ledger.Header(height)
		b = block.New(h, nil)
	} else {
		b, err = n.cfg.Ledger.Block(height)
	}
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, n.notHeld(height)
	}
	if err != nil {
		return nil, err
	}
	v := &apipb.Block{Header: headerView(&b.SignedHeader, b.ID())}
	if d.txs != TxsNone || d.raw {
		v.Body = bodyView(b, d)
	}
	if f, ok := n.cfg.Facts(height); ok && f.ID == b.ID() {
		v.Fact = factView(f)
	}
	return v, nil
}

// notHeld says why there is no block at a height.
func (n *node) notHeld(height uint64) error {
	base, tip := n.cfg.Ledger.Base(), n.cfg.Ledger.Tip().Height
	if height < base {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("block %d is no longer held: the lowest is %d", height, base))
	}
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("no block at height %d: the chain ends at %d", height, tip))
}

// WatchBlocks implements apipbconnect.NodeHandler.
func (n *node) WatchBlocks(ctx context.Context, req *connect.Request[apipb.WatchBlocksRequest], stream *connect.ServerStream[apipb.WatchBlocksResponse]) error {
	start := func() error { return stream.Send(nil) } // headers alone
	return n.watch(ctx, req.Msg, start, func(b *apipb.Block) error {
		return stream.Send(&apipb.WatchBlocksResponse{Block: b})
	})
}

// watch calls start once when it has decided to serve the request, then send for
// every block, until one of them fails, ctx ends or the node stops. It returns why.
func (n *node) watch(ctx context.Context, req *apipb.WatchBlocksRequest, start func() error, send func(*apipb.Block) error) error {
	d, err := parseDetail(req.Txs, TxsNone, req.Raw)
	if err != nil {
		return err
	}
	done, err := n.openStream(ctx)
	if err != nil {
		return err
	}
	defer done()
	next := req.From
	if next == 0 {
		next = n.cfg.Ledger.Tip().Height + 1
	}
	if next < n.cfg.Ledger.Base() {
		return n.notHeld(next)
	}
	if err := start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ending, cancel)()
	for ; ; next++ {
		if err := n.sendBlock(ctx, next, d, send); n.stopped(ctx) != nil {
			return n.stopped(ctx)
		} else if err != nil {
			return err
		}
	}
}

// sendBlock waits for a block and for its turn to be made, and sends it. Between blocks
// a stream holds nothing.
func (n *node) sendBlock(ctx context.Context, height uint64, d detail, send func(*apipb.Block) error) error {
	if err := n.cfg.Ledger.Await(ctx, height, nil); err != nil {
		return err
	}
	cost, err := n.cost(height, d)
	if err != nil {
		return err
	}
	held := holdingsOf(ctx)
	if err := held.take(ctx, cost); err != nil {
		return err
	}
	defer held.keep(0)
	b, err := n.block(height, d)
	if err != nil {
		return err
	}
	return send(b)
}

// stopped says why a stream must end now; nil: it need not.
func (n *node) stopped(ctx context.Context) error {
	select {
	case <-n.ending.Done():
		return connect.NewError(connect.CodeUnavailable, errors.New("the node is stopping"))
	default:
		return ctx.Err()
	}
}
