package dissemination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"grapevine/block"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
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
	// Publish sends a message to everybody by GossipSub.
	Publish(data []byte) error
	// Overflows returns how many messages GossipSub has dropped because a neighbour's
	// queue was full.
	Overflows() uint64
}

// Config sets a driver up.
type Config struct {
	Genesis *genesis.Genesis
	Self    wire.PeerID
	Ledger  *ledger.Ledger
	Pool    *mempool.Pool
	Host    Host
	Fresh   fresh.Config
	Catchup catchup.Config
	// NoCatchup switches catch-up off: a peer that push and pull leave behind stays
	// behind. It is there for comparison.
	NoCatchup bool
	Txs       txs.Config
	// Seed makes the cores' choices repeatable.
	Seed uint64
	// OnAccepted is told of each block once, in height order, from the driver's
	// loop: it must not block. Nil: nobody listens.
	OnAccepted func(Fact)
	// Halted is told, at most once, that this peer appends no more blocks because the
	// orderer broke the rules. KeepEvidence stores the proof, if there is one that
	// stands by itself. Nil: nobody is told.
	Halted       func(error)
	KeepEvidence func(proof []byte) error
	// Evidence is a proof that was kept before: the driver is halted from the start,
	// and spreads it. Nil: there is none.
	Evidence   *ordering.Evidence
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics go nowhere
}

// Fact is what this peer saw of a block that it accepted.
type Fact struct {
	Height  uint64
	ID      block.ID
	Txs     int
	Bytes   int         // of the body
	Via     string      // own, push, pull or catch-up
	From    wire.PeerID // who announced it first, or sent it; empty for own
	Hop     int         // peers it passed through before it arrived here
	Latency time.Duration
	Missing int // transactions that the pool lacked
	Again   int // bytes of its transactions that came over the network though they were here, until it was accepted
	At      time.Time
}

// Duplicates returns how many bodies' worth of the block came again, to two digits.
func (f Fact) Duplicates() float64 {
	return math.Round(100*float64(f.Again)/float64(max(f.Bytes, 1))) / 100
}

// eventsMax bounds the loop's queue. Readers wait when it is full, each holding up
// its own lane of its own peer.
const eventsMax = 256

// Driver is the dissemination of one node.
type Driver struct {
	cfg     Config
	limits  block.Limits
	network block.ID
	decoder message.Decoder
	log     *slog.Logger
	metrics metrics

	events  chan event
	started atomic.Bool   // the loop runs, or has ended
	done    chan struct{} // closed when the loop ends: nobody waits for it any more
	publish chan []*block.Tx

	// Owned by the loop.
	fresh      *fresh.Engine
	catchup    *catchup.Engine
	pools      *txs.Reconciler
	batcher    txs.Batcher
	neighbours []wire.PeerID
	bodies     map[block.ID]*assembly
	heights    map[uint64]*assembly // of bodies
	chain      chain
	halted     error
	evidence   []byte // the proof behind halted, if there is one

	shared    shared
	admission admission
}

// admission is shared by submitters and the publisher.
type admission struct {
	mu   sync.Mutex
	core *txs.Admission
}

// shared is what the readers' goroutines and the loop both use.
type shared struct {
	mu      sync.Mutex
	known   map[block.ID]knowledge     // of bodies
	pushes  map[wire.PeerID]pushed     // bodies that were announced to follow, the last of each peer
	fetches map[uint32]fetchAsked      // requests for transactions in flight, by number
	ranges  map[uint32]rangeAsked      // requests for ranges in flight, by number
	wants   map[wire.PeerID]int        // transactions asked of a peer's pool and not here yet
	pieces  map[wire.PeerID]*rangeRead // blocks of ranges, as far as they are here
	paced   map[wire.PeerID]time.Time  // when a peer's next question about the pool may be answered
}

type fetchAsked struct {
	peer  wire.PeerID
	block block.ID
}

type rangeAsked struct {
	peer       wire.PeerID
	from, upto uint64
}

// New makes a driver whose chain ends where the ledger does.
func New(cfg Config) *Driver {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	now, tip := time.Now(), cfg.Ledger.Tip()
	cfg.Txs.Self = cfg.Self
	if !cfg.NoCatchup && cfg.Fresh.CatchupGap == 0 {
		cfg.Fresh.CatchupGap = catchup.DefaultGap // where one leaves off the other begins
	}
	limits := cfg.Genesis.BlockLimits()
	d := &Driver{
		cfg:     cfg,
		limits:  limits,
		network: cfg.Genesis.ID(),
		decoder: message.Decoder{Limits: limits},
		log:     cfg.Logger,
		events:  make(chan event, eventsMax),
		done:    make(chan struct{}),
		publish: make(chan []*block.Tx),
		fresh:   fresh.New(cfg.Fresh, cfg.Seed, now, tip),
		catchup: catchup.New(cfg.Catchup, cfg.Seed, tip.Height),
		pools:   txs.NewReconciler(cfg.Txs, cfg.Seed, now),
		bodies:  map[block.ID]*assembly{},
		heights: map[uint64]*assembly{},
		chain:   chain{next: tip.Height + 1, ready: map[uint64]candidate{}},
		shared: shared{
			known:   map[block.ID]knowledge{},
			pushes:  map[wire.PeerID]pushed{},
			fetches: map[uint32]fetchAsked{},
			ranges:  map[uint32]rangeAsked{},
			wants:   map[wire.PeerID]int{},
			pieces:  map[wire.PeerID]*rangeRead{},
			paced:   map[wire.PeerID]time.Time{},
		},
	}
	d.admission.core = txs.NewAdmission(now)
	d.metrics = newMetrics(cfg.Registerer, d)
	if e := cfg.Evidence; e != nil {
		d.evidence = e.Encode()
		d.halt(e.Height(), fmt.Errorf("this node keeps proof that the orderer broke the rules at height %d", e.Height()))
	}
	return d
}

// event is something that happened, told to the loop.
type event interface {
	apply(d *Driver, now time.Time)
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
	commit := make(chan candidate)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.committer(ctx, commit) })
	g.Go(func() error { return d.publisher(ctx) })
	g.Go(func() error { return d.loop(ctx, commit) })
	return g.Wait()
}

func (d *Driver) loop(ctx context.Context, commit chan<- candidate) error {
	d.started.Store(true)
	defer close(d.done) // the committer and the readers may be waiting for room
	timer := time.NewTimer(0)
	defer timer.Stop()
	woke := time.Now()
	for {
		var to chan<- candidate // nil, hence never ready, while nothing is next
		next, ok := d.chain.head()
		if ok && d.halted == nil {
			to = commit
		}
		now := time.Now()
		batch := d.batcher.Peek(now)
		var out chan<- []*block.Tx
		if len(batch) > 0 {
			out = d.publish
		}
		d.metrics.busy.Add(time.Since(woke).Seconds())
		var ev event
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ev = <-d.events:
		case to <- next:
			d.chain.take()
		case out <- batch:
			d.batcher.Took(now, len(batch))
		case <-timer.C:
		}
		woke = time.Now()
		if ev != nil {
			ev.apply(d, woke)
		}
		d.tick(woke)
		d.drain(time.Now())
		timer.Reset(d.untilDeadline())
	}
}

func (d *Driver) tick(now time.Time) {
	if at := d.fresh.Deadline(); !at.IsZero() && !at.After(now) {
		d.fresh.Tick(now)
	}
	if at := d.catchup.Deadline(); !d.cfg.NoCatchup && !at.IsZero() && !at.After(now) {
		d.catchup.Tick(now)
	}
	if !d.pools.Deadline().After(now) {
		d.pools.Tick(now)
	}
}

// untilDeadline returns how long until a core or the batcher is due. A batch that
// is due already waits for the publisher, not for time.
func (d *Driver) untilDeadline() time.Duration {
	at := d.pools.Deadline()
	times := []time.Time{d.fresh.Deadline()}
	if due := d.batcher.Deadline(); due.After(time.Now()) {
		times = append(times, due)
	}
	if !d.cfg.NoCatchup {
		times = append(times, d.catchup.Deadline())
	}
	for _, t := range times {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return max(time.Until(at), 0)
}

// drain carries out what the cores want, until they want nothing.
func (d *Driver) drain(now time.Time) {
	for {
		a, b, c := d.fresh.Effects(), d.catchup.Effects(), d.pools.Effects()
		if len(a)+len(b)+len(c) == 0 {
			return
		}
		for _, x := range a {
			d.applyFresh(now, x)
		}
		for _, x := range b {
			d.applyCatchup(now, x)
		}
		for _, x := range c {
			d.compare(now, x)
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

// publisher hands batches to GossipSub, whose Publish may take a while.
func (d *Driver) publisher(ctx context.Context) error {
	var overflows uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-d.publish:
			b := message.Encode(&message.Txs{Txs: batch})
			d.metrics.message("gossip", "out", len(b))
			if err := d.cfg.Host.Publish(b); err != nil {
				d.log.Warn("publishing transactions, the repair plane will carry them", "txs", len(batch), "err", err)
			}
			if n := d.cfg.Host.Overflows(); n > overflows {
				overflows = n
				d.admission.mu.Lock()
				d.admission.core.Overflowed(time.Now())
				d.admission.mu.Unlock()
			}
		}
	}
}

// admitWait is how long a submitter waits for its turn before it is told to come
// back: less than most clients wait for an answer.
const admitWait = 3 * time.Second

// ErrBusy says that the network does not take as much as is submitted here.
var ErrBusy = errors.New("busy")

// Admit waits until so many bytes of transactions may enter the network, or says
// when to come back.
func (d *Driver) Admit(ctx context.Context, bytes int) error {
	d.admission.mu.Lock()
	wait, ok := d.admission.core.Take(time.Now(), bytes, admitWait)
	rate := d.admission.core.Rate()
	d.admission.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: the network takes %.0f bytes a second from this node at present, and queues overflow: try again in %v, or at another peer", ErrBusy, rate, wait.Round(time.Millisecond))
	}
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.done:
		return ErrStopped
	}
}

// AdmitRate returns the bytes of transactions that are let in a second at present.
func (d *Driver) AdmitRate() float64 {
	d.admission.mu.Lock()
	defer d.admission.mu.Unlock()
	return d.admission.core.Rate()
}

// PeerUp implements p2p.Handler.
func (d *Driver) PeerUp(p wire.PeerID, hello wire.Hello) { d.post(peerUp{p, hello.Tip, hello.Base}) }

// PeerDown implements p2p.Handler.
func (d *Driver) PeerDown(p wire.PeerID) {
	d.shared.mu.Lock()
	delete(d.shared.pushes, p)
	d.shared.mu.Unlock()
	d.post(peerDown{p})
}

type peerUp struct {
	peer      wire.PeerID
	tip, base uint64
}

func (ev peerUp) apply(d *Driver, now time.Time) {
	d.neighbours = append(d.neighbours, ev.peer)
	d.fresh.PeerUp(now, ev.peer, ev.tip)
	d.catchup.PeerUp(now, ev.peer, ev.tip, ev.base)
	d.pools.PeerUp(now, ev.peer)
	d.spreadEvidence(ev.peer)
}

type peerDown struct{ peer wire.PeerID }

func (ev peerDown) apply(d *Driver, now time.Time) {
	d.neighbours = slices.DeleteFunc(d.neighbours, func(p wire.PeerID) bool { return p == ev.peer })
	d.fresh.PeerDown(now, ev.peer)
	d.catchup.PeerDown(now, ev.peer)
	d.pools.PeerDown(ev.peer)
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	delete(d.shared.wants, ev.peer)
	delete(d.shared.pieces, ev.peer)
	delete(d.shared.paced, ev.peer)
}

// ErrStopped says that the node stopped before the work was done.
var ErrStopped = errors.New("the node is stopping")

// Propose disseminates a block that this peer made and signed, and returns once it
// is durable in the own ledger.
func (d *Driver) Propose(ctx context.Context, b *block.Block) error {
	done := make(chan error, 1)
	d.post(proposed{b, done})
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.done:
		return fmt.Errorf("proposing the block at height %d: %w", b.Height, ErrStopped)
	}
	if errors.Is(err, errFilled) { // after a crash, others may bring it back first
		return d.awaitBlock(ctx, b)
	}
	return err
}

// awaitBlock returns once the ledger has a block, or another at its height.
func (d *Driver) awaitBlock(ctx context.Context, b *block.Block) error {
	err := d.cfg.Ledger.Await(ctx, b.Height, d.done)
	switch {
	case err == nil:
		return d.cfg.Ledger.Check(b)
	case ctx.Err() != nil:
		return err
	}
	return fmt.Errorf("waiting for the block at height %d: %w", b.Height, ErrStopped)
}

// Height is how far a peer's chain goes, by its own account.
type Height struct {
	Peer   wire.PeerID
	Height uint64
}

// SetMembers tells how many members the network has, and the heights of those that
// this peer could catch up from.
func (d *Driver) SetMembers(n int, heights []Height) { d.post(census{n, heights}) }

type census struct {
	members int
	heights []Height
}

func (ev census) apply(d *Driver, now time.Time) {
	d.fresh.Members(ev.members)
	for _, h := range ev.heights {
		d.fresh.PeerTip(now, h.Peer, h.Height)
		d.catchup.PeerTip(now, h.Peer, h.Height)
	}
}

// Spread sends transactions that this peer's pool has accepted to everybody.
func (d *Driver) Spread(txs []*block.Tx) { d.post(spread{txs}) }

type spread struct{ txs []*block.Tx }

func (ev spread) apply(d *Driver, _ time.Time) { d.batcher.Add(ev.txs...) }
