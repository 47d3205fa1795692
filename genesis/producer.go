package genesis

import (
	"fmt"
	"slices"

	"grapevine/block"
	"grapevine/block/sig"
)

// What follows is all that anybody asks of who makes a network's blocks. An ordering of
// several comes in here.

// Produces says whether the owner of a key makes blocks in this network.
func (g *Genesis) Produces(k block.PublicKey) bool { return k == g.producer }

// Producer names, for people, whose blocks this network takes: a peer ID.
func (g *Genesis) Producer() string { return g.Ordering.Orderer }

// CheckProducer refuses a header that is of another network, or that nobody signed who
// makes blocks in this one.
func (g *Genesis) CheckProducer(h *block.SignedHeader) error {
	switch {
	case h.Genesis != g.id:
		return fmt.Errorf("header at height %d belongs to network %s, not %s", h.Height, h.Genesis.Short(), g.id.Short())
	case !g.Produces(h.Producer):
		return fmt.Errorf("header at height %d is by %s, not by the orderer %s", h.Height, PeerID(h.Producer), g.Producer())
	}
	return sig.VerifyHeader(h)
}

// Named returns the IDs of the peers that the genesis names: who makes blocks, and who
// is listed.
func (g *Genesis) Named() []string {
	return slices.Insert(slices.Clone(g.Admission.Peers), 0, g.Ordering.Orderer)
}
