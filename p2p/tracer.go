package p2p

import (
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// tracer counts what GossipSub does with messages, above all those that it loses:
// they show nowhere else. It is called inside GossipSub's own loop.
type tracer struct {
	m *metrics

	overflows atomic.Uint64 // messages dropped because a neighbour's queue was full

	mu      sync.Mutex
	streams map[peer.ID]bool // guarded by mu; peers with an outbound stream
	joined  map[peer.ID]bool // guarded by mu; peers known to be on the topic
	mesh    map[peer.ID]bool // guarded by mu; peers that are sent messages unasked
}

func newTracer(m *metrics) *tracer {
	return &tracer{
		m:       m,
		streams: make(map[peer.ID]bool),
		joined:  make(map[peer.ID]bool),
		mesh:    make(map[peer.ID]bool),
	}
}

func (t *tracer) count(event string, n int) { t.m.pubsub.WithLabelValues(event).Add(float64(n)) }

// RecvRPC implements pubsub.RawTracer.
func (t *tracer) RecvRPC(rpc *pubsub.RPC) {
	t.m.pubsubBytes.WithLabelValues("in").Add(float64(proto.Size(&rpc.RPC)))
}

// SendRPC implements pubsub.RawTracer.
func (t *tracer) SendRPC(rpc *pubsub.RPC, _ peer.ID) {
	t.m.pubsubBytes.WithLabelValues("out").Add(float64(proto.Size(&rpc.RPC)))
}

// DropRPC implements pubsub.RawTracer: a neighbour's queue was full.
func (t *tracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	t.count("dropped: queue full", len(rpc.GetPublish()))
	t.overflows.Add(uint64(len(rpc.GetPublish())))
}

// RejectMessage implements pubsub.RawTracer.
func (t *tracer) RejectMessage(_ *pubsub.Message, reason string) { t.count("rejected: "+reason, 1) }

// UndeliverableMessage implements pubsub.RawTracer.
func (t *tracer) UndeliverableMessage(*pubsub.Message) { t.count("undeliverable", 1) }

// DuplicateMessage implements pubsub.RawTracer.
func (t *tracer) DuplicateMessage(*pubsub.Message) { t.count("duplicate", 1) }

// DeliverMessage implements pubsub.RawTracer.
func (t *tracer) DeliverMessage(*pubsub.Message) { t.count("accepted", 1) }

// ThrottlePeer implements pubsub.RawTracer.
func (t *tracer) ThrottlePeer(peer.ID) { t.count("throttled", 1) }

// OnNewOutboundStream implements pubsub.RawTracer.
func (t *tracer) OnNewOutboundStream(p peer.ID, _ protocol.ID) { t.note(t.streams, p, true) }

// OnClosedOutboundStream implements pubsub.RawTracer.
func (t *tracer) OnClosedOutboundStream(p peer.ID) {
	t.note(t.streams, p, false)
	t.note(t.mesh, p, false)
}

// Graft implements pubsub.RawTracer.
func (t *tracer) Graft(p peer.ID, _ string) { t.note(t.mesh, p, true) }

// Prune implements pubsub.RawTracer.
func (t *tracer) Prune(p peer.ID, _ string) { t.note(t.mesh, p, false) }

func (t *tracer) note(set map[peer.ID]bool, p peer.ID, in bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if in {
		set[p] = true
	} else {
		delete(set, p)
	}
}

// reaches says whether GossipSub has a stream to a peer and knows it to be on the
// topic. When the two sides' first steps cross it may lack one of them for ever, and
// drops all messages to the peer.
func (t *tracer) reaches(p peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[p] && t.joined[p]
}

func (t *tracer) meshSize() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mesh)
}

// The rest of pubsub.RawTracer is of no use here.

func (t *tracer) Join(string)                     {}
func (t *tracer) Leave(string)                    {}
func (t *tracer) ValidateMessage(*pubsub.Message) {}
