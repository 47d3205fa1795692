package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"grapevine/p2p/wire"
)

// topicHost is the libp2p host as GossipSub sees it: there are no peers but
// neighbours, and no connections but those in use. On the bare host GossipSub
// opens its streams on whichever connection comes first. When that one turns out to
// be surplus, one side forgets that the other is on the topic, for ever.
type topicHost struct {
	host.Host
	h       *Host
	bus     event.Bus
	emitter event.Emitter
}

func newTopicHost(h *Host) (*topicHost, error) {
	t := &topicHost{Host: h.libp2p, h: h, bus: eventbus.NewBus()}
	var err error
	if t.emitter, err = t.bus.Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return nil, fmt.Errorf("announcing neighbours to GossipSub: %w", err)
	}
	return t, nil
}

// EventBus implements host.Host.
func (t *topicHost) EventBus() event.Bus { return t.bus }

// openWait is how long GossipSub's wish for a stream waits for the peer to become a
// neighbour: the time from a connection's loss to the next.
const openWait = 30 * time.Second

// NewStream implements host.Host. Between two connections to the same peer it waits
// for the second: GossipSub would take a refusal as final.
func (t *topicHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	id := wire.PeerID(p.String())
	for {
		t.h.mu.RLock()
		l, listed := t.h.neighbours[id], t.h.listed
		t.h.mu.RUnlock()
		if l != nil {
			return l.openStream(ctx, ids...)
		}
		select {
		case <-listed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is no neighbour", id)
		}
	}
}

// Connect implements host.Host. Whom to dial is membership's to say: GossipSub would dial
// whomever a peer names that leaves its mesh.
func (t *topicHost) Connect(_ context.Context, to peer.AddrInfo) error {
	return fmt.Errorf("connecting to %s: GossipSub dials nobody", to.ID)
}

// SetStreamHandler implements host.Host. Neighbours' streams alone are handed on; one
// that comes before its connection is in use waits for that.
func (t *topicHost) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	t.Host.SetStreamHandler(id, t.forNeighbours(handler))
}

// SetStreamHandlerMatch implements host.Host.
func (t *topicHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, handler network.StreamHandler) {
	t.Host.SetStreamHandlerMatch(id, match, t.forNeighbours(handler))
}

func (t *topicHost) forNeighbours(handler network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		l := t.h.linkOf(s.Conn())
		if l == nil || !l.awaitUp() {
			s.Reset()
			return
		}
		handler(s)
	}
}

// greet tells GossipSub of a neighbour.
func (t *topic) greet(p peer.ID) {
	// The error says that the bus is closed, with GossipSub and all.
	_ = t.face.emitter.Emit(event.EvtPeerIdentificationCompleted{
		Peer:      p,
		Protocols: []protocol.ID{pubsub.GossipSubID_v12},
	})
}
