package adversary

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/testnet/traffic"
)

// probe hands in transactions at random peers, and times how long each takes to stand in
// the ledger of every one.
type probe struct {
	clients []*api.Client
	signer  traffic.Signer

	mu    sync.Mutex
	born  map[string]time.Time // guarded by mu; when a transaction was handed in, by ID
	seen  map[string]int       // guarded by mu; at how many peers it stands
	took  []time.Duration      // guarded by mu; of those that stand at all
	fails []error              // guarded by mu; those that were not acknowledged
}

// run hands in so many a second, for so long, waits until all stand everywhere, or for
// patience, and returns how long they took, in order; and how many were not seen.
func (p *probe) run(ctx context.Context, every, duration, patience time.Duration) (took []time.Duration, lost int, err error) {
	p.born, p.seen, p.took, p.fails = map[string]time.Time{}, map[string]int{}, nil, nil
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range p.clients {
		all.Go(func() { p.watch(ctx, c) })
	}
	var submits sync.WaitGroup
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for end := time.Now().Add(duration); time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			submits.Go(func() { p.submit(ctx) })
		}
	}
	submits.Wait()
	for end := time.Now().Add(patience); p.waiting() > 0 && time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // nothing tells
		}
	}
	lost = p.waiting()
	cancel()
	all.Wait()
	if len(p.fails) > 0 {
		err = fmt.Errorf("%d transactions were not acknowledged, the first: %w", len(p.fails), p.fails[0])
	}
	slices.Sort(p.took)
	return p.took, lost, err
}

func (p *probe) submit(ctx context.Context) {
	tx := p.signer.Sign(fmt.Appendf(nil, "probe %d", rand.Uint64()))
	p.mu.Lock()
	p.born[tx.ID().String()] = time.Now()
	p.mu.Unlock()
	if _, err := p.clients[rand.IntN(len(p.clients))].Submit(ctx, tx); err != nil {
		p.mu.Lock()
		p.fails = append(p.fails, err)
		delete(p.born, tx.ID().String())
		p.mu.Unlock()
	}
}

// watch notes the transactions of every block that comes to a peer's ledger.
func (p *probe) watch(ctx context.Context, c *api.Client) {
	for ctx.Err() == nil {
		for b, err := range c.Watch(ctx, &apipb.WatchBlocksRequest{Txs: "ids"}) {
			if err != nil {
				break // it begins again at the next block; what it missed counts as lost
			}
			now := time.Now()
			p.mu.Lock()
			for _, id := range b.Body.GetTxIds() {
				born, ours := p.born[id]
				if !ours {
					continue
				}
				if p.seen[id]++; p.seen[id] == len(p.clients) {
					p.took = append(p.took, now.Sub(born))
				}
			}
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// waiting returns how many do not stand everywhere yet.
func (p *probe) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.born) - len(p.took)
}

// newSigner returns a signer whose transactions do not expire during a run.
func newSigner(genesis block.ID, status *apipb.GetStatusResponse) traffic.Signer {
	return traffic.Signer{Key: sig.Generate(), Genesis: genesis, Expiry: traffic.Expiry(status.Height, status.Limits.GetMaxLifetime())}
}
