package events

import (
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
	"grapevine/testnet/baseline/fabric"
)

// fabrics is what others' protocols are called, and their settings.
var fabrics = map[string]func() fabric.Config{"fabric": fabric.Fabric, "fabric-enhanced": fabric.Enhanced}

// fabricMind is Fabric's gossip at a peer. It knows heights from its own messages, and
// nothing of the members' records.
type fabricMind struct {
	core *fabric.Peer
	peer *peer
}

func newFabric(cfg fabric.Config, w *world, p *peer, seed uint64) mind {
	var chain []fabric.Block
	for _, b := range w.blocks[:p.tip.Height] {
		chain = append(chain, b.fabric())
	}
	return &fabricMind{fabric.New(cfg, seed, w.time(), chain), p}
}

func (b *blk) fabric() fabric.Block {
	return fabric.Block{ID: b.id, Parent: b.parent, Height: b.height, Size: b.bytes}
}

func (f *fabricMind) peerUp(now time.Time, other *peer)   { f.core.PeerUp(now, other.id) }
func (f *fabricMind) peerDown(now time.Time, other *peer) { f.core.PeerDown(now, other.id) }
func (f *fabricMind) heard(time.Time, *peer, uint64)      {}
func (f *fabricMind) members(int)                         {}
func (f *fabricMind) propose(w *world, b *blk)            { f.core.Proposed(w.time(), b.fabric()) }
func (f *fabricMind) deadline() time.Time                 { return f.core.Deadline() }
func (f *fabricMind) again() int64                        { return int64(f.core.Stats().AgainBytes) }

func (f *fabricMind) tick(now time.Time) {
	if at := f.core.Deadline(); !at.IsZero() && !at.After(now) {
		f.core.Tick(now)
	}
}

// fabricSaid is a message of Fabric's on its way.
type fabricSaid struct{ fabric.Message }

func (m fabricSaid) arrive(w *world, from, to *peer) {
	to.mind.(*fabricMind).core.Receive(w.time(), from.id, m.Message)
}

func (f *fabricMind) act(w *world) bool {
	list := f.core.Effects()
	for _, x := range list {
		switch x := x.(type) {
		case fabric.Send:
			size, what := int64(wire.FramedSize(x.Message.Size())), said(fabricSaid{x.Message})
			for _, id := range x.To {
				f.peer.send(w, w.peerOf(id), x.Message.Lane(), size, what)
			}
		case fabric.Accept:
			f.peer.accept(w, w.block(x.Block.ID), arrival.Facts{Via: x.Via, From: x.From, Hop: x.Hop})
		}
	}
	return len(list) > 0
}
