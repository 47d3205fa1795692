package p2p

import (
	"sync"
	"sync/atomic"
)

// outbox is the outgoing queue of one lane of one neighbour, bounded in bytes. Its
// policy: what does not fit is refused, and the sender is told.
type outbox struct {
	limit int
	total *budget
	wake  chan struct{} // holds one token while there may be something to do

	mu     sync.Mutex
	msgs   [][]byte // guarded by mu
	bytes  int      // guarded by mu; of msgs, and of what the writer has taken
	closed bool     // guarded by mu; nothing is put in any more
}

// budget bounds all outboxes together.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

func newOutbox(limit int, total *budget) *outbox {
	return &outbox{limit: limit, total: total, wake: make(chan struct{}, 1)}
}

// put appends a message, or says that there is no room.
func (o *outbox) put(msg []byte) bool {
	o.mu.Lock()
	ok := !o.closed && o.bytes+len(msg) <= o.limit && o.total.take(len(msg))
	if ok {
		o.msgs = append(o.msgs, msg)
		o.bytes += len(msg)
	}
	o.mu.Unlock()
	if ok {
		o.poke()
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
	o.mu.Unlock()
	o.total.used.Add(-int64(n))
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
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
