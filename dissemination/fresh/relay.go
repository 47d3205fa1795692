package fresh

import (
	"math"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

const (
	// everybody is up to how many members a network has in which all are neighbours of all:
	// membership's bound.
	everybody = 128
	// youngAge is for how long after its arrival the orderer takes a transaction to
	// be unknown to others: a batch's wait and a few hops of gossip (a guess).
	youngAge = 100 * time.Millisecond
	// youngBytes bounds what the orderer prefills of them: it goes out to a dozen
	// neighbours, each of which passes on what was new to it.
	youngBytes = 16 << 10
)

// prefill is transactions that go along with an announcement, at most
// message.PrefillBytes of them.
type prefill struct {
	at    []uint32 // ascending
	sizes []int    // in bytes
	bytes int      // their sum
}

// add takes one more in, unless there would be more bytes than most.
func (p *prefill) add(place uint32, size, most int) {
	if p.bytes+size <= most {
		p.at, p.sizes, p.bytes = append(p.at, place), append(p.sizes, size), p.bytes+size
	}
}

// Pooled is what the producer's pool knows of a block's transaction.
type Pooled struct {
	Arrived time.Time // zero: it never was in the pool
	Size    int       // in bytes
}

// Unknown says that hardly anybody else can have the transaction.
func (t Pooled) Unknown(now time.Time) bool {
	return t.Arrived.IsZero() || now.Sub(t.Arrived) < youngAge
}

// young returns those that others probably lack.
func young(now time.Time, txs []Pooled) prefill {
	var out prefill
	for i, t := range txs {
		if !t.Arrived.IsZero() && now.Sub(t.Arrived) < youngAge {
			out.add(uint32(i), t.Size, youngBytes)
		}
	}
	return out
}

// relay passes a block on, if it was not yet: infect and die.
func (e *Engine) relay(b *entry, from wire.PeerID) {
	if e.cfg.Mode == PullOnly || b.relayed || b.block.Height <= e.tip.Height {
		return
	}
	b.relayed = true
	var to []wire.PeerID
	for _, n := range e.sample(e.relays(b, from), func(n *neighbour) bool { return n.id != from && n.tip < b.block.Height }) {
		to = append(to, n.id)
	}
	if len(to) == 0 {
		return
	}
	e.stats.Relayed += uint64(len(to))
	m := b.announcement()
	m.At, m.Sizes = b.prefill.at, b.prefill.sizes
	e.effects.Add(effect.Send{To: to, Msg: m})
}

// announcement is what this peer says of a block.
func (b *entry) announcement() *message.Announce {
	hop := 0
	if b.facts.Via != arrival.Own {
		hop = min(b.facts.Hop+1, message.MaxHop)
	}
	return &message.Announce{Block: b.block, Hop: hop, Complete: b.whole(), Listed: !b.shards, Coming: b.coming}
}

// besides is how many neighbours a coded block's announcement goes to that came from the producer,
// where all are neighbours of all: it tells everybody, so that this is for those that it has
// not met, or that it did not reach (a guess).
const besides = 3

// relays returns to how many neighbours a block's announcement goes.
func (e *Engine) relays(b *entry, from wire.PeerID) int {
	switch {
	case !b.shards || e.cfg.Fanout > 0:
		return e.fanout()
	case b.facts.Via == arrival.Own:
		return len(e.peers)
	case from == e.cfg.Producer && max(e.members, len(e.peers)+1) <= everybody:
		return besides
	}
	return e.fanout()
}

// fanout returns how many neighbours an announcement goes to.
func (e *Engine) fanout() int {
	if e.cfg.Fanout > 0 {
		return e.cfg.Fanout
	}
	n := max(e.members, len(e.peers)+1)
	return int(math.Ceil(math.Log(float64(n)))) + 7
}
