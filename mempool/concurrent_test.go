package mempool

import (
	"sync"
	"testing"
	"time"

	"grapevine/block"
)

// Submitters, gossip, blocks and readers at once. In the end whatever was
// acknowledged is in a block or on offer, and the journal knows which.
func TestManyAtOnce(t *testing.T) {
	const submitters, each = 8, 150
	ledger := struct {
		sync.Mutex
		has map[block.ID]bool
	}{has: make(map[block.ID]bool)}
	cfg := Config{Journal: t.TempDir(), SegmentBytes: 4000, Committed: func(id block.ID) (bool, error) {
		ledger.Lock()
		defer ledger.Unlock()
		return ledger.has[id], nil
	}}
	d := newDisk(cfg.Journal)
	p, err := open(cfg, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	var work, rest sync.WaitGroup
	for s := range submitters {
		txs := run(byte(s), each)
		work.Go(func() {
			for _, tx := range txs {
				verdicts, err := p.Submit(t0, []*block.Tx{tx})
				if err != nil || verdicts[0].Status == Refused {
					t.Errorf("%v, %v", verdicts, err)
				}
			}
		})
		work.Go(func() { // gossip brings some of the same
			for i := 0; i+10 <= each; i += 15 {
				p.Offer(t0, txs[i:i+10])
			}
		})
	}
	done := make(chan struct{})
	height := uint64(0)
	rest.Go(func() { // the committer
		for stop := false; !stop; {
			select {
			case <-done:
				stop = true
			case <-p.Changed():
			}
			if height == 50 {
				continue // what comes now stays
			}
			txs := p.Select(time.Time{}, height+1, 7, 1<<20, 1<<20)
			height++
			ledger.Lock()
			for _, tx := range txs {
				if ledger.has[tx.ID()] {
					t.Errorf("%s is selected twice", names([]*block.Tx{tx}))
				}
				ledger.has[tx.ID()] = true
			}
			ledger.Unlock()
			p.Committed(t0, height, txs)
		}
	})
	rest.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			hashes, _ := p.Inventory(testKey, 0, 1<<62, 100)
			p.BySalted(testKey, hashes, 1<<20)
			p.Journalled()
			p.Pending()
		}
	})
	work.Wait()
	close(done)
	rest.Wait()

	cfg.Height = height
	again := mustOpen(t, cfg)
	for name, pool := range map[string]*Pool{"the pool": p, "the journal": again} {
		for s := range submitters {
			for _, tx := range run(byte(s), each) {
				if _, local, ok := pool.Arrived(tx.ID()); ok == ledger.has[tx.ID()] || ok && !local {
					t.Errorf("%s: %s on offer is %v, local %v, in a block %v", name, names([]*block.Tx{tx}), ok, local, ledger.has[tx.ID()])
				}
			}
		}
	}
	if p.shelf.bytes != p.shelf.offered || len(p.shelf.entries) != submitters*each-len(ledger.has) {
		t.Errorf("%d entries, %d bytes, %d on offer", len(p.shelf.entries), p.shelf.bytes, p.shelf.offered)
	}
}
