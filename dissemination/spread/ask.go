package spread

import (
	"slices"
	"time"

	"grapevine/coding"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// ask is a question under way.
type ask struct {
	to       wire.PeerID
	body     bool
	leaves   bitset // that have not come
	left     int    // how many
	sent     time.Time
	answered bool
	patience time.Duration // between two parts of the answer
	deadline time.Time
}

// firstSilence is how long the first shards of a block may take after its announcement: they
// come by one peer more, after all that the producer sends (a guess).
const firstSilence = 250 * time.Millisecond

const (
	// owedFor is for how long an answer may yet come: it bounds what a peer with a fault of its
	// own costs (a guess).
	owedFor = time.Minute
	// mostAgain is how often the producer is asked before others are: it does not answer where
	// relays bring what was asked for (a guess).
	mostAgain = 4
)

// silence is how long nothing may come of a block before the rest is asked for.
func (b *entry) silence() time.Duration {
	if b.shards == 0 {
		return firstSilence << min(b.again, 5)
	}
	return max(max(leastSilence, 3*b.gap)<<min(b.again, 5), b.rest())
}

// rest is how long what lacks, and comes, takes at the pace of what has come: a slow link is none
// that is silent, and what it is asked for twice makes it slower.
func (b *entry) rest() time.Duration {
	came := b.body.leaves.count()
	if came == 0 {
		return 0
	}
	coming := 0
	for leaf := range b.sent(true) {
		if !b.body.leaves.has(leaf) {
			coming++
		}
	}
	lacks := min(max(b.body.g.Data-b.body.count, 0)/b.body.g.Leaf, coming)
	return b.moved.Sub(b.first) * time.Duration(lacks) / time.Duration(came)
}

// want asks for what lacks of a block, as far as it does not come by itself.
func (s *Spreader) want(now time.Time, b *entry) {
	b.askAt = time.Time{}
	c := b.body
	if !b.listed && b.coming < c.g.DataLeaves() {
		c = b.list
	}
	if c.whole || c.rebuilding {
		return
	}
	if s.mend(now, b, c) {
		return
	}
	asked, flying := newBitset(c.g.Leaves()), 0
	for _, a := range b.asks {
		if a.body == (c == b.body) {
			a.leaves.each(func(leaf int) {
				asked.add(leaf)
				flying += c.lacks(leaf)
			})
		}
	}
	need := c.g.Data - c.count - flying
	if need <= 0 {
		return
	}
	if b.coming > 0 {
		if coming := s.comes(b, c); now.Before(b.moved.Add(b.silence())) {
			b.askAt = b.moved.Add(b.silence())
			if need -= coming; need <= 0 {
				return
			}
		}
	}
	leaves := c.choose(asked, need)
	targets, each := s.targets(b, c, len(leaves))
	if len(targets) == 0 {
		if b.again = 0; now.Sub(b.triedAt) > owedFor {
			b.tried = nil
		}
		b.askAt = now.Add(s.patience)
		return
	}
	for _, to := range targets {
		n := min(each, len(leaves))
		if n == 0 {
			return
		}
		s.ask(now, b, c, to, leaves[:n])
		leaves = leaves[n:]
	}
}

// comes returns how many symbols of a string that have not come the producer has said that it
// sends.
func (s *Spreader) comes(b *entry, c *code) (symbols int) {
	e := b.expected()
	if c == b.list {
		e = message.Run{First: 0, Count: listLeaves(c.g)}
	}
	for leaf := e.First; leaf < min(e.First+e.Count, c.g.Leaves()); leaf++ {
		if !c.leaves.has(leaf) {
			symbols += c.lacks(leaf)
		}
	}
	return symbols
}

// choose returns leaves that bring as many symbols as are needed, ascending: those of which
// each symbol counts, and among these data where nothing else is here, and otherwise parity,
// so that all who lack something want the same.
func (c *code) choose(asked bitset, need int) (leaves []int) {
	data := c.g.DataLeaves()
	pick := func(from, upto, least int) {
		for leaf := from; leaf < upto && need > 0; leaf++ {
			if n := c.lacks(leaf); n >= least && !c.leaves.has(leaf) && !asked.has(leaf) {
				asked.add(leaf)
				leaves = append(leaves, leaf)
				need -= n
			}
		}
	}
	if c.held == nil {
		pick(0, data, c.g.Leaf)
	}
	pick(data, c.g.Leaves(), c.g.Leaf)
	for least := c.g.Leaf; least > 0 && need > 0; least /= 2 {
		pick(0, data, least)
	}
	pick(0, data, 1)
	slices.Sort(leaves)
	return leaves
}

// targets returns whom to ask for so many leaves, and for how many of them each.
func (s *Spreader) targets(b *entry, c *code, leaves int) (to []wire.PeerID, each int) {
	chunk := max(askBytes/c.g.LeafBytes(), 1)
	free := func(p wire.PeerID) bool {
		return s.byID[p] != nil && !b.tried[p] && !slices.ContainsFunc(b.asks, func(a *ask) bool { return a.to == p && a.body == (c == b.body) })
	}
	producer := s.cfg.Producer
	if s.mesh() && b.coming > 0 && s.byID[producer] != nil && !b.tried[producer] {
		if !free(producer) { // it has been asked, and what it sends comes by others
			return nil, 0
		}
		return []wire.PeerID{producer}, leaves
	}
	var complete, others []wire.PeerID
	for _, i := range s.rng.Perm(len(s.peers)) {
		switch p := s.peers[i].id; {
		case !free(p):
		case b.complete[p] && p != producer:
			complete = append(complete, p)
		case p != producer && b.coming > 0 && !slices.Contains(b.heard, p):
			others = append(others, p)
		}
	}
	to = complete
	for _, p := range b.heard {
		if free(p) && p != producer && !b.complete[p] {
			to = append(to, p)
		}
	}
	to = append(to, others...)
	if len(to) == 0 && free(producer) {
		to = append(to, producer)
	}
	most := askMost - len(b.asks)
	if len(to) > most {
		to = to[:max(most, 0)]
	}
	if len(to) == 0 {
		return nil, 0
	}
	return to, max(chunk, (leaves+len(to)-1)/len(to))
}

func (s *Spreader) ask(now time.Time, b *entry, c *code, to wire.PeerID, leaves []int) {
	a := &ask{to: to, body: c == b.body, leaves: newBitset(c.g.Leaves()), sent: now, patience: s.patience, deadline: now.Add(s.patience)}
	m := &message.Ask{Ref: b.block.Ref(), Body: a.body, Wait: s.patience}
	for _, leaf := range leaves {
		if m.Leaves = appendRun(m.Leaves, leaf); len(m.Leaves) > message.MaxRuns {
			m.Leaves = m.Leaves[:message.MaxRuns]
			break
		}
		a.leaves.add(leaf)
		a.left++
	}
	s.stats.Asks++
	b.asks = append(b.asks, a)
	s.effects.Send(to, m)
}

// answered takes what came off the questions that it answers, whoever sent it.
func (s *Spreader) answered(now time.Time, b *entry, m *message.Shards) {
	b.asks = slices.DeleteFunc(b.asks, func(a *ask) bool {
		if a.body != m.Body {
			return false
		}
		came := 0
		for leaf := m.Span.First; leaf < m.Span.First+m.Span.Leaves; leaf++ {
			if a.leaves.has(leaf) {
				a.leaves[leaf/64] &^= 1 << (leaf % 64)
				came++
			}
		}
		if came == 0 {
			return false
		}
		if a.left -= came; !a.answered {
			a.answered = true
			s.learn(now.Sub(a.sent))
		}
		a.deadline = now.Add(a.patience)
		return a.left == 0
	})
}

// learn takes what an answer took into the patience (an average that forgets by quarters, as
// in RFC 6298, with its variance left to the factor).
func (s *Spreader) learn(took time.Duration) {
	if s.typical == 0 {
		s.typical = took
	}
	s.typical += (took - s.typical) / 4
	s.patience = min(max(3*s.typical, leastPatience), message.MaxWait)
}

// refused ends the questions to a peer that has not got what it was asked for.
func (s *Spreader) refused(now time.Time, b *entry, from wire.PeerID, m *message.Shards) {
	n := len(b.asks)
	b.asks = slices.DeleteFunc(b.asks, func(a *ask) bool { return a.to == from && a.body == m.Body })
	if len(b.asks) < n {
		s.stats.Refusals++
		b.try(now, from)
		s.advance(now, b)
	}
}

// Failed tells that a question did not find room on its way.
func (s *Spreader) Failed(now time.Time, to wire.PeerID, m *message.Ask) {
	if b := s.blocks[m.Ref]; b != nil {
		s.refused(now, b, to, &message.Shards{Body: m.Body})
	}
}

// try notes that a peer was asked in vain, or may yet answer: it is not asked again soon.
// None of its answers is lost while its connection stands; to repeat the question would only
// have a slow link bring twice what it has not brought once.
func (b *entry) try(now time.Time, p wire.PeerID) {
	b.triedAt = now
	if b.tried == nil {
		b.tried = map[wire.PeerID]bool{}
	}
	b.tried[p] = true
}

func (s *Spreader) expireAsks(now time.Time, b *entry) {
	n := len(b.asks)
	b.asks = slices.DeleteFunc(b.asks, func(a *ask) bool {
		if !due(a.deadline, now) {
			return false
		}
		s.stats.Timeouts++
		b.repair.offers = slices.DeleteFunc(b.repair.offers, func(o offer) bool { return o.from.id == a.to }) // it has not kept its word
		if b.again++; a.to != s.cfg.Producer || b.coming == 0 || b.again >= mostAgain {
			b.try(now, a.to)
		}
		if !a.answered && a.to != s.cfg.Producer {
			s.patience = min(2*s.patience, 16*DefaultPatience)
		}
		return true
	})
	if len(b.asks) < n {
		s.advance(now, b)
	}
}

// waiter is another peer's question, as far as it cannot be answered yet.
type waiter struct {
	peer     wire.PeerID
	body     bool
	leaves   bitset
	deadline time.Time
}

// Asked tells that a peer asks for leaves of a block.
func (s *Spreader) Asked(now time.Time, from wire.PeerID, m *message.Ask) {
	b := s.blocks[m.Ref]
	if s.byID[from] == nil {
		return
	}
	if b == nil {
		s.refuse(from, m.Ref, m.Body)
		return
	}
	c := b.code(m.Body)
	if last := m.Leaves[len(m.Leaves)-1]; last.First+last.Count > c.g.Leaves() { // no honest peer asks for those
		s.refuse(from, m.Ref, m.Body)
		return
	}
	if s.cfg.Self == s.cfg.Producer && b.own != nil && b.coming > 0 {
		s.gathers(now, b, from, m.Body, m.Leaves, true)
		return
	}
	w := &waiter{peer: from, body: m.Body, leaves: newBitset(c.g.Leaves()), deadline: now.Add(m.Wait / 2)}
	for _, r := range m.Leaves {
		for leaf := r.First; leaf < r.First+r.Count; leaf++ {
			w.leaves.add(leaf)
		}
	}
	b.waiters = slices.DeleteFunc(b.waiters, func(x *waiter) bool { return x.peer == from && x.body == m.Body })
	if !s.serve(b, w) {
		b.waiters = append(b.waiters, w)
	}
}

// Dropped tells that shards found no room on their way: who asked for them is told.
func (s *Spreader) Dropped(to wire.PeerID, m *message.Shards) {
	if m.Bytes > 0 && !m.Pass {
		s.refuse(to, m.Ref, m.Body)
	}
}

func (s *Spreader) refuse(to wire.PeerID, ref uint64, body bool) {
	s.effects.Send(to, &message.Shards{Ref: ref, Body: body, Span: coding.Span{First: 0, Leaves: 1}})
}

// serve sends a waiter what is here of what it wants, and says whether that is all.
func (s *Spreader) serve(b *entry, w *waiter) (all bool) {
	c := b.code(w.body)
	all = true
	var give []int
	for leaf := range c.g.Leaves() {
		switch {
		case !w.leaves.has(leaf):
		case c.has(leaf):
			give = append(give, leaf)
			w.leaves[leaf/64] &^= 1 << (leaf % 64)
		default:
			all = false
		}
	}
	s.send(b, w.peer, w.body, give, false)
	return all
}

func (s *Spreader) serveWaiters(b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w *waiter) bool { return s.serve(b, w) })
}

func (s *Spreader) expireWaiters(now time.Time, b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w *waiter) bool {
		if due(w.deadline, now) {
			s.refuse(w.peer, b.block.Ref(), w.body)
			return true
		}
		return false
	})
}

// send sends leaves, ascending, in spans as large as one message takes.
func (s *Spreader) send(b *entry, to wire.PeerID, body bool, leaves []int, pass bool) {
	b.spans(body, leaves, func(span coding.Span) {
		s.stats.Served++
		s.effects.Add(effect.Send{To: []wire.PeerID{to}, Msg: b.shardsOf(body, span, pass)})
	})
}

// spans calls f for the spans, as large as one message takes, that leaves are of, which are
// ascending.
func (b *entry) spans(body bool, leaves []int, f func(coding.Span)) {
	g := b.code(body).g
	for len(leaves) > 0 {
		span := coding.Span{First: leaves[0], Leaves: 1}
		for level := 1; ; level++ {
			next, ok := g.Span(leaves[0], level)
			if !ok || next.Leaves > len(leaves) || leaves[next.Leaves-1] != leaves[0]+next.Leaves-1 || next.Leaves*g.LeafBytes() > message.ShardBytes {
				break
			}
			span = next
		}
		f(span)
		leaves = leaves[span.Leaves:]
	}
}
