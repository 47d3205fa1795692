package spread

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Where not all are neighbours of all, the leaves of a block are divided into stripes, and each
// stripe has a tree of its own over the connections that there are, which stays from block
// to block: the producer gives a stripe to one neighbour, and everybody else chooses, among
// its neighbours, a parent for it, from what they say of how long a leaf is on its way to
// them. Nobody knows a tree, or builds it: it is a distance-vector protocol whose only
// destination is the producer, with the loop-freedom of feasible successors (Garcia-Luna-Aceves,
// "Loop-Free Routing Using Diffusing Computations", 1993, §III). That several trees share the
// load of one is SplitStream's idea (Castro and others, 2003), and that they are grown and
// pruned by messages between neighbours Plumtree's (Leitão and others, 2007).

const (
	stripes = message.NumStripes
	// everybody is up to how many members all are neighbours of all: membership's bound.
	everybody = 128
	// mostChildren is how many receivers a peer has in one stripe at most, and loadMost in
	// all: on average each has as many as there are stripes. loadUrgent is for those that
	// have lost several senders: with the lower bound alone a network in which a third is silent
	// jams (in a model of messages alone; a guess).
	mostChildren = 64
	loadMost     = stripes * 5 / 4
	loadUrgent   = stripes * 7 / 4
	// mostOfOne is how many stripes one neighbour gets from this peer: nobody takes all its
	// places (a guess).
	mostOfOne = 8
	// loadCost is how much later a stripe comes from a neighbour for each of its receivers: half
	// of the time in which 50 Mbit/s carry 4 KiB (a guess).
	loadCost = 330 * time.Microsecond
	// hopCost is what a hop takes besides its way: what waits for a peer's other receivers,
	// when it has as many as it has stripes.
	hopCost = stripes * loadCost
	// dither spreads choices that are equally good.
	dither = 10 * time.Millisecond
	// tellGap is how long what is told of stripes is gathered, and growGap what is heard of them.
	tellGap = 50 * time.Millisecond
	growGap = 20 * time.Millisecond
	// fullFor is how long a neighbour that refused is passed over, and feasibleFor how long after
	// a parent was lost those below this peer may not have heard of it (guesses: some round
	// trips).
	fullFor     = 500 * time.Millisecond
	feasibleFor = 500 * time.Millisecond
	// barredFor is for how many blocks a neighbour is passed over that claimed a stripe and
	// brought nothing of it (a guess).
	barredFor = 50
)

// tree is one stripe, as this peer sees it.
type tree struct {
	parent   *neighbour // from whom it comes; nil: from nobody
	age      uint8      // how long a leaf is on its way here
	children []*neighbour

	floor   uint8 // the age before the parent was lost: only who is nearer becomes the next
	floorAt time.Time
	lost    int // parents that were lost one after the other
}

// trees are all stripes.
type trees struct {
	of     [stripes]tree
	load   int // children, of all
	told   message.Stripes
	tellAt time.Time // zero: nothing new
	growAt time.Time // zero: nothing lacks, or nobody is known who has it
}

func (t *trees) begin() {
	for i := range t.of {
		t.of[i].age, t.of[i].floor = message.NoAge, message.NoAge
		t.told.Ages[i] = message.NoAge
	}
}

// branch is what is known of a neighbour with regard to stripes.
type branch struct {
	ages     message.Ages
	told     bool // ages are known
	load     int
	gets     uint64        // stripes that it gets from this peer
	gives    uint64        // and those that it is taken to give
	way      time.Duration // one way to it; zero: not known
	refused  uint64        // stripes that it would not give lately,
	fullTill time.Time     // until then
	barred   uint64        // it is passed over below that height
	assigned message.Ages  // what the producer told it
}

// defaultWay is how far away a neighbour is taken to be of which nobody knows (a guess).
const defaultWay = 50 * time.Millisecond

func (n *neighbour) distance() time.Duration {
	if n.branch.way == 0 {
		return defaultWay
	}
	return n.branch.way
}

// Distance tells how long a packet is on its way to a neighbour; zero: nobody knows.
func (s *Spreader) Distance(p wire.PeerID, way time.Duration) {
	if n := s.byID[p]; n != nil && way > 0 {
		n.branch.way = way
		if s.typical == 0 { // no answer has told how long they take
			s.longest = max(s.longest, 6*way)
			s.patience = min(cmp.Or(s.cfg.Patience, DefaultPatience), max(leastPatience, s.longest))
		}
		if base := 2 * way; n.relay.base == 0 || base < n.relay.base {
			n.relay.base, n.relay.heard = base, true
		}
	}
}

// mesh says whether all are neighbours of all.
func (s *Spreader) mesh() bool { return max(s.members, len(s.peers)+1) <= everybody }

func (s *Spreader) produces() bool { return s.cfg.Self == s.cfg.Producer }

// plant has a new neighbour told of stripes.
func (s *Spreader) plant(now time.Time, n *neighbour) {
	n.branch.assigned = none()
	switch {
	case s.produces():
		s.trees.tell(now)
	case s.trees.told.Ages != none():
		m := s.trees.told
		s.effects.Send(n.id, &m)
	}
}

func none() (a message.Ages) {
	for i := range a {
		a[i] = message.NoAge
	}
	return a
}

// uproot takes a neighbour out of all trees.
func (s *Spreader) uproot(now time.Time, n *neighbour) {
	for i := range s.trees.of {
		if s.trees.of[i].parent == n {
			s.orphan(now, i)
		}
		s.cut(i, n)
	}
	if s.produces() {
		s.trees.tell(now)
	}
}

// cut ends a neighbour's being a child.
func (s *Spreader) cut(stripe int, n *neighbour) {
	t := &s.trees.of[stripe]
	if i := slices.Index(t.children, n); i >= 0 {
		t.children = slices.Delete(t.children, i, i+1)
		n.branch.gets &^= 1 << stripe
		s.trees.load--
	}
}

// orphan notes that a stripe has no parent any more.
func (s *Spreader) orphan(now time.Time, stripe int) {
	t := &s.trees.of[stripe]
	if t.parent == nil {
		return
	}
	t.parent.branch.gives &^= 1 << stripe
	if s.trees.told.Ages[stripe] != message.NoAge { // there may be some below this peer
		t.floor, t.floorAt = t.age, now
		t.lost++
	}
	t.parent, t.age = nil, message.NoAge
	s.trees.tell(now)
	s.trees.grow(now)
}

func (t *trees) tell(now time.Time) { t.tellAt = earliest(t.tellAt, now.Add(tellGap)) }
func (t *trees) grow(now time.Time) { t.growAt = earliest(t.growAt, now.Add(growGap)) }

// ageBy is the age of a stripe that comes by a neighbour.
func ageBy(n *neighbour, stripe int) uint8 {
	age := n.branch.ages[stripe]
	if age == message.NoAge {
		return age
	}
	return uint8(min(int(age)+int((n.distance()+hopCost+message.AgeUnit-1)/message.AgeUnit), message.NoAge))
}

// Stripes tells what a neighbour says of how stripes come to it.
func (s *Spreader) Stripes(now time.Time, from wire.PeerID, m *message.Stripes) {
	n := s.byID[from]
	if n == nil || s.produces() {
		return
	}
	n.branch.ages, n.branch.load, n.branch.told = m.Ages, m.Load, true
	for i := range s.trees.of {
		t := &s.trees.of[i]
		if from == s.cfg.Producer && m.Ages[i] != message.NoAge && t.parent != n { // it is given to us
			s.leave(now, i)
			s.adopt(i, n)
			s.trees.tell(now)
		}
		if t.parent != n {
			continue
		}
		if age := ageBy(n, i); age == message.NoAge {
			s.leave(now, i)
		} else if t.age != age {
			t.age = age
			s.trees.tell(now)
		}
	}
	s.trees.grow(now)
}

// leave ends a stripe's coming from its parent, who is told.
func (s *Spreader) leave(now time.Time, stripe int) {
	if p := s.trees.of[stripe].parent; p != nil {
		if p.id != s.cfg.Producer {
			s.effects.Send(p.id, &message.Graft{Prune: 1 << stripe})
		}
		s.orphan(now, stripe)
	}
}

func (s *Spreader) adopt(stripe int, n *neighbour) {
	t := &s.trees.of[stripe]
	t.parent, t.age = n, ageBy(n, stripe)
	t.floor = message.NoAge
	n.branch.gives |= 1 << stripe
}

// growTrees chooses parents for the stripes that have none.
func (s *Spreader) growTrees(now time.Time) {
	s.trees.growAt = time.Time{}
	if s.produces() || s.mesh() || s.cfg.Silent {
		return
	}
	grafts := map[*neighbour]*message.Graft{}
	var to []*neighbour
	lacks := false
	for i := range s.trees.of {
		t := &s.trees.of[i]
		if t.parent != nil {
			continue
		}
		if t.floor != message.NoAge && now.Sub(t.floorAt) >= feasibleFor {
			t.floor = message.NoAge
		}
		best := s.parentFor(now, i, t.floor)
		if best == nil {
			lacks = true
			continue
		}
		s.adopt(i, best)
		best.branch.load++
		if grafts[best] == nil {
			grafts[best] = &message.Graft{}
			to = append(to, best)
		}
		grafts[best].Stripes |= 1 << i
		grafts[best].Urgent = grafts[best].Urgent || t.lost > 1
		s.trees.tell(now.Add(2 * best.distance())) // by then it has refused
	}
	for _, n := range to {
		s.effects.Send(n.id, grafts[n])
	}
	if lacks {
		s.trees.growAt = now.Add(fullFor / 2)
	}
}

// parentFor returns the neighbour from which a stripe would come soonest, of those that are
// nearer to the producer than a floor; nil: there is none.
func (s *Spreader) parentFor(now time.Time, stripe int, floor uint8) (best *neighbour) {
	var least time.Duration
	for _, n := range s.peers {
		b := &n.branch
		if !b.told || b.ages[stripe] >= floor || ageBy(n, stripe) == message.NoAge || b.gets>>stripe&1 != 0 || n.id == s.cfg.Producer ||
			b.refused>>stripe&1 != 0 && b.fullTill.After(now) || b.barred > s.height() || bits.OnesCount64(b.gives) >= mostOfOne {
			continue
		}
		cost := time.Duration(b.ages[stripe])*message.AgeUnit + n.distance() + time.Duration(b.load)*loadCost + time.Duration(s.rng.Int64N(int64(dither)))
		if best == nil || cost < least {
			best, least = n, cost
		}
	}
	return best
}

// height is that of the last block that is known.
func (s *Spreader) height() uint64 {
	if len(s.order) == 0 {
		return 0
	}
	return s.order[len(s.order)-1].block.Height
}

// Graft tells that a neighbour wants to get stripes, or does not any more, or gives none.
func (s *Spreader) Graft(now time.Time, from wire.PeerID, m *message.Graft) {
	n := s.byID[from]
	if n == nil {
		return
	}
	refused := uint64(0)
	for i := range stripes {
		t := &s.trees.of[i]
		switch {
		case m.Prune>>i&1 != 0:
			s.cut(i, n)
			if t.parent == n {
				if !n.branch.fullTill.After(now) {
					n.branch.refused, n.branch.fullTill = 0, now.Add(fullFor)
				}
				n.branch.refused |= 1 << i
				s.orphan(now, i)
			}
		case m.Stripes>>i&1 == 0 || slices.Contains(t.children, n):
		case !s.takes(i, n, m.Urgent):
			refused |= 1 << i
		default:
			t.children = append(t.children, n)
			n.branch.gets |= 1 << i
			s.trees.load++
			s.trees.tell(now)
		}
	}
	if refused != 0 {
		s.effects.Send(from, &message.Graft{Prune: refused})
	}
}

// takes says whether a neighbour may get a stripe from this peer.
func (s *Spreader) takes(stripe int, n *neighbour, urgent bool) bool {
	t, most := &s.trees.of[stripe], loadMost
	if urgent {
		most = loadUrgent
	}
	return !s.produces() && !s.cfg.Silent && t.age != message.NoAge && t.parent != n && len(t.children) < mostChildren && s.trees.load < most &&
		bits.OnesCount64(n.branch.gets) < mostOfOne
}

// tellStripes tells neighbours how the stripes come here, if that is news.
func (s *Spreader) tellStripes() {
	t := &s.trees
	t.tellAt = time.Time{}
	if s.mesh() || s.cfg.Silent {
		return
	}
	if s.produces() {
		s.assign()
		return
	}
	m := message.Stripes{Load: t.load}
	news := m.Load-t.told.Load >= stripes/8 || t.told.Load-m.Load >= stripes/8
	for i := range t.of {
		m.Ages[i] = t.of[i].age
		was := t.told.Ages[i]
		news = news || (was == message.NoAge) != (m.Ages[i] == message.NoAge) || max(was, m.Ages[i])-min(was, m.Ages[i]) > 1
	}
	if !news || len(s.peers) == 0 {
		return
	}
	t.told = m
	s.effects.Add(effect.Send{To: s.neighbours(nil), Msg: &m})
}

// neighbours returns all neighbours, but for one.
func (s *Spreader) neighbours(but *neighbour) (to []wire.PeerID) {
	for _, n := range s.peers {
		if n != but {
			to = append(to, n.id)
		}
	}
	return to
}

// assign gives each stripe of the producer's to a neighbour, those that have few first, and
// tells them.
func (s *Spreader) assign() {
	able := func(n *neighbour) bool { return !n.relay.silent && n.poorTill <= s.height() }
	few := func() (best *neighbour) {
		order := s.rng.Perm(len(s.peers))
		for _, i := range order {
			n := s.peers[i]
			if best == nil || able(n) && !able(best) || able(n) == able(best) && bits.OnesCount64(n.branch.gets) < bits.OnesCount64(best.branch.gets) {
				best = n
			}
		}
		return best
	}
	for i := range s.trees.of {
		t := &s.trees.of[i]
		best := few()
		if best == nil {
			return
		}
		if len(t.children) > 0 {
			n := t.children[0]
			if able(n) && bits.OnesCount64(n.branch.gets) <= bits.OnesCount64(best.branch.gets)+1 {
				continue
			}
			s.cut(i, n)
		}
		t.age = 0
		t.children = append(t.children, best)
		best.branch.gets |= 1 << i
		s.trees.load++
	}
	for _, n := range s.peers {
		m := &message.Stripes{Ages: none()}
		for i := range m.Ages {
			if n.branch.gets>>i&1 != 0 {
				m.Ages[i] = 0
			}
		}
		if m.Ages != n.branch.assigned {
			n.branch.assigned = m.Ages
			s.effects.Send(n.id, m)
		}
	}
}
