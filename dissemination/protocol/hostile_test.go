package protocol

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

var hostileSeeds = flag.Int("hostile-seeds", 64, "with how many seeds a peer is tried among hostile neighbours")

// hostile are the neighbours that are there from the first.
var hostile = []wire.PeerID{"a", "b", "c", "d", "e"}

// Those that come later.
const (
	honest wire.PeerID = "honest"
	pest   wire.PeerID = "pest" // it announces the next block all the time, and answers nothing
)

// someBlock is a block near the tip or, now and then, anywhere.
func (w *world) someBlock() message.Block {
	h := int(w.tip) + w.rng.IntN(8) - 2
	if w.rng.IntN(10) == 0 {
		h = int(w.tip) + w.rng.IntN(90) - 10
	}
	d := blockAt(uint64(min(max(h, 1), chain)))
	if w.forks && w.rng.IntN(8) == 0 {
		d = forkOf(d)
	}
	return d
}

// someHeight is what a hostile neighbour may say: often nothing at all.
func (w *world) someHeight() uint64 { return w.rng.Uint64N(2*chain) * w.rng.Uint64N(2) }

func (w *world) somePlaces() (at []uint32) {
	for i := range uint32(places) {
		if w.rng.IntN(3) == 0 {
			at = append(at, i)
		}
	}
	return at
}

// step is anything that may happen, right or wrong.
func (w *world) step() {
	from := hostile[w.rng.IntN(len(hostile))]
	switch k := w.rng.IntN(84); {
	case k < 4:
		w.up[from] = true
		w.peer.PeerUp(w.now, from, w.someHeight(), w.someHeight())
	case k < 6:
		w.down(from)
	case k < 30:
		m := &message.Announce{Block: w.someBlock(), Hop: w.rng.IntN(5), Complete: w.rng.IntN(2) == 0, Pulled: w.rng.IntN(3) == 0, At: w.somePlaces()}
		m.Sizes = slices.Repeat([]int{txBytes}, len(m.At))
		w.announce(from, m)
	case k < 33:
		w.peer.Receive(w.now, from, &message.Pull{Tip: w.someHeight(), Upto: w.someHeight()}, nil)
	case k < 36:
		w.peer.Receive(w.now, from, &message.Tip{Height: w.someHeight()}, nil)
	case k < 44:
		at := w.somePlaces()
		if w.rng.IntN(10) == 0 {
			at = append(at, places)
		}
		w.peer.Receive(w.now, from, &message.Fetch{Number: w.rng.Uint32(), Block: w.someBlock().ID, At: at, Wait: time.Duration(w.rng.IntN(2000)) * time.Millisecond}, nil)
	case k < 64:
		w.answerFetch()
	case k < 66:
		w.peer.Unasked(w.someBlock().ID, txBytes)
	case k < 76:
		w.answerRange(from)
	case k < 77:
		w.propose()
	default:
		w.commit()
	}
	w.settle()
}

// wait lets time pass, now and then a lot of it.
func (w *world) wait() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(50)) * time.Millisecond)
	if w.rng.IntN(250) == 0 {
		w.now = w.now.Add(time.Duration(w.rng.IntN(20)) * time.Second)
	}
	w.settle()
}

func (w *world) down(p wire.PeerID) {
	delete(w.up, p)
	delete(w.ranges, p)
	w.peer.PeerDown(w.now, p)
	w.settle()
}

// answerFetch is a hostile neighbour's answer to what it was asked, however long ago.
func (w *world) answerFetch() {
	if len(w.fetches) == 0 {
		return
	}
	f := w.fetches[w.rng.IntN(len(w.fetches))]
	m := &message.Part{Number: f.Number, Block: f.Block}
	switch k := w.rng.IntN(6); {
	case f.to == honest, f.to == pest:
		return
	case k == 0:
		m.Refused = true
	case k == 1:
		w.peer.Failed(w.now, f.to, f.Number, f.Block) // a signature is wrong
		return
	case k == 2: // the list in two pieces, of which the second may not be the next
		ids, cut, from := idList(), 1+w.rng.IntN(places-1), 0
		if from = cut; w.rng.IntN(4) == 0 {
			from = w.rng.IntN(places)
		}
		if w.rng.IntN(3) == 0 {
			ids[2][5]++
		}
		w.part(f.to, &message.Part{Number: f.Number, Block: f.Block, IDs: ids[:cut]}, true)
		m.From, m.IDs = from, ids[cut:]
	case k == 3:
		m.At = f.At
	default:
		m.At = w.somePlaces()
	}
	w.part(f.to, m, true)
}

// answerRange is a hostile neighbour's answer, or a piece of it.
func (w *world) answerRange(from wire.PeerID) {
	r := w.ranges[from]
	if r == nil {
		return
	}
	last := min(r.Upto, chain)
	switch w.rng.IntN(8) {
	case 0:
		r.dropped = true
		w.peer.RangeFailed(w.now, from, r.Number)
	case 1:
		delete(w.ranges, from)
		w.peer.Receive(w.now, from, &message.Chunk{Number: r.Number, Last: true, Tip: w.someHeight(), Base: w.someHeight()}, nil)
	case 2:
		w.peer.Receive(w.now, from, &message.Chunk{Number: r.Number, Size: 2 * txBytes, Length: 1}, nil)
	case 3, 4:
		if d := blockAt(min(r.From+w.rng.Uint64N(r.Upto-r.From+1), chain)); w.forks && w.rng.IntN(4) == 0 {
			w.rangeBlock(from, r, forkOf(d))
		} else {
			w.rangeBlock(from, r, d)
		}
	default: // and no end
		for h := r.From; h <= last; h++ {
			w.rangeBlock(from, r, blockAt(h))
		}
	}
}

// propose has the peer make a block, unless it knows another at that height.
func (w *world) propose() {
	d := blockAt(min(w.tip+1+w.rng.Uint64N(2), chain))
	if w.bodies[forkOf(d).ID] == nil && w.peer.Propose(w.now, d, nil) {
		w.bodies[d.ID] = &body{block: d, txs: [places]tx{right, right, right, right}}
		w.whole[d.ID] = true
	}
}

// answerHonestly answers all that the honest neighbour was asked.
func (w *world) answerHonestly() {
	asked := func(f fetch) bool { return f.to == honest }
	for i := slices.IndexFunc(w.fetches, asked); i >= 0; i = slices.IndexFunc(w.fetches, asked) {
		f := w.fetches[i]
		w.fetches = slices.Delete(w.fetches, i, i+1)
		m := &message.Part{Number: f.Number, Block: f.Block, At: f.At}
		if len(f.At) == 0 {
			m.IDs = idList()
		}
		w.part(honest, m, false)
	}
	if r := w.ranges[honest]; r != nil {
		for h := r.From; h <= min(r.Upto, chain); h++ {
			w.rangeBlock(honest, r, blockAt(h))
		}
		delete(w.ranges, honest)
		w.peer.Receive(w.now, honest, &message.Chunk{Number: r.Number, Last: true, Tip: chain, Base: 1}, nil)
		w.settle()
	}
}

// meetHonest plays on until the chain is whole, with the honest neighbour, which
// announces the next blocks twice a second, and the pest.
func (w *world) meetHonest(quiet bool) {
	w.up[honest], w.up[pest] = true, true
	w.peer.PeerUp(w.now, honest, chain, 1)
	w.peer.PeerUp(w.now, pest, 0, 1)
	w.settle()
	begun, told := w.now, w.now
	for w.tip < chain && !w.halted {
		if w.now.Sub(begun) > 5*time.Minute {
			w.t.Fatalf("in five minutes with an honest neighbour the chain came to height %d of %d", w.tip, chain)
		}
		if !quiet && w.rng.IntN(4) == 0 {
			w.step()
		}
		w.announce(pest, &message.Announce{Block: blockAt(min(w.tip+1, chain))})
		w.settle()
		w.answerHonestly()
		if w.now.Sub(told) > 500*time.Millisecond {
			told = w.now
			for h := w.tip + 1; h <= min(w.tip+4, chain); h++ {
				w.announce(honest, &message.Announce{Block: blockAt(h), Complete: true})
				w.settle()
			}
		}
		w.commit()
		w.now = w.now.Add(10 * time.Millisecond)
		w.settle()
	}
}

// Among neighbours that say anything, right and wrong, at any time, a peer wants nothing
// of its driver that the driver cannot do, and appends the chain in order. As soon as one
// neighbour is honest it gets all of the chain, and in the end nothing is left over.
func TestPeerAmongHostileNeighbours(t *testing.T) {
	for seed := range uint64(*hostileSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 1000 {
				w.step()
				w.wait()
			}
			w.meetHonest(seed%8 < 4)
			for _, p := range append(hostile, pest, honest) {
				w.down(p)
			}
			for len(w.queue)+len(w.accepted) > 0 && !w.halted {
				w.commit()
			}
			for id, b := range w.bodies {
				if !w.peer.Known(id) {
					t.Errorf("the body at height %d is left over", b.block.Height)
				}
			}
			l := w.peer.line
			if left := len(l.ready) + len(l.taken) + w.peer.Stats().Pending + len(w.whole) + len(w.fetches); left > 0 && !w.halted {
				t.Errorf("left over: %d blocks ready, %d taken, %d pending, %d whole, %d requests", len(l.ready), len(l.taken), w.peer.Stats().Pending, len(w.whole), len(w.fetches))
			}
		})
	}
}
