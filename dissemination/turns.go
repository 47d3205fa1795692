package dissemination

import (
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// How long a peer's lane is used up by what it says: about twenty times what that costs
// in processor time here, so that a neighbour uses a twentieth of a core on a lane at
// most. It is held up then, and not charged: it may be faster than this node, and mean
// well. What this node has asked for is free.
const (
	announceGap = time.Millisecond // a signature, or a look into a table
	tipGap      = time.Millisecond // some looks into tables, in the loop
	fetchGap    = time.Millisecond // a look into the index, and an answer
	pullGap     = 20 * time.Millisecond
	needGap     = 20 * time.Millisecond // a look at all leaves of a block, and an answer of some KiB
	orderingGap = time.Millisecond
	evidenceGap = 100 * time.Millisecond // two signatures, or a whole block's
	staleGap    = time.Millisecond       // of gossip that brings nothing new: to look for what it names
	bytesPerSec = 32 << 20               // of any of these, for decoding it

	// allowance is how much of its share a peer may use at once: the two seconds after a
	// pause in which blocks that lay ready come.
	allowance = 2 * time.Second
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
	// rangeGap is for ranges of blocks: 5 ms for 2 MiB. It leaves a neighbour 40 MiB or 640
	// blocks a second, and whoever catches up asks eight. With a fifth of that gap four
	// that asked for all they could took both cores of a network of five.
	rangeGap = 50 * time.Millisecond
)

// gap is how long a message uses up its lane.
func gap(m message.Message, bytes int) time.Duration {
	var d time.Duration
	switch m.(type) {
	case *message.Announce:
		d = announceGap
	case *message.Tip:
		d = tipGap
	case *message.Fetch:
		d = fetchGap
	case *message.Pull:
		d = pullGap
	case *message.Ordering:
		d = orderingGap
	case *message.Evidence:
		d = evidenceGap
	case *message.Ask:
		d = fetchGap
	case *message.Enough, *message.Got, *message.Stripes, *message.Graft, *message.Have:
		d = tipGap
	case *message.Need:
		d = needGap
	case *message.Part, *message.Chunk, *message.Shards, *message.Txs: // answers: more than was asked for is charged
		return 0
	case *message.GetRange, *message.Inventory, *message.Want: // held up where they are answered
		return 0
	}
	return d + time.Duration(bytes)*time.Second/bytesPerSec
}

// turns hold up a peer's lane until its next message may be looked at: the generic cell
// rate algorithm (ITU-T I.371), per peer.
type turns struct {
	allowance time.Duration // how far ahead of its share a peer may be
	done      <-chan struct{}

	mu   sync.Mutex
	next map[wire.PeerID]time.Time // guarded by mu; when all that came will have been paid for
}

func newTurns(allowance time.Duration, done <-chan struct{}) *turns {
	return &turns{allowance: allowance, done: done, next: map[wire.PeerID]time.Time{}}
}

// wait returns when it is the peer's turn, which uses up its lane for gap; or when nobody
// is to wait any more.
func (t *turns) wait(from wire.PeerID, gap time.Duration) {
	now := time.Now()
	t.mu.Lock()
	at := t.next[from]
	if at.Before(now) {
		at = now
	}
	t.next[from] = at.Add(gap)
	t.mu.Unlock()
	wait := at.Sub(now) - t.allowance
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.done:
	}
}

// use uses up a peer's lane without a wait.
func (t *turns) use(from wire.PeerID, gap time.Duration) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.next[from]
	if at.Before(now) {
		at = now
	}
	t.next[from] = at.Add(gap)
}

// over says whether the peer would have to wait.
func (t *turns) over(from wire.PeerID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.next[from]) > t.allowance
}

// forget forgets a peer.
func (t *turns) forget(p wire.PeerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.next, p)
}

// helpers are the neighbours that this side has chosen, or that have brought something
// right: every second draw is among them.
type helpers struct {
	mu    sync.Mutex
	known map[wire.PeerID]bool // guarded by mu
}

// add says whether the peer was not among them.
func (h *helpers) add(p wire.PeerID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[p] {
		return false
	}
	h.known[p] = true
	return true
}

func (h *helpers) forget(p wire.PeerID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, p)
}

// useful tells everybody that a neighbour is one of the helpers. It is for the loop.
func (d *Driver) useful(p wire.PeerID) {
	if d.helpers.add(p) {
		d.help(p)
	}
}

func (d *Driver) help(p wire.PeerID) {
	d.cfg.Host.Brought(p)
	d.core.Useful(p)
	d.pools.core.Useful(p)
}

// hasBrought is useful for the readers.
func (d *Driver) hasBrought(p wire.PeerID) {
	if d.helpers.add(p) {
		d.post(func(time.Time) { d.help(p) })
	}
}

const (
	// overhead is what a message costs besides its content, in bytes: no answer is free.
	overhead = 64
	// handful is what a peer may send unasked, in bytes.
	handful = 64 << 10
)

// credits count what each peer may still send of what it was asked for, in bytes,
// overheads included. An answer that comes late is paid for by its question, however
// long ago that was given up.
type credits struct {
	mu   sync.Mutex
	left map[wire.PeerID]int // guarded by mu; below zero: sent unasked
	// ahead is the bytes of shards that each has sent of blocks that were not known, since
	// there was a new one.
	ahead map[wire.PeerID]int // guarded by mu
	most  int                 // that an honest one sends
}

// newCredits makes credits of a network in which a block's code has so many bytes at most.
func newCredits(most int) *credits {
	return &credits{left: map[wire.PeerID]int{}, ahead: map[wire.PeerID]int{}, most: most}
}

// early notes shards of a block that is not known, and says whether an honest peer can have
// sent them: to one that has just come, or that its announcement has not reached, it may send
// all of one.
func (c *credits) early(from wire.PeerID, bytes int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead[from] = min(c.ahead[from]+bytes+overhead, 2*c.most)
	return c.ahead[from] <= c.most
}

// grant notes that a peer was asked for so many bytes, in so many messages at most.
func (c *credits) grant(to wire.PeerID, bytes, messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left[to] += bytes + messages*overhead
}

// known notes that there is a new block.
func (c *credits) known() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.ahead)
}

// spend notes an answer, and says whether a peer that was asked can have sent it.
func (c *credits) spend(from wire.PeerID, bytes int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left[from] = max(c.left[from]-bytes-overhead, -2*handful)
	return c.left[from] >= -handful
}

func (c *credits) forget(p wire.PeerID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.left, p)
	delete(c.ahead, p)
}

// answerTo returns the most that an answer to a Fetch of places of a block brings.
func answerTo(m *message.Fetch, h *block.Header, l block.Limits) (bytes, messages int) {
	if len(m.At) == 0 {
		bytes = int(h.TxCount) * len(block.ID{})
	} else {
		bytes = min(int(h.BodySize), len(m.At)*l.MaxTxBytes)
	}
	// Two pieces that follow each other are larger than one, together.
	return bytes, 2 + 2*bytes/message.PartBytes
}

// rangeOf returns the most that an answer to a GetRange brings: its first block may be
// larger than what was asked for.
func rangeOf(m *message.GetRange, l block.Limits) (bytes, messages int) {
	bytes = max(m.MaxBytes, block.SignedHeaderSize+l.MaxBodyBytes)
	blocks := int(m.Upto - m.From + 1)
	return bytes, 2 + blocks + bytes/message.PartBytes
}

// grantShards notes that each neighbour may send all of a block's code, which is more than
// any honest one does.
func (d *Driver) grantShards(b *message.Block) {
	d.credits.known()
	for _, p := range d.neighbours {
		leaves := b.ListCode.Leaves() + b.BodyCode.Leaves()
		d.credits.grant(p, b.ListCode.Symbols()*b.ListCode.Symbol+b.BodyCode.Symbols()*b.BodyCode.Symbol, leaves)
	}
}

// grantAsk notes that a neighbour was asked for leaves.
func (d *Driver) grantAsk(to wire.PeerID, m *message.Ask) {
	leaves := 0
	for _, r := range m.Leaves {
		leaves += r.Count
	}
	if c := d.codes.get(m.Ref); c != nil {
		g := c.header.ListGeometry()
		if m.Body {
			g = c.header.BodyGeometry()
		}
		d.credits.grant(to, leaves*g.LeafBytes(), leaves)
	}
}
