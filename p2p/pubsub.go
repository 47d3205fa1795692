package p2p

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Verdict is a Validator's judgement of a message.
type Verdict uint8

// The verdicts. Ignored and rejected messages are not passed on.
const (
	VerdictAccept Verdict = iota // something new and right
	VerdictIgnore                // nothing new, or not now
	VerdictReject                // wrong: the validator has charged the sender
)

// Validator judges a message of the transactions' topic, and keeps what it needs of
// it: nothing is delivered otherwise. It is called from one goroutine per processor,
// and what it takes there is the node's capacity for such messages.
type Validator func(ctx context.Context, from wire.PeerID, data []byte) Verdict

func ignoreAll(context.Context, wire.PeerID, []byte) Verdict { return VerdictIgnore }

// Queues of GossipSub, in messages. Its defaults of 32 lose most of a burst without
// a word. A message here is a batch of up to 32 KiB, so these hold seconds of load.
const (
	validateQueue = 2048
	outboundQueue = 2048
)

// topic is the transactions' topic.
type topic struct {
	host   *Host
	cancel context.CancelFunc // ends GossipSub
	sub    *pubsub.PubSub
	face   *topicHost
	topic  *pubsub.Topic
	tracer *tracer
	events *pubsub.TopicEventHandler
	opened atomic.Bool // Run has begun
	limit  int
}

func topicName(h *Host) string { return prefix(h.cfg.Genesis.ID()) + "txs/1" }

// maxSubscriptions bounds the topics that one message of GossipSub names.
const maxSubscriptions = 8

// MaxPublish returns the size of the largest message of the transactions' topic.
func MaxPublish(l block.Limits) int { return MaxMessage(wire.Txs, l) }

// joinTopic starts GossipSub. Messages are neither signed nor named by an author:
// their ID is their hash, so a copy is a copy whoever publishes it, and what they
// hold is signed by its senders.
func joinTopic(h *Host) (*topic, error) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &topic{host: h, cancel: cancel, tracer: newTracer(h.metrics), limit: MaxPublish(h.cfg.Limits)}
	face, err := newTopicHost(h)
	if err != nil {
		cancel()
		return nil, err
	}
	t.face = face
	t.sub, err = pubsub.NewGossipSub(ctx, face,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(contentID),
		pubsub.WithMaxMessageSize(t.limit+slack), // of a whole packet
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithValidateWorkers(max(2, runtime.GOMAXPROCS(0))),
		// A node is on one topic. An honest peer names it when the stream opens, and a
		// few times more when its mesh changes.
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(topicName(h)), maxSubscriptions)),
		pubsub.WithPeerExchange(false), // none is given; topicHost takes none
		// A batch to every neighbour would be as many uploads as there are
		// neighbours; the mesh needs a few more hops, and repair covers its gaps.
		pubsub.WithFloodPublish(false),
		pubsub.WithGossipSubParams(meshParams()),
		pubsub.WithRawTracer(t.tracer),
		pubsub.WithPeerScore(&pubsub.PeerScoreParams{
			SkipAtomicValidation: true, // what is left out counts for nothing
			AppSpecificScore:     h.topicScore, AppSpecificWeight: 1,
			DecayInterval: time.Second, DecayToZero: 0.01,
		}, &pubsub.PeerScoreThresholds{SkipAtomicValidation: true, GossipThreshold: -10, PublishThreshold: -10, GraylistThreshold: -10}),
	)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting GossipSub: %w", err)
	}
	if err := t.join(); err != nil {
		cancel()
		return nil, fmt.Errorf("joining the transactions' topic: %w", err)
	}
	return t, nil
}

// noteBytes is the size of a message from which it is worth telling the mesh that
// it is here and need not come again (IDONTWANT): a note is a packet to every
// neighbour in the mesh, and a copy saved must be worth several of them.
const noteBytes = 8 << 10

// meshParams cuts what GossipSub sends twice. At degree 6, its default, a
// transaction costs each node 9.6 times its bytes, at degree 4 5.9 times, and
// arrives in the same time but for the last percent (measured, 20 nodes); degree 3,
// the least at which a random graph hangs together, saves another quarter.
//
// So tight a mesh can close without a peer: all others have as many as they accept,
// and refuse it for as long as a back-off lasts (seen in every third network of five
// or six): a peer with Dhi prunes at its next heartbeat, and heartbeats of peers that
// started together choose the same one. So the back-off is short, as far as can be
// (GossipSub looks which are over at every 15th heartbeat), and each peer tells one
// outside of its mesh what it has (IHAVE). More of that is off, for the comparison of
// pools repairs mesh neighbours too: under load it asked for what was on its way, and
// five copies of a message came where three do.
func meshParams() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi = 3, 3, 4
	p.Dscore, p.Dout = 2, 0
	p.Dlazy, p.GossipFactor = 1, 0
	p.PruneBackoff = 5 * time.Second
	p.IDontWantMessageThreshold = noteBytes
	return p
}

// meshUseful is how many useful neighbours leave no place in the mesh for others: as many
// as it wants.
const meshUseful = 3

// topicScore is below zero for a peer that is not to be in the mesh: one that came by
// itself and has brought nothing, while there are enough others. Identities that do
// nothing would fill it (40 of them: half of the transactions took 23 s).
func (h *Host) topicScore(p peer.ID) float64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := h.neighbours[wire.PeerID(p.String())]
	if l == nil || l.useful() {
		return 0
	}
	useful := 0
	for _, m := range h.neighbours {
		if m.useful() {
			useful++
		}
	}
	if useful >= meshUseful {
		return -1
	}
	return 0
}

func contentID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

func (t *topic) join() error {
	name := topicName(t.host)
	// Inline: a validator in a goroutine of its own is dropped when too many run,
	// after its message was marked as seen, and so never comes again.
	if err := t.sub.RegisterTopicValidator(name, t.validate, pubsub.WithValidatorInline(true)); err != nil {
		return err
	}
	var err error
	if t.topic, err = t.sub.Join(name); err != nil {
		return err
	}
	if t.events, err = t.topic.EventHandler(); err != nil {
		return err
	}
	_, err = t.topic.Relay() // in the mesh, with no subscription whose buffer could overflow
	return err
}

// follow notes who is known to be on the topic, until ctx is done.
func (t *topic) follow(ctx context.Context) {
	defer t.events.Cancel()
	for {
		ev, err := t.events.NextPeerEvent(ctx)
		if err != nil {
			return
		}
		t.tracer.note(t.tracer.joined, ev.Peer, ev.Type == pubsub.PeerJoin)
	}
}

func (t *topic) validate(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == t.host.self {
		return pubsub.ValidationAccept // published here
	}
	if !t.opened.Load() {
		return pubsub.ValidationIgnore
	}
	switch t.host.cfg.Validate(ctx, wire.PeerID(from.String()), m.GetData()) {
	case VerdictAccept:
		return pubsub.ValidationAccept
	case VerdictReject:
		return pubsub.ValidationReject
	default:
		return pubsub.ValidationIgnore
	}
}

func (t *topic) close() { t.cancel() }

// Overflows returns how many messages of the topic were dropped because a neighbour's
// queue was full.
func (h *Host) Overflows() uint64 { return h.topic.tracer.overflows.Load() }

// Publish sends a message on the transactions' topic. It returns an error when the
// message is too large for peers to take; otherwise it is on its way to those
// neighbours that the mesh holds at the time, which may be none.
func (h *Host) Publish(data []byte) error {
	if len(data) > h.topic.limit {
		return fmt.Errorf("publishing %d bytes: want at most %d", len(data), h.topic.limit)
	}
	if err := h.topic.topic.Publish(context.Background(), data); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	h.metrics.pubsub.WithLabelValues("published").Inc()
	return nil
}
