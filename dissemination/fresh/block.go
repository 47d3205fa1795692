package fresh

import (
	"cmp"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Announcement is what the driver tells of a checked announcement.
type Announcement struct {
	Block    block.ID
	Height   uint64
	Parent   block.ID
	Txs      int
	Hop      int
	Complete bool // its sender holds the whole body
	Pulled   bool // it answers a Pull of ours
	Body     bool // the whole body follows, unasked
	Digest   bool // it names the block and not its transactions; so does one with Body
	// Missing are the places that nothing fills, and New those that the prefill
	// filled and the pool could not; both ascending. Of a block whose transactions
	// are not named, all are missing. They count for the first announcement of a
	// block, and for the first that names its transactions; a later one that fills
	// places is told with Arrived.
	Missing []uint32
	New     []uint32
}

// Via says how a block reached this peer.
type Via uint8

// The ways.
const (
	ViaOwn Via = iota
	ViaPush
	ViaPull
)

// Facts is what the engine knows of a block's coming here.
type Facts struct {
	Via        Via
	From       wire.PeerID // who announced it first
	Hop        int
	FirstSeen  time.Time
	Missing    int // transactions that the pool lacked
	Duplicates int // announcements that came after the first
}

// entry is a known block. Until it is accepted it stands in Engine.above.
type entry struct {
	id       block.ID
	height   uint64
	parent   block.ID
	txs      int
	facts    Facts
	sources  []source  // who announced it, in that order, at most sourcesMax
	lacks    []bool    // per place; nil once complete
	lacking  int       // how many of lacks are set
	wanted   []uint32  // these; nil when they have changed
	needIDs  bool      // short IDs rebuilt a wrong body: the full ones are wanted first
	checked  bool      // the body is whole and right: it may be served
	checking bool      // the driver was told Complete
	bare     bool      // its transactions are not named yet
	prefill  []uint32  // places that go along with our announcement
	relayed  bool      // it was passed on
	passed   []bool    // hops that it was passed on with; only with Contagion
	passes   []pass    // what is passed on when the body is here, at most one per hop
	fetch    *fetch    // the request in flight
	late     []*fetch  // what timed out, at most one of each kind per source
	lateTill time.Time // an answer to one of late is coming: nobody else is asked before
	retryAt  time.Time
	holdTill time.Time // it was pulled, and is not fetched before; zero: it may be
	waiters  []waiter  // at most one per neighbour
}

// source is a peer that announced the block.
type source struct {
	peer     wire.PeerID
	complete bool
	tried    bool // it was asked since the last round began, and failed
}

// fetch is a request in flight, or with number 0 a body that comes unasked.
type fetch struct {
	to       wire.PeerID
	number   uint32
	sent     time.Time
	wait     time.Duration // the time-out, when it was sent
	deadline time.Time     // moved on by every part that arrives
	answered bool
}

// waiter is another peer's request that is kept until it can be answered.
type waiter struct {
	peer     wire.PeerID
	number   uint32
	at       []uint32
	deadline time.Time
}

// stranded says that nobody is being asked for what is lacking: those who announced
// the block are gone, or have all failed.
func (b *entry) stranded() bool {
	return !b.checked && !b.checking && b.fetch == nil && b.holdTill.IsZero()
}

// awaited says that somebody was asked whose answer may yet come, late as it is. Other
// sources are looked for at the pull's own pace then.
func (b *entry) awaited(now time.Time) bool {
	return slices.ContainsFunc(b.late, func(f *fetch) bool { return f.owed(now) })
}

// owes says that a source was asked, and may yet answer.
func (b *entry) owes(now time.Time, p wire.PeerID) bool {
	return slices.ContainsFunc(b.late, func(f *fetch) bool { return f.to == p && f.owed(now) })
}

// asked says that it is no body that comes unasked.
func (f *fetch) asked() bool { return f.number > 0 }

// owed says that a request may yet be answered.
func (f *fetch) owed(now time.Time) bool { return f.asked() && now.Before(f.sent.Add(owed)) }

func (b *entry) deadline() time.Time {
	at := b.retryAt
	if b.fetch != nil {
		at = earliest(at, b.fetch.deadline)
	}
	for i := range b.waiters {
		at = earliest(at, b.waiters[i].deadline)
	}
	return at
}

func (b *entry) dropPeer(p wire.PeerID) {
	b.sources = slices.DeleteFunc(b.sources, func(s source) bool { return s.peer == p })
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool { return w.peer == p })
}

// addSource notes that the peer announced the block.
func (b *entry) addSource(p wire.PeerID, complete bool) {
	for i := range b.sources {
		if b.sources[i].peer == p {
			b.sources[i].tried = b.sources[i].tried && (b.sources[i].complete || !complete)
			b.sources[i].complete = b.sources[i].complete || complete
			return
		}
	}
	if len(b.sources) < sourcesMax {
		b.sources = append(b.sources, source{peer: p, complete: complete})
	}
}

// untry begins a new round of asking.
func (b *entry) untry() {
	for i := range b.sources {
		b.sources[i].tried = false
	}
}

// setMissing makes the places the ones that are lacking.
func (b *entry) setMissing(places []uint32) {
	b.lacks, b.lacking, b.wanted = make([]bool, b.txs), 0, nil
	for _, i := range places {
		if int(i) < b.txs && !b.lacks[i] {
			b.lacks[i] = true
			b.lacking++
		}
	}
}

// fill notes that the places are no longer lacking, and says whether any was.
func (b *entry) fill(places []uint32) bool {
	before := b.lacking
	for _, i := range places {
		if int(i) < len(b.lacks) && b.lacks[i] {
			b.lacks[i] = false
			b.lacking--
			b.wanted = nil
		}
	}
	return b.lacking < before
}

// missing returns the lacking places, ascending. Nobody may change the slice, which
// goes into every request until one is answered.
func (b *entry) missing() []uint32 {
	if b.wanted == nil {
		b.wanted = make([]uint32, 0, b.lacking)
		for i, lacks := range b.lacks {
			if lacks {
				b.wanted = append(b.wanted, uint32(i))
			}
		}
	}
	return b.wanted
}

// Proposed tells of a block that this peer made and checked. Prefill are the
// places of transactions that others probably lack.
func (e *Engine) Proposed(now time.Time, a Announcement, prefill []uint32) {
	if e.blocks[a.Block] != nil || a.Height <= e.tip.Height {
		return
	}
	b := e.add(now, a)
	b.facts.Via = ViaOwn
	b.checked, b.prefill = true, prefill
	e.relay(now, b, 0, "")
}

// Announced tells of an announcement that a neighbour sent and that the driver
// found to be right.
func (e *Engine) Announced(now time.Time, from wire.PeerID, a Announcement) {
	n := e.peer(from)
	if n == nil {
		return
	}
	e.stats.Announced++
	if a.Pulled {
		e.pullAnswered(n)
	}
	if a.Complete {
		n.tip = max(n.tip, a.Height)
	}
	defer e.watchGap(now)
	if b := e.blocks[a.Block]; b != nil {
		e.stats.Duplicates++
		b.facts.Duplicates++
		b.addSource(from, a.Complete)
		e.announcedAgain(now, b, from, a)
		e.advance(now, b)
		return
	}
	if a.Height <= e.tip.Height || a.Height > e.tip.Height+Window || e.atHeight(a.Height) != nil {
		e.stats.Ignored++
		return
	}
	b := e.add(now, a)
	b.facts.Via, b.facts.From, b.facts.Hop = ViaPush, from, a.Hop
	if a.Pulled {
		b.facts.Via = ViaPull
	}
	b.facts.Missing = len(a.Missing) + len(a.New)
	b.prefill, b.bare = a.New, a.Body || a.Digest
	b.addSource(from, a.Complete)
	b.setMissing(a.Missing)
	if !a.Pulled {
		e.relay(now, b, a.Hop+1, from)
	} else if till := n.pulledAt.Add(e.cfg.DigestWait); till.After(now) {
		b.holdTill = till
	}
	if a.Body {
		e.expect(now, b, from)
	}
	e.advance(now, b)
}

// announcedAgain takes what an announcement of a known block has that is new.
func (e *Engine) announcedAgain(now time.Time, b *entry, from wire.PeerID, a Announcement) {
	if b.bare && !b.checking && !b.needIDs && !a.Body && !a.Digest {
		b.prefill, b.facts.Missing = a.New, len(a.Missing)+len(a.New)
		if b.setMissing(a.Missing); b.lacking == 0 {
			b.fetch = nil
		}
		e.named(now, b)
	}
	if !a.Pulled { // first it came as an answer to a pull, or said so; or it has another hop
		if !b.holdTill.IsZero() { // the pull was for nothing
			b.holdTill, b.facts.Via, b.facts.From, b.facts.Hop = time.Time{}, ViaPush, from, a.Hop
		}
		e.relay(now, b, a.Hop+1, from)
	}
	if a.Body {
		e.expect(now, b, from)
	}
}

// named tells that the block's transactions are named now.
func (e *Engine) named(now time.Time, b *entry) {
	b.bare = false
	if e.cfg.BodyHops == 0 {
		e.passHeld(now, b)
	}
}

// expect waits for a body that comes unasked as for one that was asked for, unless one
// is on its way, or its sender left a request unanswered: it would be waited for with
// every block that it announces first.
func (e *Engine) expect(now time.Time, b *entry, from wire.PeerID) {
	if b.checked || b.checking || b.needIDs || b.lacking == 0 || b.fetch != nil {
		return
	}
	if n := e.peer(from); n == nil || n.shunUntil.After(now) {
		return
	}
	b.retryAt, b.fetch = time.Time{}, &fetch{to: from, sent: now, wait: e.patience, deadline: now.Add(e.patience)}
}

func (e *Engine) add(now time.Time, a Announcement) *entry {
	b := &entry{id: a.Block, height: a.Height, parent: a.Parent, txs: a.Txs, facts: Facts{FirstSeen: now}}
	e.blocks[b.id] = b
	i, _ := slices.BinarySearchFunc(e.above, b.height, byHeight)
	e.above = slices.Insert(e.above, i, b)
	return b
}

func byHeight(b *entry, height uint64) int { return cmp.Compare(b.height, height) }

// atHeight returns the known block at a height above the tip.
func (e *Engine) atHeight(height uint64) *entry {
	if i, found := slices.BinarySearchFunc(e.above, height, byHeight); found {
		return e.above[i]
	}
	return nil
}

// Facts returns what is known of a block's coming here.
func (e *Engine) Facts(id block.ID) (Facts, bool) {
	if b := e.blocks[id]; b != nil {
		return b.facts, true
	}
	return Facts{}, false
}

// Checked tells that the body is whole and right.
func (e *Engine) Checked(now time.Time, id block.ID) {
	b := e.blocks[id]
	if b == nil || b.checked {
		return
	}
	b.checked, b.needIDs, b.bare, b.fetch, b.late, b.lacks, b.lacking, b.wanted = true, false, false, nil, nil, nil, 0, nil
	b.retryAt, b.holdTill = time.Time{}, time.Time{}
	e.serveWaiters(b)
	e.passHeld(now, b)
}

// Rejected tells that the block can stand nowhere. It is forgotten; what its
// producer deserves is the driver's business.
func (e *Engine) Rejected(now time.Time, id block.ID) {
	b := e.blocks[id]
	if b == nil {
		return
	}
	e.refuseWaiters(b)
	e.forget(b)
	e.above = slices.DeleteFunc(e.above, func(x *entry) bool { return x == b })
	e.watchGap(now)
}

// Accepted tells that the chain has grown, by whatever way the block came.
func (e *Engine) Accepted(now time.Time, tip block.Tip) {
	if tip.Height <= e.tip.Height {
		return
	}
	e.tip = tip
	for len(e.above) > 0 && e.above[0].height <= tip.Height {
		b := e.above[0]
		e.above = e.above[1:]
		if !b.checked && b.id == tip.ID { // catch-up was faster
			if b.fetch != nil && now.Sub(b.fetch.sent) > e.patience {
				e.shun(now, b.fetch.to)
			}
			e.Checked(now, b.id)
		}
		e.refuseWaiters(b)
		b.sources, b.prefill = nil, nil
		if b.checked {
			e.kept = append(e.kept, b)
		} else {
			e.forget(b)
		}
	}
	for len(e.kept) > e.cfg.Keep {
		e.forget(e.kept[0])
		e.kept = e.kept[1:]
	}
	e.watchGap(now)
}

func (e *Engine) forget(b *entry) {
	delete(e.blocks, b.id)
	e.do(Forget{b.id})
}

// endLate forgets requests that timed out, and says whether one was being answered.
func (b *entry) endLate(which func(*fetch) bool) bool {
	n := len(b.late)
	b.late = slices.DeleteFunc(b.late, which)
	if len(b.late) == n || b.lateTill.IsZero() {
		return false
	}
	b.lateTill = time.Time{}
	return true
}
