package spread

import (
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// stripeOf returns the stripe of a leaf. A stripe's leaves of data stand next to each other in the
// Merkle tree, and those of parity in small groups, of which only the first ones are sent:
// proofs are short. Which stripes get most, of a small block, differs from block to block.
func (b *entry) stripeOf(body bool, leaf int) int {
	data := b.code(body).g.DataLeaves()
	switch {
	case !body:
	case leaf < data:
		leaf = leaf * stripes / data
	default:
		leaf = (leaf - data) / max(1, data/512)
	}
	return int((uint64(leaf) + b.block.Ref()) % stripes)
}

// fillStripes ends the coming of stripes of a block that is whole, and makes what has not come
// of them for those that get them from here.
func (s *Spreader) fillStripes(now time.Time, b *entry) {
	if s.produces() || s.mesh() {
		return
	}
	owing := map[*neighbour]bool{}
	var parents []wire.PeerID
	for _, body := range []bool{false, true} {
		c := b.code(body)
		lacks := make([][]int, stripes)
		for leaf := range b.sent(body) {
			if !c.leaves.has(leaf) {
				i := b.stripeOf(body, leaf)
				lacks[i] = append(lacks[i], leaf)
			}
		}
		for i, leaves := range lacks {
			t := &s.trees.of[i]
			if len(leaves) == 0 {
				continue
			}
			if p := t.parent; p != nil && p.id != s.cfg.Producer {
				if !owing[p] {
					owing[p] = true
					parents = append(parents, p.id)
				}
				if b.brought[p.id] == 0 && b.coming > 0 && !s.overdueAt(b, i).After(now) { // it has claimed what it does not give
					s.bar(now, b, p)
				}
			}
			for _, n := range t.children {
				if !b.complete[n.id] {
					s.send(b, n.id, body, leaves, false)
				}
			}
		}
	}
	if len(parents) > 0 {
		s.effects.Add(effect.Send{To: parents, Msg: &message.Enough{Ref: b.block.Ref()}})
	}
}

// bar passes a neighbour over for some blocks that claims stripes and gives nothing.
func (s *Spreader) bar(now time.Time, b *entry, n *neighbour) {
	n.branch.barred = b.block.Height + barredFor
	for i := range s.trees.of {
		if s.trees.of[i].parent == n {
			s.leave(now, i)
		}
	}
}

// sent yields the leaves that the producer sends of a string.
func (b *entry) sent(body bool) func(yield func(int) bool) {
	e := message.Run{Count: listLeaves(b.list.g)}
	if body {
		e = b.expected()
	}
	return func(yield func(int) bool) {
		for leaf := e.First; leaf < min(e.First+e.Count, b.code(body).g.Leaves()) && yield(leaf); leaf++ {
		}
	}
}
