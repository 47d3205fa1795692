// Package protocol is what a peer does with blocks, in one core: which messages there
// are and what each leads to, in which order blocks enter the chain, and who is told of
// what. It joins the cores of fresh blocks, of shards and of catch-up; who drives it has a network
// and a chain, real or simulated, and decides nothing.
//
//	      messages, right          Receive, RangeBlock
//	─────────────────────────────────┐
//	                                 ▼
//	      ┌── fresh: announcements, requests, pulls;  ┐
//	      │   spread: shards and questions for them   │ whole    ┌── line ──┐  Append
//	      │                                           ├─────────▶│ by height├─────────▶ the chain
//	      └── catchup: ranges ────────────────────────┘          └──────────┘
//	                                 ▲                                           │
//	                                 └──────────── Accepted, Durable, Refused ───┘
//
// The peer is sans-IO: one goroutine owns it and tells it the time, carries out what
// Effects returns, again and again until that is nothing, and calls Tick when Deadline
// is due. What it is told of must have been checked: signatures, hashes, and whether a
// transaction may stand where it is said to.
package protocol

import (
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/dissemination/spread"
	"grapevine/p2p/wire"
)

// Config sets a peer up. Its zero value is valid.
type Config struct {
	Fresh fresh.Config
	// Self is this peer, and Producer who makes the blocks.
	Self, Producer wire.PeerID
	// NoCatchup switches catch-up off: a peer that push and pull leave behind stays
	// behind. It is there for comparison.
	NoCatchup bool
}

// Peer is the state of one peer's protocol.
type Peer struct {
	fresh   *fresh.Engine
	spread  *spread.Spreader
	catchup *catchup.Engine // nil: switched off
	line    line
	effects effect.List
}

// New makes a peer whose chain ends at tip.
func New(cfg Config, seed uint64, now time.Time, tip block.Tip) *Peer {
	p := &Peer{line: line{next: tip.Height + 1, ready: map[uint64]candidate{}}}
	if !cfg.NoCatchup {
		p.catchup = catchup.New(seed, tip.Height)
		if cfg.Fresh.CatchupGap == 0 {
			cfg.Fresh.CatchupGap = catchup.Gap // where one leaves off the other begins
		}
	}
	cfg.Fresh.Producer = cfg.Producer
	p.fresh = fresh.New(cfg.Fresh, seed, now, tip)
	p.spread = spread.New(spread.Config{
		Self: cfg.Self, Producer: cfg.Producer, Silent: cfg.Fresh.Mode == fresh.PullOnly, Patience: cfg.Fresh.FetchTimeout,
	}, seed)
	return p
}

// PeerUp tells of a new active neighbour, and of the heights that its ledger begins and
// ends with.
func (p *Peer) PeerUp(now time.Time, id wire.PeerID, tip, base uint64) {
	p.fresh.PeerUp(now, id, tip)
	p.spread.PeerUp(now, id)
	if p.catchup != nil {
		p.catchup.PeerUp(now, id, tip, base)
	}
}

// Useful tells that a neighbour was chosen by this side, or has brought something right.
func (p *Peer) Useful(id wire.PeerID) {
	p.fresh.Useful(id)
	if p.catchup != nil {
		p.catchup.Useful(id)
	}
}

// PeerDown tells that a neighbour is gone.
func (p *Peer) PeerDown(now time.Time, id wire.PeerID) {
	p.fresh.PeerDown(now, id)
	p.spread.PeerDown(now, id)
	if p.catchup != nil {
		p.catchup.PeerDown(now, id)
	}
}

// PeerTip tells how far a neighbour's chain goes, by its own account.
func (p *Peer) PeerTip(now time.Time, id wire.PeerID, height uint64) {
	p.fresh.PeerTip(now, id, height)
	p.catchupTip(now, id, height)
}

func (p *Peer) catchupTip(now time.Time, id wire.PeerID, height uint64) {
	if p.catchup != nil {
		p.catchup.PeerTip(now, id, height)
	}
}

// Members tells how many members the network has, on which the fan-out depends.
func (p *Peer) Members(n int) {
	p.fresh.Members(n)
	p.spread.Members(n)
}

// Distance tells how long a packet is on its way to a neighbour.
func (p *Peer) Distance(id wire.PeerID, way time.Duration) { p.spread.Distance(id, way) }

// Poll asks some neighbours how far they are, so that Lag can tell.
func (p *Peer) Poll(now time.Time) { p.fresh.Poll(now) }

// Lag returns how far behind the orderer this peer is, or most of its neighbours are.
func (p *Peer) Lag(now time.Time) time.Duration { return p.fresh.Lag(now) }

// Receive tells of a message, and what of the transactions that it speaks of this
// peer's pool holds. Requests for what is stored are answered by who has the store, as
// are questions about the pool.
func (p *Peer) Receive(now time.Time, from wire.PeerID, m message.Message, held fresh.Held) {
	switch m := m.(type) {
	case *message.Announce:
		height := m.Block.Height - 1
		if m.Complete {
			height++
		}
		p.catchupTip(now, from, height)
		p.progressed(p.fresh.Announced(now, from, m, held))
		if p.fresh.ByShards(m.Block.ID) && p.fresh.Stage(m.Block.ID) == fresh.Gathering {
			p.spread.Begin(now, from, m.Block, m.Coming, m.Complete)
		}
	case *message.Pull:
		p.fresh.Pulled(now, from, m)
		p.catchupTip(now, from, m.Tip)
	case *message.Tip:
		p.fresh.TipTold(now, from, m)
		p.catchupTip(now, from, m.Height)
	case *message.Fetch:
		p.fresh.Asked(now, from, m)
	case *message.Part:
		p.progressed(p.fresh.Came(now, from, m, held))
	case *message.Shards:
		if p.spread.Shards(now, from, m) {
			p.progressed(m.Bytes)
		}
	case *message.Ask:
		p.spread.Asked(now, from, m)
	case *message.Enough:
		p.spread.Enough(now, from, m)
	case *message.Got:
		p.spread.Got(now, from, m)
	case *message.Stripes:
		p.spread.Stripes(now, from, m)
	case *message.Graft:
		p.spread.Graft(now, from, m)
	case *message.Need:
		p.spread.Need(now, from, m)
	case *message.Have:
		p.spread.Have(now, from, m)
	case *message.Chunk:
		if p.catchup != nil {
			p.catchup.Came(now, from, m)
		}
	case *message.GetRange, *message.Evidence, *message.Ordering, *message.Inventory, *message.Want, *message.Txs:
	}
}

// progressed tells catch-up of bytes that were lacking.
func (p *Peer) progressed(bytes int) {
	if p.catchup != nil {
		p.catchup.Progressed(bytes)
	}
}

// Failed tells that what a peer sent in answer to a request for a block is wrong.
func (p *Peer) Failed(now time.Time, from wire.PeerID, number uint32, id block.ID) {
	p.fresh.Failed(now, from, number, id)
}

// Unasked tells of bytes of a block's transactions that nobody waits for any more.
func (p *Peer) Unasked(id block.ID, bytes int) { p.fresh.CameUnasked(id, bytes) }

// RangeFailed tells that what a peer sent in answer to a request for a range is wrong.
func (p *Peer) RangeFailed(now time.Time, from wire.PeerID, number uint32) {
	if p.catchup != nil {
		p.catchup.Failed(now, from, number)
	}
}

// Dropped tells that a message found no room on its way to a peer.
func (p *Peer) Dropped(now time.Time, to wire.PeerID, m message.Message) {
	switch m := m.(type) {
	case *message.Fetch:
		p.Failed(now, to, m.Number, m.Block)
	case *message.Ask:
		p.spread.Failed(now, to, m)
	case *message.GetRange:
		p.RangeFailed(now, to, m.Number)
	case *message.Shards:
		p.spread.Dropped(to, m)
	case *message.Announce, *message.Pull, *message.Tip, *message.Part, *message.Chunk, *message.Enough, *message.Got, *message.Stripes, *message.Graft, *message.Need, *message.Have,
		*message.Evidence, *message.Ordering, *message.Inventory, *message.Want, *message.Txs: // repaired by pulls and time-outs
	}
}

// RangeBlock tells that a block of an answer for a range is whole, and right in itself.
// It says whether the block is wanted.
func (p *Peer) RangeBlock(now time.Time, from wire.PeerID, number uint32, d message.Block) bool {
	if p.catchup == nil {
		return false
	}
	p.fresh.CameWhole(d, p.line.filled(d.Height))
	if !p.catchup.Arrived(now, from, number, d.Height, d.Bytes) {
		return false
	}
	p.queue(candidate{d, arrival.CatchUp, from})
	return true
}

// Propose tells of a block that this peer made and checked, and, for each of its
// transactions, what its pool knows of it. It says whether the block's height is free.
func (p *Peer) Propose(now time.Time, d message.Block, txs []fresh.Pooled) bool {
	if p.line.filled(d.Height) {
		return false
	}
	coming := 0
	if p.fresh.Shards(d) {
		coming = p.spread.Proposed(now, d, othersLack(now, d, txs))
	}
	p.fresh.Proposed(now, d, txs, coming)
	p.queue(candidate{d, arrival.Own, ""})
	return true
}

// othersLack returns what others probably lack of a block that was made here.
func othersLack(now time.Time, d message.Block, txs []fresh.Pooled) (l spread.Lacking) {
	for _, t := range txs {
		if t.Unknown(now) {
			l.Surely += (t.Size + d.BodyCode.Symbol - 1) / d.BodyCode.Symbol
		} else {
			l.Runs++
		}
	}
	return l
}

// Read answers Rebuild of a list, that is right: how many of the block's transactions the pool
// does not have, and which symbols of its body it has.
func (p *Peer) Read(now time.Time, id block.ID, lacks int, held func(symbol int) bool) {
	p.fresh.Lacked(id, lacks)
	p.spread.Listed(now, id, held)
}

// Spread returns how many shards of a block came, from how many peers, and how many bytes of
// them in vain.
func (p *Peer) Spread(id block.ID) (shards, peers, vain int) { return p.spread.Facts(id) }

// Checked answers Assemble and Rebuild: the body is right.
func (p *Peer) Checked(now time.Time, id block.ID) {
	p.fresh.Checked(id)
	p.spread.Whole(now, id)
	if d, ok := p.fresh.Describe(id); ok {
		f, _ := p.fresh.Facts(id)
		p.queue(candidate{d, f.Via, f.From})
	}
}

// Mismatched answers Assemble and Rebuild: the body is not the one that the header commits
// to.
func (p *Peer) Mismatched(now time.Time, id block.ID) {
	if p.fresh.ByShards(id) {
		p.fresh.Lacking(id)
		p.spread.Mismatched(now, id)
		return
	}
	p.fresh.Mismatched(now, id)
}

// Rejected answers Assemble: the block is the one that its producer signed, and can
// stand in no chain.
func (p *Peer) Rejected(now time.Time, id block.ID) {
	p.fresh.Rejected(now, id)
	p.spread.End(id)
}

// Listed answers CheckList: the full IDs are right, and what is held of them.
func (p *Peer) Listed(now time.Time, id block.ID, held fresh.Held) { p.fresh.Listed(now, id, held) }

// ListForged answers CheckList: the full IDs are not those that the header commits to.
func (p *Peer) ListForged(now time.Time, x effect.CheckList) {
	p.fresh.ListForged(now, x.From, x.Number, x.Block)
}

func (p *Peer) queue(c candidate) {
	for _, c := range p.line.enter(c) {
		p.effects.Add(effect.Append{Block: c.block.ID, Height: c.block.Height})
	}
}

// Accepted answers Append, in order: the chain takes the block. It returns how the
// block came.
func (p *Peer) Accepted(now time.Time, tip block.Tip) arrival.Facts {
	c := p.line.leave()
	facts := arrival.Facts{Via: c.via, From: c.from}
	if f, ok := p.fresh.Facts(tip.ID); ok {
		if c.via == arrival.CatchUp {
			facts.Again, facts.Repeats = f.Again, f.Repeats
		} else {
			if facts = f; f.Via == arrival.Push && p.spread.Sent(tip.ID) {
				facts.Via = arrival.Shards
			}
			_, _, vain := p.spread.Facts(tip.ID)
			facts.Again += vain
		}
	}
	p.fresh.Accepted(now, tip)
	p.spread.Whole(now, tip.ID)
	if p.catchup != nil {
		p.catchup.Accepted(now, tip.Height)
	}
	return facts
}

// Refused answers Append, in order: the chain cannot take the block.
func (p *Peer) Refused(now time.Time, id block.ID) {
	p.line.leave()
	p.Rejected(now, id)
}

// Durable tells that an accepted block is in the ledger.
func (p *Peer) Durable(id block.ID) { p.fresh.Durable(id) }

// Known says whether a block was announced, or made here, and not forgotten since.
func (p *Peer) Known(id block.ID) bool { return p.fresh.Stage(id) != fresh.Unknown }

// Effects drains what is to be done, in order.
func (p *Peer) Effects() []effect.Effect {
	shards := p.spread.Effects()
	for _, x := range shards {
		if r, ok := x.(effect.Rebuild); ok && r.Body {
			p.fresh.Rebuilding(r.Block)
		}
	}
	list := p.fresh.Effects()
	for _, x := range list {
		if f, ok := x.(effect.Forget); ok {
			p.spread.End(f.Block)
		}
	}
	list = append(list, shards...)
	if p.catchup != nil {
		list = append(list, p.catchup.Effects()...)
	}
	return append(list, p.effects.Drain()...)
}

// Deadline returns when Tick is due next; the zero time means never.
func (p *Peer) Deadline() time.Time {
	at := p.fresh.Deadline()
	if c := p.spread.Deadline(); at.IsZero() || !c.IsZero() && c.Before(at) {
		at = c
	}
	if p.catchup != nil {
		if c := p.catchup.Deadline(); at.IsZero() || !c.IsZero() && c.Before(at) {
			at = c
		}
	}
	return at
}

// Tick does what is due.
func (p *Peer) Tick(now time.Time) {
	if at := p.fresh.Deadline(); !at.IsZero() && !at.After(now) {
		p.fresh.Tick(now)
	}
	if at := p.spread.Deadline(); !at.IsZero() && !at.After(now) {
		p.spread.Tick(now)
	}
	if p.catchup != nil {
		if at := p.catchup.Deadline(); !at.IsZero() && !at.After(now) {
			p.catchup.Tick(now)
		}
	}
}

// Stats are the cores' counts.
type Stats struct {
	Fresh   fresh.Stats
	Spread  spread.Stats
	Catchup catchup.Stats
	Height  uint64 // of the last accepted block
	Pending int    // blocks above it that are known
	Again   int    // bytes of blocks' transactions that came though they were here
}

// Stats returns the counts so far.
func (p *Peer) Stats() Stats {
	s := Stats{Fresh: p.fresh.Stats(), Spread: p.spread.Stats(), Height: p.fresh.Tip().Height, Pending: p.fresh.Pending(), Again: p.fresh.Again() + p.spread.Stats().Again}
	if p.catchup != nil {
		s.Catchup = p.catchup.Stats()
	}
	return s
}
