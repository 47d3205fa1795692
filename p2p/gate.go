package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"grapevine/genesis"
	"grapevine/p2p/wire"
)

// gate refuses peers by their ID, as soon as the handshake has shown it: those that
// the genesis does not admit, those refused for a while, and those with our own
// identity. It says nothing to them.
type gate struct {
	self     peer.ID
	admitted map[peer.ID]bool // nil: everybody
	refused  func(time.Time, wire.PeerID) bool
	denied   func(reason string) // counts
}

func newGate(self peer.ID, g *genesis.Genesis, m *metrics, refused func(time.Time, wire.PeerID) bool) *gate {
	gt := &gate{self: self, refused: refused, denied: m.denied}
	if g.Admission.Type == "open" {
		return gt
	}
	gt.admitted = make(map[peer.ID]bool)
	for _, s := range g.Named() {
		if id, err := peer.Decode(s); err == nil { // genesis has read it before
			gt.admitted[id] = true
		}
	}
	return gt
}

func (g *gate) admits(p peer.ID) bool { return g.admitted == nil || g.admitted[p] }

func (g *gate) lets(p peer.ID) bool {
	switch {
	case p == g.self:
		g.denied("own identity")
	case !g.admits(p):
		g.denied("not admitted")
	case g.refused(time.Now(), wire.PeerID(p.String())):
		g.denied("low score")
	default:
		return true
	}
	return false
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.lets(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater. The resource manager bounds
// what comes from one address.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.lets(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater. InterceptSecured has seen
// all connections before.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
