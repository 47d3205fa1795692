package dissemination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/dissemination/protocol"
	"grapevine/dissemination/txs"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// Host is what the driver needs of the network.
type Host interface {
	// Send queues a message and says whether it did; it never blocks.
	Send(to wire.PeerID, lane wire.Lane, msg []byte) bool
	// Charge lowers the peer's score for an offence.
	Charge(p wire.PeerID, o p2p.Offence, detail string)
	// Chosen says whether this side has chosen the peer for a neighbour.
	Chosen(p wire.PeerID) bool
	// Brought says that the peer has brought something right.
	Brought(p wire.PeerID)
	// Publish sends a message to everybody by GossipSub.
	Publish(data []byte) error
	// Queued returns how many bytes wait for a peer on a lane.
	Queued(to wire.PeerID, lane wire.Lane) int
	// RTT returns the shortest round trip to a neighbour that was seen; zero: it is not known.
	RTT(p wire.PeerID) time.Duration
	// Overflows returns how many messages GossipSub has dropped because a neighbour's
	// queue was full.
	Overflows() uint64
}

// Config sets a driver up.
type Config struct {
	Genesis  *genesis.Genesis
	Self     wire.PeerID
	Ledger   *ledger.Ledger
	Pool     *mempool.Pool
	Host     Host
	Protocol protocol.Config
	Txs      txs.Config
	// Seed makes the cores' choices repeatable.
	Seed uint64
	// OnAccepted is told of each block once, in height order, from the driver's
	// loop: it must not block. Nil: nobody listens.
	OnAccepted func(arrival.Accepted)
	// Halted is told that this peer appends no more blocks because the orderer broke the
	// rules, and told again when there is more to say of it. KeepEvidence stores the proof,
	// if there is one that stands by itself; it is called again until it succeeds. Nil:
	// nobody is told.
	Halted       func(error)
	KeepEvidence func(proof []byte) error
	// Evidence is a proof that was kept before: the driver is halted from the start,
	// and spreads it. Nil: there is none.
	Evidence *ordering.Evidence
	// Hear is told what another peer's orderer says to this one's, in the goroutine of that
	// peer's lane, which waits for it. An error charges that peer. Nil: this peer orders
	// nothing, or alone, and passes over what it is told.
	Hear       func(from wire.PeerID, msg []byte) error
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics go nowhere
}

// eventsMax bounds the loop's queue. Readers wait when it is full, each holding up
// its own lane of its own peer.
const eventsMax = 256

// event is something that happened, which the loop takes in.
type event func(now time.Time)

// Driver is the dissemination of one node.
type Driver struct {
	cfg     Config
	limits  block.Limits
	network block.ID
	decoder message.Decoder
	log     *slog.Logger
	metrics metrics

	events  chan event
	started atomic.Bool           // the loop runs, or has ended
	done    chan struct{}         // closed when the loop ends: nobody waits for it any more
	last    atomic.Pointer[stats] // as the loop ended
	stopped atomic.Pointer[error] // halted, for others than the loop
	signed  atomic.Uint64         // the greatest height of a signed header that was announced

	// Owned by the loop.
	core       *protocol.Peer
	bodies     bodies
	queue      []*block.Block            // for the committer, in order
	proposals  map[block.ID]chan<- error // blocks of our own that are not durable
	neighbours []wire.PeerID
	halted     error
	evidence   []byte // the proof behind halted, if there is one
	unkept     error  // why it is not on the disk

	// Used by the loop and by the readers' goroutines; each guards itself.
	headers  headers
	codes    codes
	building sync.WaitGroup // of rebuilding
	requests requests
	ranges   ranges
	turns    [wire.NumLanes]*turns
	stored   *turns // of those that ask for what only the disk has
	reading  *turns // of those that ask for ranges
	stale    *turns // of those whose gossip brings nothing new
	credits  *credits
	helpers  helpers
	pools    *pools
	outgoing *publisher
}

// New makes a driver whose chain ends where the ledger does.
func New(cfg Config) *Driver {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	now, limits := time.Now(), cfg.Genesis.BlockLimits()
	cfg.Txs.Self = cfg.Self
	cfg.Protocol.Self, cfg.Protocol.Producer = cfg.Self, wire.PeerID(cfg.Genesis.Producer())
	d := &Driver{
		cfg:       cfg,
		limits:    limits,
		network:   cfg.Genesis.ID(),
		decoder:   message.Decoder{Limits: limits},
		log:       cfg.Logger,
		events:    make(chan event, eventsMax),
		done:      make(chan struct{}),
		core:      protocol.New(cfg.Protocol, cfg.Seed, now, cfg.Ledger.Tip()),
		bodies:    newBodies(),
		proposals: map[block.ID]chan<- error{},
		headers:   headers{known: map[block.ID]bool{}},
		codes:     codes{known: map[uint64]*coded{}},
		helpers:   helpers{known: map[wire.PeerID]bool{}},
		requests:  requests{open: map[request]uint32{}},
		ranges:    ranges{reads: map[wire.PeerID]*rangeRead{}},
	}
	d.metrics = newMetrics(cfg.Registerer, d)
	for lane := range d.turns {
		d.turns[lane] = newTurns(allowance, d.done)
	}
	d.stored, d.reading = newTurns(0, d.done), newTurns(0, d.done)
	d.stale = newTurns(allowance, d.done)
	d.credits = newCredits(max(handful, 4*d.limits.MaxBodyBytes)) // laid out it takes twice its bytes, and parity as much
	d.pools = newPools(d, now)
	d.outgoing = newPublisher(cfg.Host, d.metrics, d.log, now)
	if e := cfg.Evidence; e != nil {
		d.evidence = e.Encode()
		d.halt(e.Height(), fmt.Errorf("this node keeps proof that the orderer broke the rules at height %d", e.Height()))
	}
	return d
}

// post hands an event to the loop, waiting for room; after the loop's end it is
// dropped. The loop itself must not call it.
func (d *Driver) post(ev event) {
	select {
	case d.events <- ev:
	case <-d.done:
	}
}

// Run drives dissemination until ctx ends or the ledger fails.
func (d *Driver) Run(ctx context.Context) error {
	commit := make(chan *block.Block)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.committer(ctx, commit) })
	g.Go(func() error { return d.outgoing.run(ctx) })
	g.Go(func() error { return d.loop(ctx, commit) })
	err := g.Wait()
	d.building.Wait()
	return err
}

func (d *Driver) loop(ctx context.Context, commit chan<- *block.Block) error {
	d.started.Store(true)
	defer d.end() // the committer and the readers may be waiting for room
	timer := time.NewTimer(0)
	defer timer.Stop()
	woke := time.Now()
	for {
		var to chan<- *block.Block // nil, hence never ready, while nothing is next
		var next *block.Block
		if len(d.queue) > 0 && d.halted == nil {
			to, next = commit, d.queue[0]
		}
		d.metrics.busy.Add(time.Since(woke).Seconds())
		var ev event
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ev = <-d.events:
		case to <- next:
			d.queue = d.queue[1:]
		case <-timer.C:
		}
		woke = time.Now()
		if ev != nil {
			ev(woke)
		}
		if at := d.core.Deadline(); !at.IsZero() && !at.After(woke) {
			d.core.Tick(woke)
		}
		d.pools.tick(woke)
		d.drain(time.Now())
		timer.Reset(d.untilDeadline())
	}
}

func (d *Driver) end() {
	d.last.Store(&stats{d.core.Stats(), d.pools.core.Stats()})
	close(d.done)
}

// untilDeadline returns how long until a core is due.
func (d *Driver) untilDeadline() time.Duration {
	at := d.pools.core.Deadline()
	if c := d.core.Deadline(); !c.IsZero() && c.Before(at) {
		at = c
	}
	return max(time.Until(at), 0)
}

// drain carries out what the cores want, until they want nothing.
func (d *Driver) drain(now time.Time) {
	for {
		list := d.core.Effects()
		for _, x := range list {
			d.apply(now, x)
		}
		if !d.pools.drain(now) && len(list) == 0 {
			return
		}
	}
}

// apply carries out what the core wants.
func (d *Driver) apply(now time.Time, x effect.Effect) {
	switch x := x.(type) {
	case effect.Send:
		d.dispatch(now, x)
	case effect.Serve:
		d.serve(x)
	case effect.Assemble:
		d.assemble(now, x.Block)
	case effect.Rebuild:
		d.rebuild(x)
	case effect.Recheck:
		d.recheck(now, x)
	case effect.CheckList:
		d.checkList(now, x)
	case effect.Append:
		d.queue = append(d.queue, d.bodies.whole[x.Height])
	case effect.Forget:
		d.bodies.forget(x.Block)
		d.headers.remove(x.Block)
		d.codes.remove(x.Block)
		d.requests.end(x.Block)
	case effect.Discard:
		d.ranges.discard(x.Peer, x.Number)
	}
}

// dispatch sends a message of the core's, with the bytes that belong to it.
func (d *Driver) dispatch(now time.Time, x effect.Send) {
	switch m := x.Msg.(type) {
	case *message.Announce:
		d.bodies.attach(m)
	case *message.Fetch:
		d.requests.begin(m.Number, request{x.To[0], m.Block})
		bytes, messages := answerTo(m, &d.bodies.byID[m.Block].header.Header, d.limits)
		d.credits.grant(x.To[0], bytes, messages)
	case *message.GetRange:
		d.ranges.begin(x.To[0], m)
		bytes, messages := rangeOf(m, d.limits)
		d.credits.grant(x.To[0], bytes, messages)
	case *message.Shards:
		if !d.attachShards(m) {
			m = &message.Shards{Ref: m.Ref, Body: m.Body, Span: m.Span}
			x.Msg = m
		}
	case *message.Ask:
		d.grantAsk(x.To[0], m)
	case *message.Pull, *message.Tip, *message.Part, *message.Enough, *message.Got, *message.Stripes, *message.Graft, *message.Need, *message.Have:
	case *message.Chunk, *message.Evidence, *message.Ordering, *message.Inventory, *message.Want, *message.Txs: // sent elsewhere
	}
	b := message.Encode(x.Msg)
	for _, to := range x.To {
		if !d.sendBytes(to, x.Msg, b) {
			d.core.Dropped(now, to, x.Msg)
		}
	}
}

// send encodes and queues a message.
func (d *Driver) send(to wire.PeerID, m message.Message) bool {
	return d.sendBytes(to, m, message.Encode(m))
}

// sendBytes queues a message that is encoded already.
func (d *Driver) sendBytes(to wire.PeerID, m message.Message, b []byte) bool {
	sent := d.cfg.Host.Send(to, m.Lane(), b)
	if sent {
		d.metrics.message(m.Kind(), "out", len(b))
	} else {
		d.metrics.message(m.Kind(), "dropped", len(b))
	}
	return sent
}

// TellOrderer sends a neighbour's orderer what this peer's says, at most message.MaxOrdering
// bytes, and says whether it did; it never blocks.
func (d *Driver) TellOrderer(to wire.PeerID, msg []byte) bool {
	return d.send(to, &message.Ordering{Data: msg})
}

// Halted returns why this peer appends no more blocks; nil: it does.
func (d *Driver) Halted() error {
	if err := d.stopped.Load(); err != nil {
		return *err
	}
	return nil
}

// Signed returns the greatest height of a block above the tip that others have announced,
// with the producer's signature.
func (d *Driver) Signed() uint64 { return d.signed.Load() }

// PeerUp implements p2p.Handler.
func (d *Driver) PeerUp(p wire.PeerID, hello wire.Hello) {
	chosen := d.cfg.Host.Chosen(p)
	d.post(func(now time.Time) {
		d.neighbours = append(d.neighbours, p)
		d.core.PeerUp(now, p, hello.Tip, hello.Base)
		d.core.Distance(p, d.cfg.Host.RTT(p)/2)
		d.pools.core.PeerUp(now, p)
		d.credits.grant(p, d.codes.size(), 0)
		if chosen {
			d.useful(p)
		}
		d.spreadEvidence(p)
	})
}

// PeerDown implements p2p.Handler.
func (d *Driver) PeerDown(p wire.PeerID) {
	d.post(func(now time.Time) {
		d.neighbours = slices.DeleteFunc(d.neighbours, func(q wire.PeerID) bool { return q == p })
		d.core.PeerDown(now, p)
		d.pools.peerDown(p)
		d.ranges.end(p)
		for _, t := range append(d.turns[:], d.stored, d.reading, d.stale) {
			t.forget(p)
		}
		d.credits.forget(p)
		d.helpers.forget(p)
	})
}

// ErrStopped says that the node stopped before the work was done.
var ErrStopped = errors.New("the node is stopping")

// SetMembers tells how many members the network has, and the heights of those that
// are neighbours.
func (d *Driver) SetMembers(n int, heights map[wire.PeerID]uint64) {
	d.post(func(now time.Time) {
		d.core.Members(n)
		for _, p := range slices.Sorted(maps.Keys(heights)) {
			d.core.PeerTip(now, p, heights[p])
		}
	})
}
