package adversary

import (
	"context"
	"fmt"
	"sync"

	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/genesis"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// Case is one way of misbehaving.
type Case struct {
	Name string
	What string // for people
	// Liars is how many identities there are.
	Liars int
	// Caught says that the rules let go of such a peer: it must be gone in the end.
	Caught bool

	tip  uint64                                                                  // that the liars claim; zero: none
	play func(ctx context.Context, l *liar)                                      // until ctx ends; nil: nothing
	raw  func(ctx context.Context, s *stray)                                     // instead of all that
	hear func(l *liar, from wire.PeerID, lane wire.Lane, msg []byte) (hung bool) // true: it is read no further
}

// liar is a peer that does what its case says.
type liar struct {
	host    *p2p.Host
	genesis *genesis.Genesis
	decoder message.Decoder
	of      *Case
	done    <-chan struct{}

	mu    sync.Mutex
	peers []wire.PeerID       // guarded by mu; its neighbours, in the order in which they came
	heard []*message.Announce // guarded by mu; the first that came, and the last
}

// join starts a case's liars, which dial all of the peers, and returns once each is a
// neighbour of all. Stop ends them.
func join(ctx context.Context, c *Case, g *genesis.Genesis, peers []string) (ids []string, stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	stop = func() error {
		cancel()
		all.Wait()
		return failed
	}
	for range c.Liars {
		if c.raw != nil {
			s, err := newStray(ctx, g, peers)
			if err != nil {
				return nil, stop, fmt.Errorf("starting a liar: %w", err)
			}
			ids = append(ids, s.host.ID().String())
			all.Go(func() {
				defer s.host.Close()
				c.raw(ctx, s)
			})
			continue
		}
		l := &liar{genesis: g, decoder: message.Decoder{Limits: g.BlockLimits()}, of: c, done: ctx.Done()}
		l.host, err = p2p.Listen(p2p.Config{
			Key: sig.Generate(), Genesis: g, Bootstrap: peers, Software: "adversary",
			Status: func() (tip, base uint64) { return c.tip, 1 },
		})
		if err != nil {
			return nil, stop, fmt.Errorf("starting a liar: %w", err)
		}
		ids = append(ids, string(l.host.ID()))
		all.Go(func() {
			if err := l.host.Run(ctx, l); err != nil {
				mu.Lock()
				failed = fmt.Errorf("a liar ended: %w", err)
				mu.Unlock()
			}
		})
		if c.play != nil {
			all.Go(func() { c.play(ctx, l) })
		}
	}
	return ids, stop, nil
}

// PeerUp implements p2p.Handler.
func (l *liar) PeerUp(p wire.PeerID, _ wire.Hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers = append(l.peers, p)
}

// PeerDown implements p2p.Handler.
func (l *liar) PeerDown(p wire.PeerID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, q := range l.peers {
		if p == q {
			l.peers = append(l.peers[:i], l.peers[i+1:]...)
			return
		}
	}
}

// Receive implements p2p.Handler.
func (l *liar) Receive(from wire.PeerID, lane wire.Lane, msg []byte) {
	if l.of.hear != nil && l.of.hear(l, from, lane, msg) {
		<-l.done
	}
}

// victims are the peers that it is connected to.
func (l *liar) victims() []wire.PeerID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]wire.PeerID(nil), l.peers...)
}

// say sends a message to a peer, if there is room for it.
func (l *liar) say(to wire.PeerID, m message.Message) bool {
	return l.host.Send(to, m.Lane(), message.Encode(m))
}
