package packets

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/p2p/membership"
	"grapevine/testnet/baseline"
	"grapevine/testnet/baseline/fabric"
)

// dials is how many peers each peer that speaks GossipSub keeps connections to: as many as
// in the measurements that it is held against. With those that others dial it has twice
// as many neighbours, of which GossipSub's mesh takes some.
const dials = 10

// speaker is a peer of the baseline.
type speaker interface {
	ID() string
	Connected(id string) bool
	// Publish has the peer make the block at a height.
	Publish(ctx context.Context, height uint64, body []byte) error
	Again() int64
	Run(ctx context.Context, dial []string) error
	Close() error
}

// gossip is a network of the baseline's peers, all of one protocol.
type gossip struct {
	w        *world
	protocol string
	largest  int // body, in bytes
	height   uint64
	seeds    [][32]byte
	targets  [][]int            // whom each keeps connections to
	chains   []*baseline.Chain  // of those that speak GossipSub
	ledgers  []*baseline.Ledger // of those that speak Fabric's
	bodies   *baseline.Bodies
	peers    []speaker // each one's last life; nil: there was none
	past     []int64   // what came again in the lives before
}

func newGossip(w *world, protocol string) *gossip {
	n := w.plan.Peers
	g := &gossip{
		w: w, protocol: protocol, seeds: make([][32]byte, n), chains: make([]*baseline.Chain, n), ledgers: make([]*baseline.Ledger, n),
		bodies: &baseline.Bodies{}, peers: make([]speaker, n), past: make([]int64, n),
	}
	for k := range w.plan.Load.BlockSizes {
		g.largest = max(g.largest, w.plan.BodyBytes(k))
	}
	for i := range n {
		g.chains[i], g.ledgers[i] = &baseline.Chain{}, &baseline.Ledger{}
		fill(g.seeds[i][:], w.plan.Random("identity", uint64(i)))
	}
	if g.likeNodes() {
		g.targets = g.drawNeighbours()
	} else {
		g.targets = g.dials()
	}
	return g
}

// likeNodes says whether the peers connect as whole nodes do; those of GossipSub have
// bounds of their own.
func (g *gossip) likeNodes() bool { return g.protocol != gossipsub && g.protocol != chunked }

// dials has everybody dial some.
func (g *gossip) dials() [][]int {
	n := len(g.peers)
	targets := make([][]int, n)
	for i := range targets {
		for _, other := range g.w.plan.Random("dials", uint64(i)).Perm(n) {
			if other != i && len(targets[i]) < dials {
				targets[i] = append(targets[i], other)
			}
		}
	}
	return targets
}

// drawNeighbours gives the peers the connections that whole nodes have: all of them, or, where
// there are too many, everybody draws others until it has enough. Both ends keep one.
func (g *gossip) drawNeighbours() [][]int {
	n := len(g.peers)
	want := n - 1
	if n > membership.DefaultFull {
		want = membership.DefaultActive
	}
	targets, linked := make([][]int, n), make([]map[int]bool, n)
	for i := range linked {
		linked[i] = map[int]bool{}
	}
	for i := range n {
		for _, j := range g.w.plan.Random("neighbours", uint64(i)).Perm(n) {
			if j != i && !linked[i][j] && len(targets[i]) < want {
				linked[i][j], linked[j][i] = true, true
				targets[i], targets[j] = append(targets[i], j), append(targets[j], i)
			}
		}
	}
	return targets
}

// dialler is a peer and whom it dials.
type dialler struct {
	speaker
	dial []string
}

func (d dialler) Run(ctx context.Context) error { return d.speaker.Run(ctx, d.dial) }

func (g *gossip) open(i int) (runner, error) {
	if old := g.peers[i]; old != nil {
		g.past[i] += old.Again()
	}
	p, err := g.speaker(i)
	if err != nil {
		return nil, err
	}
	g.peers[i] = p
	g.w.book.name(i, p.ID())
	out := dialler{speaker: p}
	for _, other := range g.targets[i] {
		id, err := baseline.PeerID(g.seeds[other])
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		out.dial = append(out.dial, fmt.Sprintf("%s/p2p/%s", listenAddr(g.w.network.ports[other].ip), id))
	}
	return out, nil
}

// speaker makes a peer.
func (g *gossip) speaker(i int) (speaker, error) {
	port := g.w.network.ports[i]
	door := baseline.Door{Seed: g.seeds[i], Listen: listenAddr(port.ip), SourceIP: port.ip, ListenPacket: port.listen}
	onBlock := func(r baseline.Received) { g.accept(i, r) }
	if !g.likeNodes() {
		return baseline.New(baseline.Config{
			Door: door, Chunked: g.protocol == chunked, MaxBody: g.largest, Chain: g.chains[i], OnBlock: onBlock,
		})
	}
	protocol := fabric.Fabric()
	if g.protocol == enhanced {
		protocol = fabric.Enhanced()
	}
	return baseline.NewFabric(baseline.FabricConfig{
		Door: door, Protocol: protocol, Random: g.w.plan.Random("protocol", uint64(i)).Uint64(), MaxBody: g.largest,
		Ledger: g.ledgers[i], Bodies: g.bodies, OnBlock: onBlock,
	})
}

func (g *gossip) accept(i int, r baseline.Received) {
	a := accepted{height: r.Height, id: r.ID, bytes: r.Bytes, via: r.Via, from: r.From, hop: r.Hop}
	if r.Via == arrival.Own {
		a.made = time.Now()
	}
	g.w.book.accept(i, a)
}

func (g *gossip) unlinked() string {
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

func (g *gossip) chain(i int) (uint64, block.ID) {
	if g.likeNodes() {
		return g.ledgers[i].Tip()
	}
	return g.chains[i].Tip()
}

func (g *gossip) again(i int) int64 {
	if g.peers[i] == nil {
		return 0
	}
	return g.past[i] + g.peers[i].Again()
}
