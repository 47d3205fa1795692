package fresh

import (
	"cmp"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// entry is a known block. Until it is accepted it stands in Engine.above, then in
// Engine.kept.
type entry struct {
	block    message.Block
	stage    Stage
	shards   bool // package spread brings list and body
	coming   int  // leaves of the body that the producer sends then
	facts    arrival.Facts
	sources  []source // who announced it, in that order, at most sourcesMax
	holdings          // of no meaning while it is Listing
	prefill  prefill  // goes along with our announcement
	relayed  bool     // it was passed on

	list   []block.ID // full IDs, as far as they have come
	listed uint32     // the request that they answer

	fetch    *fetch    // the request in flight
	late     []*fetch  // what timed out, at most one per source
	lateTill time.Time // an answer to one of late is coming: nobody else is asked before
	retryAt  time.Time
	waiters  []waiter // at most one per neighbour
}

// source is a peer that announced the block.
type source struct {
	peer     wire.PeerID
	complete bool
	tried    bool // it was asked since the last round began, and failed
}

// stranded says that nobody is being asked for what is lacking: those who announced
// the block are gone, or have all failed.
func (b *entry) stranded() bool {
	return (b.stage == Gathering || b.stage == Listing) && b.fetch == nil && !b.shards
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
func (e *Engine) addSource(now time.Time, b *entry, p wire.PeerID, complete bool) {
	for i := range b.sources {
		if b.sources[i].peer == p {
			b.sources[i].tried = b.sources[i].tried && (b.sources[i].complete || !complete)
			b.sources[i].complete = b.sources[i].complete || complete
			return
		}
	}
	if len(b.sources) == sourcesMax {
		i := slices.IndexFunc(b.sources, func(s source) bool {
			n := e.peer(s.peer)
			return s.tried || n == nil || n.shunUntil.After(now)
		})
		if i < 0 {
			return
		}
		b.sources = slices.Delete(b.sources, i, i+1)
	}
	b.sources = append(b.sources, source{peer: p, complete: complete})
}

// untry begins a new round of asking.
func (b *entry) untry() {
	for i := range b.sources {
		b.sources[i].tried = false
	}
}

// Proposed tells of a block that this peer made and checked, and, for each of its
// transactions, what its pool knows of it.
// Of a coded one it is told how many leaves of the body are sent.
func (e *Engine) Proposed(now time.Time, d message.Block, txs []Pooled, coming int) {
	if e.blocks[d.ID] != nil || d.Height <= e.tip.Height {
		return
	}
	b := e.add(now, d)
	b.become(Whole)
	b.fill(d.Bytes)
	b.facts.Via, b.coming = arrival.Own, coming
	if b.shards = e.Shards(d); !b.shards {
		b.prefill = young(now, txs)
	}
	e.relay(b, "")
}

// Announced tells of an announcement that a neighbour sent and that the driver
// found to be right, and what of its block the pool holds; nil for a block that is
// known. It returns how many bytes of transactions it brought that were not here.
func (e *Engine) Announced(now time.Time, from wire.PeerID, m *message.Announce, held Held) (came int) {
	n := e.peer(from)
	if n == nil {
		return 0
	}
	e.stats.Announced++
	if m.Pulled {
		e.pullAnswered(n)
	}
	if m.Complete {
		n.tip = max(n.tip, m.Block.Height)
	}
	e.heard.note(now, m.Block.Height)
	defer e.watchGap(now)
	if b := e.blocks[m.Block.ID]; b != nil {
		return e.announcedAgain(now, b, from, m)
	}
	if h := m.Block.Height; h <= e.tip.Height || h > e.tip.Height+Window || e.atHeight(h) != nil {
		e.stats.Ignored++
		e.cameAgain(nil, sum(m.Sizes))
		return 0
	}
	b := e.add(now, m.Block)
	b.become(Gathering)
	b.holdings = pooled(m.Block.Txs, held)
	b.facts.Via, b.facts.From, b.facts.Hop = arrival.Push, from, m.Hop
	if m.Pulled {
		b.facts.Via = arrival.Pull
	}
	b.coming = m.Coming
	if b.shards = m.Block.Coded() && !m.Listed; b.shards {
		if !m.Pulled {
			e.relay(b, from)
		}
		return 0
	}
	e.addSource(now, b, from, m.Complete)
	came = e.take(b, m.At, m.Sizes, nil, &b.prefill)
	b.facts.Missing = b.lacks
	if !m.Pulled {
		e.relay(b, from)
	}
	e.advance(now, b)
	return came
}

// announcedAgain takes what an announcement of a known block has that is new.
func (e *Engine) announcedAgain(now time.Time, b *entry, from wire.PeerID, m *message.Announce) (came int) {
	e.stats.Duplicates++
	b.facts.Repeats++
	if b.shards {
		if b.coming = max(b.coming, m.Coming); !m.Pulled {
			e.relay(b, from)
		}
		return 0
	}
	e.addSource(now, b, from, m.Complete)
	if !m.Pulled { // first it came as an answer to a pull, or said so
		e.relay(b, from)
	}
	if b.block.Coded() && !m.Listed { // it has nothing but its header, which is known
		return 0
	}
	came = e.filled(now, b, 0, m.At, m.Sizes, nil)
	e.advance(now, b)
	return came
}

func (e *Engine) add(now time.Time, d message.Block) *entry {
	b := &entry{block: d, holdings: holdings{places: d.Txs}, facts: arrival.Facts{FirstSeen: now}}
	e.blocks[d.ID] = b
	i, _ := slices.BinarySearchFunc(e.above, d.Height, byHeight)
	e.above = slices.Insert(e.above, i, b)
	return b
}

func byHeight(b *entry, height uint64) int { return cmp.Compare(b.block.Height, height) }

// atHeight returns the known block at a height above the tip.
func (e *Engine) atHeight(height uint64) *entry {
	if i, found := slices.BinarySearchFunc(e.above, height, byHeight); found {
		return e.above[i]
	}
	return nil
}

// Shards says whether a block that is made here goes as shards.
func (e *Engine) Shards(d message.Block) bool { return d.Coded() }

// ByShards says whether a known block comes as shards, or came so.
func (e *Engine) ByShards(id block.ID) bool {
	b := e.blocks[id]
	return b != nil && b.shards
}

// Rebuilding tells that as much of a coded block is here as it takes to rebuild it.
func (e *Engine) Rebuilding(id block.ID) {
	if b := e.blocks[id]; b != nil && b.stage == Gathering {
		b.become(Checking)
	}
}

// Lacking tells that a coded block was rebuilt of what does not belong together.
func (e *Engine) Lacking(id block.ID) {
	if b := e.blocks[id]; b != nil && b.stage == Checking {
		e.stats.Mismatches++
		b.become(Gathering)
	}
}

// Lacked notes how many transactions of a coded block the pool did not have.
func (e *Engine) Lacked(id block.ID, txs int) {
	if b := e.blocks[id]; b != nil {
		b.facts.Missing = txs
	}
}

// Stage returns how far a block has come here.
func (e *Engine) Stage(id block.ID) Stage {
	if b := e.blocks[id]; b != nil {
		return b.stage
	}
	return Unknown
}

// Facts returns what is known of a block's coming here.
func (e *Engine) Facts(id block.ID) (arrival.Facts, bool) {
	if b := e.blocks[id]; b != nil {
		return b.facts, true
	}
	return arrival.Facts{}, false
}

// Describe returns what the header of a known block says.
func (e *Engine) Describe(id block.ID) (message.Block, bool) {
	if b := e.blocks[id]; b != nil {
		return b.block, true
	}
	return message.Block{}, false
}

// CameWhole tells that catch-up brought a whole block, and whether the chain has it or
// is to have it already.
func (e *Engine) CameWhole(d message.Block, twice bool) {
	b := e.blocks[d.ID]
	switch {
	case twice:
		e.cameAgain(b, d.Bytes)
	case b != nil && b.stage != Listing:
		e.cameAgain(b, b.bytes)
	}
}

// CameUnasked tells of bytes of a block's transactions that nobody waits for any more.
func (e *Engine) CameUnasked(id block.ID, bytes int) {
	if b := e.blocks[id]; b != nil { // else it may never have been asked for
		e.cameAgain(b, bytes)
	}
}

// cameAgain counts bytes of a block's transactions that came though they were here.
func (e *Engine) cameAgain(b *entry, bytes int) {
	e.again += bytes
	if b != nil {
		b.facts.Again += bytes
	}
}

// Checked tells that the body is whole and right.
func (e *Engine) Checked(id block.ID) {
	if b := e.blocks[id]; b != nil && b.stage < Whole {
		e.complete(b)
	}
}

// complete ends the asking: the body is here.
func (e *Engine) complete(b *entry) {
	b.become(Whole)
	b.fill(b.block.Bytes)
	b.fetch, b.late, b.list, b.retryAt = nil, nil, nil, time.Time{}
	e.serveWaiters(b)
}

// Rejected tells that the block can stand nowhere. It is forgotten; what its
// producer deserves is the driver's business.
func (e *Engine) Rejected(now time.Time, id block.ID) {
	b := e.blocks[id]
	if b == nil || b.stage > Whole {
		return
	}
	e.refuseWaiters(b)
	b.become(Refused)
	e.forget(b)
	e.above = slices.DeleteFunc(e.above, func(x *entry) bool { return x == b })
	e.watchGap(now)
}

// Accepted tells that the chain has grown by a block, by whatever way that came.
func (e *Engine) Accepted(now time.Time, tip block.Tip) {
	if tip.Height <= e.tip.Height {
		return
	}
	e.tip = tip
	e.heard.note(now, tip.Height)
	e.keptUp = e.keptUp || e.heard.behind(now, tip.Height) <= abreast
	for len(e.above) > 0 && e.above[0].block.Height <= tip.Height {
		b := e.above[0]
		e.above = e.above[1:]
		if b.block.ID != tip.ID {
			e.refuseWaiters(b)
			b.become(Refused)
			e.forget(b)
			continue
		}
		if b.stage < Whole { // catch-up was faster
			if b.fetch != nil && now.Sub(b.fetch.sent) > e.patience {
				e.shun(now, b.fetch.to)
			}
			e.complete(b)
		}
		b.become(Accepted)
		b.sources, b.prefill = nil, prefill{}
		e.kept = append(e.kept, b)
	}
	for len(e.kept) > keep {
		e.forget(e.kept[0])
		e.kept = e.kept[1:]
	}
	e.watchGap(now)
}

// Durable tells that the ledger has a block that was accepted.
func (e *Engine) Durable(id block.ID) {
	if b := e.blocks[id]; b != nil {
		b.become(Durable)
	}
}

func (e *Engine) forget(b *entry) {
	delete(e.blocks, b.block.ID)
	e.effects.Add(effect.Forget{Block: b.block.ID})
}

func sum(sizes []int) int {
	n := 0
	for _, s := range sizes {
		n += s
	}
	return n
}
