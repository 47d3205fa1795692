package fabric

import (
	"slices"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

// infect passes a height on with a hop, unless it was before: the body in the first
// hops, then its number.
func (p *Peer) infect(e *entry, hop int, from wire.PeerID) {
	if hop > p.cfg.Hops {
		return
	}
	if e.passed == nil {
		e.passed = make([]bool, p.cfg.Hops+1)
	}
	if e.passed[hop] {
		return
	}
	e.passed[hop] = true
	x := pass{e.block, hop, from}
	drawn := p.draw(p.fanout(x))
	if hop < p.cfg.BodyHops && e.whole {
		p.push(x, drawn)
		return
	}
	to := without(drawn, from)
	p.stats.Advertised += uint64(len(to))
	p.send(Advert{Height: e.height, Hop: hop}, to...)
}

// advertised takes note of a height that a neighbour has, or has asked for. The first to
// advertise one that is not here is asked for it, and nobody after.
func (p *Peer) advertised(from *neighbour, m Advert) {
	if p.cfg.Hops == 0 {
		p.stats.Ignored++
		return
	}
	e := p.store.open(m.Height)
	if e == nil {
		p.stats.Ignored++
		return
	}
	if !e.asked && !p.has(m.Height) {
		e.asked = true
		p.stats.Wanted++
		p.send(Want(m), from.id)
	}
	p.infect(e, m.Hop+1, from.id)
}

// wanted answers a neighbour that wants a block, when it is here: a body that was asked
// for is waited for.
func (p *Peer) wanted(from *neighbour, m Want) {
	if b, ok := p.block(m.Height); ok {
		p.send(Answer{Block: b, Hop: m.Hop}, from.id)
		return
	}
	e := p.store.at(m.Height)
	if e == nil || slices.ContainsFunc(e.waiters, func(w waiter) bool { return w.peer == from.id }) {
		p.stats.Ignored++
		return
	}
	e.waiters = append(e.waiters, waiter{from.id, m.Hop})
}

// answered takes a body that was asked for. It is not passed on: its number was.
func (p *Peer) answered(now time.Time, from *neighbour, m Answer) {
	if p.store.at(m.Block.Height) == nil {
		p.stats.Ignored++
		return
	}
	p.take(now, received{m.Block, arrival.Push, from.id, m.Hop})
}
