package protocol

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

const (
	chain  = 120 // blocks
	places = 4   // of blockAt
)

// tx is what the driver has at a place of a block.
type tx byte

const (
	lacking tx = iota
	right
	collides // another one, of the same short ID
)

// body is what the driver has of a block that was announced.
type body struct {
	block  message.Block
	txs    [places]tx
	listed bool // the full IDs are known to be right
	stored bool // the ledger has it
}

// fetch is a request of the peer's.
type fetch struct {
	*message.Fetch
	to wire.PeerID
}

// rangeRead is the last range that a neighbour was asked for.
type rangeRead struct {
	*message.GetRange
	dropped bool // what comes is thrown away
}

// world is a peer's driver, which does what the real one does, and holds what it is
// told against what it has. What it leaves to chance follows from the seed.
type world struct {
	t    *testing.T
	rng  *rand.Rand
	now  time.Time
	peer *Peer

	up      map[wire.PeerID]bool
	forks   bool // the orderer signs two blocks at a height, of which one is invalid
	bodies  map[block.ID]*body
	fetches []fetch // whose block is neither durable nor forgotten
	ranges  map[wire.PeerID]*rangeRead

	whole    map[block.ID]bool // right, and not durable
	queue    []message.Block   // to be appended, ascending
	accepted []message.Block   // and not durable, ascending
	appended uint64            // the last height that was to be appended
	tip      uint64            // the last height that was accepted
	bad      uint64            // the height that the chain refuses; zero: none
	halted   bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, up: map[wire.PeerID]bool{}, bodies: map[block.ID]*body{},
		ranges: map[wire.PeerID]*rangeRead{}, whole: map[block.ID]bool{},
		forks: seed%4 == 1, // not where catch-up is off, for without it nothing gets past one
	}
	if seed%8 == 7 {
		w.bad = chain / 2
	}
	w.peer = New(Config{NoCatchup: seed%4 == 0}, seed, start, block.Tip{})
	return w
}

// forkOf is another block at a block's height.
func forkOf(d message.Block) message.Block {
	d.ID[9]++
	return d
}

func isFork(id block.ID) bool { return id[9] != 0 }

// idList is the list of full IDs of every block.
func idList() []block.ID { return []block.ID{{1}, {2}, {3}, {4}} }

// settle does what the peer wants until it wants nothing, and nothing is due.
func (w *world) settle() {
	for rounds, ticks := 0, 0; ; rounds++ {
		list := w.peer.Effects()
		for _, x := range list {
			w.do(x)
		}
		due := w.peer.Deadline()
		switch {
		case rounds > 1000:
			w.t.Fatalf("the effects have no end: %+v", list)
		case len(list) > 0:
		case due.IsZero() || due.After(w.now):
			return
		case ticks == 2:
			w.t.Fatalf("after two ticks at %v the deadline is %v", w.now.Sub(start), due.Sub(start))
		default:
			ticks++
			w.peer.Tick(w.now)
		}
	}
}

func (w *world) do(x effect.Effect) {
	switch x := x.(type) {
	case effect.Send:
		w.send(x)
	case effect.Serve:
		if b := w.bodies[x.Block]; b == nil || b.stored != x.Stored || !b.has(x.At) {
			w.t.Fatalf("serves %+v of %+v", x, b)
		}
	case effect.Assemble:
		w.assemble(w.bodies[x.Block])
	case effect.CheckList:
		w.checkList(w.bodies[x.Block], x)
	case effect.Append:
		w.appended++
		if x.Height != w.appended || !w.whole[x.Block] {
			w.t.Fatalf("appends height %d, whole %v: want height %d", x.Height, w.whole[x.Block], w.appended)
		}
		d := blockAt(x.Height)
		d.ID = x.Block
		w.queue = append(w.queue, d)
	case effect.Forget:
		delete(w.bodies, x.Block)
		w.endFetches(x.Block)
	case effect.Discard:
		if r := w.ranges[x.Peer]; r != nil && r.Number == x.Number {
			r.dropped = true
		}
	}
}

// send takes a message that the peer sends. Now and then one finds no room.
func (w *world) send(x effect.Send) {
	to := x.To[0]
	if m, ok := x.Msg.(*message.Part); !ok || !m.Refused {
		for _, p := range x.To {
			if !w.up[p] {
				w.t.Fatalf("sends %+v to %s, which is down", x.Msg, p)
			}
		}
	}
	switch m := x.Msg.(type) {
	case *message.Announce:
		if b := w.bodies[m.Block.ID]; b == nil || !b.has(m.At) {
			w.t.Fatalf("announces height %d with places %v along, and the driver has %+v", m.Block.Height, m.At, b)
		}
	case *message.Fetch:
		w.fetches = append(w.fetches, fetch{m, to})
	case *message.GetRange:
		w.ranges[to] = &rangeRead{GetRange: m}
	}
	if w.rng.IntN(20) == 0 {
		w.peer.Dropped(w.now, to, x.Msg)
	}
}

func (w *world) endFetches(id block.ID) {
	w.fetches = slices.DeleteFunc(w.fetches, func(f fetch) bool { return f.Block == id })
}

func (w *world) assemble(b *body) {
	switch {
	case slices.Contains(b.txs[:], lacking):
		w.t.Fatalf("assembles the block at height %d of %v", b.block.Height, b.txs)
	case slices.Contains(b.txs[:], collides):
		b.listed = false
		w.peer.Mismatched(w.now, b.block.ID)
	case isFork(b.block.ID):
		w.peer.Rejected(w.now, b.block.ID)
	default:
		w.whole[b.block.ID] = true
		w.peer.Checked(w.now, b.block.ID)
	}
}

func (w *world) checkList(b *body, x effect.CheckList) {
	if !slices.Equal(x.IDs, idList()) {
		w.peer.ListForged(w.now, x)
		return
	}
	b.listed = true
	for i, t := range b.txs {
		if t != right {
			b.txs[i] = tx(w.rng.IntN(2)) // the pool may have it
		}
	}
	w.peer.Listed(w.now, x.Block, b.held())
}

// has says whether the transactions at some places are here. No honest peer asks for a
// place beyond the last, and the driver refuses that.
func (b *body) has(at []uint32) bool {
	return b.stored || !slices.ContainsFunc(at, func(i uint32) bool { return i < places && b.txs[i] == lacking })
}

// held is what is here of a body just now.
func (b *body) held() fresh.Held {
	txs := b.txs
	return func(at uint32) int { return txBytes * min(int(txs[at]), 1) }
}

// place puts transactions of a hostile peer, or right ones, where they are said to
// belong, unless one of them is known not to.
func (w *world) place(b *body, at []uint32, hostile bool) bool {
	for _, i := range at {
		t := right
		if hostile && w.rng.IntN(4) == 0 {
			t = collides
		}
		if t == collides && b.listed {
			return false
		}
		if b.txs[i] == lacking {
			b.txs[i] = t
		}
	}
	return true
}

func (w *world) announce(from wire.PeerID, m *message.Announce) {
	b := w.bodies[m.Block.ID]
	var held fresh.Held
	switch {
	case b != nil && !b.stored:
		if !w.place(b, m.At, true) {
			w.peer.Failed(w.now, from, 0, m.Block.ID)
			m.At, m.Sizes = nil, nil
		}
	case b == nil && m.Block.Height > w.tip:
		b = &body{block: m.Block}
		for i := range b.txs { // half of it is in the pool, and a little of that collides
			b.txs[i] = []tx{lacking, right}[w.rng.IntN(2)]
			if w.rng.IntN(24) == 0 {
				b.txs[i] = collides
			}
		}
		held = b.held()
		w.place(b, m.At, true)
		w.bodies[m.Block.ID] = b
	}
	w.peer.Receive(w.now, from, m, held)
	if !w.peer.Known(m.Block.ID) {
		delete(w.bodies, m.Block.ID)
	}
}

// part brings a piece of an answer.
func (w *world) part(from wire.PeerID, m *message.Part, hostile bool) {
	b := w.bodies[m.Block]
	m.Sizes = slices.Repeat([]int{txBytes}, len(m.At))
	switch {
	case b == nil:
	case b.stored:
		w.peer.Receive(w.now, from, m, nil)
	case !w.place(b, m.At, hostile):
		w.peer.Failed(w.now, from, m.Number, m.Block)
	default:
		w.peer.Receive(w.now, from, m, func(uint32) int { return txBytes * w.rng.IntN(2) })
	}
	w.settle()
}

// rangeBlock brings a block of a range, in two pieces.
func (w *world) rangeBlock(from wire.PeerID, r *rangeRead, d message.Block) {
	for range 2 {
		w.peer.Receive(w.now, from, &message.Chunk{Number: r.Number, Height: d.Height, Size: 2 * txBytes, Length: txBytes}, nil)
		w.settle()
	}
	switch {
	case r.dropped:
	case isFork(d.ID):
		r.dropped = true
		w.peer.RangeFailed(w.now, from, r.Number)
	case w.peer.RangeBlock(w.now, from, r.Number, d):
		w.whole[d.ID] = true
	}
	w.settle()
}

// commit is a step of the committer's, or what the loop hears of it.
func (w *world) commit() {
	switch {
	case len(w.accepted) > 0 && w.rng.IntN(2) == 0:
		id := w.accepted[0].ID
		w.accepted = w.accepted[1:]
		if b := w.bodies[id]; b != nil {
			b.stored = true
		}
		delete(w.whole, id)
		w.endFetches(id)
		w.peer.Durable(id)
	case len(w.queue) > 0 && !w.halted:
		d := w.queue[0]
		w.queue = w.queue[1:]
		if d.Height == w.bad {
			w.halted = true
			w.peer.Refused(w.now, d.ID)
			break
		}
		if b := w.bodies[d.ID]; b != nil {
			b.txs = [places]tx{right, right, right, right}
		}
		w.tip = d.Height
		if f := w.peer.Accepted(w.now, block.Tip{Height: d.Height, ID: d.ID}); f.Via == arrival.Unknown {
			w.t.Fatalf("nobody knows how the block at height %d came", d.Height)
		}
		w.accepted = append(w.accepted, d)
	}
	w.settle()
}
