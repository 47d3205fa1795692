package fresh

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// A seeded network of engines on an event heap: the smallest driver that can be,
// with links that delay, jitter and lose. Same seed, same trace.

type network struct {
	rng    *rand.Rand
	now    time.Time
	events eventHeap
	seq    int
	peers  []*peer
	byID   map[wire.PeerID]*peer
	loss   float64
	trace  hash.Hash64
	sent   map[string]int // messages by kind
	blocks map[block.ID]chainBlock
}

type chainBlock struct {
	id, parent block.ID
	height     uint64
	txs        int
}

type peer struct {
	net     *network
	id      wire.PeerID
	engine  *Engine
	links   map[wire.PeerID]bool
	has     map[string]bool // transactions, as "height/place"
	whole   map[uint64]block.ID
	tip     block.Tip
	tickAt  time.Time
	reached map[uint64]bool // blocks that an announcement told it of
}

type netEvent struct {
	at  time.Time
	seq int
	do  func()
}

type eventHeap []netEvent

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(netEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newNetwork(seed uint64, n, degree int, cfg Config) *network {
	w := &network{
		rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), byID: map[wire.PeerID]*peer{},
		trace: fnv.New64a(), sent: map[string]int{}, blocks: map[block.ID]chainBlock{},
	}
	for i := range n {
		p := &peer{
			net: w, id: wire.PeerID(fmt.Sprintf("p%03d", i)), links: map[wire.PeerID]bool{}, has: map[string]bool{},
			whole: map[uint64]block.ID{}, reached: map[uint64]bool{},
		}
		p.engine = New(cfg, seed+uint64(i), w.now, block.Tip{})
		w.peers, w.byID[p.id] = append(w.peers, p), p
	}
	for i, p := range w.peers {
		for len(p.links) < min(degree, n-1) {
			if j := w.rng.IntN(n); j != i {
				w.link(p, w.peers[j])
			}
		}
	}
	return w
}

func (w *network) link(a, b *peer) {
	if a.links[b.id] {
		return
	}
	a.links[b.id], b.links[a.id] = true, true
	a.engine.PeerUp(w.now, b.id, b.tip.Height)
	b.engine.PeerUp(w.now, a.id, a.tip.Height)
	a.settle()
	b.settle()
}

func (w *network) cut(a, b *peer) {
	delete(a.links, b.id)
	delete(b.links, a.id)
	a.engine.PeerDown(w.now, b.id)
	b.engine.PeerDown(w.now, a.id)
	a.settle()
	b.settle()
}

func (w *network) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, netEvent{w.now.Add(d), w.seq, do})
}

// run goes on until nothing happens before the time has passed.
func (w *network) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(netEvent)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// send delivers after 30 to 70 ms, if the link stands then and the message is not lost.
func (w *network) send(kind string, from, to *peer, size int, deliver func()) {
	w.sent[kind]++
	fmt.Fprintf(w.trace, "%d %s %s %s %d\n", w.now.UnixNano(), kind, from.id, to.id, size)
	delay := 30*time.Millisecond + time.Duration(w.rng.Int64N(int64(40*time.Millisecond)))
	if w.rng.Float64() < w.loss {
		return
	}
	w.after(delay, func() {
		if from.links[to.id] {
			deliver()
			to.settle()
		}
	})
}

// propose makes the next block at the peer, of which others hold each transaction
// with probability warm.
func (w *network) propose(p *peer, txs int, warm float64) chainBlock {
	b := chainBlock{parent: p.tip.ID, height: p.tip.Height + 1, txs: txs}
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], b.height)
	b.id = sha256.Sum256(seed[:])
	w.blocks[b.id] = b
	for i := range txs {
		for _, q := range w.peers {
			if q == p || w.rng.Float64() < warm {
				q.has[b.tx(uint32(i))] = true
			}
		}
	}
	p.engine.Proposed(w.now, b.describe(), nil, 0)
	p.complete(b)
	p.settle()
	return b
}

func (b chainBlock) tx(i uint32) string { return fmt.Sprintf("%d/%d", b.height, i) }

// complete takes a whole block, and accepts what is next in the chain.
func (p *peer) complete(b chainBlock) {
	p.whole[b.height] = b.id
	for {
		id, ok := p.whole[p.tip.Height+1]
		if !ok {
			return
		}
		p.tip = block.Tip{Height: p.tip.Height + 1, ID: id, TimeNano: 1}
		p.engine.Accepted(p.net.now, p.tip)
	}
}

// settle carries out the engine's effects and sees to its timer.
func (p *peer) settle() {
	w := p.net
	for list := p.engine.Effects(); len(list) > 0; list = p.engine.Effects() {
		for _, x := range list {
			p.apply(x)
		}
	}
	if at := p.engine.Deadline(); !at.IsZero() && !at.Equal(p.tickAt) {
		p.tickAt = at
		w.after(max(at.Sub(w.now), 0), func() {
			if p.tickAt.Equal(at) {
				p.tickAt = time.Time{}
				p.engine.Tick(w.now)
				p.settle()
			}
		})
	}
}

func (b chainBlock) describe() message.Block {
	return message.Block{ID: b.id, Height: b.height, Parent: b.parent, Txs: b.txs, Bytes: b.txs * txBytes}
}

func (p *peer) apply(x effect.Effect) {
	w := p.net
	switch x := x.(type) {
	case effect.Send:
		for _, id := range x.To {
			p.say(w.byID[id], x.Msg)
		}
	case effect.Serve:
		q, b := w.byID[x.To], w.blocks[x.Block]
		for _, i := range x.At {
			if !p.has[b.tx(i)] {
				panic(fmt.Sprintf("%s serves %s, which it has not got", p.id, b.tx(i)))
			}
		}
		w.send("part", p, q, len(x.At), func() {
			for _, i := range x.At {
				q.has[b.tx(i)] = true
			}
			bring(q.engine, w.now, p.id, x.Number, x.Block, x.At...)
		})
	case effect.Assemble:
		p.engine.Checked(x.Block)
		p.complete(w.blocks[x.Block])
	case effect.Forget:
	case effect.Append, effect.CheckList, effect.Discard:
		panic(fmt.Sprintf("%s wants %T", p.id, x))
	}
}

// say sends a message to a peer.
func (p *peer) say(q *peer, m message.Message) {
	w := p.net
	switch m := m.(type) {
	case *message.Announce:
		w.send("announce", p, q, m.Block.Txs, func() {
			q.reached[m.Block.Height] = true
			q.engine.Announced(w.now, p.id, m, func(i uint32) int {
				if q.has[w.blocks[m.Block.ID].tx(i)] {
					return txBytes
				}
				return 0
			})
		})
	case *message.Fetch:
		w.send("fetch", p, q, len(m.At), func() { q.engine.Asked(w.now, p.id, m) })
	case *message.Part:
		w.send("refuse", p, q, 0, func() { q.engine.Came(w.now, p.id, m, nil) })
	case *message.Pull:
		w.send("pull", p, q, len(m.Have), func() { q.engine.Pulled(w.now, p.id, m) })
	case *message.Tip:
		w.send("tip", p, q, 0, func() { q.engine.TipTold(w.now, p.id, m) })
	default:
		panic(fmt.Sprintf("%s says %T", p.id, m))
	}
}

// at returns how many peers have accepted the height.
func (w *network) at(height uint64) int {
	n := 0
	for _, p := range w.peers {
		if p.tip.Height >= height {
			n++
		}
	}
	return n
}
