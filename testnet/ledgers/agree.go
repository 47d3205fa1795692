package ledgers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/api/apipb"
)

// Peer is a peer to ask.
type Peer struct {
	Name   string
	Client *api.Client
}

// Finding is what a check came to. Problems are for people, the worst few of them.
type Finding struct {
	Height   uint64
	Problems []string
}

// OK says that no problem was found.
func (f Finding) OK() bool { return len(f.Problems) == 0 }

// mostProblems bounds what a check reports: one missing peer can be the cause of
// a thousand.
const mostProblems = 20

func (f *Finding) add(format string, args ...any) {
	if len(f.Problems) < mostProblems {
		f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
	}
}

// pollEvery is how often a peer's status is asked for while something is awaited.
const pollEvery = 50 * time.Millisecond

// Agree asks every peer for the ID of the block at every height, up to the greatest
// height that any of them has when it begins. A peer that has not come to that
// height when patience ends is a problem.
func Agree(ctx context.Context, peers []Peer, patience time.Duration) (Finding, error) {
	var f Finding
	states, err := statuses(ctx, peers)
	if err != nil {
		return f, err
	}
	for _, s := range states {
		f.Height = max(f.Height, s.Height)
	}
	heights, err := reach(ctx, peers, f.Height, patience)
	if err != nil {
		return f, err
	}
	ids := make([][]string, len(peers))
	err = each(peers, func(i int, p Peer) error {
		ids[i] = make([]string, 0, heights[i])
		return blocks(ctx, p, heights[i], api.TxsNone, func(b *apipb.Block) {
			ids[i] = append(ids[i], b.Header.Id)
		})
	})
	if err != nil {
		return f, err
	}
	for i, p := range peers {
		if heights[i] < f.Height {
			f.add("%s is at height %d, another peer at %d", p.Name, heights[i], f.Height)
		}
		compare(&f, p, ids[i], peers[0], ids[0])
	}
	return f, nil
}

// compare reports the first height at which two peers differ.
func compare(f *Finding, p Peer, got []string, q Peer, want []string) {
	for h := range min(len(got), len(want)) {
		if got[h] != want[h] {
			f.add("at height %d %s has block %s, %s has %s", h+1, p.Name, got[h], q.Name, want[h])
			return
		}
	}
}

// reach waits until every peer is at the height, for as long as patience lasts, and
// returns at which height, up to that one, each of them is.
func reach(ctx context.Context, peers []Peer, height uint64, patience time.Duration) ([]uint64, error) {
	deadline := time.Now().Add(patience)
	heights := make([]uint64, len(peers))
	err := each(peers, func(i int, p Peer) error {
		for {
			s, err := p.Client.Status(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			heights[i] = min(s.Height, height)
			if s.Height >= height || time.Now().After(deadline) {
				return nil
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	})
	return heights, err
}

// Quiet waits until every pool is empty and every peer is at the same height. It
// calls progress with the most transactions that any pool holds.
func Quiet(ctx context.Context, peers []Peer, patience time.Duration, progress func(waiting uint32)) error {
	deadline := time.Now().Add(patience)
	for {
		states, err := statuses(ctx, peers)
		if err != nil {
			return err
		}
		low, high, waiting := states[0].Height, states[0].Height, uint32(0)
		for _, s := range states {
			low, high, waiting = min(low, s.Height), max(high, s.Height), max(waiting, s.PoolTxs)
		}
		if low == high && waiting == 0 {
			return nil
		}
		progress(waiting)
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v the peers are at heights %d to %d and a pool holds %d transactions: %w", patience, low, high, waiting, context.DeadlineExceeded)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func statuses(ctx context.Context, peers []Peer) ([]*apipb.GetStatusResponse, error) {
	states := make([]*apipb.GetStatusResponse, len(peers))
	err := each(peers, func(i int, p Peer) error {
		var err error
		if states[i], err = p.Client.Status(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		return nil
	})
	return states, err
}

// blocks calls with the peer's blocks from the first to the one at a height.
func blocks(ctx context.Context, p Peer, upto uint64, txs string, with func(*apipb.Block)) error {
	if upto == 0 {
		return nil
	}
	next := uint64(1)
	for b, err := range p.Client.Watch(ctx, &apipb.WatchBlocksRequest{From: 1, Txs: txs}) {
		if err != nil {
			return fmt.Errorf("%s, block %d: %w", p.Name, next, err)
		}
		if b.Header.GetHeight() != next {
			return fmt.Errorf("%s sent block %d where block %d was due", p.Name, b.Header.GetHeight(), next)
		}
		with(b)
		if next == upto {
			return nil
		}
		next++
	}
	return fmt.Errorf("%s, block %d: the stream ended", p.Name, next)
}

// each calls with every peer at the same time, and joins their errors.
func each(peers []Peer, with func(i int, p Peer) error) error {
	errs := make([]error, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() { errs[i] = with(i, p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollEvery):
		return nil
	}
}
