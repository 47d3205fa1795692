package events

import (
	"cmp"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/fresh"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
	"grapevine/testnet/outcome"
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
	every  []uint32 // all places
}

// spreader is the fresh-block core; a test may put a broken one in its place.
type spreader interface {
	PeerUp(now time.Time, p wire.PeerID, tip uint64)
	PeerDown(now time.Time, p wire.PeerID)
	PeerTip(now time.Time, p wire.PeerID, height uint64)
	Members(n int)
	Proposed(now time.Time, a fresh.Announcement, prefill []uint32)
	Announced(now time.Time, from wire.PeerID, a fresh.Announcement)
	Wanted(now time.Time, from wire.PeerID, number uint32, id block.ID, at []uint32, wait time.Duration)
	Arrived(now time.Time, from wire.PeerID, number uint32, id block.ID, at []uint32)
	Refused(now time.Time, from wire.PeerID, number uint32, id block.ID)
	Pulled(now time.Time, from wire.PeerID, tip, upto uint64, have []block.ID)
	TipTold(now time.Time, from wire.PeerID, height uint64)
	Checked(now time.Time, id block.ID)
	Accepted(now time.Time, tip block.Tip)
	Facts(id block.ID) (fresh.Facts, bool)
	Tick(now time.Time)
	Deadline() time.Time
	Effects() []fresh.Effect
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
	flows []*flow // to its neighbours, ascending by number

	key     block.PublicKey  // in membership; zero in a static roster
	member  *membership.Core // nil in a static roster
	fresh   spreader
	catchup *catchup.Engine // nil: switched off
	tip     block.Tip
	held    []*held // by height, less one; nil: nothing is known of it
	ready   []arrival
	wakeAt  instant // when the timer is set to; 0: it is not

	described uint64    // the height that its record says
	describe  time.Time // when it compares the record with what is so

	received, sent int64 // bytes on the wire
	again          int64 // bytes of bodies that were here already
}

// held is what a peer has of a block.
type held struct {
	has   []uint64 // a bit a place; nil once nothing lacks
	lacks int
}

func (h *held) have(i uint32) bool { return h.lacks == 0 || h.has[i/64]>>(i%64)&1 != 0 }

// take notes that a transaction is here, and says whether it was before.
func (h *held) take(i uint32) (before bool) {
	if before = h.have(i); !before {
		h.has[i/64] |= 1 << (i % 64)
		h.lacks--
	}
	return before
}

// arrival is a whole block that waits for its turn in the chain.
type arrival struct {
	b    *blk
	via  string
	from int
	hop  int
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
	p.fresh = w.newSpreader(p, w.seedOf(p))
	p.fresh.Members(w.members())
	p.catchup = nil
	if !w.preset.NoCatchup {
		p.catchup = catchup.New(w.preset.Catchup, w.seedOf(p), p.tip.Height)
	}
	for i, h := range p.held { // pools and half of a block do not outlive a crash
		if h != nil && w.blocks[i].height > p.tip.Height {
			p.held[i] = nil
		}
	}
	p.ready = nil
	w.restarted(p)
	w.roster.begins(w, p)
	p.settle(w)
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
	if at := p.fresh.Deadline(); !at.IsZero() && !at.After(now) {
		p.fresh.Tick(now)
	}
	if p.catchup != nil {
		if at := p.catchup.Deadline(); !at.IsZero() && !at.After(now) {
			p.catchup.Tick(now)
		}
	}
	if at := w.roster.due(p); !at.IsZero() && !at.After(now) {
		w.roster.tick(w, p)
	}
	p.settle(w)
}

// settle carries out what the cores want, until they want nothing, and sets the timer.
func (p *peer) settle(w *world) {
	if !p.alive {
		return
	}
	for {
		a := p.fresh.Effects()
		for _, x := range a {
			p.apply(w, x)
		}
		var b []catchup.Effect
		if p.catchup != nil {
			b = p.catchup.Effects()
		}
		for _, x := range b {
			p.applyCatchup(w, x)
		}
		if c := w.roster.settle(w, p); len(a)+len(b) == 0 && !c {
			break
		}
	}
	p.setTimer(w)
}

func (p *peer) setTimer(w *world) {
	at := earliest(p.fresh.Deadline(), w.roster.due(p))
	if p.catchup != nil {
		at = earliest(at, p.catchup.Deadline())
	}
	if at.IsZero() {
		return
	}
	next := max(at.UnixNano()-w.start, w.now)
	if p.wakeAt == 0 || next < p.wakeAt {
		p.wakeAt = next
		w.queue.push(next, p)
	}
}

// hear takes in what a neighbour's record says of its height.
func (p *peer) hear(now time.Time, from *peer, height uint64) {
	p.fresh.PeerTip(now, from.id, height)
	if p.catchup != nil {
		p.catchup.PeerTip(now, from.id, height)
	}
}

// holds returns what a peer has of a block, which at first is what its pool holds.
func (p *peer) holds(w *world, b *blk) *held {
	if h := p.held[b.height-1]; h != nil {
		return h
	}
	h := &held{has: make([]uint64, (b.txs+63)/64), lacks: b.txs}
	if w.plan.Load.Warm > 0 {
		for i := range b.txs {
			if w.plan.Warm(b.index, p.number, i) {
				h.take(uint32(i))
			}
		}
	}
	p.held[b.height-1] = h
	return h
}

// take puts transactions that came where they belong, and returns the new ones.
func (p *peer) take(w *world, b *blk, at []uint32) []uint32 {
	h := p.holds(w, b)
	if h.lacks == 0 {
		p.again += int64(len(at) * b.txSize)
		return nil
	}
	var filled []uint32
	for n, i := range at {
		if h.take(i) {
			p.again += int64(b.txSize)
			if filled == nil {
				filled = slices.Clone(at[:n])
			}
		} else if filled != nil {
			filled = append(filled, i)
		}
	}
	if filled == nil {
		return at
	}
	return filled
}

// offer takes a whole block, and accepts what is next in the chain.
func (p *peer) offer(w *world, x arrival) {
	if x.b.height <= p.tip.Height {
		return
	}
	i, twice := slices.BinarySearchFunc(p.ready, x.b.height, func(a arrival, h uint64) int { return cmp.Compare(a.b.height, h) })
	if twice {
		return
	}
	p.ready = slices.Insert(p.ready, i, x)
	for len(p.ready) > 0 && p.ready[0].b.height <= p.tip.Height+1 {
		x := p.ready[0]
		p.ready = p.ready[1:]
		p.accept(w, x)
	}
}

func (p *peer) accept(w *world, x arrival) {
	b := x.b
	h := p.holds(w, b)
	h.has, h.lacks = nil, 0
	if f, ok := p.fresh.Facts(b.id); ok && x.via != outcome.ViaCatchup {
		x.via, x.hop, x.from = viaNames[f.Via], f.Hop, w.numberOf(f.From)
	}
	p.tip = block.Tip{Height: b.height, ID: b.id, TimeNano: w.start + b.at}
	w.accepted(p, x)
	p.fresh.Accepted(w.time(), p.tip)
	if p.catchup != nil {
		p.catchup.Accepted(w.time(), b.height)
	}
}

var viaNames = map[fresh.Via]string{fresh.ViaOwn: outcome.ViaOwn, fresh.ViaPush: outcome.ViaPush, fresh.ViaPull: outcome.ViaPull}

// earliest returns the earlier of two times, of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
