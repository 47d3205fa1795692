package fabric

import (
	"cmp"
	"slices"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

// entry is what gossip remembers of a height.
type entry struct {
	height  uint64
	block   Block
	whole   bool     // its body is here, and block is set
	asked   bool     // a Want was sent
	passed  []bool   // hops that it was passed on with; only with Config.Hops
	waiters []waiter // at most one for a neighbour
}

// waiter wants a block that was asked for and is not here yet.
type waiter struct {
	peer wire.PeerID
	hop  int // of its Want
}

// store is gossip's memory: what is at most keep below the newest height.
type store struct {
	keep    uint64
	entries []*entry // ascending by height: at most keep + 1
}

// at returns what is remembered of a height; nil is nothing.
func (s *store) at(height uint64) *entry {
	if i, found := s.find(height); found {
		return s.entries[i]
	}
	return nil
}

func (s *store) find(height uint64) (int, bool) {
	return slices.BinarySearchFunc(s.entries, height, func(e *entry, h uint64) int { return cmp.Compare(e.height, h) })
}

// open returns what is remembered of a height, from now on if need be, and nil when that
// is too low to be remembered.
func (s *store) open(height uint64) *entry {
	i, found := s.find(height)
	if found {
		return s.entries[i]
	}
	if n := len(s.entries); n > 0 && s.entries[n-1].height > height+s.keep {
		return nil
	}
	e := &entry{height: height}
	s.entries = slices.Insert(s.entries, i, e)
	for newest := s.entries[len(s.entries)-1].height; s.entries[0].height+s.keep < newest; {
		s.entries = s.entries[1:]
	}
	return e
}

// whole returns the heights whose bodies are here, ascending.
func (s *store) whole() []uint64 {
	var out []uint64
	for _, e := range s.entries {
		if e.whole {
			out = append(out, e.height)
		}
	}
	return out
}

// has says whether a block's body is here.
func (p *Peer) has(height uint64) bool {
	_, ok := p.block(height)
	return ok
}

// block returns a block whose body is here.
func (p *Peer) block(height uint64) (Block, bool) {
	if height >= 1 && height <= p.Height() {
		return p.chain[height-1], true
	}
	if e := p.store.at(height); e != nil && e.whole {
		return e.block, true
	}
	a, ok := p.ahead[height]
	return a.block, ok
}

// serve answers who waited for a block.
func (p *Peer) serve(e *entry, b Block) {
	for _, w := range e.waiters {
		if p.peer(w.peer) != nil {
			p.send(Answer{Block: b, Hop: w.hop}, w.peer)
		}
	}
	e.waiters = nil
}

// take puts a block into gossip's memory and hands it to the chain. It says whether it
// was new to gossip, and returns nil when it is too low to be remembered.
func (p *Peer) take(now time.Time, a received) (e *entry, fresh bool) {
	e = p.store.open(a.block.Height)
	if e == nil {
		p.stats.Ignored++
		return nil, false
	}
	if e.whole {
		return e, false
	}
	e.block, e.whole = a.block, true
	p.serve(e, a.block)
	if a.block.Height > p.Height()+p.cfg.Buffer {
		p.stats.Early++
	} else {
		p.append(now, a)
	}
	return e, true
}

// append keeps a block for the chain, and accepts what is next.
func (p *Peer) append(now time.Time, a received) {
	if _, waits := p.ahead[a.block.Height]; waits || a.block.Height <= p.Height() {
		return
	}
	p.ahead[a.block.Height] = a
	for {
		next, ok := p.ahead[p.Height()+1]
		if !ok {
			return
		}
		delete(p.ahead, p.Height()+1)
		if next.block.Parent != p.Tip() {
			p.stats.Forks++
			return
		}
		p.chain = append(p.chain, next.block)
		p.effects = append(p.effects, Accept{next.block, next.via, next.from, next.hop})
		p.changed(now)
		if e := p.store.at(next.block.Height); e != nil {
			p.serve(e, next.block)
		}
	}
}

// Proposed tells of a block that this peer made. One that is not the chain's next is a
// fault of the caller's.
func (p *Peer) Proposed(now time.Time, b Block) {
	if b.Height != p.Height()+1 || b.Parent != p.Tip() {
		panic("fabric: the block proposed is not the chain's next")
	}
	if e, _ := p.take(now, received{block: b, via: arrival.Own}); e != nil {
		p.spread(now, e, pass{b, 0, ""}, true)
	}
}

// pushed takes a block that came unasked, and passes it on.
func (p *Peer) pushed(now time.Time, from *neighbour, m Push) {
	e, fresh := p.take(now, received{m.Block, arrival.Push, from.id, m.Hop})
	if e != nil {
		p.spread(now, e, pass{e.block, min(m.Hop+1, maxHop), from.id}, fresh)
	}
}

// pass is one passing on of a block.
type pass struct {
	block Block
	hop   int         // that the message carries
	from  wire.PeerID // who is left out; "" is nobody
}

// spread passes a block on: with infect and die when it is fresh, upon contagion when
// the hop is.
func (p *Peer) spread(now time.Time, e *entry, x pass, fresh bool) {
	switch {
	case p.cfg.Hops > 0:
		p.infect(e, x.hop, x.from)
	case fresh:
		p.emit(now, x)
	}
}

// emitter holds blocks back until its cycle's next tick (batcher.go).
type emitter struct {
	phase   time.Time // a tick of the cycle
	at      time.Time // the next tick, if something waits for it
	pending []pass    // less than Config.EmitBurst
}

func (p *Peer) emit(now time.Time, x pass) {
	p.emitter.pending = append(p.emitter.pending, x)
	if p.cfg.EmitEvery == 0 || len(p.emitter.pending) >= p.cfg.EmitBurst {
		p.flush()
	} else if p.emitter.at.IsZero() {
		p.emitter.at = nextTick(p.emitter.phase, p.cfg.EmitEvery, now)
	}
}

// flush passes on what waits, all to the same neighbours, and each block not to whom it
// came from: that one is taken out after the draw (removeSelfLoop in gossip_impl.go), so
// that the fan-out is one less when it was drawn.
func (p *Peer) flush() {
	batch := p.emitter.pending
	p.emitter.pending, p.emitter.at = nil, time.Time{}
	drawn := p.draw(p.cfg.Fanout)
	for _, x := range batch {
		p.push(x, drawn[:min(len(drawn), p.fanout(x))])
	}
}

// fanout is how many neighbours a passing on goes to; the producer's has hop 0.
func (p *Peer) fanout(x pass) int {
	if x.hop == 0 {
		return p.cfg.ProducerFanout
	}
	return p.cfg.Fanout
}

// push sends a body.
func (p *Peer) push(x pass, drawn []wire.PeerID) {
	to := without(drawn, x.from)
	p.stats.Pushed += uint64(len(to))
	p.send(Push{Block: x.block, Hop: x.hop}, to...)
}

func without(list []wire.PeerID, one wire.PeerID) []wire.PeerID {
	return slices.DeleteFunc(slices.Clone(list), func(id wire.PeerID) bool { return id == one })
}
