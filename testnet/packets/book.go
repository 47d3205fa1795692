package packets

import (
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
)

// book is what happened, written down by all peers.
type book struct {
	news chan struct{} // has an item when a block was accepted since it was last taken

	mu     sync.Mutex
	t0     time.Time       // guarded by mu; when the network stood
	names  map[string]int  // guarded by mu; the peers' numbers by their IDs
	out    outcome.Outcome // guarded by mu
	closed bool            // guarded by mu; nothing is written down any more

	tally func() tally // of the peers' traffic
	alive func(int) bool
	tips  []uint64  // guarded by mu; the greatest height that each peer accepted
	last  time.Time // guarded by mu; of the last acceptance
	quiet time.Time // guarded by mu; since when no block is under way; zero: one is
	mark  tally     // guarded by mu; the traffic then
}

// accepted is a block that a peer has, as it says so.
type accepted struct {
	height uint64
	id     block.ID
	bytes  int
	made   time.Time // the header's time
	via    arrival.Via
	from   string // peer ID of who announced it first; "" is nobody
	hop    int
}

func newBook(peers int) *book {
	return &book{
		news: make(chan struct{}, 1), names: map[string]int{}, out: outcome.Outcome{Peers: make([]outcome.Peer, peers)},
		tally: func() tally { return nil }, alive: func(int) bool { return true },
	}
}

// begin opens an empty book on a run.
func (b *book) begin(protocol string, seed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = false
	b.out = outcome.Outcome{
		World: "packets", Protocol: protocol, Seed: seed, NoChain: protocol == gossipsub || protocol == chunked,
		Peers: make([]outcome.Peer, len(b.out.Peers)),
	}
	b.tips, b.quiet = make([]uint64, len(b.out.Peers)), time.Time{}
}

// name notes a peer's ID.
func (b *book) name(peer int, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[id] = peer
}

// stands begins time.
func (b *book) stands(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t0 = now
}

// accept notes that a peer accepted a block now. The producer's own acceptance is what
// makes it a block.
func (b *book) accept(peer int, a accepted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.tips[peer] = max(b.tips[peer], a.height)
	b.last = time.Now()
	time.AfterFunc(time.Second, b.lull)
	if a.via == arrival.Own {
		b.awake()
		b.out.Blocks = append(b.out.Blocks, outcome.Block{Height: a.height, ID: a.id, Bytes: a.bytes, At: a.made.Sub(b.t0)})
	}
	from, known := b.names[a.from]
	if !known || from == peer {
		from = -1
	}
	b.out.Arrivals = append(b.out.Arrivals, outcome.Arrival{
		Peer: peer, Height: a.height, ID: a.id, At: time.Since(b.t0), Via: a.via, From: from, Hop: a.hop,
	})
	select {
	case b.news <- struct{}{}:
	default: // it is known already that there are some
	}
}

// lull begins a time in which no block is under way, if it is a second since everybody has
// the last.
func (b *book) lull() {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.out.Blocks)
	if n == 0 || b.closed || !b.quiet.IsZero() || time.Since(b.last) < time.Second {
		return
	}
	for i, tip := range b.tips {
		if b.alive(i) && tip < b.out.Blocks[n-1].Height {
			return
		}
	}
	b.quiet, b.mark = time.Now(), b.tally()
}

// awake ends it.
func (b *book) awake() {
	if b.quiet.IsZero() {
		return
	}
	b.out.Quiet += time.Since(b.quiet)
	for i, t := range b.tally() {
		b.out.Peers[i].Idle += t.received - b.mark[i].received
	}
	b.quiet = time.Time{}
}

// drop notes that a peer let go of another for what it did.
func (b *book) drop(peer int, other, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	dropped, known := b.names[other]
	if !known {
		dropped = -1
	}
	b.out.Drops = append(b.out.Drops, outcome.Drop{Peer: peer, Dropped: dropped, At: time.Since(b.t0), Why: why})
}

// gone and back note when a peer does not run.
func (b *book) gone(peer int, at time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.Peers[peer].Gone(at)
}

func (b *book) back(peer int, at time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out.Peers[peer].Back(at)
}

// height returns that of the last block made.
func (b *book) height() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.out.Blocks); n > 0 {
		return b.out.Blocks[n-1].Height
	}
	return 0
}

// close ends the book and hands it over.
func (b *book) close() *outcome.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	out := b.out
	return &out
}

// blocks returns how many were made.
func (b *book) blocks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.out.Blocks)
}

// tally is the traffic of all peers up to some moment.
type tally []struct{ received, sent, coming int64 }

func (n *network) tally() tally {
	t := make(tally, len(n.ports))
	for i, p := range n.ports {
		t[i].received, t[i].sent, t[i].coming = p.received.Load(), p.sent.Load(), p.coming.Load()
	}
	return t
}
