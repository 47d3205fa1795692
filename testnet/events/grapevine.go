package events

import (
	"errors"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/coding"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/dissemination/protocol"
	"grapevine/p2p/wire"
	"grapevine/testnet/scenario"
)

// core is protocol.Peer; a test may put a broken one in its place.
type core interface {
	PeerUp(now time.Time, p wire.PeerID, tip, base uint64)
	PeerDown(now time.Time, p wire.PeerID)
	PeerTip(now time.Time, p wire.PeerID, height uint64)
	Distance(p wire.PeerID, way time.Duration)
	Members(n int)
	Propose(now time.Time, d message.Block, txs []fresh.Pooled) bool
	Receive(now time.Time, from wire.PeerID, m message.Message, held fresh.Held)
	RangeBlock(now time.Time, from wire.PeerID, number uint32, d message.Block) bool
	Dropped(now time.Time, to wire.PeerID, m message.Message)
	Checked(now time.Time, id block.ID)
	Read(now time.Time, id block.ID, lacks int, held func(symbol int) bool)
	Accepted(now time.Time, tip block.Tip) arrival.Facts
	Durable(id block.ID)
	Known(id block.ID) bool
	Tick(now time.Time)
	Deadline() time.Time
	Effects() []effect.Effect
	Stats() protocol.Stats
}

// grapevine is our own protocol at a peer: what the driver does in a node, with sizes
// for bytes, signatures always right and a disk at no cost.
type grapevine struct {
	core core
	peer *peer
}

// grapevines makes minds of our own, under a scenario's settings.
func grapevines(s scenario.Settings) (func(w *world, p *peer, seed uint64) mind, error) {
	cfg, err := s.Protocol()
	if err != nil {
		return nil, err
	}
	return func(w *world, p *peer, seed uint64) mind {
		cfg.Self, cfg.Producer = p.id, w.peers[0].id
		return &grapevine{protocol.New(cfg, seed, w.time(), p.tip), p}
	}, nil
}

func (g *grapevine) peerUp(now time.Time, other *peer) {
	g.core.PeerUp(now, other.id, other.tip.Height, base)
	g.core.Distance(other.id, time.Duration(g.peer.flow(other.number).latency))
}

func (g *grapevine) peerDown(now time.Time, other *peer) { g.core.PeerDown(now, other.id) }

func (g *grapevine) heard(now time.Time, other *peer, height uint64) {
	g.core.PeerTip(now, other.id, height)
}

func (g *grapevine) members(n int)       { g.core.Members(n) }
func (g *grapevine) deadline() time.Time { return g.core.Deadline() }
func (g *grapevine) tick(now time.Time)  { g.core.Tick(now) }
func (g *grapevine) again() int64        { return int64(g.core.Stats().Again) }

func (g *grapevine) propose(w *world, b *blk) {
	pooled := make([]fresh.Pooled, b.txs)
	for i := range pooled {
		switch pooled[i].Size = b.txSize; {
		case w.plan.Young(b.index, i):
			pooled[i].Arrived = w.time()
		case w.plan.Load.Warm > 0:
			pooled[i].Arrived = w.time().Add(-time.Minute)
		}
	}
	g.core.Propose(w.time(), b.described, pooled)
}

// base is the lowest height that a ledger holds: nothing is ever pruned.
const base = 1

// held returns what a peer's pool has of a coded block: how many transactions it lacks, and
// which symbols it has.
func (b *blk) held(w *world, p *peer) (lacks int, held func(symbol int) bool) {
	g := b.described.BodyCode
	have := make([]bool, g.Data)
	for i := range have {
		have[i] = true
	}
	layout := coding.Layout{Symbol: g.Symbol}
	for i := range b.txs {
		at := layout.Place(b.txSize)
		if w.plan.Warm(b.index, p.number, i) {
			continue
		}
		lacks++
		for s := at / g.Symbol; s*g.Symbol < at+b.txSize; s++ {
			have[s] = false
		}
	}
	return lacks, func(symbol int) bool { return have[symbol] }
}

// describe returns what the block's header says.
func (b *blk) describe() message.Block {
	d := message.Block{
		ID: b.id, Height: b.height, Parent: b.parent, Txs: b.txs, Bytes: b.bytes,
		List: block.ShortSize * b.txs, Header: block.SignedHeaderSize,
	}
	if b.bytes <= block.CodedAbove {
		return d
	}
	d.List = block.ListBytes(b.sizes)
	layout := coding.Layout{Symbol: coding.SymbolSize(b.bytes)}
	for range b.txs {
		layout.Place(b.txSize)
	}
	var errs [2]error
	d.ListCode, errs[0] = coding.Plain(d.List)
	d.BodyCode, errs[1] = coding.Laid(b.bytes, layout.Symbols())
	if err := errors.Join(errs[:]...); err != nil {
		panic(fmt.Sprintf("events: block %d: %v", b.height, err)) // a scenario's sizes are those of blocks
	}
	return d
}

// spoken is a message of our own on its way.
type spoken struct{ message.Message }

func (g *grapevine) act(w *world) bool {
	list := g.core.Effects()
	for _, x := range list {
		switch x := x.(type) {
		case effect.Send:
			g.send(w, x)
		case effect.Serve:
			g.serve(w, w.peerOf(x.To), &message.Fetch{Number: x.Number, Block: x.Block, At: x.At})
		case effect.Assemble:
			g.core.Checked(w.time(), x.Block)
		case effect.Rebuild:
			if b := w.block(x.Block); x.Body {
				g.core.Checked(w.time(), x.Block)
			} else {
				lacks, held := b.held(w, g.peer)
				g.core.Read(w.time(), x.Block, lacks, held)
			}
		case effect.Recheck:
			g.core.Receive(w.time(), x.From, x.Msg, nil)
		case effect.Append:
			b := w.block(x.Block)
			g.peer.accept(w, b, g.core.Accepted(w.time(), w.tipAt(b)))
			g.core.Durable(x.Block)
		case effect.CheckList:
			panic(fmt.Sprintf("events: peer %d wants the list of block %s, and short IDs do not collide here", g.peer.number, x.Block))
		case effect.Forget, effect.Discard: // there are no bytes
		}
	}
	return len(list) > 0
}

func (g *grapevine) send(w *world, x effect.Send) {
	if g.peer.withholds && brings(x.Msg) {
		return
	}
	size, what := int64(message.Size(x.Msg)), said(spoken{x.Msg})
	for _, id := range x.To {
		if !g.peer.send(w, w.peerOf(id), x.Msg.Lane(), size, what) {
			g.core.Dropped(w.time(), id, x.Msg)
		}
	}
}

// reply sends a message of an answer, and says whether it is on its way.
func (g *grapevine) reply(w *world, to *peer, m message.Message) bool {
	return g.peer.withholds && brings(m) || g.peer.send(w, to, m.Lane(), int64(message.Size(m)), spoken{m})
}

// brings says whether a message has something of a block's body in it.
func brings(m message.Message) bool {
	switch m := m.(type) {
	case *message.Shards:
		return m.Bytes > 0
	case *message.Part:
		return !m.Refused
	case *message.Chunk:
		return m.Size > 0
	case *message.Announce, *message.Pull, *message.Tip, *message.Fetch, *message.Ask, *message.Enough, *message.Got, *message.Stripes,
		*message.Graft, *message.Need, *message.Have, *message.GetRange, *message.Evidence, *message.Ordering, *message.Inventory, *message.Want, *message.Txs:
	}
	return false
}

func (g *grapevine) serve(w *world, to *peer, m *message.Fetch) {
	b := w.block(m.Block)
	message.Answer(message.Parts(m.Number, m.Block, m.At, b.sizes[:len(m.At)]), m.Number, m.Block,
		func(part message.Message) bool { return g.reply(w, to, part) })
}

// serveRange answers with blocks of the chain.
func (g *grapevine) serveRange(w *world, to *peer, m *message.GetRange) {
	tip := g.peer.tip.Height
	var sizes []int
	for h := m.From; h <= min(m.Upto, tip); h++ {
		sizes = append(sizes, block.SignedHeaderSize+w.blocks[h-1].bytes)
	}
	message.Chunks(m, sizes, catchup.MaxBytes, tip, func(part message.Message) bool {
		if c, ok := part.(*message.Chunk); ok && c.Last {
			c.Base = base
		}
		return g.reply(w, to, part)
	})
}

// arrive does what the driver does before the core hears of a message.
func (m spoken) arrive(w *world, from, to *peer) {
	g := to.mind.(*grapevine)
	var held fresh.Held
	switch m := m.Message.(type) {
	case *message.Announce:
		held = g.pool(w, m.Block)
	case *message.Fetch:
		if b := w.block(m.Block); b.height <= to.tip.Height && !g.core.Known(m.Block) { // it is stored
			g.serve(w, from, m)
			return
		}
	case *message.GetRange:
		g.serveRange(w, from, m)
	case *message.Chunk:
		g.core.Receive(w.time(), from.id, m, nil)
		if m.Size > 0 && m.Offset+m.Length == m.Size {
			g.core.RangeBlock(w.time(), from.id, m.Number, w.blocks[m.Height-1].described)
		}
		return
	case *message.Pull, *message.Tip, *message.Part, *message.Shards, *message.Ask, *message.Enough, *message.Got, *message.Stripes, *message.Graft, *message.Need, *message.Have, *message.Evidence, *message.Ordering, *message.Inventory, *message.Want, *message.Txs:
	}
	g.core.Receive(w.time(), from.id, m.Message, held)
}

// pool returns what the peer's pool holds of a block that is news; nil: nothing.
func (g *grapevine) pool(w *world, d message.Block) fresh.Held {
	if w.plan.Load.Warm == 0 || d.Height <= g.peer.tip.Height || g.core.Known(d.ID) {
		return nil
	}
	b := w.block(d.ID)
	return func(place uint32) int {
		if w.plan.Warm(b.index, g.peer.number, int(place)) {
			return b.txSize
		}
		return 0
	}
}
