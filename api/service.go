package api

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/ledger"
	"grapevine/mempool"
)

// node answers the service's methods.
type node struct {
	cfg        Config
	openStream func(context.Context) (done func(), err error)
	ending     context.Context // ends when streams are to end
	members    atomic.Int64    // how many there were when last asked for
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

// SubmitTxs implements apipbconnect.NodeHandler.
func (n *node) SubmitTxs(ctx context.Context, req *connect.Request[apipb.SubmitTxsRequest]) (*connect.Response[apipb.SubmitTxsResponse], error) {
	raw := req.Msg.Txs
	size := 0
	for _, b := range raw {
		size += len(b)
	}
	switch {
	case len(raw) == 0:
		return nil, invalid("no transactions: give at least one in txs")
	case len(raw) > MaxSubmitTxs:
		return nil, invalid("%d transactions: want at most %d in a request", len(raw), MaxSubmitTxs)
	case size > MaxSubmitBytes:
		return nil, invalid("transactions of %d bytes: want at most %d in a request", size, MaxSubmitBytes)
	}
	if !holdingsOf(ctx).body.try(int64(len(raw) * verdictCost)) {
		return nil, holdingsOf(ctx).busy("requests")
	}
	verdicts := make([]*apipb.TxVerdict, len(raw))
	txs := make([]*block.Tx, 0, len(raw))
	at := make([]int, 0, len(raw)) // their places in the request
	for i, b := range raw {
		t, err := block.DecodeTx(b)
		if err != nil {
			verdicts[i] = &apipb.TxVerdict{Status: StatusRefused, Reason: err.Error()}
			continue
		}
		txs, at = append(txs, t), append(at, i)
	}
	if err := n.submit(ctx, txs, at, verdicts); err != nil {
		return nil, err
	}
	return connect.NewResponse(&apipb.SubmitTxsResponse{Verdicts: verdicts, Note: n.cfg.Note()}), nil
}

// submit hands the transactions to the node, and notes its verdicts at their places.
func (n *node) submit(ctx context.Context, txs []*block.Tx, at []int, verdicts []*apipb.TxVerdict) error {
	if len(txs) == 0 {
		return nil
	}
	got, err := n.cfg.Submit(ctx, txs)
	if errors.Is(err, mempool.ErrJournal) { // it goes on by itself when its disk does
		return holdingsOf(ctx).later(fmt.Errorf("submitting: %w", err))
	}
	if err != nil {
		return fmt.Errorf("submitting: %w", err)
	}
	if len(got) != len(txs) {
		return connect.NewError(connect.CodeInternal, fmt.Errorf("%d verdicts on %d transactions", len(got), len(txs)))
	}
	for i, v := range got {
		verdicts[at[i]] = verdict(txs[i].ID(), v)
	}
	return nil
}

func verdict(id block.ID, v mempool.Verdict) *apipb.TxVerdict {
	out := &apipb.TxVerdict{Id: id.String(), Status: v.Status.String()}
	if v.Err != nil {
		out.Reason = v.Err.Error()
	}
	return out
}

// GetTx implements apipbconnect.NodeHandler.
func (n *node) GetTx(ctx context.Context, req *connect.Request[apipb.GetTxRequest]) (*connect.Response[apipb.GetTxResponse], error) {
	id, err := completeID("transaction", req.Msg.Id, n.cfg.Ledger.TxID)
	if err != nil {
		return nil, err
	}
	res, err := n.findTx(id)
	if err != nil {
		return nil, err
	}
	if err := holdingsOf(ctx).takeSoon(ctx, leastAnswer+10*len(res.Tx.GetRaw())); err != nil {
		return nil, err
	}
	return connect.NewResponse(res), nil
}

// findTx looks in the chain, in the pool, and in the chain again: a transaction
// goes from the pool to the chain and never back, so this way none slips through.
func (n *node) findTx(id block.ID) (*apipb.GetTxResponse, error) {
	res, err := n.committedTx(id)
	if !errors.Is(err, ledger.ErrNotFound) {
		return res, err
	}
	if t, ok := n.cfg.Pool.Get(id); ok {
		return &apipb.GetTxResponse{Id: id.String(), Status: StatusPending, Tx: txView(t, true)}, nil
	}
	res, err = n.committedTx(id)
	if errors.Is(err, ledger.ErrNotFound) {
		return &apipb.GetTxResponse{Id: id.String(), Status: StatusUnknown}, nil
	}
	return res, err
}

func (n *node) committedTx(id block.ID) (*apipb.GetTxResponse, error) {
	t, place, err := n.cfg.Ledger.Tx(id)
	if err != nil {
		return nil, err
	}
	return &apipb.GetTxResponse{
		Id:     id.String(),
		Status: StatusCommitted,
		Height: place.Height,
		Index:  uint32(place.Index),
		Tx:     txView(t, true),
	}, nil
}

// GetMembers implements apipbconnect.NodeHandler.
func (n *node) GetMembers(ctx context.Context, _ *connect.Request[apipb.GetMembersRequest]) (*connect.Response[apipb.GetMembersResponse], error) {
	if err := holdingsOf(ctx).takeSoon(ctx, leastAnswer+int(n.members.Load())*memberCost); err != nil {
		return nil, err
	}
	res := &apipb.GetMembersResponse{Note: n.cfg.Note()}
	members := n.cfg.Members()
	n.members.Store(int64(len(members)))
	for _, m := range members {
		res.Members = append(res.Members, memberView(m))
	}
	return connect.NewResponse(res), nil
}

// GetStatus implements apipbconnect.NodeHandler.
func (n *node) GetStatus(context.Context, *connect.Request[apipb.GetStatusRequest]) (*connect.Response[apipb.GetStatusResponse], error) {
	return connect.NewResponse(n.status()), nil
}

func (n *node) status() *apipb.GetStatusResponse {
	g, tip, own := n.cfg.Genesis, n.cfg.Ledger.Tip(), n.cfg.Status()
	count, size, _ := n.cfg.Pool.Pending()
	res := &apipb.GetStatusResponse{
		PeerId:     own.PeerID,
		Software:   own.Software,
		ChainId:    g.ChainID,
		GenesisId:  g.ID().String(),
		Height:     tip.Height,
		TipId:      tip.ID.String(),
		Base:       n.cfg.Ledger.Base(),
		Orderer:    g.Producer(),
		Neighbours: uint32(own.Neighbours),
		PoolTxs:    uint32(count),
		PoolBytes:  uint64(size),
		Mode:       own.Mode,
		Addrs:      own.Addrs,
		Started:    timeView(own.Started),
		Ready:      true,
		Note:       n.cfg.Note(),
		Limits:     limitsView(g.BlockLimits()),
	}
	if tip.Height > 0 {
		res.TipTime = nanoView(tip.TimeNano)
	}
	if err := n.cfg.Ready(); err != nil {
		res.Ready, res.Reason = false, err.Error()
	}
	return res
}
