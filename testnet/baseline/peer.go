package baseline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"

	"grapevine/block"
	"grapevine/p2p"
)

// Config says what a peer is. All fields but Chunked are required.
type Config struct {
	Seed         [32]byte // of its identity
	Listen       string   // a QUIC multiaddr
	SourceIP     net.IP   // the address that it sends from
	ListenPacket func(*net.UDPAddr) (net.PacketConn, error)
	Chunked      bool
	MaxBody      int    // bytes of the largest block
	Chain        *Chain // takes the blocks
	// OnBlock is called for every block that is new and whole, the peer's own
	// included. It must not block.
	OnBlock func(Received)
}

// Received is a block that a peer has, and who sent its first message: a peer ID, or ""
// for a block of its own.
type Received struct {
	Height uint64
	ID     block.ID
	Bytes  int // of its body
	From   string
}

// Queues of GossipSub, in messages: as many as 64 blocks of 4 MiB are in chunks.
const queue = 16 << 10

const topicName = "blocks"

// Peer is one peer of the baseline.
type Peer struct {
	cfg    Config
	host   host.Host
	cancel context.CancelFunc // ends GossipSub
	pubsub *pubsub.PubSub
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
	tracer *tracer
}

func identity(seed [32]byte) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return key, nil
}

// PeerID returns the ID of the peer with this seed.
func PeerID(seed [32]byte) (string, error) {
	key, err := identity(seed)
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	return id.String(), nil
}

// New opens the peer's socket. What follows is Run, or Close.
func New(cfg Config) (*Peer, error) {
	key, err := identity(cfg.Seed)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(cfg.Listen),
		libp2p.Transport(libp2pquic.NewTransport),
		p2p.OverPackets(cfg.ListenPacket, cfg.SourceIP),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), // its timers stall a bubble
		libp2p.ForceReachabilityPublic(),
		libp2p.UDPBlackHoleSuccessCounter(nil), // would stop dialling after many failures
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	)
	if err != nil {
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	p := &Peer{cfg: cfg, host: h, tracer: &tracer{}}
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

// ID returns the peer's ID.
func (p *Peer) ID() string { return p.host.ID().String() }

// Connected says whether it has a connection to a peer.
func (p *Peer) Connected(id string) bool {
	other, err := peer.Decode(id)
	return err == nil && p.host.Network().Connectedness(other) == network.Connected
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
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, a := range dial {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			cancel()
			running.Wait()
			return errors.Join(fmt.Errorf("address %q: %w", a, err), p.Close())
		}
		running.Go(func() { p.keep(ctx, *info) })
	}
	err := p.receive(ctx)
	cancel()
	running.Wait()
	return errors.Join(err, p.Close())
}

const (
	dialEvery   = time.Second
	dialTimeout = 10 * time.Second
)

// keep dials a peer whenever there is no connection to it, until ctx ends.
func (p *Peer) keep(ctx context.Context, info peer.AddrInfo) {
	ticker := time.NewTicker(dialEvery)
	defer ticker.Stop()
	for {
		if p.host.Network().Connectedness(info.ID) != network.Connected {
			dialling, cancel := context.WithTimeout(ctx, dialTimeout)
			_ = p.host.Connect(dialling, info) // tried again in a second
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
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
			p.accept(height, body, from)
		}
	}
}

func (p *Peer) accept(height uint64, body []byte, from string) {
	id := block.ID(sha256.Sum256(body))
	if p.cfg.Chain.add(height, id) {
		p.cfg.OnBlock(Received{Height: height, ID: id, Bytes: len(body), From: from})
	}
}

// Publish sends a block.
func (p *Peer) Publish(ctx context.Context, height uint64, body []byte) error {
	p.accept(height, body, "")
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
