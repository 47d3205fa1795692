package dissemination

import (
	"sync"
	"time"

	"grapevine/p2p/wire"
)

// The least time between two answers to one peer, where a question of some bytes may
// cost much work, or a large answer.
const (
	// poolGap is for questions about the pool: the answer is up to 64 KiB, or a megabyte
	// of transactions, and ten milliseconds over a full pool. It costs an honest comparison
	// of two full pools a second.
	poolGap = 50 * time.Millisecond
	// storedGap is for transactions of a block in the ledger that is not among its recent
	// ones, which is read whole: 1.4 ms for a block of 1 MiB. Who asks for many such is
	// far behind, and has catch-up.
	storedGap = 50 * time.Millisecond
	// rangeGap is for ranges of blocks: 5 ms for 2 MiB. It leaves a neighbour 200 MiB or
	// 3,200 blocks a second.
	rangeGap = 10 * time.Millisecond
)

// turns holds up a peer's lane until its next question may be answered.
type turns struct {
	gap  time.Duration
	done <-chan struct{} // nobody is to wait any more

	mu   sync.Mutex
	next map[wire.PeerID]time.Time // guarded by mu
}

func newTurns(gap time.Duration, done <-chan struct{}) *turns {
	return &turns{gap: gap, done: done, next: map[wire.PeerID]time.Time{}}
}

// wait returns when it is the peer's turn.
func (t *turns) wait(from wire.PeerID) {
	now := time.Now()
	t.mu.Lock()
	at := t.next[from]
	if at.Before(now) {
		at = now
	}
	t.next[from] = at.Add(t.gap)
	t.mu.Unlock()
	if at.Equal(now) {
		return
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.done:
	}
}

// forget forgets a peer.
func (t *turns) forget(p wire.PeerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.next, p)
}
