// Package catchup is the protocol core that fetches ranges of blocks when a peer
// is far behind: from several neighbours in parallel, bounded in blocks and bytes,
// whoever is slow or wrong passed over.
//
//	this peer               neighbour A            neighbour B
//	   │ GetRange(1–32) ─────────▶│                     │
//	   │ GetRange(33–64) ─────────┼────────────────────▶│
//	   │◀──────── blocks 1 … 20 ──│ (its byte budget)   │
//	   │◀──────── blocks 33 … ────┼─────────────────────│
//	   │ GetRange(21–32) ────────▶│                     │
//
// Block sync in this manner, a range per peer with the rest returned to the list
// of what is to do, is common to Bitcoin's and Ethereum's clients; one request at
// a time, as in Fabric's state transfer, makes the slowest peer the pace.
//
// Invariants:
//
//   - Every height above the tip and within the window is in exactly one of: to do,
//     asked of one peer, arrived; but that an answer which had timed out may come after
//     all, of heights that another was asked for meanwhile.
//   - A neighbour has at most one request at a time, and owes its answer until it has
//     come or the connection is gone: a request is not lost, and a second one would
//     only have a slow link bring the same twice. A time-out makes the heights to do
//     again, for others; what then comes all the same is taken.
//   - What has arrived and is asked for stays within the window above the tip, so
//     that memory is bounded however fast the network is and however slow the disk.
//
// The engine is sans-IO: one goroutine owns it and tells it the time. The driver
// checks each block before it tells of it, holds it, and appends in height order.
package catchup

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Gap is how many blocks behind its best neighbour a peer starts to catch up at once,
// for push and pull are too far behind: a peer that is a second or two behind a busy
// network has most blocks announced already, and fetching them whole would only slow it
// down. It stays well within the window of fresh blocks.
const Gap = 24

const (
	// gapPatience is how long a smaller gap may stand before it is caught up too: by then
	// push and pull have had several tries (a guess).
	gapPatience = 2 * time.Second
	// timeout is how long a request may go without a piece of a block at first: twice
	// what an answer of MaxBytes takes over a link of 10 Mbit/s, nearly.
	timeout = 3 * time.Second
	// batch is how many blocks one request asks for: few enough to spread a short gap
	// over several peers, enough that a round trip is not what it costs.
	batch = 32
	// parallel is how many requests are in flight, each to another neighbour (a guess).
	// More than 16 would not be sent: budget and window are 16 answers.
	parallel = 8
	// MaxBytes is the most that one answer brings, unless its first block is larger. The
	// lane's queue holds one such answer and the largest block.
	MaxBytes = 2 << 20
	// window is how far above the tip blocks are asked for.
	window = 16 * batch
	// budget bounds the bytes of blocks that have arrived or are asked for and wait
	// for one below them. The next block is asked for whatever waits.
	budget = 32 << 20
	// maxWaits is how many times its first value the time-out may grow to: a piece
	// of 60 KiB within it is a kilobyte a second.
	maxWaits = 16
	// slowest is what a request must bring in a second, once it has had two time-outs:
	// a hundredth of a link of 50 Mbit/s. Pieces alone do not keep a peer that
	// trickles in its place.
	slowest = 64 << 10
	// penalty is for how long a neighbour is not asked again after a failure, nor
	// believed in what it says that it holds. It doubles, with every failure that no
	// block comes between, up to maxPenalty.
	penalty    = 10 * time.Second
	maxPenalty = 4 * penalty
	// owed is for how long after its last piece an answer counts as one that will come.
	// It bounds what a neighbour with a fault of its own costs (a guess).
	owed = 10 * time.Minute
)

// Stats counts what the engine has done.
type Stats struct {
	Requests uint64
	Timeouts uint64
	Failures uint64 // answers that were wrong, or empty against what the peer had said
	Blocks   uint64 // blocks that came
	Doubles  uint64 // blocks that came and were not asked for, or known by then
}

type neighbour struct {
	id        wire.PeerID
	tip, base uint64
	asked     *request      // which it has not answered
	notBefore time.Time     // of its penalty; zero: it serves none
	penalty   time.Duration // the last one, if no block came since
	useful    bool          // it was chosen by this side, or has brought something
}

// Engine is the catch-up protocol's state at one peer.
type Engine struct {
	rng     *rand.Rand
	peers   []*neighbour   // ascending by id
	tip     uint64         // accepted
	arrived map[uint64]int // sizes in bytes, by height, of what waits for the chain
	waiting int            // their sum
	active  bool           // until the best neighbour's height is nearly reached
	sinceAt time.Time      // since when this peer is behind without progress; zero: it is not
	came    int            // bytes of missing blocks that push and pull have brought since then
	number  uint32

	calm bool // nobody owes an answer, nor serves a penalty: there are no deadlines of neighbours

	typical time.Duration // what a piece takes, on average
	wait    time.Duration // the time-out at present

	effects effect.List
	stats   Stats
}

// New makes the engine of a peer whose chain ends at height tip.
func New(seed uint64, tip uint64) *Engine {
	return &Engine{
		rng:     rand.New(rand.NewPCG(seed, 0x6361746368)),
		tip:     tip,
		arrived: map[uint64]int{},
		wait:    timeout,
	}
}

// Effects drains what the engine wants done, in order.
func (e *Engine) Effects() []effect.Effect { return e.effects.Drain() }

// Stats returns the counts so far.
func (e *Engine) Stats() Stats { return e.stats }

// Active says whether the engine is catching up.
func (e *Engine) Active() bool { return e.active }

// PeerUp tells of a new neighbour and of what it holds.
func (e *Engine) PeerUp(now time.Time, p wire.PeerID, tip, base uint64) {
	i, found := e.find(p)
	if found {
		return
	}
	e.peers = slices.Insert(e.peers, i, &neighbour{id: p, tip: tip, base: base})
	e.step(now)
}

// PeerDown tells that a neighbour is gone.
func (e *Engine) PeerDown(now time.Time, p wire.PeerID) {
	i, found := e.find(p)
	if !found {
		return
	}
	if r := e.peers[i].asked; r != nil {
		e.effects.Add(effect.Discard{Peer: p, Number: r.number})
	}
	e.peers = slices.Delete(e.peers, i, i+1)
	e.step(now)
}

// PeerTip tells how far a neighbour's chain goes.
func (e *Engine) PeerTip(now time.Time, p wire.PeerID, tip uint64) {
	if n := e.peer(p); n != nil && tip > n.tip {
		n.tip = tip
		e.step(now)
	}
}

// Useful tells that a neighbour was chosen by this side, or has brought something right.
func (e *Engine) Useful(p wire.PeerID) {
	if n := e.peer(p); n != nil {
		n.useful = true
	}
}

// Accepted tells that the chain has grown to a height, by whatever way.
func (e *Engine) Accepted(now time.Time, height uint64) {
	if height <= e.tip {
		return
	}
	for h := e.tip + 1; h <= height && len(e.arrived) > 0; h++ {
		e.drop(h)
	}
	e.tip, e.sinceAt = height, time.Time{}
	e.step(now)
}

func (e *Engine) drop(height uint64) {
	e.waiting -= e.arrived[height]
	delete(e.arrived, height)
}

// Deadline returns when Tick is due next; the zero time means never.
func (e *Engine) Deadline() time.Time {
	var at time.Time
	next := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if !e.calm {
		for _, n := range e.peers {
			if n.asked != nil {
				next(n.asked.deadline)
			} else if n.tip > e.tip {
				next(n.notBefore)
			}
		}
	}
	if !e.active && !e.sinceAt.IsZero() {
		next(e.sinceAt.Add(gapPatience))
	}
	return at
}

// Tick does what is due.
func (e *Engine) Tick(now time.Time) {
	for _, n := range e.peers {
		if n.asked != nil && !n.asked.deadline.After(now) {
			e.timedOut(now, n)
		}
		if !n.notBefore.IsZero() && !n.notBefore.After(now) {
			n.notBefore = time.Time{}
		}
	}
	e.step(now)
}

// step decides whether to catch up, and hands out what is to do.
func (e *Engine) step(now time.Time) {
	best := e.tip
	e.calm = true
	for _, n := range e.peers {
		if n.notBefore.IsZero() && !n.late() && n.base <= min(n.tip, e.tip+window) { // it can be asked
			best = max(best, n.tip)
		}
		e.calm = e.calm && n.asked == nil && n.notBefore.IsZero()
	}
	switch {
	case best <= e.tip:
		e.active, e.sinceAt = false, time.Time{}
		return
	case e.sinceAt.IsZero():
		e.since(now)
	}
	over := !now.Before(e.sinceAt.Add(gapPatience))
	if over && time.Duration(e.came) >= slowest*gapPatience/time.Second {
		e.since(now)
		over = false
	}
	switch {
	case best > e.tip+Gap || over:
		e.active = true
	case best <= e.tip+Gap/4: // push and pull carry on from here
		e.active = false
	}
	if e.active {
		e.assign(now, best)
	}
}

// since begins to wait for push and pull.
func (e *Engine) since(now time.Time) { e.sinceAt, e.came = now, 0 }

// Progressed tells of bytes of a missing block that push or pull has brought. While they
// bring them at a fair pace a small gap is left to them: to fetch the same by catch-up
// as well would halve the pace.
func (e *Engine) Progressed(bytes int) { e.came += bytes }

// assign gives idle neighbours, in random order, the useful ones first, the lowest
// heights that nobody was asked for.
func (e *Engine) assign(now time.Time, best uint64) {
	var open []*request
	for _, n := range e.peers {
		if n.asked != nil && !n.asked.late {
			open = append(open, n.asked)
		}
	}
	free := e.free(min(best, e.tip+window), open)
	order := e.rng.Perm(len(e.peers))
	slices.SortStableFunc(order, func(i, j int) int {
		switch a, b := e.peers[i].useful, e.peers[j].useful; {
		case a && !b:
			return -1
		case b && !a:
			return 1
		}
		return 0
	})
	for _, i := range order {
		full := e.waiting+(len(open)+1)*MaxBytes > budget
		if len(open) >= parallel || len(free) == 0 || (full && free[0] != e.tip+1) {
			return
		}
		n := e.peers[i]
		if n.asked != nil || !n.notBefore.IsZero() {
			continue
		}
		from, to, ok := todo(free, n.base, n.tip)
		if !ok || (full && from != e.tip+1) {
			continue
		}
		free = slices.DeleteFunc(free, func(h uint64) bool { return h >= from && h <= to })
		e.number++
		e.stats.Requests++
		e.calm = false
		n.asked = &request{
			number: e.number, from: from, to: to, next: from,
			sent: now, last: now, wait: e.wait, deadline: now.Add(e.wait),
		}
		e.effects.Send(n.id, &message.GetRange{Number: e.number, From: from, Upto: to, MaxBytes: MaxBytes})
		open = append(open, n.asked)
	}
}

// todo returns the lowest range, of at most a batch, of free heights that a peer with
// these bounds holds.
func todo(free []uint64, base, tip uint64) (from, to uint64, ok bool) {
	for _, h := range free {
		switch {
		case h < base:
		case h > tip:
			return from, to, ok
		case !ok:
			from, to, ok = h, h, true
		case h == to+1 && h-from < batch:
			to = h
		default:
			return from, to, ok
		}
	}
	return from, to, ok
}

// free returns the heights up to one that have neither arrived nor are asked for in the
// open requests, ascending.
func (e *Engine) free(upto uint64, open []*request) (free []uint64) {
	for h := e.tip + 1; h <= upto; h++ {
		_, here := e.arrived[h]
		if !here && !slices.ContainsFunc(open, func(r *request) bool { return h >= r.next && h <= r.to }) {
			free = append(free, h)
		}
	}
	return free
}

func (e *Engine) find(p wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(e.peers, p, func(n *neighbour, p wire.PeerID) int { return cmp.Compare(n.id, p) })
}

func (e *Engine) peer(p wire.PeerID) *neighbour {
	if i, found := e.find(p); found {
		return e.peers[i]
	}
	return nil
}
