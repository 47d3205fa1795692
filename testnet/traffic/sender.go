package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/mempool"
)

// Peer is a peer to hand transactions to.
type Peer struct {
	Name   string
	Client *api.Client
}

// Sender hands transactions to peers chosen at random, and to another when one
// does not answer. Its fields are not changed once it is in use; its methods are
// safe for concurrent use.
type Sender struct {
	Peers []Peer
	// Patience is how long a batch is offered to one peer after the other before it
	// is given up. Zero means 30 s: a peer that was killed may be back by then.
	Patience time.Duration
	// Acknowledged, when set, hears of the transactions that the network has. It is
	// called by one goroutine at a time.
	Acknowledged func(ids []block.ID)

	acked sync.Mutex
}

const (
	defaultPatience = 30 * time.Second
	// callTimeout is how long one peer may take over a batch. A peer that is stopped
	// rather than dead answers nothing at all.
	callTimeout = 10 * time.Second
	// The pause after every peer has failed, doubled from the first to the second.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// busyPause is about a block's time, after which a full pool has room again.
	busyPause = 200 * time.Millisecond
)

// Count returns how many peers there are.
func (s *Sender) Count() int { return len(s.Peers) }

func (s *Sender) patience() time.Duration {
	if s.Patience == 0 {
		return defaultPatience
	}
	return s.Patience
}

// Outcome is what became of transactions.
type Outcome struct {
	Accepted  int // new to the peer that was asked
	Duplicate int // in a pool or a block already: an earlier attempt got through
	Refused   int // for good
	Retried   int // attempts that ended without an answer
	// Busy are those that were refused for now: a pool is full, or the peer is
	// behind. They can be handed in again.
	Busy []*block.Tx
	// Reasons are the distinct reasons of refusals, with a transaction for each.
	Reasons map[string]*block.Tx
}

// Add adds another outcome to this one.
func (o *Outcome) Add(p Outcome) {
	o.Accepted += p.Accepted
	o.Duplicate += p.Duplicate
	o.Refused += p.Refused
	o.Retried += p.Retried
	o.Busy = append(o.Busy, p.Busy...)
	for reason, t := range p.Reasons {
		o.refuse(reason, t)
	}
}

func (o *Outcome) refuse(reason string, t *block.Tx) {
	if o.Reasons == nil {
		o.Reasons = map[string]*block.Tx{}
	}
	const most = 10 // a reason names the transaction, so they would all differ
	if len(o.Reasons) < most {
		o.Reasons[reason] = t
	}
}

// Deliver hands one batch to the peer of this index, and to others, in random
// order, until one answers.
func (s *Sender) Deliver(ctx context.Context, first int, txs []*block.Tx) (Outcome, error) {
	deadline := time.Now().Add(s.patience())
	var out Outcome
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		for _, i := range s.order(first) {
			verdicts, err := s.call(ctx, s.Peers[i], txs)
			if err == nil {
				s.count(&out, txs, verdicts)
				return out, nil
			}
			if ctx.Err() != nil {
				return out, context.Cause(ctx)
			}
			out.Retried++
			last = fmt.Errorf("%s: %w", s.Peers[i].Name, err)
		}
		if time.Now().Add(pause).After(deadline) {
			return out, fmt.Errorf("no peer took %d transactions within %v; the last: %w", len(txs), s.patience(), last)
		}
		select {
		case <-ctx.Done():
			return out, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// order returns the peers' indices, first in front.
func (s *Sender) order(first int) []int {
	order := rand.Perm(len(s.Peers))
	at := slices.Index(order, first)
	order[0], order[at] = order[at], order[0]
	return order
}

func (s *Sender) call(ctx context.Context, p Peer, txs []*block.Tx) ([]*apipb.TxVerdict, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return p.Client.Submit(ctx, txs...)
}

func (s *Sender) count(out *Outcome, txs []*block.Tx, verdicts []*apipb.TxVerdict) {
	var ids []block.ID
	for i, v := range verdicts {
		switch v.Status {
		case api.StatusAccepted:
			out.Accepted++
			ids = append(ids, txs[i].ID())
		case api.StatusDuplicate, api.StatusCommitted:
			out.Duplicate++
			ids = append(ids, txs[i].ID())
		default:
			out.refuse(v.Reason, txs[i])
			if passing(v.Reason) {
				out.Busy = append(out.Busy, txs[i])
			} else {
				out.Refused++
			}
		}
	}
	if s.Acknowledged != nil && len(ids) > 0 {
		s.acked.Lock()
		defer s.acked.Unlock()
		s.Acknowledged(ids)
	}
}

// passing says whether a refusal is of now and here, not of the transaction.
func passing(reason string) bool {
	return slices.ContainsFunc([]error{mempool.ErrFull, mempool.ErrSenderFull, mempool.ErrEarly}, func(err error) bool {
		return strings.Contains(reason, err.Error())
	})
}

// What Spread puts into one request, and how many are under way at once: enough to
// keep several peers busy, few enough that answers come while people watch.
const (
	spreadBatch    = 100
	spreadInFlight = 8
)

// Spread draws a peer for each transaction and hands it in there, or elsewhere when
// that peer does not answer. It returns when all are answered for, or on the first
// batch that nobody took. It calls done with the number answered for so far.
func (s *Sender) Spread(ctx context.Context, txs []*block.Tx, done func(answered int)) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan batch)
	go func() {
		defer close(batches)
		for _, b := range s.draw(txs) {
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	var mu sync.Mutex
	var total Outcome
	var workers sync.WaitGroup
	for range spreadInFlight {
		workers.Go(func() {
			for b := range batches {
				out, err := s.Insist(ctx, b.peer, b.txs)
				if err != nil {
					cancel(err) // the first cause is the one that stays
				}
				mu.Lock()
				total.Add(out)
				done(total.Accepted + total.Duplicate + total.Refused)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return total, context.Cause(ctx)
}

// Insist delivers a batch to the peer of this index, and whatever of it is refused for now
// again, there or elsewhere, until patience ends without any being taken. What is refused
// then is refused for good.
func (s *Sender) Insist(ctx context.Context, first int, txs []*block.Tx) (Outcome, error) {
	b := batch{first, txs}
	var total Outcome
	deadline := time.Now().Add(s.patience())
	for {
		out, err := s.Deliver(ctx, b.peer, b.txs)
		busy := out.Busy
		out.Busy = nil
		total.Add(out)
		if err != nil || len(busy) == 0 {
			return total, err
		}
		if len(busy) < len(b.txs) {
			deadline = time.Now().Add(s.patience())
		}
		if time.Now().After(deadline) {
			total.Refused += len(busy)
			return total, nil
		}
		b = batch{rand.IntN(len(s.Peers)), busy}
		select {
		case <-ctx.Done():
			return total, context.Cause(ctx)
		case <-time.After(busyPause):
		}
	}
}

type batch struct {
	peer int
	txs  []*block.Tx
}

// draw sorts the transactions into batches for peers drawn at random.
func (s *Sender) draw(txs []*block.Tx) []batch {
	open := make([][]*block.Tx, len(s.Peers))
	var full []batch
	for _, t := range txs {
		p := rand.IntN(len(s.Peers))
		open[p] = append(open[p], t)
		if len(open[p]) == spreadBatch {
			full = append(full, batch{p, open[p]})
			open[p] = nil
		}
	}
	for p, rest := range open {
		if len(rest) > 0 {
			full = append(full, batch{p, rest})
		}
	}
	return full
}
