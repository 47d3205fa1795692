package fresh

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
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

var modeNames = []string{PushPull: "push-pull", PushOnly: "push", PullOnly: "pull"}

// Modes returns the modes' names, the default first.
func Modes() []string { return slices.Clone(modeNames) }

// String returns the mode as settings spell it.
func (m Mode) String() string { return modeNames[m] }

// MarshalText implements encoding.TextMarshaler, for logs in JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; "" is the default.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeNames, cmp.Or(string(text), modeNames[PushPull]))
	if i < 0 {
		return fmt.Errorf("want one of %s", strings.Join(modeNames, ", "))
	}
	*m = Mode(i)
	return nil
}

// ParseMode reads what String wrote; "" is the default.
func ParseMode(s string) (m Mode, err error) {
	if err := m.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("mode is %q: %w", s, err)
	}
	return m, nil
}

// Config sets an engine up. The zero value of a field means its default.
type Config struct {
	Mode Mode
	// Fanout is how many random neighbours an announcement goes to; zero means
	// min(neighbours, ⌈ln members⌉ + 7): a fan-out f misses members·e^−f peers, so
	// this misses one peer in a thousand announcements, whatever the network's size.
	Fanout int
	// PullEvery is the mean time between periodic pulls; zero means DefaultPullEvery.
	PullEvery time.Duration
	// FetchTimeout is how long a request may go without progress at first; zero means
	// DefaultFetchTimeout, and more than MaxFetchTimeout is that. It grows to three
	// times what answers take, late ones included: when links are full, asking another
	// only fills them more.
	FetchTimeout time.Duration
	// CatchupGap is how many blocks behind its neighbours a peer leaves to catch-up
	// instead of pulling; zero means never.
	CatchupGap uint64
	// PullHeaders makes pulls bring word of blocks of which others have only heard, and
	// pulls from every new neighbour at once: a producer wants to know what was signed
	// with its key.
	PullHeaders bool
	// Producer is who makes the blocks; empty: nobody knows.
	Producer wire.PeerID
}

// Defaults of Config, and its bounds.
const (
	// DefaultPullEvery is a guess: gaps are pulled at once, so it bounds only what
	// nothing else shows.
	DefaultPullEvery = 2 * time.Second
	// DefaultFetchTimeout is several round trips of a wide link (a guess).
	DefaultFetchTimeout = 500 * time.Millisecond
	// MaxFetchTimeout is the longest that a request may say it waits.
	MaxFetchTimeout = message.MaxWait
	// MaxFanout is more than anybody has neighbours.
	MaxFanout = 1024
)

// Validate refuses what an engine could not work with, by the names that settings have.
func (c Config) Validate() error {
	switch {
	case int(c.Mode) >= len(modeNames):
		return fmt.Errorf("mode is %d: want one of %d", c.Mode, len(modeNames))
	case c.Fanout < 0 || c.Fanout > MaxFanout:
		return fmt.Errorf("fanout is %d: want 0 for the default, or up to %d", c.Fanout, MaxFanout)
	case c.PullEvery < 0:
		return fmt.Errorf("pull_every is %v: want 0 for the default, or more", c.PullEvery)
	case c.FetchTimeout < 0 || c.FetchTimeout > MaxFetchTimeout:
		return fmt.Errorf("fetch_timeout is %v: want 0 for the default, or up to %v", c.FetchTimeout, MaxFetchTimeout)
	}
	return nil
}

// Bounds that no setting changes.
const (
	// Window is how far above the tip an announcement may be. A block takes up to
	// a body of memory; at the usual rates this is several seconds of blocks. A pull
	// names all of it.
	Window = message.MaxHave
	// keep is how many accepted blocks the engine remembers, to answer pulls: a few
	// times what the window holds (a guess).
	keep = 256
	// gapDelay is how long a gap may stand before it is pulled: announcements overtake
	// one another by about that much on wide links (a guess).
	gapDelay = 100 * time.Millisecond
	// pullSpan is how many announcements one pull may bring: 16 of the largest
	// (60 kB of short IDs) are a megabyte.
	pullSpan = 16
	// pullSpacing is the shortest time between two pulls of one peer that are
	// answered: a pull is small and its answer is not.
	pullSpacing = 20 * time.Millisecond
	// shunTime is for how long a neighbour that left a request unanswered is asked
	// only when there is nobody else (a guess): a peer that always announces first
	// and never answers costs a time-out this often, and not with every block.
	shunTime = 30 * time.Second
	// owedFor is for how long a request counts as one that will be answered. None is lost
	// while its connection stands, and who cannot serve it refuses; to repeat it would
	// only have a slow link bring twice what it has not brought once. So this bounds
	// what a peer with a fault of its own costs (a guess).
	owedFor = 10 * time.Minute
	// maxPatience is how many times its first value the fetch time-out may grow to.
	maxPatience = 16
	// sourcesMax bounds the announcers remembered per block; more than a few are
	// never asked, unless those fail: they make room.
	sourcesMax = 32
	// slowest is what an answer must bring in a second, once it has come for twice the
	// time-out: a third of what ten peers get of a link of 4 Mbit/s (a guess). Parts alone
	// do not keep a peer that trickles in its place.
	slowest = 16 << 10
)

func (c Config) withDefaults() Config {
	c.PullEvery = cmp.Or(c.PullEvery, DefaultPullEvery)
	c.FetchTimeout = min(cmp.Or(c.FetchTimeout, DefaultFetchTimeout), MaxFetchTimeout)
	return c
}

// neighbour is what the engine knows of an active neighbour.
type neighbour struct {
	id        wire.PeerID
	tip       uint64        // highest block it is known to hold
	pullUntil time.Time     // a pull to it is in flight until then; zero: none
	pullWait  time.Duration // for the next one: it doubles while none is answered
	pullOwed  int           // how many answers to the last one may still come
	servedAt  time.Time     // when its last pull was answered
	shunUntil time.Time     // it left a request unanswered
	useful    bool          // it was chosen by this side, or has brought something
	lag       time.Duration // how far behind the orderer it was
	lagAt     time.Time     // when it said so
	keptUp    bool          // it was not far behind once
}

// Engine is the fresh-block protocol's state at one peer. It is not safe for
// concurrent use, starts no goroutine, and learns the time from its arguments.
type Engine struct {
	cfg      Config
	rng      *rand.Rand
	members  int
	tip      block.Tip // the last accepted block
	heard    heard
	keptUp   bool         // this peer was not far behind once
	peers    []*neighbour // ascending by id
	byID     map[wire.PeerID]*neighbour
	useful   int // how many of peers are
	blocks   map[block.ID]*entry
	above    []*entry      // known and not accepted, ascending by height, one per height
	kept     []*entry      // accepted, ascending by height, at most keep
	number   uint32        // of the last request
	typical  time.Duration // what answers take, on average
	patience time.Duration // the fetch time-out at present
	silence  int           // time-outs without an answer since the last answer
	pullAt   time.Time
	gapAt    time.Time // when the gap is to be pulled; zero: there is none
	effects  effect.List
	again    int // bytes that came though they were here
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
	e.schedulePull(now)
	return e
}

// Effects drains what the engine wants done, in order.
func (e *Engine) Effects() []effect.Effect { return e.effects.Drain() }

// Stats returns the counts so far.
func (e *Engine) Stats() Stats { return e.stats }

// Again returns the bytes of blocks' transactions that came though they were here.
func (e *Engine) Again() int { return e.again }

// Tip returns the last accepted block.
func (e *Engine) Tip() block.Tip { return e.tip }

// Pending returns how many blocks are known and not accepted.
func (e *Engine) Pending() int { return len(e.above) }

// PeerUp tells of a new active neighbour and the height of its ledger.
func (e *Engine) PeerUp(now time.Time, p wire.PeerID, tip uint64) {
	i, found := e.find(p)
	if found {
		return
	}
	n := &neighbour{id: p, tip: tip}
	e.peers = slices.Insert(e.peers, i, n)
	e.byID[p] = n
	if e.cfg.PullHeaders {
		e.pullFrom(now, n)
	}
	e.watchGap(now)
}

// PeerDown tells that a neighbour is gone.
func (e *Engine) PeerDown(now time.Time, p wire.PeerID) {
	i, found := e.find(p)
	if !found {
		return
	}
	if e.peers[i].useful {
		e.useful--
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
	took = min(took, e.longest())
	if e.typical == 0 {
		e.typical = took
	}
	e.typical += (took - e.typical) / 4
	e.patience, e.silence = min(max(3*e.typical, e.cfg.FetchTimeout), e.longest()), 0
}

// longest is what the fetch time-out may grow to.
func (e *Engine) longest() time.Duration { return min(maxPatience*e.cfg.FetchTimeout, MaxFetchTimeout) }

// Useful tells that a neighbour was chosen by this side, or has brought something right.
func (e *Engine) Useful(p wire.PeerID) {
	if n := e.peer(p); n != nil && !n.useful {
		n.useful = true
		e.useful++
	}
}

// sample draws up to n random neighbours that pass the filter. While some are useful and
// others are not, every second place is for a useful one: a crowd that came by itself and
// does nothing takes half of the draws at most.
func (e *Engine) sample(n int, pass func(*neighbour) bool) []*neighbour {
	var out, useful []*neighbour
	mixed := e.useful > 0 && e.useful < len(e.peers)
	for _, i := range e.rng.Perm(len(e.peers)) {
		switch p := e.peers[i]; {
		case !pass(p):
		case mixed && p.useful:
			useful = append(useful, p)
		case mixed || len(out) < n:
			out = append(out, p)
		}
	}
	if !mixed {
		return out
	}
	return e.interleave(n, useful, out)
}

// interleave takes up to n from two lists in turn, beginning with either at random.
func (e *Engine) interleave(n int, a, b []*neighbour) (out []*neighbour) {
	if e.rng.IntN(2) == 0 {
		a, b = b, a
	}
	for len(out) < n && len(a)+len(b) > 0 {
		if len(a) > 0 {
			out, a = append(out, a[0]), a[1:]
		}
		a, b = b, a
	}
	return out
}

// Deadline returns when Tick is due next; the zero time means never.
func (e *Engine) Deadline() time.Time {
	at := earliest(e.pullAt, e.gapAt)
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

// Stats counts what the engine has seen and done since it was made.
type Stats struct {
	Announced     uint64 // announcements that arrived
	Duplicates    uint64 // of these, for blocks already known
	Ignored       uint64 // of these, outside the window or against another at its height
	Relayed       uint64 // announcements sent on
	Fetches       uint64 // requests sent
	FetchTimeouts uint64 // of these, without an answer in time
	FetchRefusals uint64 // of these, answered with no
	Mismatches    uint64 // bodies that short IDs rebuilt wrongly
	Served        uint64 // requests answered with transactions
	Refused       uint64 // requests answered with no
	Pulls         uint64 // pulls sent
	PullsAnswered uint64 // pulls answered with announcements
	PullsIgnored  uint64 // pulls over a peer's rate
}
