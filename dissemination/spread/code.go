package spread

import (
	"math/bits"
	"slices"
	"time"

	"grapevine/coding"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (s bitset) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s bitset) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) count() (total int) {
	for _, w := range s {
		total += bits.OnesCount64(w)
	}
	return total
}

// each calls f for each, ascending.
func (s bitset) each(f func(int)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(64*i + bits.TrailingZeros64(w))
		}
	}
}

// code is a coded string of a block, as far as it is here.
type code struct {
	g          coding.Geometry
	leaves     bitset // that came as shards
	passed     bitset // that went to all neighbours from here
	held       bitset // symbols of data that the pool has; nil: none, or nobody knows
	count      int    // symbols that are here, of both
	whole      bool
	rebuilding bool
}

func newCode(g coding.Geometry) *code {
	return &code{g: g, leaves: newBitset(g.Leaves()), passed: newBitset(g.Leaves())}
}

// fill notes that all of the string is here.
func (c *code) fill() { c.whole, c.rebuilding = true, false }

// has says whether a leaf can be sent: it came, or can be made.
func (c *code) has(leaf int) bool { return c.whole || c.leaves.has(leaf) }

// missing returns how many of a span's leaves have not come.
func (c *code) missing(s coding.Span) (n int) {
	for i := range s.Leaves {
		if !c.leaves.has(s.First + i) {
			n++
		}
	}
	return n
}

// take notes leaves that came.
func (c *code) take(s coding.Span) {
	for leaf := s.First; leaf < s.First+s.Leaves; leaf++ {
		if c.leaves.has(leaf) {
			continue
		}
		c.leaves.add(leaf)
		c.count += c.lacks(leaf)
	}
}

// lacks returns how many symbols of a leaf the pool does not have.
func (c *code) lacks(leaf int) int {
	if c.held == nil || leaf >= c.g.DataLeaves() {
		return c.g.Leaf
	}
	n := 0
	for i := leaf * c.g.Leaf; i < (leaf+1)*c.g.Leaf; i++ {
		if !c.held.has(i) {
			n++
		}
	}
	return n
}

// hold notes which symbols the pool has.
func (c *code) hold(held func(symbol int) bool) {
	c.held = newBitset(c.g.Data)
	for i := range c.g.Data {
		if held(i) {
			c.held.add(i)
		}
	}
	c.recount()
}

func (c *code) recount() {
	c.count = 0
	if c.held != nil {
		c.count = c.held.count()
	}
	for leaf := range c.g.Leaves() {
		if c.leaves.has(leaf) {
			c.count += c.lacks(leaf)
		}
	}
}

// entry is a block that is known.
type entry struct {
	block      message.Block
	first      time.Time
	list, body *code
	listed     bool // the list has been read
	coming     int  // leaves of the body that the producer sends; 0: nothing comes unasked
	lacked     int  // symbols of the body that the pool did not have; all, as far as is known

	complete map[wire.PeerID]bool // who has all of it
	heard    []wire.PeerID        // who announced it without that, in order

	moved time.Time     // when something came last
	gap   time.Duration // between two that came, on average

	asks    []*ask
	askAt   time.Time // when to look whether to ask; zero: nothing lacks, or much is coming
	tried   map[wire.PeerID]bool
	triedAt time.Time
	again   int // questions that were not answered in time
	waiters []*waiter

	own    *own // it was made here
	repair repair

	shards  int
	brought map[wire.PeerID]int
	vain    int
}

func (b *entry) code(body bool) *code {
	if body {
		return b.body
	}
	return b.list
}

// shardsOf is the message that brings a span.
func (b *entry) shardsOf(body bool, s coding.Span, pass bool) *message.Shards {
	g := b.code(body).g
	return &message.Shards{Ref: b.block.Ref(), Body: body, Span: s, Pass: pass, Bytes: s.Leaves * g.LeafBytes(), Hashes: g.ProofLen(s)}
}

// progress notes that something came.
func (b *entry) progress(now time.Time) {
	if !b.moved.IsZero() {
		b.gap += (min(now.Sub(b.moved), max(4*b.gap, leastSilence)) - b.gap) / 4 // a pause is no pace
	}
	b.moved = now
}

// expected returns the body's leaves that the producer said that it sends.
func (b *entry) expected() message.Run {
	data := b.body.g.DataLeaves()
	if b.coming >= data {
		return message.Run{First: 0, Count: b.coming}
	}
	return message.Run{First: data, Count: b.coming}
}

// absent returns which of these have not come.
func (b *entry) absent() (out []message.Run) {
	e := b.expected()
	for leaf := e.First; leaf < min(e.First+e.Count, b.body.g.Leaves()) && len(out) < message.MaxRuns; leaf++ {
		if !b.body.leaves.has(leaf) {
			out = appendRun(out, leaf)
		}
	}
	return out
}

// appendRun adds a number that is greater than all before.
func appendRun(runs []message.Run, i int) []message.Run {
	if n := len(runs); n > 0 && runs[n-1].First+runs[n-1].Count == i {
		runs[n-1].Count++
		return runs
	}
	return append(runs, message.Run{First: i, Count: 1})
}

func (b *entry) dropPeer(p wire.PeerID) {
	if b.own != nil {
		delete(b.own.given, p)
	}
	delete(b.tried, p)
	b.repair.forget(p)
	delete(b.complete, p)
	b.heard = slices.DeleteFunc(b.heard, func(q wire.PeerID) bool { return q == p })
	b.asks = slices.DeleteFunc(b.asks, func(a *ask) bool { return a.to == p })
	b.waiters = slices.DeleteFunc(b.waiters, func(w *waiter) bool { return w.peer == p })
}

func (b *entry) deadline() time.Time {
	at := earliest(b.askAt, b.repair.haveAt)
	if b.own != nil {
		at = earliest(at, b.own.gatherAt)
	}
	for _, a := range b.asks {
		at = earliest(at, a.deadline)
	}
	for _, w := range b.waiters {
		at = earliest(at, w.deadline)
	}
	return at
}
