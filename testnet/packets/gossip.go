package packets

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"grapevine/block"
	"grapevine/testnet/baseline"
	"grapevine/testnet/outcome"
)

// dials is how many peers each peer of the baseline keeps connections to: as many as in
// the measurements that it is held against. With those that others dial it has twice as
// many neighbours, of which GossipSub's mesh takes some.
const dials = 10

// gossip is a network of the baseline's peers.
type gossip struct {
	w       *world
	chunked bool
	largest int // body, in bytes
	height  uint64
	seeds   [][32]byte
	targets [][]int // whom each dials
	chains  []*baseline.Chain
	peers   []*baseline.Peer // each one's last life; nil: there was none
	past    []int64          // what came again in the lives before
}

func newGossip(w *world, chunked bool) *gossip {
	n := w.plan.Peers
	g := &gossip{
		w: w, chunked: chunked, seeds: make([][32]byte, n), targets: make([][]int, n),
		chains: make([]*baseline.Chain, n), peers: make([]*baseline.Peer, n), past: make([]int64, n),
	}
	for k := range w.plan.Load.BlockSizes {
		g.largest = max(g.largest, w.plan.BodyBytes(k))
	}
	for i := range n {
		g.chains[i] = &baseline.Chain{}
		rng := w.plan.Random("identity", uint64(i))
		fill(g.seeds[i][:], rng)
		for _, other := range w.plan.Random("dials", uint64(i)).Perm(n) {
			if other != i && len(g.targets[i]) < dials {
				g.targets[i] = append(g.targets[i], other)
			}
		}
	}
	return g
}

// gossiper is a peer and whom it dials.
type gossiper struct {
	*baseline.Peer
	dial []string
}

func (g gossiper) Run(ctx context.Context) error { return g.Peer.Run(ctx, g.dial) }

func (g *gossip) open(i int) (runner, error) {
	port := g.w.fabric.ports[i]
	if old := g.peers[i]; old != nil {
		g.past[i] += old.Again()
	}
	p, err := baseline.New(baseline.Config{
		Seed: g.seeds[i], Listen: listenAddr(port.ip), SourceIP: port.ip, ListenPacket: port.listen,
		Chunked: g.chunked, MaxBody: g.largest, Chain: g.chains[i],
		OnBlock: func(r baseline.Received) { g.accept(i, r) },
	})
	if err != nil {
		return nil, err
	}
	g.peers[i] = p
	g.w.book.name(i, p.ID())
	out := gossiper{Peer: p}
	for _, other := range g.targets[i] {
		id, err := baseline.PeerID(g.seeds[other])
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		out.dial = append(out.dial, fmt.Sprintf("%s/p2p/%s", listenAddr(g.w.fabric.ports[other].ip), id))
	}
	return out, nil
}

func (g *gossip) accept(i int, r baseline.Received) {
	a := accepted{height: r.Height, id: r.ID, bytes: r.Bytes, via: outcome.ViaPush, from: r.From, hop: -1}
	if r.From == "" {
		a.via, a.made = outcome.ViaOwn, time.Now()
	}
	g.w.book.accept(i, a)
}

func (g *gossip) missing() string {
	for i, l := range g.w.lives {
		if l == nil {
			continue
		}
		for _, other := range g.targets[i] {
			if g.w.lives[other] != nil && !g.peers[i].Connected(g.peers[other].ID()) {
				return fmt.Sprintf("peer %d has no connection to peer %d", i, other)
			}
		}
	}
	return ""
}

func (g *gossip) propose(number int) error { return g.publish(0, number) }

// publish has a peer make a block.
func (g *gossip) publish(peer, number int) error {
	body := make([]byte, g.w.plan.BodyBytes(number))
	fill(body, g.w.plan.Random("body", uint64(number)))
	g.height++
	return g.peers[peer].Publish(context.Background(), g.height, body)
}

// fill writes noise, in whole words.
func fill(b []byte, rng *rand.Rand) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, rng.Uint64())
		b = b[8:]
	}
}

func (g *gossip) chain(i int) (uint64, block.ID) { return g.chains[i].Tip() }

func (g *gossip) again(i int) int64 {
	if g.peers[i] == nil {
		return 0
	}
	return g.past[i] + g.peers[i].Again()
}
