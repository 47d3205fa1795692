package fresh

import (
	"math"
	"slices"
	"time"

	"grapevine/p2p/wire"
)

// pass is one passing on of a block.
type pass struct {
	block *entry
	hop   int         // that the announcement carries
	from  wire.PeerID // who is not told, for it told us; "" is nobody
}

// relay passes a block on after an announcement of it that carried a hop, as often
// as the configuration has it: at once, at the next tick, or when the body is here.
func (e *Engine) relay(now time.Time, b *entry, hop int, from wire.PeerID) {
	if e.cfg.Mode == PullOnly || !e.mayPass(b, &hop) {
		return
	}
	p := pass{b, hop, from}
	if !b.checked && (e.carriesBody(hop) || (b.bare && e.cfg.BodyHops == 0)) {
		b.passes = append(b.passes, p)
		return
	}
	e.pass(now, p)
}

// mayPass says whether a block is to be passed on with this hop, and notes that it
// was. With infect and die the hop is that of the first announcement.
func (e *Engine) mayPass(b *entry, hop *int) bool {
	if e.cfg.Contagion == 0 {
		if b.relayed || b.height <= e.tip.Height {
			return false
		}
		b.relayed, *hop = true, b.relayHop()
		return true
	}
	if *hop > e.cfg.Contagion {
		return false
	}
	if b.passed == nil {
		b.passed = make([]bool, e.cfg.Contagion+1)
	}
	again := b.passed[*hop]
	b.passed[*hop] = true
	return !again
}

// carriesBody says whether the body follows an announcement with this hop.
func (e *Engine) carriesBody(hop int) bool { return hop < e.cfg.BodyHops }

// passHeld passes on what waited for the body, or for the names of its transactions.
func (e *Engine) passHeld(now time.Time, b *entry) {
	passes := b.passes
	b.passes = nil
	for _, p := range passes {
		e.pass(now, p)
	}
}

func (e *Engine) pass(now time.Time, p pass) {
	if e.cfg.Batch == 0 {
		e.announce(p, e.draw(e.fanoutOf(p), p))
		return
	}
	e.batch = append(e.batch, p)
	if e.batchAt.IsZero() {
		ticks := now.Sub(e.phase) / e.cfg.Batch
		if !now.Before(e.phase) {
			ticks++
		}
		e.batchAt = e.phase.Add(ticks * e.cfg.Batch)
	}
}

// passBatch passes on what waited for the tick, all to the same neighbours.
func (e *Engine) passBatch() {
	batch := e.batch
	e.batch, e.batchAt = nil, time.Time{}
	batch = slices.DeleteFunc(batch, func(p pass) bool { return e.blocks[p.block.id] != p.block })
	if len(batch) == 0 {
		return
	}
	highest := slices.MaxFunc(batch, func(a, b pass) int { return byHeight(a.block, b.block.height) })
	if slices.ContainsFunc(batch, func(p pass) bool { return p.from != highest.from }) {
		highest.from = "" // each is left out where it is needed
	}
	drawn := e.draw(e.fanout(), highest)
	for _, p := range batch {
		e.announce(p, drawn[:min(len(drawn), e.fanoutOf(p))])
	}
}

// draw draws neighbours to pass a block on to.
func (e *Engine) draw(n int, p pass) []*neighbour {
	return e.sample(n, func(x *neighbour) bool { return e.cfg.Blind || x.id != p.from && x.tip < p.block.height })
}

// announce announces a block to those of the neighbours whom it is of use to.
func (e *Engine) announce(p pass, to []*neighbour) {
	b, x := p.block, Announce{Block: p.block.id, Hop: p.hop, Complete: p.block.checked, Body: e.carriesBody(p.hop)}
	for _, n := range to {
		if n.id != p.from && (e.cfg.Blind || n.tip < b.height) {
			x.To = append(x.To, n.id)
		}
	}
	if len(x.To) == 0 {
		return
	}
	if e.cfg.BodyHops == 0 {
		x.Prefill = b.prefill
	}
	x.Digest = e.cfg.BodyHops > 0 && !x.Body
	e.stats.Relayed += uint64(len(x.To))
	if x.Body {
		e.stats.Bodies += uint64(len(x.To))
	}
	e.do(x)
}

// fanout returns how many neighbours an announcement goes to.
func (e *Engine) fanout() int {
	if e.cfg.Fanout > 0 {
		return e.cfg.Fanout
	}
	n := max(e.members, len(e.peers)+1)
	return int(math.Ceil(math.Log(float64(n)))) + 7
}

// fanoutOf returns how many neighbours a passing on goes to; the producer's own has
// hop 0.
func (e *Engine) fanoutOf(p pass) int {
	if p.hop == 0 && e.cfg.SourceFanout > 0 {
		return e.cfg.SourceFanout
	}
	return e.fanout()
}

// relayHop is the hop that an announcement of the block from here carries.
func (b *entry) relayHop() int {
	if b.facts.Via == ViaOwn {
		return 0
	}
	return b.facts.Hop + 1
}
