package events

import (
	"cmp"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// blk is a block that was made.
type blk struct {
	index  int
	height uint64
	id     block.ID
	parent block.ID
	txs    int
	txSize int
	bytes  int // of the body
	at     instant
	sizes  []int // of its transactions

	described message.Block
}

// mind is a peer's protocol: the core, and what carries out what the core wants.
type mind interface {
	peerUp(now time.Time, other *peer)
	peerDown(now time.Time, other *peer)
	// heard tells of what a neighbour's record says of its height.
	heard(now time.Time, other *peer, height uint64)
	members(n int)
	propose(w *world, b *blk)
	deadline() time.Time
	tick(now time.Time)
	// act carries out what the core wants at present, and says whether it wanted anything.
	act(w *world) bool
	// again returns the bytes of bodies that came though they were here.
	again() int64
}

// peer is a node without its network: what its drivers do between the cores.
type peer struct {
	number   int
	id       wire.PeerID
	up, down access
	joins    instant

	alive bool
	side  int     // peers on different sides do not reach each other
	loss  float64 // of packets, from faults
	// withholds: it brings nothing of what it says that it has.
	withholds bool
	flows     []*flow // to its neighbours, ascending by number

	key    block.PublicKey  // in membership; zero in a static roster
	member *membership.Core // nil in a static roster
	mind   mind             // of its present life, or its last; nil before the first
	tip    block.Tip
	wakeAt instant // when the timer is set to; 0: it is not

	described uint64    // the height that its record says
	describe  time.Time // when it compares the record with what is so

	received, sent int64   // bytes on the wire, but for beats
	linked         int64   // nanoseconds of its connections' lives, up to
	tallied        instant // this time
	quiet          int64   // what had been received when no block was under way any more
	again          int64   // bytes of bodies that were here already, in earlier lives
}

// flow returns the flow to a neighbour; nil: it is none.
func (p *peer) flow(to int) *flow {
	i, ok := slices.BinarySearchFunc(p.flows, to, func(f *flow, n int) int { return cmp.Compare(f.to.number, n) })
	if !ok {
		return nil
	}
	return p.flows[i]
}

// send sends a message to a neighbour and says whether it is on its way.
func (p *peer) send(w *world, to *peer, l wire.Lane, size int64, what said) bool {
	f := p.flow(to.number)
	return f != nil && f.send(w, l, size, what)
}

// begin makes the cores of a peer that starts, at its ledger's tip.
func (p *peer) begin(w *world) {
	p.alive, p.wakeAt = true, 0
	w.lives++
	if p.mind != nil {
		p.again += p.mind.again()
	}
	p.mind = w.newMind(p, w.seedOf(p))
	p.mind.members(w.members())
	w.restarted(p)
	w.roster.begins(w, p)
	p.carryOut(w)
}

// end is a crash: what it was sending is gone.
func (p *peer) end() {
	p.alive = false
	for _, f := range p.flows {
		f.dead = true
	}
}

// act is the cores' timer.
func (p *peer) act(w *world) {
	if w.now != p.wakeAt { // an earlier start set it, or it was set to a later time
		return
	}
	p.wakeAt = 0
	if !p.alive {
		return
	}
	now := w.time()
	p.mind.tick(now)
	if at := w.roster.due(p); !at.IsZero() && !at.After(now) {
		w.roster.tick(w, p)
	}
	p.carryOut(w)
}

// carryOut carries out what the cores want, until they want nothing, and sets the timer.
func (p *peer) carryOut(w *world) {
	if !p.alive {
		return
	}
	for {
		acted := p.mind.act(w)
		if !w.roster.carryOut(w, p) && !acted {
			break
		}
	}
	p.setTimer(w)
}

func (p *peer) setTimer(w *world) {
	at := earliest(p.mind.deadline(), w.roster.due(p))
	if at.IsZero() {
		return
	}
	next := max(at.UnixNano()-w.start, w.now)
	if p.wakeAt == 0 || next < p.wakeAt {
		p.wakeAt = next
		w.queue.push(next, p)
	}
}

// accept takes the next block into the chain, which came as the facts say.
func (p *peer) accept(w *world, b *blk, facts arrival.Facts) {
	p.tip = w.tipAt(b)
	w.accepted(p, b, facts)
}

// earliest returns the earlier of two times, of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
