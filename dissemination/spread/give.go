package spread

import (
	"slices"
	"time"

	"grapevine/coding"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// What the producer does for those that lack something. What many lack it gives to one of them
// once more, who passes it on: its own uplink is what all wait for.

// gathers notes what a peer asks the producer for, or only says that it lacks, until others have
// done the same.
func (s *Spreader) gathers(now time.Time, b *entry, from wire.PeerID, body bool, runs []message.Run, asks bool) {
	o := b.own
	if asks {
		o.asking[from] = true
	}
	for _, r := range runs {
		for leaf := r.First; leaf < min(r.First+r.Count, b.code(body).g.Leaves()); leaf++ {
			k := giving{body, leaf}
			if !slices.Contains(o.asked[k], from) {
				o.asked[k] = append(o.asked[k], from)
			}
			if o.there[from] && !slices.Contains(o.lackers[k], from) {
				o.lackers[k] = append(o.lackers[k], from)
			}
		}
	}
	if o.gatherAt.IsZero() {
		o.gatherAt = now.Add(gather)
	}
}

// give sends what was asked for, and is not on its way: what many lack to one of them each,
// who passes it on, and the rest to who asked.
func (s *Spreader) give(now time.Time, b *entry) {
	o := b.own
	o.gatherAt = time.Time{}
	many := max(2, len(s.peers)/8)
	s.suspect(now, b)
	for _, body := range []bool{false, true} {
		c := b.code(body)
		direct, passed := map[wire.PeerID][]int{}, map[wire.PeerID][]int{}
		var whom, relays []wire.PeerID
		for leaf := range c.g.Leaves() {
			k := giving{body, leaf}
			from, pool := o.asked[k], o.lackers[k]
			if len(from) > len(pool) {
				pool = from
			}
			lackers := len(pool)
			to, trusted := s.trusted(b, pool, o.turn+leaf/2)
			switch {
			case len(from) == 0:
			case o.out[k] > 0 && (o.tries[k] < fewTries || trusted): // it comes
			case lackers >= many && now.Sub(o.gotAt[k]) < s.passing(): // its relay passes it on
			case lackers >= many && (o.tries[k] < fewTries || trusted):
				if passed[to] == nil {
					relays = append(relays, to)
				}
				passed[to] = append(passed[to], leaf)
			default:
				for _, p := range from {
					if o.given[p][k] || !o.asking[p] {
						continue
					}
					if direct[p] == nil {
						whom = append(whom, p)
					}
					direct[p] = append(direct[p], leaf)
				}
			}
		}
		for _, p := range relays {
			s.relayAgain(b, p, body, passed[p])
			o.short = true
		}
		for _, p := range whom {
			if len(direct[p])*c.g.LeafBytes() > directMost && b.othersHave(p) {
				s.refuse(p, b.block.Ref(), body)
				continue
			}
			s.send(b, p, body, direct[p], false)
			if o.given[p] == nil {
				o.given[p] = map[giving]bool{}
			}
			for _, leaf := range direct[p] {
				o.given[p][giving{body, leaf}] = true
			}
		}
	}
	o.asked, o.asking = map[giving][]wire.PeerID{}, map[wire.PeerID]bool{}
	s.pump(now)
}

// suspect notes the relays that have had leaves for long which most ask for all the same: they
// keep what they are to pass on, and are relays no more for some blocks. What fewer lack may be
// late at these.
func (s *Spreader) suspect(now time.Time, b *entry) {
	o := b.own
	most := max(2, len(o.there)/2)
	for k, list := range o.lackers {
		r, known := o.relay[k.leaf]
		if !k.body || !known || o.suspects[r] || o.out[k] > 0 || o.gotAt[k].IsZero() || len(list) < most || now.Sub(o.gotAt[k]) < s.passing() {
			continue
		}
		o.suspects[r] = true
		for l, p := range o.relay { // what went to it was no try
			if p == r {
				o.tries[giving{true, l}]--
			}
		}
		if n := s.byID[r]; n != nil {
			s.pauseRelay(n, b.block.Height)
		}
	}
}

// passing is how long it may take until what a relay has is with those that it passes it on to,
// or, in stripes, with those below them too.
func (s *Spreader) passing() time.Duration {
	d := s.pacer.base + s.pacer.wait()
	if !s.mesh() {
		d *= 2
	}
	return d
}

// pauseRelay has a relay passed over for some blocks, and the more the oftener that happens.
func (s *Spreader) pauseRelay(n *neighbour, height uint64) {
	n.pause = min(max(2*n.pause, leastPause), mostPause)
	n.poorTill = height + uint64(n.pause)
}

// trusted returns one of those that have asked, and whether it is one who is no suspect, answers,
// and does not have all.
func (s *Spreader) trusted(b *entry, from []wire.PeerID, turn int) (p wire.PeerID, ok bool) {
	for i := range from {
		p = from[(turn+i)%len(from)]
		if n := s.byID[p]; n != nil && !n.relay.silent && !b.own.suspects[p] && !b.complete[p] {
			return p, true
		}
	}
	return p, false
}

// relayAgain puts leaves first in line, for a neighbour that passes them on.
func (s *Spreader) relayAgain(b *entry, to wire.PeerID, body bool, leaves []int) {
	var again []*parcel
	b.spans(body, leaves, func(span coding.Span) {
		m := b.shardsOf(body, span, true)
		m.Striped = true // pass it on in any case
		x := &parcel{b: b, msg: m, chunk: &chunk{to: to}, size: message.Size(m)}
		x.chunk.parcels = []*parcel{x}
		x.count(s.byID[to])
		again = append(again, x)
	})
	s.pacer.queue = append(again, s.pacer.queue...)
	b.own.queued(again...)
}

// othersHave says whether anybody has all of the block that is not the one.
func (b *entry) othersHave(not wire.PeerID) bool {
	n := len(b.complete)
	if b.complete[not] {
		n--
	}
	return n > 0
}

// directMost is how many bytes the producer sends to one peer alone, where few lack them: its
// uplink is what all wait for.
const directMost = 64 << 10

// fewTries is after how many relays a leaf that is asked for goes to who asks: there may be
// none that passes anything on.
const fewTries = 3
