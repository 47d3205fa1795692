package fresh

import (
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Short IDs collide now and then, or their producer made them up. The list of full IDs,
// which the header commits to, settles what belongs where.

// Mismatched tells that the body that short IDs rebuilt is not the one the header
// commits to. The full IDs settle which.
func (e *Engine) Mismatched(now time.Time, id block.ID) {
	b := e.blocks[id]
	if b == nil || b.stage != Checking {
		return
	}
	e.stats.Mismatches++
	b.become(Listing)
	b.fetch, b.late, b.list = nil, nil, nil
	e.advance(now, b)
}

// listPiece takes a piece of a block's list of full IDs, asked for or not. An answer
// that begins later takes the place of one that is not whole.
func (e *Engine) listPiece(now time.Time, b *entry, from wire.PeerID, m *message.Part) {
	if b.whole() || len(b.list) == b.block.Txs {
		return
	}
	if m.From == 0 && m.Number > b.listed {
		b.list, b.listed = nil, m.Number
	}
	if m.Number != b.listed || m.From != len(b.list) || len(b.list)+len(m.IDs) > b.block.Txs {
		return
	}
	b.list = append(b.list, m.IDs...)
	e.progressed(now, b, m.Number, len(m.IDs)*len(block.ID{}))
	if len(b.list) == b.block.Txs {
		e.effects.Add(effect.CheckList{Block: m.Block, Number: m.Number, From: from, IDs: b.list})
	}
}

// ListForged tells that the list of full IDs is not what the header commits to.
func (e *Engine) ListForged(now time.Time, from wire.PeerID, number uint32, id block.ID) {
	if b := e.blocks[id]; b != nil {
		b.list = nil
		e.refused(now, b, from, number)
	}
}

// Listed tells that a block's full IDs are right, and what is here of them, in the pool
// or of what had come for the block.
func (e *Engine) Listed(now time.Time, id block.ID, held Held) {
	b := e.blocks[id]
	if b == nil || b.stage != Gathering && b.stage != Listing {
		return
	}
	b.become(Gathering)
	b.fetch, b.late = nil, nil
	b.holdings = pooled(b.places, held)
	b.facts.Missing += b.lacks
	b.prefill = prefill{} // some of it may not be here any more
	b.untry()
	e.advance(now, b)
}
