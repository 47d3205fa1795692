package p2p

import (
	"sync"
	"sync/atomic"
	"time"
)

// outbox is the outgoing queue of one lane of one neighbour, bounded in bytes. Its
// policy: what does not fit is refused, and the sender is told.
type outbox struct {
	limit int
	total *budget       // nil: it has no part in one
	wake  chan struct{} // holds one token while there may be something to do

	mu     sync.Mutex
	msgs   [][]byte // guarded by mu
	bytes  int      // guarded by mu; of msgs, and of what the writer has taken
	done   drained  // guarded by mu
	closed bool     // guarded by mu; nothing is put in any more
}

// budget bounds outboxes together, and is told when it is spent.
type budget struct {
	limit int64
	used  atomic.Int64
	spent func()
}

func (b *budget) take(n int) bool {
	if b == nil || b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(-int64(n))
	return false
}

func (b *budget) give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}

func newOutbox(limit int, total *budget) *outbox {
	return &outbox{limit: limit, total: total, wake: make(chan struct{}, 1)}
}

// put appends a message, or says that there is no room.
func (o *outbox) put(msg []byte) bool {
	o.mu.Lock()
	room := !o.closed && o.bytes+len(msg) <= o.limit
	ok := room && o.total.take(len(msg))
	if ok {
		o.msgs = append(o.msgs, msg)
		o.bytes += len(msg)
	}
	o.mu.Unlock()
	switch {
	case ok:
		o.poke()
	case room:
		o.total.spent()
	}
	return ok
}

// take returns all waiting messages. They count until release is told of them.
func (o *outbox) take() (msgs [][]byte, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	msgs, o.msgs = o.msgs, nil
	return msgs, o.closed
}

// release gives back the room of messages that have been written, or given up.
func (o *outbox) release(n int) {
	o.mu.Lock()
	o.bytes -= n
	o.done.bytes += n
	if o.bytes == 0 {
		o.done.empty++
	}
	o.mu.Unlock()
	o.total.give(n)
}

// close takes no more messages; the writer ends once it has written what waits.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.poke()
}

// drop gives up what waits.
func (o *outbox) drop() {
	o.close()
	msgs, _ := o.take()
	for _, m := range msgs {
		o.release(len(m))
	}
}

func (o *outbox) size() int {
	waiting, _ := o.progress()
	return waiting
}

// drained is what has become of a queue so far: bytes that do not wait any more, and how
// often nothing was left.
type drained struct{ bytes, empty int }

// progress returns the bytes that wait, and what went before.
func (o *outbox) progress() (waiting int, done drained) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes, o.done
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// leastDrain is what a neighbour takes at least of a lane on which something waits, in
// the time that timing.stall says: about 1 KiB a second in a minute. A peer of 2 Mbit/s
// that a hundred neighbours send to at once takes 2.5 KiB a second from each.
const leastDrain = 64 << 10

// pace watches how fast a queue drains.
type pace struct {
	since time.Time // something has waited since
	done  drained   // and what had become of the queue then
}

// stalled says whether something has waited all of so long, of which less than
// leastDrain was taken meanwhile, and how much was.
func (p *pace) stalled(now time.Time, after time.Duration, waiting int, done drained) (taken int, stalled bool) {
	taken = done.bytes - p.done.bytes
	if waiting == 0 || p.since.IsZero() || taken >= leastDrain || done.empty != p.done.empty {
		p.since, p.done = now, done
		return taken, false
	}
	return taken, now.Sub(p.since) >= after
}
