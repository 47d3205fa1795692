package spread

import (
	"slices"
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// What of a stripe does not come is looked for among the neighbours: they are told what is
// needed, say which of it they have, at once or when it comes to them, and are asked for it, each
// for a little. Who has it becomes the stripe's parent.
const (
	// overdueLeast is how much later than expected a stripe may be (a guess: the jitter of wide
	// links, and a queue), besides twice the time that it takes between two shards.
	overdueLeast = 60 * time.Millisecond
	// firstGap is that time before it was measured (a guess).
	firstGap = 30 * time.Millisecond
	// needGap is how long a need is left to be answered before it is told again; it doubles up to
	// four times that (a guess: a round trip).
	needGap = 100 * time.Millisecond
	// haveGap is how long what has come is gathered before those who need it hear of it (a guess:
	// less than a tenth of a round trip).
	haveGap = 15 * time.Millisecond
	// offerGap is how long offers are gathered before they are taken (a guess, likewise).
	offerGap = 10 * time.Millisecond
	// promised is how long it may take besides the way until what was offered comes; then it is
	// asked of another (a guess: a queue).
	promised = 100 * time.Millisecond
	// mostNeeds is how often needs are told before it is asked as in a full mesh, of anybody (a
	// guess: some seconds).
	mostNeeds = 16
)

// repair is what is known of a block's stripes that do not come.
type repair struct {
	first  time.Time          // when something came first,
	age    uint8              // by a stripe of that age
	last   [stripes]time.Time // when something came of each,
	steady [stripes]bool      // and whether its parent brought that
	needAt time.Time          // when needs may be told again
	needs  int                // how often they were
	offers []offer            // what neighbours say that they have, in order
	wanted []want             // what neighbours need, and this peer does not have
	haveAt time.Time          // when to look what has come of that; zero: nothing has
	askAt  time.Time          // when to ask for what is offered; zero: nothing is
}

// offer is leaves that a neighbour says that it has.
type offer struct {
	from   *neighbour
	body   bool
	leaves bitset
}

// want is leaves that a neighbour needs.
type want struct {
	from   *neighbour
	body   bool
	leaves bitset
}

// came notes that something of a stripe came.
func (s *Spreader) came(now time.Time, b *entry, from *neighbour, m *message.Shards) {
	if s.mesh() {
		return
	}
	r, i := &b.repair, b.stripeOf(m.Body, m.Span.First)
	if r.first.IsZero() {
		r.first, r.age = now, s.trees.of[i].age
	}
	steady := s.trees.of[i].parent == from && m.Striped
	if steady && r.steady[i] { // one that is late does not tell how fast the others come
		s.gap += (min(now.Sub(r.last[i]), 3*s.gap) - s.gap) / 16
	}
	r.last[i], r.steady[i] = now, steady
	if len(r.wanted) > 0 {
		r.haveAt = earliest(r.haveAt, now.Add(haveGap))
	}
}

// overdueAt returns when more of a stripe should have come.
func (s *Spreader) overdueAt(b *entry, stripe int) time.Time {
	r, t := &b.repair, &s.trees.of[stripe]
	at := r.last[stripe]
	switch {
	case t.parent == nil:
		return b.first
	case !at.IsZero():
	case r.first.IsZero():
		at = b.first.Add(time.Duration(t.age) * message.AgeUnit)
	default:
		at = r.first.Add(time.Duration(max(int(t.age)-int(r.age), 0)) * message.AgeUnit)
	}
	return at.Add(overdueLeast + 2*s.gap)
}

// mend looks for what does not come of a block. It says whether that is all that there is to
// do.
func (s *Spreader) mend(now time.Time, b *entry, c *code) (done bool) {
	if s.mesh() || b.coming == 0 || b.repair.needs > mostNeeds {
		return false
	}
	body := c == b.body
	asked, lacks := newBitset(c.g.Leaves()), c.g.Data-c.count
	for _, a := range b.asks {
		if a.body == body {
			a.leaves.each(func(leaf int) {
				asked.add(leaf)
				lacks -= c.lacks(leaf)
			})
		}
	}
	var overdue []int
	next := time.Time{}
	var due [stripes]time.Time
	for i := range due {
		due[i] = s.overdueAt(b, i)
		if !b.repair.first.IsZero() { // when nothing comes of any, nothing comes
			due[i] = earliest(due[i], b.moved.Add(overdueLeast+s.gap))
		}
	}
	for leaf := range b.sent(body) {
		switch at := due[b.stripeOf(body, leaf)]; {
		case c.leaves.has(leaf) || asked.has(leaf):
		case at.After(now):
			lacks -= c.lacks(leaf)
			next = earliest(next, at)
		default:
			overdue = append(overdue, leaf)
		}
	}
	b.askAt = next
	if lacks <= 0 {
		return true
	}
	if len(overdue) == 0 { // more is needed than is sent
		overdue = c.choose(asked, lacks)
	}
	if r := &b.repair; !r.askAt.IsZero() {
		if now.Before(r.askAt) {
			b.askAt = earliest(b.askAt, r.askAt)
			return true
		}
		r.askAt = time.Time{}
		if overdue, lacks = s.askOffers(now, b, c, overdue, lacks); lacks <= 0 {
			return true
		}
		slices.Sort(overdue)
	}
	if len(overdue) == 0 { // all that there is has been asked for
		return len(b.asks) > 0
	}
	if now.Before(b.repair.needAt) {
		b.askAt = earliest(b.askAt, b.repair.needAt)
		return true
	}
	s.need(now, b, body, overdue)
	b.askAt = earliest(b.askAt, b.repair.needAt)
	return true
}

// askOffers asks those who have leaves for them, each for about as many, and returns what is
// left. What few have is looked at first.
func (s *Spreader) askOffers(now time.Time, b *entry, c *code, leaves []int, lacks int) ([]int, int) {
	body, r := c == b.body, &b.repair
	holders := map[int][]*offer{}
	for _, i := range s.rng.Perm(len(r.offers)) { // not all of the same
		if o := &r.offers[i]; o.body == body {
			for _, leaf := range leaves {
				if o.leaves.has(leaf) {
					holders[leaf] = append(holders[leaf], o)
				}
			}
		}
	}
	if len(holders) == 0 {
		return leaves, lacks
	}
	slices.SortStableFunc(leaves, func(a, b int) int { return len(holders[a]) - len(holders[b]) })
	shares := map[*offer][]int{}
	for _, leaf := range leaves {
		var best *offer
		for _, o := range holders[leaf] {
			if best == nil || len(shares[o]) < len(shares[best]) {
				best = o
			}
		}
		if best != nil && lacks > 0 {
			shares[best] = append(shares[best], leaf)
			lacks -= c.lacks(leaf)
		}
	}
	taken := newBitset(c.g.Leaves())
	for i := range r.offers {
		o := &r.offers[i]
		take := shares[o]
		if len(take) == 0 {
			continue
		}
		slices.Sort(take)
		for _, leaf := range take {
			taken.add(leaf)
			o.leaves[leaf/64] &^= 1 << (leaf % 64)
		}
		s.ask(now, b, c, o.from.id, take)
		a := b.asks[len(b.asks)-1]
		a.patience = 2*o.from.distance() + promised
		a.deadline = now.Add(a.patience)
		s.regraft(now, b, o.from, body, take)
	}
	return slices.DeleteFunc(leaves, taken.has), lacks
}

// regraft makes who has leaves the parent of their stripes, where those do not come.
func (s *Spreader) regraft(now time.Time, b *entry, n *neighbour, body bool, leaves []int) {
	m := &message.Graft{}
	for _, leaf := range leaves {
		i := b.stripeOf(body, leaf)
		t := &s.trees.of[i]
		if t.parent == n || n.branch.gets>>i&1 != 0 || !n.branch.told || ageBy(n, i) == message.NoAge || s.overdueAt(b, i).After(now) {
			continue
		}
		s.leave(now, i)
		s.adopt(i, n)
		b.repair.last[i], b.repair.steady[i] = now, false
		m.Stripes |= 1 << i
		s.trees.tell(now.Add(2 * n.distance()))
	}
	if m.Stripes != 0 {
		s.effects.Send(n.id, m)
	}
}

// need tells the neighbours what is needed.
func (s *Spreader) need(now time.Time, b *entry, body bool, leaves []int) {
	r := &b.repair
	m := &message.Need{Ref: b.block.Ref(), Body: body}
	for _, leaf := range leaves {
		if m.Leaves = appendRun(m.Leaves, leaf); len(m.Leaves) > message.MaxRuns {
			m.Leaves = m.Leaves[:message.MaxRuns]
			break
		}
	}
	s.stats.Needs++
	r.needAt = now.Add(needGap << min(r.needs, 2))
	r.needs++
	if to := s.neighbours(nil); len(to) > 0 {
		s.effects.Add(effect.Send{To: to, Msg: m})
	}
}

// Need tells that a neighbour needs leaves of a block.
func (s *Spreader) Need(now time.Time, from wire.PeerID, m *message.Need) {
	b, n := s.blocks[m.Ref], s.byID[from]
	if b == nil || n == nil {
		return
	}
	if b.own != nil && b.coming > 0 { // what many need it has passed on once more, and offers nothing
		s.gathers(now, b, from, m.Body, m.Leaves, false)
		return
	}
	c := b.code(m.Body)
	w := want{n, m.Body, newBitset(c.g.Leaves())}
	for _, r := range m.Leaves {
		for leaf := r.First; leaf < min(r.First+r.Count, c.g.Leaves()); leaf++ {
			w.leaves.add(leaf)
		}
	}
	r := &b.repair
	r.wanted = slices.DeleteFunc(r.wanted, func(x want) bool { return x.from == n && x.body == m.Body })
	if s.have(b, w) {
		return
	}
	r.wanted = append(r.wanted, w)
}

// have tells a neighbour what is here of what it needs, and says whether that is all.
func (s *Spreader) have(b *entry, w want) (all bool) {
	c := b.code(w.body)
	all = true
	m := &message.Have{Ref: b.block.Ref(), Body: w.body}
	for leaf := range c.g.Leaves() {
		switch {
		case !w.leaves.has(leaf):
		case c.has(leaf) && len(m.Leaves) < message.MaxRuns:
			m.Leaves = appendRun(m.Leaves, leaf)
			w.leaves[leaf/64] &^= 1 << (leaf % 64)
		default:
			all = false
		}
	}
	if len(m.Leaves) > 0 {
		s.effects.Send(w.from.id, m)
	}
	return all
}

// tellHave tells those who need something what has come of it.
func (s *Spreader) tellHave(b *entry) {
	b.repair.haveAt = time.Time{}
	b.repair.wanted = slices.DeleteFunc(b.repair.wanted, func(w want) bool { return b.complete[w.from.id] || s.have(b, w) })
}

// Have tells that a neighbour has leaves of a block.
func (s *Spreader) Have(now time.Time, from wire.PeerID, m *message.Have) {
	b, n := s.blocks[m.Ref], s.byID[from]
	if b == nil || n == nil || b.body.whole || b.repair.needs == 0 {
		return
	}
	c := b.code(m.Body)
	i := slices.IndexFunc(b.repair.offers, func(o offer) bool { return o.from == n && o.body == m.Body })
	if i < 0 {
		i = len(b.repair.offers)
		b.repair.offers = append(b.repair.offers, offer{n, m.Body, newBitset(c.g.Leaves())})
	}
	for _, r := range m.Leaves {
		for leaf := r.First; leaf < min(r.First+r.Count, c.g.Leaves()); leaf++ {
			b.repair.offers[i].leaves.add(leaf)
		}
	}
	b.repair.askAt = earliest(b.repair.askAt, now.Add(offerGap))
	s.advance(now, b)
}

// forget takes a neighbour out of a block's repair.
func (r *repair) forget(p wire.PeerID) {
	r.offers = slices.DeleteFunc(r.offers, func(o offer) bool { return o.from.id == p })
	r.wanted = slices.DeleteFunc(r.wanted, func(w want) bool { return w.from.id == p })
}
