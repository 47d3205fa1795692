package spread

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Config sets a spreader up. The zero value of a field means its default.
type Config struct {
	Self wire.PeerID
	// Producer is who makes the blocks: what comes from it is for all.
	Producer wire.PeerID
	// Silent never sends shards unasked: pulls bring all.
	Silent bool
	// Patience is how long the first question waits for an answer; zero means
	// DefaultPatience. It becomes three times what answers take.
	Patience time.Duration
}

// DefaultPatience is several round trips of a wide link (a guess).
const DefaultPatience = 500 * time.Millisecond

const (
	// leastPatience is what a question waits for an answer at least: twice the round trip of
	// a wide link (a guess).
	leastPatience = 200 * time.Millisecond
	// leastSilence is how long nothing must have come of a block before the rest is asked
	// for: half of a wide link's round trip, and more than a burst of another block's takes
	// (a guess).
	leastSilence = 60 * time.Millisecond
	// gather is how long the producer waits whether others ask for the same: shares of a
	// relay that is gone are asked for by everybody, within the jitter of their links (a
	// guess).
	gather = 15 * time.Millisecond
	// askBytes is what one neighbour is asked for at a time, where there are others.
	askBytes = 32 << 10
	// askMost is how many are asked at a time.
	askMost = 16
	// earlyMost is how many bytes of shards are kept of blocks of which nothing is known
	// yet, and earlyEach of one neighbour's: shards overtake announcements now and then.
	earlyMost = 1 << 20
	earlyEach = 64 << 10
	// earlyFor is for how long: by then an announcement has come by other ways, or never does
	// (a guess).
	earlyFor = 5 * time.Second
	// keep is how many blocks are remembered after they were accepted: their shards may
	// still be asked for.
	keep = 64
)

// neighbour is what the spreader knows of an active neighbour.
type neighbour struct {
	id       wire.PeerID
	early    int    // bytes kept of blocks that are not known
	poorTill uint64 // it was a slow relay, and is none below that height
	pause    int    // for how many blocks that was
	relay    relay
	branch   branch
}

// Spreader is the state of one peer's shards. It is not safe for concurrent use, starts no
// goroutine, and learns the time from its arguments.
type Spreader struct {
	cfg      Config
	rng      *rand.Rand
	peers    []*neighbour // ascending by id
	byID     map[wire.PeerID]*neighbour
	members  int
	blocks   map[uint64]*entry // by reference
	order    []*entry          // ascending by height
	early    []early
	kept     int // bytes of early
	patience time.Duration
	typical  time.Duration // what answers take, on average
	longest  time.Duration // three round trips to the neighbour that is farthest away
	model    model
	pacer    pacer
	trees    trees
	gap      time.Duration   // between two shards of a stripe, on average
	bases    []time.Duration // room for usual
	effects  effect.List
	stats    Stats
}

// early is shards of a block that is not known.
type early struct {
	from wire.PeerID
	msg  *message.Shards
	at   time.Time
}

// Stats counts what the spreader has seen and done since it was made.
type Stats struct {
	Shards   uint64 // messages with leaves that came
	Vain     uint64 // of these, that brought nothing new
	Again    int    // bytes of leaves that were here already
	Early    uint64 // of these, of blocks that were not known
	Passed   uint64 // messages with leaves that were passed on
	Asks     uint64 // questions sent
	Timeouts uint64 // of these, without an answer in time
	Refusals uint64 // of these, answered with no
	Served   uint64 // messages with leaves sent in answer
	Needs    uint64 // times that neighbours were told what is needed
}

// New makes the spreader of a peer.
func New(cfg Config, seed uint64) *Spreader {
	s := &Spreader{
		cfg: cfg, rng: rand.New(rand.NewPCG(seed, 0x737072656164)),
		byID: map[wire.PeerID]*neighbour{}, blocks: map[uint64]*entry{},
		patience: cmp.Or(cfg.Patience, DefaultPatience),
	}
	s.model.begin()
	s.trees.begin()
	s.gap = firstGap
	s.pacer.window, s.pacer.rate = firstWindow, firstRate
	return s
}

// Effects drains what the spreader wants done, in order.
func (s *Spreader) Effects() []effect.Effect { return s.effects.Drain() }

// Stats returns the counts so far.
func (s *Spreader) Stats() Stats { return s.stats }

// Members tells how many members the network has.
func (s *Spreader) Members(n int) { s.members = n }

// PeerUp tells of a new active neighbour.
func (s *Spreader) PeerUp(now time.Time, p wire.PeerID) {
	if i, found := s.find(p); !found {
		n := &neighbour{id: p}
		s.peers, s.byID[p] = slices.Insert(s.peers, i, n), n
		s.plant(now, n)
	}
}

// PeerDown tells that a neighbour is gone.
func (s *Spreader) PeerDown(now time.Time, p wire.PeerID) {
	i, found := s.find(p)
	if !found {
		return
	}
	n := s.peers[i]
	s.peers = slices.Delete(s.peers, i, i+1)
	delete(s.byID, p)
	s.uproot(now, n)
	s.forgetEarly(func(x early) bool { return x.from == p })
	for _, b := range s.order {
		b.dropPeer(p)
		s.advance(now, b)
	}
}

func (s *Spreader) find(p wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(s.peers, p, func(n *neighbour, p wire.PeerID) int { return cmp.Compare(n.id, p) })
}

// add begins with a block.
func (s *Spreader) add(now time.Time, d message.Block) *entry {
	b := &entry{block: d, first: now, list: newCode(d.ListCode), body: newCode(d.BodyCode), lacked: d.BodyCode.Data, complete: map[wire.PeerID]bool{}, brought: map[wire.PeerID]int{}}
	s.blocks[d.Ref()] = b
	i, _ := slices.BinarySearchFunc(s.order, d.Height, func(b *entry, h uint64) int { return cmp.Compare(b.block.Height, h) })
	s.order = slices.Insert(s.order, i, b)
	return b
}

// entry returns a block that is known.
func (s *Spreader) entry(id block.ID) *entry {
	if b := s.blocks[message.Ref(id)]; b != nil && b.block.ID == id {
		return b
	}
	return nil
}

// Begin tells of a block that a neighbour announced, with how many leaves of its body the
// producer sends; zero: nothing comes unasked. The neighbour may have all of it.
func (s *Spreader) Begin(now time.Time, from wire.PeerID, d message.Block, coming int, complete bool) {
	b := s.entry(d.ID)
	if b == nil {
		b = s.add(now, d)
		s.recheck(d.Ref())
	}
	if coming > 0 && (b.coming == 0 || from == s.cfg.Producer) { // others only say what they heard
		b.coming = coming
		if b.moved.IsZero() {
			b.moved = now
		}
	}
	if complete {
		b.complete[from] = true
	} else if !slices.Contains(b.heard, from) && len(b.heard) < askMost {
		b.heard = append(b.heard, from)
	}
	s.advance(now, b)
}

// recheck has the shards looked at that came before their block was known.
func (s *Spreader) recheck(ref uint64) {
	s.forgetEarly(func(x early) bool {
		if x.msg.Ref == ref {
			s.effects.Add(effect.Recheck{From: x.from, Msg: x.msg})
		}
		return x.msg.Ref == ref
	})
}

// forgetEarly lets go of shards that came before their block was known.
func (s *Spreader) forgetEarly(which func(early) bool) {
	s.early = slices.DeleteFunc(s.early, func(x early) bool {
		if !which(x) {
			return false
		}
		s.kept -= x.msg.Bytes
		if n := s.byID[x.from]; n != nil {
			n.early -= x.msg.Bytes
		}
		return true
	})
}

// End tells that there is no more use for a block.
func (s *Spreader) End(id block.ID) {
	if b := s.entry(id); b != nil {
		delete(s.blocks, b.block.Ref())
		s.order = slices.DeleteFunc(s.order, func(x *entry) bool { return x == b })
	}
}

// Shards tells of leaves that came. Those of a block that is known are right under its root;
// it says whether they brought anything new.
func (s *Spreader) Shards(now time.Time, from wire.PeerID, m *message.Shards) (news bool) {
	b, n := s.blocks[m.Ref], s.byID[from]
	if n == nil {
		return false
	}
	if m.Bytes == 0 {
		if b != nil {
			s.refused(now, b, from, m)
		}
		return false
	}
	s.stats.Shards++
	if b == nil {
		s.stats.Early++
		s.forgetEarly(func(x early) bool { return now.Sub(x.at) > earlyFor })
		if s.kept+m.Bytes <= earlyMost && n.early+m.Bytes <= earlyEach {
			s.early, s.kept, n.early = append(s.early, early{from, m, now}), s.kept+m.Bytes, n.early+m.Bytes
		}
		return false
	}
	if (m.Pass || m.Striped) && from == s.cfg.Producer {
		s.effects.Send(from, &message.Got{Ref: m.Ref, Body: m.Body, First: m.Span.First})
	}
	c := b.code(m.Body)
	if c.g.Check(m.Span) != nil { // the driver has looked
		return false
	}
	leaves := c.missing(m.Span)
	if leaves == 0 || c.whole {
		s.stats.Vain++
		s.stats.Again += m.Bytes
		b.vain += m.Bytes
		s.answered(now, b, m)
		if m.Pass && m.Striped && from == s.cfg.Producer && leaves == 0 { // it came by another, and many lack it
			s.pass(b, from, m)
		}
		return false
	}
	s.stats.Again += m.Bytes - leaves*c.g.LeafBytes()
	b.vain += m.Bytes - leaves*c.g.LeafBytes()
	b.shards++
	b.brought[from]++
	c.take(m.Span)
	b.progress(now)
	s.came(now, b, n, m)
	s.answered(now, b, m)
	s.pass(b, from, m)
	s.serveWaiters(b)
	if s.rebuild(b); s.mesh() || !now.Before(b.askAt) { // else it is looked at then: what comes of stripes only lets it wait longer
		s.advance(now, b)
	}
	return true
}

// pass passes shards on: those that the producer sent for that to all neighbours that may lack
// them, and all others to those that get their stripes from here.
func (s *Spreader) pass(b *entry, from wire.PeerID, m *message.Shards) {
	if s.cfg.Silent {
		return
	}
	if from != s.cfg.Producer || !m.Pass {
		s.passDown(b, from, m)
		return
	}
	c := b.code(m.Body)
	if c.passed.has(m.Span.First) {
		return
	}
	for i := range m.Span.Leaves {
		c.passed.add(m.Span.First + i)
	}
	var to []wire.PeerID
	own, _ := s.find(s.cfg.Self) // each begins with another, so that nobody hears all at once
	for i := range s.peers {
		if n := s.peers[(own+i)%len(s.peers)]; n.id != from && !b.complete[n.id] {
			to = append(to, n.id)
		}
	}
	if len(to) > 0 {
		s.stats.Passed += uint64(len(to))
		out := *m // as it came: who gets it knows what it followed
		out.Pass, out.Striped = false, false
		s.effects.Add(effect.Send{To: to, Msg: &out})
	}
}

// passDown passes shards on to those that get their stripe from here.
func (s *Spreader) passDown(b *entry, from wire.PeerID, m *message.Shards) {
	var to []wire.PeerID
	stripe := -1
	for leaf := m.Span.First; leaf < m.Span.First+m.Span.Leaves; leaf++ {
		if i := b.stripeOf(m.Body, leaf); i != stripe {
			stripe = i
			for _, n := range s.trees.of[i].children {
				if n.id != from && !b.complete[n.id] && !slices.Contains(to, n.id) {
					to = append(to, n.id)
				}
			}
		}
	}
	if len(to) > 0 {
		s.stats.Passed += uint64(len(to))
		out := *m
		out.Striped = true
		s.effects.Add(effect.Send{To: to, Msg: &out})
	}
}

// Listed tells that a block's list is known, and which symbols of its body are here, from
// the pool.
func (s *Spreader) Listed(now time.Time, id block.ID, held func(symbol int) bool) {
	b := s.entry(id)
	if b == nil || b.body.whole {
		return
	}
	b.list.fill()
	b.listed = true
	b.body.hold(held)
	b.lacked = b.body.g.Data - b.body.held.count()
	s.serveWaiters(b)
	s.advance(now, b)
}

// Mismatched tells that what the pool has of a block is not what belongs there.
func (s *Spreader) Mismatched(now time.Time, id block.ID) {
	b := s.entry(id)
	if b == nil || b.body.whole {
		return
	}
	b.body = newCode(b.block.BodyCode) // what came is used up
	b.lacked = b.body.g.Data
	s.advance(now, b)
}

// Whole tells that all of a block is here, and right.
func (s *Spreader) Whole(now time.Time, id block.ID) {
	b := s.entry(id)
	if b == nil || b.body.whole {
		return
	}
	b.list.fill()
	b.body.fill()
	b.asks, b.askAt = nil, time.Time{}
	s.serveWaiters(b)
	s.tellHave(b)
	b.repair.offers = nil
	s.fillStripes(now, b)
	if s.cfg.Producer != s.cfg.Self && s.byID[s.cfg.Producer] != nil && b.coming > 0 {
		s.effects.Send(s.cfg.Producer, &message.Enough{Ref: b.block.Ref(), Lacked: b.lacked, Absent: b.absent()})
	}
	for len(s.order) > keep && s.order[0].body.whole {
		s.End(s.order[0].block.ID)
	}
}

// Facts returns how many shards of a block came, from how many peers, and how many bytes of
// them in vain.
func (s *Spreader) Facts(id block.ID) (shards, peers, vain int) {
	if b := s.entry(id); b != nil {
		return b.shards, len(b.brought), b.vain
	}
	return 0, 0, 0
}

// Sent says whether more of a coded block came as shards than was here.
func (s *Spreader) Sent(id block.ID) bool {
	b := s.entry(id)
	return b != nil && (!b.listed || 2*b.lacked > b.body.g.Data)
}

// Enough tells that a neighbour has a whole block.
func (s *Spreader) Enough(now time.Time, from wire.PeerID, m *message.Enough) {
	b, n := s.blocks[m.Ref], s.byID[from]
	if b == nil || n == nil {
		return
	}
	n.relay.silent = false
	b.complete[from] = true
	if b.own != nil {
		s.report(b, m)
	}
}

// advance asks for what lacks of a block, has it rebuilt when nothing does, and sets the
// time at which it is looked at again.
func (s *Spreader) advance(now time.Time, b *entry) {
	if b.body.whole {
		return
	}
	if s.rebuild(b); !b.body.rebuilding {
		s.want(now, b)
	}
}

// rebuild has a block's strings rebuilt of which enough is here.
func (s *Spreader) rebuild(b *entry) {
	for _, c := range []*code{b.list, b.body} {
		if c.whole || c.rebuilding || c.count < c.g.Data {
			continue
		}
		c.rebuilding = true
		s.effects.Add(effect.Rebuild{Block: b.block.ID, Body: c == b.body})
	}
}

// Deadline returns when Tick is due next; the zero time means never.
func (s *Spreader) Deadline() (at time.Time) {
	at = earliest(s.pacerDeadline(), earliest(s.trees.tellAt, s.trees.growAt))
	for _, b := range s.order {
		at = earliest(at, b.deadline())
	}
	return at
}

// Tick does what is due.
func (s *Spreader) Tick(now time.Time) {
	s.retryDue(now)
	if due(s.trees.growAt, now) {
		s.growTrees(now)
	}
	if due(s.trees.tellAt, now) {
		s.tellStripes()
	}
	s.pump(now)
	for _, b := range slices.Clone(s.order) {
		if at := b.deadline(); !at.IsZero() && !at.After(now) {
			s.tickBlock(now, b)
		}
	}
}

func (s *Spreader) tickBlock(now time.Time, b *entry) {
	if b.own != nil && due(b.own.gatherAt, now) {
		s.give(now, b)
	}
	if due(b.repair.haveAt, now) {
		s.tellHave(b)
	}
	s.expireWaiters(now, b)
	s.expireAsks(now, b)
	if due(b.askAt, now) {
		b.askAt = time.Time{}
		s.advance(now, b)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// earliest returns the earlier of two times, of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
