package mempool

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"grapevine/block"
)

// many makes n transactions of 250 bytes by 100 senders.
func many(n int) []*block.Tx {
	txs := make([]*block.Tx, n)
	for i := range txs {
		txs[i] = newTx(byte(i%100), uint64(i), 1000, 250-block.TxOverhead)
	}
	return txs
}

func filled(b *testing.B, n int) (*Pool, []*block.Tx) {
	b.Helper()
	p := mustOpen(b, Config{})
	txs := many(n)
	p.Offer(time.Now(), txs)
	if count, _, _ := p.Pending(); count != n {
		b.Fatalf("%d on offer, want %d", count, n)
	}
	return p, txs
}

// The time for one transaction, in batches of 128 as gossip brings them (32 KiB),
// with the removal by blocks of 10,000.
func BenchmarkOffer(b *testing.B) {
	p := mustOpen(b, Config{})
	txs := many(1_000_000)
	height := uint64(0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%len(txs) == 0 && i > 0 {
			b.Fatal("more iterations than transactions: run with -benchtime 900000x or less")
		}
		if i%128 == 127 {
			p.Offer(t0, txs[i-127:i+1])
		}
		i++
		if count, _, _ := p.Pending(); count > 90_000 {
			height++
			p.Committed(t0, height, p.Select(time.Time{}, height, 10_000, 4<<20, 4<<20))
		}
	}
}

func BenchmarkSelect10000(b *testing.B) {
	p, _ := filled(b, 100_000)
	for b.Loop() {
		if got := p.Select(time.Time{}, 1, 10_000, 4<<20, 4<<20); len(got) != 10_000 {
			b.Fatalf("%d selected", len(got))
		}
	}
}

func BenchmarkCommitted10000(b *testing.B) {
	p, txs := filled(b, 100_000)
	for b.Loop() {
		p.Committed(t0, 1, txs[:10_000])
		b.StopTimer()
		p.recent = newIDSet(maxRecent)
		p.Offer(t0, txs[:10_000])
		b.StartTimer()
	}
}

func BenchmarkMatch10000of100000(b *testing.B) {
	p, txs := filled(b, 100_000)
	shorts := testKey.List(ids(txs[40_000:50_000]))
	for b.Loop() {
		if got := p.Match(testKey, shorts); got[9_999] == nil {
			b.Fatal("no match")
		}
	}
}

func BenchmarkInventory100000(b *testing.B) {
	p, _ := filled(b, 100_000)
	for b.Loop() {
		p.Inventory(testKey, 0, ^uint64(0), 100_000)
	}
}

// The time for one transaction, acknowledged, by as many submitters with one
// transaction each at a time, real syncs.
func BenchmarkSubmit(b *testing.B) {
	for _, submitters := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("submitters=%d", submitters), func(b *testing.B) {
			p := mustOpen(b, Config{Journal: b.TempDir(), MaxTxs: 10_000_000, MaxPerSender: 10_000_000, MaxBytes: 1 << 33})
			txs := many(b.N)
			var next atomic.Int64
			b.SetParallelism((submitters + 1) / 2) // times GOMAXPROCS
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := next.Add(1) - 1
					if _, err := p.Submit(t0, txs[i:i+1]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// The same with 50 transactions at a time.
func BenchmarkSubmitBatches(b *testing.B) {
	p := mustOpen(b, Config{Journal: b.TempDir(), MaxTxs: 10_000_000, MaxPerSender: 10_000_000, MaxBytes: 1 << 33})
	txs := many(b.N * 50)
	var next atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(50) - 50
			if _, err := p.Submit(t0, txs[i:i+50]); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*50), "ns/tx")
}
