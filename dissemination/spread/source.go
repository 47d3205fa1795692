package spread

import (
	"math"
	"time"

	"grapevine/coding"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Lacking is what the producer expects others to lack of a body, in symbols.
type Lacking struct {
	Surely int // of transactions that nobody else can have, or hardly
	Runs   int // how many transactions the other symbols are of
}

// model is what the producer has learned of its network.
type model struct {
	lacks float64 // mean share of symbols that a peer lacks of what it could have
	lost  float64 // share of what is sent that does not arrive in time
}

const (
	// firstLacks is what peers are taken to lack of what they could have before any has
	// said (a guess), and firstLost the share of relays that are taken to be slow or dead: a
	// tenth, and some more.
	firstLacks = 0.05
	firstLost  = 1.0 / 8
	// leastLost is parity for what links lose now and then.
	leastLost = 1.0 / 32
	mostLost  = 0.6
	// cold is the share of lacking symbols from which on all data is sent: parity for so
	// many is hardly less.
	cold = 0.5
	// nothing is the share of lacking symbols from which on a peer has no part in the mean: its
	// pool is empty.
	nothing = 0.9
	// deviations is how many standard deviations above the mean parity covers: with four
	// one of 30,000 peers lacks more.
	deviations = 4
)

func (m *model) begin() { m.lacks, m.lost = firstLacks, firstLost }

// plan returns how many leaves of the body to send.
func (m *model) plan(g coding.Geometry, l Lacking) (coming int) {
	could := float64(max(g.Data-l.Surely, 0))
	mean := float64(l.Surely) + m.lacks*could
	data, parity := g.DataLeaves(), g.Leaves()-g.DataLeaves()
	if mean > cold*float64(g.Data) {
		return data + min(int(math.Ceil(m.lost*float64(data))), parity)
	}
	deviation := math.Sqrt(m.lacks * (1 - m.lacks) * could * could / float64(max(l.Runs, 1)))
	most := (mean + deviations*deviation) * (1 + m.lost)
	return min(int(math.Ceil(most/float64(g.Leaf)))+1, parity)
}

// Proposed tells of a block that this peer made. It returns how many leaves of its body it
// sends, which goes along with the announcement.
func (s *Spreader) Proposed(now time.Time, d message.Block, l Lacking) (coming int) {
	s.judge()
	s.trim()
	b := s.add(now, d)
	b.list.fill()
	b.body.fill()
	b.listed = true
	relays := s.relays(d.Height)
	b.own = newOwn(relays)
	for _, n := range s.peers {
		b.own.there[n.id] = true
	}
	if s.cfg.Silent || len(relays) == 0 {
		return 0
	}
	s.pacer.begin(now)
	coming = s.model.plan(d.BodyCode, l)
	data := d.BodyCode.DataLeaves()
	if coming < data {
		s.deal(b, false, 0, listLeaves(d.ListCode))
		s.deal(b, true, data, coming)
	} else {
		s.deal(b, true, 0, data)
		s.deal(b, true, data, coming-data)
	}
	b.coming = coming
	s.pump(now)
	return coming
}

// listLeaves returns how many leaves of a list to send: a quarter more than it has, for without
// it nothing of a block can be placed.
func listLeaves(g coding.Geometry) int {
	data := g.DataLeaves()
	return min(data+(data+3)/4, g.Leaves())
}

// trim lets go of what is known of who has what of older blocks of our own: the last one alone
// is still spread, unless the uplink is behind.
func (s *Spreader) trim() {
	busy := map[*entry]bool{}
	for _, list := range [][]*parcel{s.pacer.queue, s.pacer.flying} {
		for _, x := range list {
			busy[x.b] = true
		}
	}
	var last *entry
	for _, b := range s.order {
		if last != nil && b.own != nil && !busy[last] && last.own.gatherAt.IsZero() {
			last.own = nil
		}
		if b.own != nil {
			last = b
		}
	}
}

// relays returns the neighbours that pass shards on, in random order.
func (s *Spreader) relays(height uint64) (out []wire.PeerID) {
	for _, i := range s.rng.Perm(len(s.peers)) {
		if n := s.peers[i]; n.poorTill <= height {
			out = append(out, n.id)
		}
	}
	if len(out) == 0 {
		for _, n := range s.peers {
			out = append(out, n.id)
		}
	}
	return out
}

// dealStripes queues leaves for the stripes that they are of, a span of each in turn.
func (s *Spreader) dealStripes(b *entry, body bool, first, leaves int) {
	level := 0
	if leaves >= 4*stripes {
		level = 1
	}
	var of [stripes][]*parcel
	most := 0
	g := b.code(body).g
	for leaf := first; leaf < first+leaves; {
		stripe := b.stripeOf(body, leaf)
		span, l := coding.Span{}, level
		for ok := false; !ok || span.First+span.Leaves > first+leaves || b.stripeOf(body, leaf+span.Leaves-1) != stripe; l-- {
			span, ok = g.Span(leaf, l)
		}
		m := b.shardsOf(body, span, false)
		m.Striped = true
		c := &chunk{stripe: stripe, striped: true}
		if n := len(of[stripe]); n > 0 {
			if last := of[stripe][n-1].msg.Span; last.First+last.Leaves == leaf {
				m.Hashes = g.FollowLen(span)
			}
			c = of[stripe][0].chunk
		}
		x := &parcel{b: b, msg: m, chunk: c, size: message.Size(m)}
		c.parcels = append(c.parcels, x)
		of[stripe] = append(of[stripe], x)
		most = max(most, len(of[stripe]))
		leaf += span.Leaves
	}
	for i := range most {
		for _, list := range of {
			if i < len(list) {
				s.pacer.queue = append(s.pacer.queue, list[i])
				b.own.queued(list[i])
			}
		}
	}
}

// deal queues spans of leaves for the relays, in chunks that go to one relay each: of what
// follows the first span of a chunk the proof is short. As many chunks as there are relays
// go side by side.
func (s *Spreader) deal(b *entry, body bool, first, leaves int) {
	if !s.mesh() {
		s.dealStripes(b, body, first, leaves)
		return
	}
	g := b.code(body).g
	level, spans := dealing(g, first, leaves, len(b.own.turns))
	var chunks []*chunk
	for leaf := first; leaf < first+leaves; {
		c := &chunk{}
		for range spans {
			span, ok := g.Span(leaf, level)
			for l := level; !ok || span.First+span.Leaves > first+leaves; {
				l--
				span, ok = g.Span(leaf, l)
			}
			hashes := g.ProofLen(span)
			if len(c.parcels) > 0 && span.Leaves == 1<<level {
				hashes = g.FollowLen(span)
			}
			m := b.shardsOf(body, span, true)
			m.Hashes = hashes
			c.parcels = append(c.parcels, &parcel{b: b, msg: m, chunk: c, size: message.Size(m)})
			if leaf += span.Leaves; leaf >= first+leaves {
				break
			}
		}
		chunks = append(chunks, c)
	}
	for len(chunks) > 0 {
		n := min(len(chunks), len(b.own.turns))
		for i := range spans {
			for _, c := range chunks[:n] {
				if i < len(c.parcels) {
					s.pacer.queue = append(s.pacer.queue, c.parcels[i])
					b.own.queued(c.parcels[i])
				}
			}
		}
		chunks = chunks[n:]
	}
}

// dealing returns the height of the nodes by which leaves are dealt to relays, and how many
// of them make a chunk: those with which the relay that gets the most has passed on what it
// got soonest, counted in bytes of one receiver's. Large spans and long chunks need less
// proof; the last span takes longer, and long chunks are dealt less evenly.
func dealing(g coding.Geometry, first, leaves, relays int) (level, spans int) {
	best := math.MaxInt
	for l := 0; l <= 3 && 1<<l <= max(leaves, 1); l++ {
		span, ok := g.Span(first, l)
		if !ok {
			break
		}
		for n := 1; n <= 4; n *= 2 {
			raw, proof := span.Leaves*g.LeafBytes(), 32*g.ProofLen(span)
			size := n*(raw+96) + proof + 32*(n-1)
			chunks := (leaves + n<<l - 1) / (n << l)
			if cost := (chunks+relays-1)/relays*size + raw + proof; cost < best {
				best, level, spans = cost, l, n
			}
		}
	}
	return level, spans
}

// own is what the producer knows of a block of its own.
type own struct {
	turns []wire.PeerID // the relays, in the order in which they get shards
	turn  int

	relay    map[int]wire.PeerID             // who got a leaf of the body last
	tries    map[giving]int                  // how often a leaf went to a relay
	out      map[giving]int                  // how often a leaf is in line or on its way to a relay
	gotAt    map[giving]time.Time            // when a relay had it
	asked    map[giving][]wire.PeerID        // who asks for it
	asking   map[wire.PeerID]bool            // who of these wants it from here
	there    map[wire.PeerID]bool            // who was a neighbour when it was made
	lackers  map[giving][]wire.PeerID        // who of these has asked for it at any time
	suspects map[wire.PeerID]bool            // relays that do not pass on what they have
	given    map[wire.PeerID]map[giving]bool // what went to whom that asked
	gatherAt time.Time                       // when that is answered
	missed   map[wire.PeerID]int             // leaves of a relay's that had not come to those that had enough
	reports  int                             // how many have
	lacked   float64                         // shares of the body that those lacked who had some of it,
	lacking  int                             // and how many those are
	short    bool                            // what was sent was too little
}

func newOwn(turns []wire.PeerID) *own {
	return &own{
		turns: turns, relay: map[int]wire.PeerID{}, tries: map[giving]int{}, out: map[giving]int{}, gotAt: map[giving]time.Time{},
		asked: map[giving][]wire.PeerID{}, asking: map[wire.PeerID]bool{}, there: map[wire.PeerID]bool{}, lackers: map[giving][]wire.PeerID{}, suspects: map[wire.PeerID]bool{}, given: map[wire.PeerID]map[giving]bool{}, missed: map[wire.PeerID]int{},
	}
}

// giving is a leaf of a string.
type giving struct {
	body bool
	leaf int
}

// each calls f for each leaf of a parcel.
func (x *parcel) each(f func(k giving)) {
	for i := range x.msg.Span.Leaves {
		f(giving{x.msg.Body, x.msg.Span.First + i})
	}
}

func (o *own) queued(list ...*parcel) {
	for _, x := range list {
		x.each(func(k giving) { o.out[k]++ })
	}
}

// report takes in what a peer says that has all of a block of ours.
func (s *Spreader) report(b *entry, m *message.Enough) {
	o := b.own
	o.reports++
	if share := float64(m.Lacked) / float64(b.body.g.Data); share < nothing {
		o.lacked += share
		o.lacking++
	}
	for _, r := range m.Absent {
		for leaf := r.First; leaf < min(r.First+r.Count, b.body.g.Leaves()); leaf++ {
			if p, ok := o.relay[leaf]; ok {
				o.missed[p]++
			}
		}
	}
}

const (
	// fewReports is what share of the neighbours must have said what they missed before a
	// relay is judged by it.
	fewReports = 0.5
	// slow is what share of a relay's shards must have been too late for it to be passed
	// over: those of a good one are in a tenth of the cases, when there is parity enough.
	slow = 0.5
	// allLate is what share of all shards may have been too late for the lateness of one relay's
	// to mean something: parity for the warm is sent for who lacks most.
	allLate = 0.25
	// leastPause is for how many blocks it is, at first; it doubles up to mostPause (guesses).
	leastPause = 8
	mostPause  = 512
)

// judge learns from the last block how much is lost, and which relays are slow.
func (s *Spreader) judge() {
	var b *entry
	for _, x := range s.order {
		if x.own != nil {
			b = x
		}
	}
	if b == nil {
		return
	}
	o := b.own
	if o.lacking > 0 {
		s.model.lacks += (o.lacked/float64(o.lacking) - s.model.lacks) / 2
	}
	if o.short {
		s.model.lost = min(2*s.model.lost, mostLost)
	} else {
		s.model.lost = max(s.model.lost/2, leastLost)
	}
	if float64(o.reports) < fewReports*float64(len(s.peers)) {
		return
	}
	given, late, slower := map[wire.PeerID]int{}, 0, 0
	for _, p := range o.relay {
		given[p]++
	}
	isSlow := func(p wire.PeerID) bool {
		return given[p] > 0 && float64(o.missed[p]) > slow*float64(given[p]*o.reports)
	}
	for _, n := range s.peers {
		late += o.missed[n.id]
		if isSlow(n.id) {
			slower++
		}
	}
	if float64(late) > allLate*float64(len(o.relay)*o.reports) || slower > len(s.peers)/4 {
		return // much more was sent than was needed: who comes last does not tell
	}
	for _, n := range s.peers {
		switch {
		case given[n.id] == 0:
		case isSlow(n.id):
			if !o.suspects[n.id] { // else it is known already
				s.pauseRelay(n, b.block.Height)
			}
		default:
			n.pause = 0
		}
	}
}
