package fabric

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// A seeded network of cores on a heap of events: links that take a fixed time and lose
// nothing but what a test has them lose. Same seed, same trace.

type network struct {
	t       *testing.T
	now     time.Time
	latency time.Duration
	events  eventHeap
	seq     int
	nodes   []*node
	byID    map[wire.PeerID]*node
	sent    map[string]int                       // messages by kind
	bodies  int                                  // that were sent
	traced  bool                                 // trace is kept
	trace   uint64                               // a hash of all messages
	lose    func(from, to *node, m Message) bool // nil: nothing is lost
}

type node struct {
	net    *network
	id     wire.PeerID
	peer   *Peer
	links  map[wire.PeerID]bool
	bodies map[block.ID]bool // that are here
	got    []Accept
	at     []time.Time // of got
	tickAt time.Time
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// newNetwork makes n peers, all neighbours of all.
func newNetwork(t *testing.T, seed uint64, n int, cfg Config) *network {
	w := &network{t: t, now: time.Unix(1_000_000, 0), latency: time.Millisecond, byID: map[wire.PeerID]*node{}, sent: map[string]int{}}
	for i := range n {
		x := &node{net: w, id: wire.PeerID(fmt.Sprintf("p%03d", i)), links: map[wire.PeerID]bool{}, bodies: map[block.ID]bool{}}
		x.peer = New(cfg, seed<<20+uint64(i), w.now, nil)
		w.nodes, w.byID[x.id] = append(w.nodes, x), x
	}
	for i, a := range w.nodes {
		for _, b := range w.nodes[:i] {
			w.link(a, b)
		}
	}
	return w
}

func (w *network) link(a, b *node) {
	a.links[b.id], b.links[a.id] = true, true
	a.peer.PeerUp(w.now, b.id)
	b.peer.PeerUp(w.now, a.id)
	a.settle()
	b.settle()
}

func (w *network) cut(a, b *node) {
	delete(a.links, b.id)
	delete(b.links, a.id)
	a.peer.PeerDown(w.now, b.id)
	b.peer.PeerDown(w.now, a.id)
	a.settle()
	b.settle()
}

// isolate cuts a node off from everybody.
func (w *network) isolate(x *node) {
	for _, other := range w.nodes {
		if x.links[other.id] {
			w.cut(x, other)
		}
	}
}

// join links a node with everybody.
func (w *network) join(x *node) {
	for _, other := range w.nodes {
		if other != x {
			w.link(x, other)
		}
	}
}

func (w *network) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now.Add(d), w.seq, do})
}

// run goes on until the time has passed.
func (w *network) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// propose has a node make its next block.
func (w *network) propose(x *node, size int) Block {
	b := Block{Parent: x.peer.Tip(), Height: x.peer.Height() + 1, Size: size}
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], b.Height)
	b.ID = sha256.Sum256(text[:])
	x.bodies[b.ID] = true
	x.peer.Proposed(w.now, b)
	x.settle()
	return b
}

// settle carries out what a core wants, and sees to its timer.
func (x *node) settle() {
	w := x.net
	for list := x.peer.Effects(); len(list) > 0; list = x.peer.Effects() {
		for _, e := range list {
			switch e := e.(type) {
			case Accept:
				x.accept(e)
			case Send:
				x.send(e)
			}
		}
	}
	if at := x.peer.Deadline(); !at.IsZero() && !at.Equal(x.tickAt) {
		x.tickAt = at
		w.after(max(at.Sub(w.now), 0), func() {
			if x.tickAt.Equal(at) {
				x.tickAt = time.Time{}
				x.peer.Tick(w.now)
				x.settle()
			}
		})
	}
}

func (x *node) accept(e Accept) {
	if want := uint64(len(x.got) + 1); e.Block.Height != want {
		x.net.t.Errorf("%s accepts height %d, want %d", x.id, e.Block.Height, want)
	}
	if !x.bodies[e.Block.ID] {
		x.net.t.Errorf("%s accepts height %d, whose body it has not got", x.id, e.Block.Height)
	}
	x.got, x.at = append(x.got, e), append(x.at, x.net.now)
}

func (x *node) send(e Send) {
	w := x.net
	for _, b := range e.Message.Bodies() {
		if !x.bodies[b.ID] {
			w.t.Errorf("%s sends a body that it has not got, in %+v", x.id, e.Message)
		}
	}
	for _, id := range e.To {
		to := w.byID[id]
		kind := strings.TrimPrefix(reflect.TypeOf(e.Message).String(), "fabric.")
		w.sent[kind]++
		w.bodies += len(e.Message.Bodies())
		if w.traced {
			h := fnv.New64a()
			fmt.Fprintf(h, "%d %d %s %s %v", w.trace, w.now.UnixNano(), x.id, id, e.Message)
			w.trace = h.Sum64()
		}
		if !x.links[id] {
			w.t.Errorf("%s sends to %s, which is no neighbour", x.id, id)
		}
		if w.lose != nil && w.lose(x, to, e.Message) {
			continue
		}
		w.after(w.latency, func() {
			if x.links[id] {
				to.receive(x.id, e.Message)
			}
		})
	}
}

func (x *node) receive(from wire.PeerID, m Message) {
	for _, b := range m.Bodies() {
		x.bodies[b.ID] = true
	}
	x.peer.Receive(x.net.now, from, m)
	x.settle()
}

// at returns how many nodes have accepted a height.
func (w *network) at(height uint64) int {
	n := 0
	for _, x := range w.nodes {
		if x.peer.Height() >= height {
			n++
		}
	}
	return n
}
