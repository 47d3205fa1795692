package baseline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

// Config says what a peer is. All fields but Chunked are required.
type Config struct {
	Door
	Chunked bool
	MaxBody int    // bytes of the largest block
	Chain   *Chain // takes the blocks
	// OnBlock is called for every block that is new and whole, the peer's own
	// included. It must not block.
	OnBlock func(Received)
}

// Received is a block that a peer has.
type Received struct {
	Height uint64
	ID     block.ID
	Bytes  int // of its body
	Via    arrival.Via
	From   string // the peer ID of who sent it, or its first message; "" for a block of its own
	Hop    int    // -1: not known
}

// Queues of GossipSub, in messages: as many as 64 blocks of 4 MiB are in chunks.
const queue = 16 << 10

const topicName = "blocks"

// Peer is one peer that speaks GossipSub.
type Peer struct {
	node
	cfg    Config
	cancel context.CancelFunc // ends GossipSub
	pubsub *pubsub.PubSub
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
	tracer *tracer
}

// New opens the peer's socket. What follows is Run, or Close.
func New(cfg Config) (*Peer, error) {
	h, err := cfg.open()
	if err != nil {
		return nil, err
	}
	p := &Peer{cfg: cfg, node: node{h}, tracer: &tracer{}}
	if err := p.join(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// params are the mesh's: GossipSub's own, or those of the chunked way.
func params(chunked bool) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	if chunked {
		p.D, p.Dlo, p.Dhi = 4, 3, 6
		p.Dscore, p.Dout = 2, 1
	}
	return p
}

func (p *Peer) join() error {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	var err error
	p.pubsub, err = pubsub.NewGossipSub(ctx, p.host,
		pubsub.WithGossipSubParams(params(p.cfg.Chunked)),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(contentID),
		pubsub.WithMaxMessageSize(p.cfg.MaxBody+64<<10), // of a packet with all its control messages
		pubsub.WithPeerOutboundQueueSize(queue),
		pubsub.WithValidateQueueSize(queue),
		pubsub.WithRawTracer(p.tracer),
	)
	if err != nil {
		return fmt.Errorf("starting GossipSub: %w", err)
	}
	if p.topic, err = p.pubsub.Join(topicName); err != nil {
		return fmt.Errorf("joining the topic: %w", err)
	}
	if p.sub, err = p.topic.Subscribe(pubsub.WithBufferSize(queue)); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	return nil
}

func contentID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

// Close closes what New opened, for a peer that is not run.
func (p *Peer) Close() error {
	if p.cancel != nil {
		p.cancel()
	}
	return p.host.Close()
}

// Again returns the bytes of blocks that came though they were here.
func (p *Peer) Again() int64 { return p.tracer.again.Load() }

// Lost returns how many messages were dropped for want of room, here.
func (p *Peer) Lost() int64 { return p.tracer.lost.Load() }

// Run takes part until ctx ends, which is no error, and keeps connections to the peers
// at the given addresses. It closes the peer before it returns. It is to be called when
// the host has settled (synctest.Wait): an earlier dial may leave GossipSub with a
// neighbour that it never sends to.
func (p *Peer) Run(ctx context.Context, dial []string) error {
	others, err := infos(dial)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, info := range others {
		running.Go(func() { p.keep(ctx, info) })
	}
	err = p.receive(ctx)
	cancel()
	running.Wait()
	return errors.Join(err, p.Close())
}

// receive puts blocks together until ctx ends.
func (p *Peer) receive(ctx context.Context) error {
	blocks := map[uint64]*assembly{}
	for {
		m, err := p.sub.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the topic: %w", err)
		}
		if m.ReceivedFrom == p.host.ID() {
			continue // Publish has seen to it
		}
		height, body, from, err := add(blocks, m.GetData(), m.ReceivedFrom.String())
		if err != nil {
			return err
		}
		if body != nil {
			p.accept(height, body, arrival.Push, from)
		}
	}
}

func (p *Peer) accept(height uint64, body []byte, via arrival.Via, from string) {
	id := block.ID(sha256.Sum256(body))
	if p.cfg.Chain.add(height, id) {
		p.cfg.OnBlock(Received{Height: height, ID: id, Bytes: len(body), Via: via, From: from, Hop: -1})
	}
}

// Publish sends a block.
func (p *Peer) Publish(ctx context.Context, height uint64, body []byte) error {
	p.accept(height, body, arrival.Own, "")
	if !p.cfg.Chunked {
		return p.topic.Publish(ctx, cut(height, body, max(1, len(body)))[0])
	}
	var batch pubsub.MessageBatch
	for _, m := range cut(height, body, chunkBytes) {
		if err := p.topic.AddToBatch(ctx, &batch, m); err != nil {
			return err
		}
	}
	return p.pubsub.PublishBatch(&batch)
}
