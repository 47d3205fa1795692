package dissemination

import (
	"context"
	"errors"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
)

// Intake is where transactions come in that no peer brought: it checks them, puts the
// good ones into the pool, and hands them to the driver. Its fields are required, but
// Check, and do not change; its methods may be called from any goroutine.
type Intake struct {
	Genesis *genesis.Genesis
	Ledger  *ledger.Ledger
	Pool    *mempool.Pool
	Driver  *Driver
	// Check refuses what this node does not want in its pool, after all other checks.
	// Nil takes all.
	Check func(*block.Tx) error
}

// Submit checks transactions, puts the good ones into the pool and sends them to
// everybody. A verdict of Accepted says that the transaction is journalled, and on
// offer until it is committed or expires. The error is the node's own trouble, and
// leaves it open what was accepted.
func (in *Intake) Submit(ctx context.Context, txs []*block.Tx) ([]mempool.Verdict, error) {
	verdicts, good, places := in.sift(txs)
	if len(good) == 0 {
		return verdicts, nil
	}
	err := in.Driver.Halted() // no block of this chain will have them
	if err == nil {
		err = in.Driver.AwaitTurn(ctx, sizeOf(good))
		if err != nil && !errors.Is(err, ErrBusy) {
			return nil, err
		}
	}
	if err != nil {
		for _, i := range places {
			verdicts[i] = mempool.Verdict{Status: mempool.Refused, Err: err}
		}
		return verdicts, nil
	}
	got, err := in.Pool.Submit(time.Now(), good)
	if err != nil {
		return nil, err
	}
	var spread []*block.Tx
	for i, v := range got {
		verdicts[places[i]] = v
		if v.Status == mempool.Accepted {
			spread = append(spread, good[i])
		}
	}
	if len(spread) > 0 {
		in.Driver.Spread(spread)
	}
	return verdicts, nil
}

// Offer takes transactions as if gossip had brought them: it checks them and puts the
// good ones into the pool, without a journal, as of a time, and sends them to nobody.
func (in *Intake) Offer(at time.Time, txs []*block.Tx) []mempool.Verdict {
	verdicts, good, places := in.sift(txs)
	for i, v := range in.Pool.Offer(at, good) {
		verdicts[places[i]] = v
	}
	return verdicts
}

// sift returns the transactions that may enter the pool and their places, and verdicts
// that refuse the others.
func (in *Intake) sift(txs []*block.Tx) (verdicts []mempool.Verdict, good []*block.Tx, places []int) {
	verdicts = make([]mempool.Verdict, len(txs))
	next, limits := in.Ledger.Tip().Height+1, in.Genesis.BlockLimits()
	signatures := sig.VerifyTxs(in.Genesis.ID(), txs)
	for i, t := range txs {
		err := errors.Join(t.Check(limits), t.CheckExpiry(next, limits), signatures[i])
		if err == nil && in.Check != nil {
			err = in.Check(t)
		}
		if err != nil {
			verdicts[i] = mempool.Verdict{Status: mempool.Refused, Err: err}
			continue
		}
		good, places = append(good, t), append(places, i)
	}
	return verdicts, good, places
}
