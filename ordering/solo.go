package ordering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/mempool"
)

// SoloConfig is what the orderer works with.
type SoloConfig struct {
	Key     sig.Key          // the one that the genesis names
	Genesis *genesis.Genesis // required
	Lock    *Lock            // required; Run owns it
	Pool    *mempool.Pool    // required; is told of every block after the ledger has it
	Cutter  CutterConfig

	// Tip returns the ledger's, Advanced a channel that is closed when it has moved on
	// after the call, and Await returns when it is at a height. All required.
	Tip      func() block.Tip
	Advanced func() <-chan struct{}
	Await    func(ctx context.Context, height uint64, stop <-chan struct{}) error
	// Check says whether the ledger would take a block (not yet signed) as its next.
	// Nil leaves that to the pool, which knows of no block that the ledger has and it
	// was not told of.
	Check func(*block.Block) error
	// Wait says why nothing may be signed yet, given the height up to which this home
	// knows the chain: see Rollcall. Nil waits for nobody.
	Wait func(now time.Time, height uint64) error
	// Reset is the operator's word that the lock, if the ledger has grown above it, is an
	// old one and no other node has the key: once Wait is content the lock is set to the
	// ledger's tip.
	Reset bool
	// Logger hears of a lock that does not fit the ledger. Nil discards.
	Logger *slog.Logger
}

// Solo is the orderer of a network that has one.
type Solo struct {
	cfg    SoloConfig
	cutter *Cutter
	limits block.Limits
	said   stance                // the last that was logged, so that it is said once
	idle   atomic.Pointer[error] // why it signs nothing; nil: it does. Also read by Ready
}

// NewSolo makes the orderer. It refuses a key that is not the network's orderer's,
// and a lock of another network.
func NewSolo(cfg SoloConfig) (*Solo, error) {
	if key := cfg.Key.Public(); !cfg.Genesis.Produces(key) {
		return nil, fmt.Errorf("key %s is not the orderer's: it is that of %s, and the genesis names %s", key, genesis.PeerID(key), cfg.Genesis.Producer())
	}
	if err := cfg.Lock.state.checkNetwork(cfg.Lock.path, cfg.Genesis.ID()); err != nil {
		return nil, err
	}
	limits := cfg.Genesis.BlockLimits()
	cfg.Cutter = cfg.Cutter.withDefaults(limits)
	if err := cfg.Cutter.validate(limits); err != nil {
		return nil, fmt.Errorf("cutting blocks: %w", err)
	}
	if cfg.Check == nil {
		cfg.Check = func(*block.Block) error { return nil }
	}
	if cfg.Wait == nil {
		cfg.Wait = func(time.Time, uint64) error { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Solo{cfg: cfg, cutter: NewCutter(cfg.Cutter), limits: limits}, nil
}

// Run makes blocks until ctx is done, whose cause it returns, or until something
// fails. It hands each signed block to propose, which returns once it is durable
// in this node's ledger, and makes the next when Tip says so too. Propose may get
// a block that it got before this process was started.
func (s *Solo) Run(ctx context.Context, propose func(context.Context, *block.Block) error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		// Asked for before what they tell of is looked at, so that nothing falls between.
		advanced, changed := s.cfg.Advanced(), s.cfg.Pool.Changed()
		b, err := s.next(time.Now())
		if err != nil {
			return err
		}
		if b != nil {
			if err := s.propose(ctx, b, propose); err != nil {
				return err
			}
			continue
		}
		var due <-chan time.Time // nil, hence never ready, while there is nothing to wait for
		if d := s.cutter.Deadline(); s.said == waits {
			timer.Reset(waitEvery)
			due = timer.C
		} else if !d.IsZero() && time.Now().Before(d) {
			timer.Reset(time.Until(d))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-advanced:
		case <-changed:
		case <-due:
		}
	}
}

// next returns the signed block to propose now; nil when there is none.
func (s *Solo) next(now time.Time) (*block.Block, error) {
	tip := s.cfg.Tip()
	s.cutter.Pending(time.Time{}, 0, 0)
	if err := s.cfg.Wait(now, max(tip.Height, s.cfg.Lock.Height())); err != nil {
		s.wait(err)
		return nil, nil
	}
	st := s.cfg.Lock.against(tip)
	if st == behind && s.cfg.Reset {
		if err := s.cfg.Lock.reset(tip); err != nil {
			return nil, err
		}
		s.cfg.Logger.Warn("the orderer's lock is set to the ledger's tip", "lock", s.cfg.Lock.path, "height", tip.Height, "id", tip.ID)
		st = signs
	}
	s.say(st, tip)
	switch st {
	case again:
		return s.cfg.Lock.Block(), nil
	case signs:
		_, _, oldest := s.cfg.Pool.Pending()
		count, bytes := s.cfg.Pool.Settled(s.settled(now, oldest))
		s.cutter.Pending(oldest, count, bytes)
		if s.cutter.Cut(now) {
			return s.make(now, s.settled(now, oldest), tip)
		}
	}
	return nil, nil
}

// settled returns by when a transaction must have come to be in a block now. Where
// the clock was set back, nobody waits for it to come round again.
func (s *Solo) settled(now, oldest time.Time) time.Time {
	if oldest.After(now) {
		return oldest.Add(time.Hour)
	}
	return now.Add(-s.cfg.Cutter.Settle)
}

// make drafts, checks and signs the block after tip, of what came by settled, and
// has the lock name it. It
// returns nil when the pool has nothing that can stand there, or has not been told
// of tip yet.
func (s *Solo) make(now, settled time.Time, tip block.Tip) (*block.Block, error) {
	c := s.cfg.Cutter
	txs := s.cfg.Pool.Select(settled, tip.Height+1, c.MaxTxs, c.PreferredBytes, c.AbsoluteBytes)
	if len(txs) == 0 {
		return nil, nil
	}
	draft := block.Draft(s.cfg.Genesis.ID(), s.limits, tip, now.UnixNano(), s.cfg.Key.Public(), txs)
	unsigned := block.New(block.SignedHeader{Header: draft}, txs)
	if err := errors.Join(unsigned.Check(s.cfg.Genesis.ID(), s.limits), s.cfg.Check(unsigned)); err != nil {
		return nil, fmt.Errorf("draft of block %d, which is not signed: %w", draft.Height, err)
	}
	b := block.New(s.cfg.Key.SignHeader(draft), txs)
	if err := s.cfg.Lock.advance(b); err != nil {
		return nil, err
	}
	return b, nil
}

// propose hands b over and waits until the ledger ends with it, or has gone past
// its height, which the lock is then judged by.
func (s *Solo) propose(ctx context.Context, b *block.Block, propose func(context.Context, *block.Block) error) error {
	if err := propose(ctx, b); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("proposing block %d, %s: %w", b.Height, b.ID().Short(), err)
	}
	return s.cfg.Await(ctx, b.Height, nil)
}

// stance is what a lock allows on a tip.
type stance uint8

const (
	signs  stance = iota + 1 // the block after the tip
	again                    // proposes the lock's block again
	ahead                    // the ledger has to catch up
	behind                   // the ledger has blocks that the lock does not know of
	other                    // the ledger has another block at the lock's height, or below it
	waits                    // others have to be heard first
)

// waitEvery is how often it is looked whether others have been heard.
const waitEvery = 250 * time.Millisecond

// against says what the lock allows on tip.
func (l *Lock) against(tip block.Tip) stance {
	s := &l.state
	switch {
	case s.height == tip.Height && s.id == tip.ID:
		return signs
	case s.height == tip.Height:
		return other
	case s.height < tip.Height:
		return behind
	case s.height > tip.Height+1 || s.block == nil:
		return ahead
	case s.block.CheckParent(tip) != nil:
		return other
	}
	return again
}

// Ready says why the orderer signs nothing, or nil. It may be called while Run runs.
func (s *Solo) Ready() error {
	if err := s.idle.Load(); err != nil {
		return *err
	}
	return nil
}

// wait keeps why nothing is signed yet, and logs it once for each reason.
func (s *Solo) wait(why error) {
	before := s.idle.Load()
	s.stop("%w", why)
	if s.said != waits || (*before).Error() != (*s.idle.Load()).Error() {
		s.said = waits
		s.cfg.Logger.Info("orderer signs nothing yet", "why", why)
	}
}

func (s *Solo) stop(format string, args ...any) {
	err := fmt.Errorf("the orderer signs nothing: "+format, args...)
	s.idle.Store(&err)
}

// say logs a lock that does not fit the ledger, once.
func (s *Solo) say(st stance, tip block.Tip) {
	if st == s.said {
		return
	}
	s.said = st
	s.idle.Store(nil)
	log := s.cfg.Logger.With("lock", s.cfg.Lock.path, "lock_height", s.cfg.Lock.Height(), "lock_id", s.cfg.Lock.ID(), "height", tip.Height, "id", tip.ID)
	switch st {
	case again:
		log.Info("proposing the locked block again")
	case ahead:
		s.stop("its lock is at height %d, ahead of the ledger's %d: it waits to catch up from peers", s.cfg.Lock.Height(), tip.Height)
		log.Warn("orderer signs nothing: its lock is ahead of the ledger; it goes on when the ledger has caught up from peers")
	case behind:
		s.stop("its lock is at height %d, behind the ledger's %d: its home is an old copy, or another node has this key: see that none has, then start with --reset-lock", s.cfg.Lock.Height(), tip.Height)
		log.Error("orderer signs nothing: the ledger has blocks that its lock does not know of, so the lock is an old copy or another node has this key; see that no other node has it, then start with --reset-lock")
	case other:
		s.stop("its lock and the ledger have different blocks at height %d: stop the other node that has this key", min(s.cfg.Lock.Height(), tip.Height))
		log.Error("orderer signs nothing: its lock and the ledger have different blocks at one height, so two nodes have this key or the lock is not this chain's; stop the other node")
	}
}
