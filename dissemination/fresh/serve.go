package fresh

import (
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// waiter is another peer's request that is kept until it can be answered.
type waiter struct {
	peer     wire.PeerID
	number   uint32
	at       []uint32
	deadline time.Time
}

// Asked tells that a peer asks for transactions of a block (at no places: for its
// ID list), and how long it waits.
func (e *Engine) Asked(now time.Time, from wire.PeerID, m *message.Fetch) {
	b := e.blocks[m.Block]
	switch {
	case b == nil || e.peer(from) == nil:
		e.refuse(from, m.Number, m.Block)
	case b.canServe(m.At):
		e.serve(b, from, m.Number, m.At)
	default:
		b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
			if w.peer == from { // it has given up the last one
				e.refuse(from, w.number, m.Block)
			}
			return w.peer == from
		})
		// Half of what the asker waits, so that the refusal is there before it
		// gives up.
		wait := min(m.Wait, maxPatience*e.cfg.FetchTimeout) / 2
		b.waiters = append(b.waiters, waiter{peer: from, number: m.Number, at: m.At, deadline: now.Add(wait)})
	}
}

// canServe says whether this peer holds all of the places, or with none the list.
// What came before the body was whole can be served too: the asker holds each
// transaction against the header's commitment, as this peer did.
func (b *entry) canServe(at []uint32) bool {
	if b.whole() {
		return true
	}
	return len(at) > 0 && b.stage != Listing && !slices.ContainsFunc(at, func(i uint32) bool { return int(i) >= b.places || !b.have(i) })
}

func (e *Engine) serve(b *entry, to wire.PeerID, number uint32, at []uint32) {
	e.stats.Served++
	e.effects.Add(effect.Serve{To: to, Block: b.block.ID, Number: number, At: at, Stored: b.stage == Durable})
}

func (e *Engine) refuse(to wire.PeerID, number uint32, id block.ID) {
	e.stats.Refused++
	e.effects.Send(to, message.Refusal(number, id))
}

// serveWaiters answers the requests that can be answered by now.
func (e *Engine) serveWaiters(b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
		if !b.canServe(w.at) {
			return false
		}
		e.serve(b, w.peer, w.number, w.at)
		return true
	})
}

func (e *Engine) refuseWaiters(b *entry) {
	for _, w := range b.waiters {
		e.refuse(w.peer, w.number, b.block.ID)
	}
	b.waiters = nil
}
