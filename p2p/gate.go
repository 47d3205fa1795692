package p2p

import (
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

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
	log      *slog.Logger

	mu     sync.Mutex
	logged time.Time // when a line was last written of who is not admitted
	silent int       // how many have been turned away since
}

// awayEvery is how often a line says who was turned away. A peer that is not admitted tries
// again and again, and anybody can try with new identities: the log must not be theirs. A
// guess.
const awayEvery = time.Minute

func newGate(self peer.ID, cfg Config, m *metrics, refused func(time.Time, wire.PeerID) bool) *gate {
	g := cfg.Genesis
	gt := &gate{self: self, refused: refused, denied: m.denied, log: cfg.Logger}
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
func (g *gate) InterceptSecured(d network.Direction, p peer.ID, at network.ConnMultiaddrs) bool {
	if d == network.DirInbound && !g.admits(p) {
		g.turnedAway(time.Now(), p, at.RemoteMultiaddr())
	}
	return g.lets(p)
}

// turnedAway leaves a line about a peer that is not admitted, for whoever wonders why it
// stays outside.
func (g *gate) turnedAway(now time.Time, p peer.ID, from ma.Multiaddr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.logged.IsZero() && now.Sub(g.logged) < awayEvery {
		g.silent++
		return
	}
	g.log.Info("a peer was turned away: the genesis does not admit it", "peer", p, "from", from, "more_since_last", g.silent)
	g.logged, g.silent = now, 0
}

// InterceptUpgraded implements connmgr.ConnectionGater. InterceptSecured has seen
// all connections before.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
