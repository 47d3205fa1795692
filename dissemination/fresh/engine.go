package fresh

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Mode says how fresh blocks travel.
type Mode uint8

// The modes. PushPull is the default; the others are for comparison.
const (
	PushPull Mode = iota
	PushOnly
	PullOnly
)

// Config sets an engine up. The zero value of a field means its default.
type Config struct {
	Mode Mode
	// Fanout is how many random neighbours an announcement goes to; zero means
	// min(neighbours, ⌈ln members⌉ + 7): a fan-out f misses members·e^−f peers, so
	// this misses one peer in a thousand announcements, whatever the network's size.
	Fanout int
	// SourceFanout is the fan-out of a block's own producer; zero means Fanout.
	SourceFanout int
	// Blind draws from all neighbours, whatever they are known to hold, and takes the
	// one that the block came from out after the draw, so that the fan-out is one less
	// when it was drawn (removeSelfLoop in Fabric's gossip_impl.go).
	Blind bool
	// Batch is the period of a fixed cycle, of random phase, at whose ticks blocks are
	// passed on; all blocks of a tick go to the same neighbours, as from Fabric's
	// emitter (batcher.go). Zero means at once, each to neighbours of its own.
	Batch time.Duration
	// BodyHops makes announcements carry the body: one whose hop is below this is
	// followed by it, unasked, and so is sent only by a peer that has checked the body
	// itself. The others are digests: they name the block and not its transactions.
	// Zero means that no body is pushed, and that announcements are compact blocks.
	BodyHops int
	// Contagion passes a block on once for every hop count at which it was announced,
	// as long as the next hop is at most this, each time to neighbours drawn anew:
	// infect upon contagion, with a counter (Berendea et al., "Fair and Efficient
	// Gossip in Hyperledger Fabric", ICDCS 2020). Zero means once: infect and die.
	Contagion int
	// PullPeers is how many random neighbours a periodic pull asks; zero means 1.
	PullPeers int
	// PullEvery is the mean time between periodic pulls; zero means 2 s (a guess:
	// gaps are pulled at once, so this bounds only what nothing else shows).
	PullEvery time.Duration
	// PullFixed makes PullEvery a fixed period, of random phase, instead of a mean.
	PullFixed bool
	// DigestWait is for how long after a pull nothing is fetched of what answers to it
	// announce; then a random one of those that answered is asked (Fabric's
	// algo/pull.go). Zero means that the first to answer is asked at once.
	DigestWait time.Duration
	// GapDelay is how long a gap may stand before it is pulled; zero means 100 ms:
	// announcements overtake one another by about that much on wide links (a guess).
	// Negative means that gaps are left to the periodic pull.
	GapDelay time.Duration
	// Keep is how many accepted blocks are remembered, to answer pulls; zero means 256.
	Keep int
	// FetchTimeout is how long a request may go without progress at first; zero means
	// 500 ms: several round trips of a wide link (a guess). It grows to three times
	// what answers take, late ones included: when links are full, asking another only
	// fills them more.
	FetchTimeout time.Duration
	// CatchupGap is how many blocks behind its neighbours a peer leaves to catch-up
	// instead of pulling; zero means never.
	CatchupGap uint64
}

// Defaults and bounds of what operators set.
const (
	DefaultPullEvery    = 2 * time.Second
	DefaultFetchTimeout = 500 * time.Millisecond
	MaxFetchTimeout     = maxWait
)

// Bounds that no setting changes.
const (
	// Window is how far above the tip an announcement may be. A block takes up to
	// a body of memory; at the usual rates this is several seconds of blocks.
	Window = 64
	// keep is how many accepted blocks the engine remembers by default.
	keep = 256
	// pullSpan is how many announcements one pull may bring: 16 of the largest
	// (60 kB of short IDs) are a megabyte.
	pullSpan = 16
	// pullGap is the shortest time between two pulls of one peer that are
	// answered: a pull is small and its answer is not.
	pullGap = 20 * time.Millisecond
	// shunTime is for how long a neighbour that left a request unanswered is asked
	// only when there is nobody else (a guess): a peer that always announces first
	// and never answers costs a time-out this often, and not with every block.
	shunTime = 30 * time.Second
	// owed is for how long a request counts as one that will be answered. None is lost
	// while its connection stands, and who cannot serve it refuses; to repeat it would
	// only have a slow link bring twice what it has not brought once. So this bounds
	// what a peer with a fault of its own costs (a guess).
	owed = 10 * time.Minute
	// maxPatience is how many times its first value the fetch time-out may grow to.
	maxPatience = 16
	// maxWait is the longest that a request may say it waits, and so the longest
	// time-out.
	maxWait = time.Minute
	// sourcesMax bounds the announcers remembered per block; more than a few are
	// never asked.
	sourcesMax = 32
)

func (c Config) withDefaults() Config {
	if c.PullPeers == 0 {
		c.PullPeers = 1
	}
	if c.PullEvery == 0 {
		c.PullEvery = DefaultPullEvery
	}
	if c.GapDelay == 0 {
		c.GapDelay = 100 * time.Millisecond
	}
	if c.Keep == 0 {
		c.Keep = keep
	}
	if c.FetchTimeout == 0 {
		c.FetchTimeout = DefaultFetchTimeout
	}
	c.FetchTimeout = min(c.FetchTimeout, maxWait)
	return c
}

// neighbour is what the engine knows of an active neighbour.
type neighbour struct {
	id        wire.PeerID
	tip       uint64        // highest block it is known to hold
	pulledAt  time.Time     // when it was last asked by a pull
	pullUntil time.Time     // a pull to it is in flight until then; zero: none
	pullWait  time.Duration // for the next one: it doubles while none is answered
	servedAt  time.Time     // when its last pull was answered
	shunUntil time.Time     // it left a request unanswered
}

// Engine is the fresh-block protocol's state at one peer. It is not safe for
// concurrent use, starts no goroutine, and learns the time from its arguments.
type Engine struct {
	cfg      Config
	rng      *rand.Rand
	members  int
	tip      block.Tip    // the last accepted block
	peers    []*neighbour // ascending by id
	byID     map[wire.PeerID]*neighbour
	blocks   map[block.ID]*entry
	above    []*entry      // known and not accepted, ascending by height, one per height
	kept     []*entry      // accepted, ascending by height, at most cfg.Keep
	batch    []pass        // what goes out at batchAt
	batchAt  time.Time     // the next tick of the cycle, if something waits for it
	phase    time.Time     // a tick of the cycle
	number   uint32        // of the last request
	typical  time.Duration // what answers take, on average
	patience time.Duration // the fetch time-out at present
	silence  int           // time-outs without an answer since the last answer
	pullAt   time.Time
	gapAt    time.Time // when the gap is to be pulled; zero: there is none
	effects  []Effect
	stats    Stats
}

// New makes the engine of a peer whose chain ends at tip.
func New(cfg Config, seed uint64, now time.Time, tip block.Tip) *Engine {
	e := &Engine{
		cfg:    cfg.withDefaults(),
		rng:    rand.New(rand.NewPCG(seed, 0x6672657368)),
		tip:    tip,
		blocks: map[block.ID]*entry{},
		byID:   map[wire.PeerID]*neighbour{},
	}
	e.patience = e.cfg.FetchTimeout
	e.firstPull(now)
	if b := e.cfg.Batch; b > 0 {
		e.phase = now.Add(time.Duration(e.rng.Int64N(int64(b))))
	}
	return e
}

// Effects drains what the engine wants done, in order.
func (e *Engine) Effects() []Effect {
	out := e.effects
	e.effects = nil
	return out
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats { return e.stats }

// Tip returns the last accepted block.
func (e *Engine) Tip() block.Tip { return e.tip }

// Known returns how many blocks are known and not accepted.
func (e *Engine) Known() int { return len(e.above) }

func (e *Engine) do(x Effect) { e.effects = append(e.effects, x) }

// PeerUp tells of a new active neighbour and the height of its ledger.
func (e *Engine) PeerUp(now time.Time, p wire.PeerID, tip uint64) {
	i, found := e.find(p)
	if found {
		return
	}
	n := &neighbour{id: p, tip: tip}
	e.peers = slices.Insert(e.peers, i, n)
	e.byID[p] = n
	e.watchGap(now)
}

// PeerDown tells that a neighbour is gone.
func (e *Engine) PeerDown(now time.Time, p wire.PeerID) {
	i, found := e.find(p)
	if !found {
		return
	}
	e.peers = slices.Delete(e.peers, i, i+1)
	delete(e.byID, p)
	for _, b := range e.above {
		b.dropPeer(p)
		ended := b.endLate(func(f *fetch) bool { return f.to == p })
		if b.fetch != nil && b.fetch.to == p {
			b.fetch, ended = nil, true
		}
		if ended {
			e.advance(now, b)
		}
	}
	e.watchGap(now)
}

// PeerTip tells how far a neighbour's chain goes, from whatever message said so.
func (e *Engine) PeerTip(now time.Time, p wire.PeerID, height uint64) {
	if n := e.peer(p); n != nil && height > n.tip {
		n.tip = height
		e.watchGap(now)
	}
}

// Members tells how many members the network has, on which the fan-out depends.
func (e *Engine) Members(n int) { e.members = n }

func (e *Engine) find(p wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(e.peers, p, func(n *neighbour, p wire.PeerID) int { return cmp.Compare(n.id, p) })
}

func (e *Engine) peer(p wire.PeerID) *neighbour { return e.byID[p] }

// learn takes what an answer took, from request to first transaction, into the
// time-out: an average that forgets by quarters, as in RFC 6298 but with its
// variance left to the factor. Requests are numbered, so that a late answer counts
// for its own request.
func (e *Engine) learn(took time.Duration) {
	if e.typical == 0 {
		e.typical = took
	}
	e.typical += (took - e.typical) / 4
	e.patience, e.silence = min(max(3*e.typical, e.cfg.FetchTimeout), e.longest()), 0
}

// longest is what the fetch time-out may grow to.
func (e *Engine) longest() time.Duration { return min(maxPatience*e.cfg.FetchTimeout, maxWait) }

// sample draws up to n random neighbours that pass the filter.
func (e *Engine) sample(n int, pass func(*neighbour) bool) []*neighbour {
	var out []*neighbour
	for _, i := range e.rng.Perm(len(e.peers)) {
		if len(out) == n {
			break
		}
		if pass(e.peers[i]) {
			out = append(out, e.peers[i])
		}
	}
	return out
}

// Deadline returns when Tick is due next; the zero time means never.
func (e *Engine) Deadline() time.Time {
	at := earliest(earliest(e.pullAt, e.gapAt), e.batchAt)
	for _, b := range e.above {
		at = earliest(at, b.deadline())
	}
	return at
}

// Tick does what is due.
func (e *Engine) Tick(now time.Time) {
	for _, b := range slices.Clone(e.above) {
		e.tickBlock(now, b)
	}
	if due(e.batchAt, now) {
		e.passBatch()
	}
	if due(e.gapAt, now) {
		e.pullGap(now)
	}
	if due(e.pullAt, now) {
		e.pullPeriodic(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// earliest returns the earlier of two times, of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
