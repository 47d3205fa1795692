package baseline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"grapevine/block"
	"grapevine/p2p/wire"
	"grapevine/testnet/baseline/fabric"
)

// FabricConfig says what a peer is that speaks Fabric's gossip. All fields are required.
type FabricConfig struct {
	Door
	Protocol fabric.Config
	Random   uint64  // seeds what the protocol draws
	MaxBody  int     // bytes of the largest block
	Ledger   *Ledger // takes the blocks
	Bodies   *Bodies // of the network
	// OnBlock is called for every block that the peer accepts, its own included. It must
	// not block.
	OnBlock func(Received)
}

// FabricPeer is one peer that speaks Fabric's gossip: the driver of a fabric.Peer.
type FabricPeer struct {
	node
	cfg     FabricConfig
	inbox   chan func(now time.Time) // what the loop is to do; who posts waits for room
	failed  chan error               // the first fault
	done    chan struct{}            // closed when nobody takes from inbox any more
	once    sync.Once                // closes done
	writers sync.WaitGroup
	again   atomic.Int64
	lost    atomic.Int64

	core  *fabric.Peer          // of the loop
	links map[wire.PeerID]*link // of the loop
}

// inboxSize is how many messages wait for the loop; a stream whose message finds no room
// is not read on.
const inboxSize = 64

// NewFabric opens the peer's socket. What follows is Run, or Close.
func NewFabric(cfg FabricConfig) (*FabricPeer, error) {
	h, err := cfg.open()
	if err != nil {
		return nil, err
	}
	p := &FabricPeer{
		node: node{h}, cfg: cfg, inbox: make(chan func(time.Time), inboxSize), failed: make(chan error, 1),
		done: make(chan struct{}), links: map[wire.PeerID]*link{},
	}
	for _, lane := range lanes {
		h.SetStreamHandler(laneProtocol(lane), func(s network.Stream) { p.read(lane, s) })
	}
	h.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { p.post(func(now time.Time) { p.up(now, c) }) },
		DisconnectedF: func(_ network.Network, c network.Conn) { p.post(func(now time.Time) { p.down(now, c) }) },
	})
	return p, nil
}

// post has the loop do something, unless it has ended.
func (p *FabricPeer) post(do func(now time.Time)) {
	select {
	case p.inbox <- do:
	case <-p.done:
	}
}

// fail ends the peer.
func (p *FabricPeer) fail(err error) {
	select {
	case p.failed <- err:
	default: // another was first
	}
}

// Close closes what NewFabric opened, for a peer that is not run.
func (p *FabricPeer) Close() error {
	p.once.Do(func() { close(p.done) })
	return p.host.Close()
}

// Again returns the bytes of bodies that came though they were here.
func (p *FabricPeer) Again() int64 { return p.again.Load() }

// Lost returns how many messages were dropped for want of room, here.
func (p *FabricPeer) Lost() int64 { return p.lost.Load() }

// Publish makes the next block of the chain.
func (p *FabricPeer) Publish(_ context.Context, height uint64, body []byte) error {
	id := block.ID(sha256.Sum256(body))
	p.cfg.Bodies.put(id, body)
	p.post(func(now time.Time) {
		p.core.Proposed(now, fabric.Block{ID: id, Parent: p.core.Tip(), Height: height, Size: len(body)})
	})
	return nil
}

// grace is how long a peer waits for a dial of the other's that is due. One of two dials,
// at first; a peer that came back dials those too that still believe in their connection
// to its last life.
const grace = 2 * time.Second

// Run takes part until ctx ends, which is no error, and keeps connections to the peers at
// the given addresses. It closes the peer before it returns.
func (p *FabricPeer) Run(ctx context.Context, dial []string) error {
	others, err := infos(dial)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var dialling sync.WaitGroup
	for _, info := range others {
		dialling.Go(func() {
			if p.host.ID() < info.ID {
				select {
				case <-ctx.Done():
				case <-time.After(grace):
				}
			}
			p.keep(ctx, info)
		})
	}
	err = p.loop(ctx)
	cancel()
	dialling.Wait()
	for _, l := range p.links {
		l.end()
	}
	err = errors.Join(err, p.Close())
	p.writers.Wait()
	return err
}

// loop owns the core until ctx ends.
func (p *FabricPeer) loop(ctx context.Context) error {
	p.core = fabric.New(p.cfg.Protocol, p.cfg.Random, time.Now(), p.cfg.Ledger.chain())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.carryOut()
		if at := p.core.Deadline(); !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.failed:
			return err
		case do := <-p.inbox:
			do(time.Now())
		case <-timer.C:
			p.core.Tick(time.Now())
		}
	}
}

// carryOut does what the core wants done.
func (p *FabricPeer) carryOut() {
	for _, e := range p.core.Effects() {
		switch e := e.(type) {
		case fabric.Send:
			p.send(e)
		case fabric.Accept:
			p.cfg.Ledger.append(e.Block)
			p.cfg.OnBlock(Received{
				Height: e.Block.Height, ID: e.Block.ID, Bytes: e.Block.Size, Via: e.Via, From: string(e.From), Hop: e.Hop,
			})
		}
	}
	p.again.Store(int64(p.core.Stats().AgainBytes))
}

// send puts a message, with its bodies, into the queues of those it is for.
func (p *FabricPeer) send(e fabric.Send) {
	m := e.Message.AppendTo(make([]byte, 0, e.Message.Size()))
	for _, b := range e.Message.Bodies() {
		m = append(m, p.cfg.Bodies.get(b.ID)...)
	}
	for _, to := range e.To {
		if l := p.links[to]; l == nil || !l.queues[e.Message.Lane()].put(m) {
			p.lost.Add(1)
		}
	}
}

// up takes a connection into use. It takes the place of an older one to the same peer,
// which may have come back and left that behind.
func (p *FabricPeer) up(now time.Time, c network.Conn) {
	id := wire.PeerID(c.RemotePeer().String())
	if old := p.links[id]; old != nil {
		old.end()
		p.core.PeerDown(now, id)
	}
	p.links[id] = newLink(c, p.writers.Go)
	p.core.PeerUp(now, id)
}

// down lets go of a connection. Another takes its place, if there is one.
func (p *FabricPeer) down(now time.Time, c network.Conn) {
	id := wire.PeerID(c.RemotePeer().String())
	l := p.links[id]
	if l == nil || l.conn != c {
		return
	}
	l.end()
	delete(p.links, id)
	p.core.PeerDown(now, id)
	for _, other := range p.host.Network().ConnsToPeer(c.RemotePeer()) {
		if other != c && !other.IsClosed() {
			p.up(now, other)
			return
		}
	}
}

// read hands a stream's messages to the loop until it ends. A message that is wrong ends
// the peer: there are no liars here.
func (p *FabricPeer) read(lane wire.Lane, s network.Stream) {
	defer func() { _ = s.Reset() }()
	from := s.Conn().RemotePeer().String()
	r := wire.NewReader(s, fabric.MaxMessage(lane, p.cfg.MaxBody))
	for {
		b, err := r.Next()
		if errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrOversize) {
			p.fail(fmt.Errorf("reading the %s stream of %s: %w", lane, from, err))
		}
		if err != nil {
			return
		}
		m, err := p.check(b)
		if err != nil {
			p.fail(fmt.Errorf("message in the %s stream of %s: %w", lane, from, err))
			return
		}
		p.post(func(now time.Time) { p.core.Receive(now, wire.PeerID(from), m) })
	}
}

// check decodes a message, and keeps its bodies when they are right.
func (p *FabricPeer) check(b []byte) (fabric.Message, error) {
	m, bodies, err := fabric.Decode(b, p.cfg.MaxBody)
	if err != nil {
		return nil, err
	}
	for i, x := range m.Bodies() {
		if sha256.Sum256(bodies[i]) != x.ID {
			return nil, fmt.Errorf("%T: the body of block %d is not that of %s", m, x.Height, x.ID.Short())
		}
		p.cfg.Bodies.put(x.ID, bodies[i])
	}
	return m, nil
}
