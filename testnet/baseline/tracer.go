package baseline

import (
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// tracer counts what GossipSub tells nobody else.
type tracer struct {
	again atomic.Int64 // bytes of blocks that came twice
	lost  atomic.Int64 // messages dropped here
}

// DuplicateMessage implements pubsub.RawTracer.
func (t *tracer) DuplicateMessage(m *pubsub.Message) {
	t.again.Add(int64(len(m.GetData()) - headBytes))
}

// DropRPC implements pubsub.RawTracer: a neighbour's queue was full.
func (t *tracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) { t.lost.Add(int64(len(rpc.GetPublish()))) }

// RejectMessage implements pubsub.RawTracer.
func (t *tracer) RejectMessage(*pubsub.Message, string) { t.lost.Add(1) }

// UndeliverableMessage implements pubsub.RawTracer: the subscription's buffer was full.
func (t *tracer) UndeliverableMessage(*pubsub.Message) { t.lost.Add(1) }

// The rest of pubsub.RawTracer is of no use here.

func (t *tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (t *tracer) OnClosedOutboundStream(peer.ID)           {}
func (t *tracer) Graft(peer.ID, string)                    {}
func (t *tracer) Prune(peer.ID, string)                    {}
func (t *tracer) Join(string)                              {}
func (t *tracer) Leave(string)                             {}
func (t *tracer) ValidateMessage(*pubsub.Message)          {}
func (t *tracer) DeliverMessage(*pubsub.Message)           {}
func (t *tracer) ThrottlePeer(peer.ID)                     {}
func (t *tracer) RecvRPC(*pubsub.RPC)                      {}
func (t *tracer) SendRPC(*pubsub.RPC, peer.ID)             {}
