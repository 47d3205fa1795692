package txs

import (
	"time"

	"grapevine/block"
)

const (
	// BatchBytes closes a batch: below a frame, and enough that the cost of a
	// message is spread over a hundred transactions.
	BatchBytes = 32 << 10
	// BatchEvery is the shortest time between two batches that are not full. In
	// twenty nodes on two cores a message per transaction at 500 tx/s took 1.5
	// cores, batches of 100 ms 0.9; half of that time costs little more and saves
	// half of the wait.
	BatchEvery = 50 * time.Millisecond
)

// Batcher says when transactions go out together. The first after a pause goes at
// once, since there is nothing to wait for; what follows within BatchEvery waits
// for the rest of it, or until BatchBytes are there. It is sans-IO.
type Batcher struct {
	waiting []*block.Tx
	bytes   int
	last    time.Time // when the last batch was due
}

// Add puts transactions in line.
func (b *Batcher) Add(txs ...*block.Tx) {
	b.waiting = append(b.waiting, txs...)
	for _, t := range txs {
		b.bytes += t.Size()
	}
}

// Deadline returns when the next batch is due; the zero time means never.
func (b *Batcher) Deadline() time.Time {
	switch {
	case len(b.waiting) == 0:
		return time.Time{}
	case b.bytes >= BatchBytes:
		return later(b.last, time.Unix(0, 0)) // at once, and not the zero time
	}
	return b.last.Add(BatchEvery)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Peek returns the next batch if one is due, of at most BatchBytes but for a single
// transaction that is larger. It stays in line until Took.
func (b *Batcher) Peek(now time.Time) []*block.Tx {
	if len(b.waiting) == 0 || b.Deadline().After(now) {
		return nil
	}
	n, size := 0, 0
	for n < len(b.waiting) && (n == 0 || size+b.waiting[n].Size() <= BatchBytes) {
		size += b.waiting[n].Size()
		n++
	}
	return b.waiting[:n:n]
}

// Took tells that the first n transactions went out.
func (b *Batcher) Took(now time.Time, n int) {
	for _, t := range b.waiting[:n] {
		b.bytes -= t.Size()
	}
	b.waiting, b.last = b.waiting[n:], now
}
