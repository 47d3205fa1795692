package mempool

import (
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"grapevine/block"
)

// The defaults of Config that operators set.
const (
	DefaultMaxTxs       = 100_000
	DefaultMaxBytes     = 256 << 20
	DefaultMaxPerSender = 50_000
)

// Config is what a pool is opened with. The zero value is a pool without a
// journal, a ledger or a limit on lifetimes, at the start of a chain.
type Config struct {
	// Genesis is the network's identity. A journal of another one is refused.
	Genesis block.ID
	// Limits are the network's. Only MaxLifetime matters here; zero means no limit.
	Limits block.Limits
	// Height is that of the ledger's last block at the time of opening.
	Height uint64
	// Journal is the directory of the journal, made if it is not there. Empty means
	// none: what is acknowledged then lasts as long as the process. One process at a
	// time may use it, for which the ledger's lock on the same home stands.
	Journal string
	// SegmentBytes is the size from which a segment of the journal is followed by a
	// new one. Zero means 16 MiB: a few seconds of the heaviest load, so that
	// segments are soon done with, and few.
	SegmentBytes int

	// MaxTxs bounds the transactions. Zero means 100,000: ten seconds of the heaviest
	// load, or ten full blocks.
	MaxTxs int
	// MaxBytes bounds their canonical bytes. Zero means 256 MiB: 64 full blocks;
	// with small transactions MaxTxs is what binds, at some 100 MB of memory.
	MaxBytes int
	// MaxPerSender bounds one sender's transactions. Zero means 50,000: a single
	// sender may load a network to the full, but not shut the others out.
	MaxPerSender int
	// MaxWanted bounds the IDs kept of what was refused because the pool was full.
	// Zero means 16,384, which is 1.5 MiB; what is forgotten comes back through the
	// comparison of pools.
	MaxWanted int

	// Committed says whether a transaction is in the ledger. Nil means that none is.
	Committed func(block.ID) (bool, error)
	// Logger hears of what opening found in the journal. Nil discards.
	Logger *slog.Logger
}

// maxRecent bounds the remembered IDs of committed transactions, which make late
// gossip cheap. It is more than the largest block that a genesis may allow
// (100,000), so that what the ledger was asked before a block and what the pool
// knows after it leave no gap.
const maxRecent = 1 << 17

func (c Config) withDefaults() Config {
	orDefault := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	orDefault(&c.SegmentBytes, 16<<20)
	orDefault(&c.MaxTxs, DefaultMaxTxs)
	orDefault(&c.MaxBytes, DefaultMaxBytes)
	orDefault(&c.MaxPerSender, DefaultMaxPerSender)
	orDefault(&c.MaxWanted, 1<<14)
	if c.Limits.MaxLifetime == 0 {
		c.Limits.MaxLifetime = math.MaxUint64
	}
	if c.Committed == nil {
		c.Committed = func(block.ID) (bool, error) { return false, nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Errors of a verdict, besides block.ErrExpired, for callers that answer a
// submitter.
var (
	ErrFull       = errors.New("the pool is full")
	ErrSenderFull = errors.New("the sender has too many transactions in the pool")
	ErrEarly      = errors.New("expiry too far ahead") // of this node's tip, which may be behind
	ErrJournal    = errors.New("the journal has failed")
)

// Status is what became of a transaction.
type Status uint8

// What becomes of a transaction. From Submit, Accepted and Duplicate both say that
// it is in the journal: they acknowledge it.
const (
	Accepted  Status = iota + 1 // it is on offer now
	Duplicate                   // it was already in the pool
	Committed                   // a block has it
	Refused                     // the verdict's Err says why
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case Accepted:
		return "accepted"
	case Duplicate:
		return "duplicate"
	case Committed:
		return "committed"
	case Refused:
		return "refused"
	}
	return "undecided"
}

// Verdict is the answer for one transaction.
type Verdict struct {
	Status Status
	Err    error // why it was Refused: ErrFull, ErrSenderFull, ErrEarly, block.ErrExpired, ErrJournal, or the ledger's
}

func refused(err error) Verdict { return Verdict{Status: Refused, Err: err} }

// Stats are a pool's numbers since it was opened.
type Stats struct {
	Accepted  uint64        // put on offer, from submitters and gossip
	Refused   uint64        // for whatever reason
	Committed uint64        // left the pool because a block has them
	Expired   uint64        // left the pool because no block may have them any more
	Waited    time.Duration // in the pool, all Committed together
}

// Pool is a node's pending transactions. It is safe for concurrent use.
type Pool struct {
	cfg     Config   // complete, never changes
	journal *journal // nil without one; has its own locks, taken after mu

	mu      sync.Mutex // guards all below; held over no IO and no channel operation that may block
	shelf   *shelf
	recent  *idSet             // committed lately
	wanted  *idSet             // refused because full
	changed chan struct{}      // closed at the next change; nil when nobody asked
	spent   map[*segment]int64 // bytes of a segment's records that left the pool since the journal was told
	stats   Stats
}

// Get returns a transaction that is on offer.
func (p *Pool) Get(id block.ID) (*block.Tx, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.shelf.get(id); ok {
		return e.tx, true
	}
	return nil, false
}

// Has says whether a transaction is on offer.
func (p *Pool) Has(id block.ID) bool {
	_, ok := p.Get(id)
	return ok
}

// Failed returns why the pool acknowledges nothing more: its journal failed. Nil: it does.
func (p *Pool) Failed() error {
	if p.journal == nil {
		return nil
	}
	return p.journal.failed()
}

// Arrived returns when a transaction that is on offer came to this node, and
// whether a submitter brought it here.
func (p *Pool) Arrived(id block.ID) (at time.Time, local bool, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.shelf.get(id); ok {
		return e.at, e.local, true
	}
	return time.Time{}, false, false
}

// Room says whether the pool takes another transaction of the usual size from a neighbour.
func (p *Pool) Room(from string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.shelf.sated(from, usualBytes) && len(p.shelf.entries) < p.cfg.MaxTxs && p.shelf.bytes+usualBytes <= p.cfg.MaxBytes
}

// usualBytes is the size of a usual transaction; a pool without room for one is full.
const usualBytes = 1 << 10

// Settled returns how much of what is pending came no later than a time.
func (p *Pool) Settled(by time.Time) (count, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	count, bytes = len(p.shelf.offers), p.shelf.offered
	for el := p.shelf.arrival.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		if !e.at.After(by) {
			break
		}
		count, bytes = count-1, bytes-e.tx.Size()
	}
	return count, bytes
}

// Pending returns how much is on offer, and since when the oldest of it.
func (p *Pool) Pending() (count, bytes int, oldest time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.shelf.arrival.Front(); first != nil {
		oldest = first.Value.(*entry).at
	}
	return len(p.shelf.offers), p.shelf.offered, oldest
}

// Stats returns the pool's numbers.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Changed returns a channel that is closed when something is put on offer, or the
// pool is told of a block, after this call.
func (p *Pool) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// notify closes what Changed gave out. The caller holds mu.
func (p *Pool) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// Wanted returns up to limit of the IDs that were refused because the pool was
// full, oldest first, if there is room for as many now, and forgets them: they are
// to be fetched.
func (p *Pool) Wanted(limit int) []block.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shelf.bytes >= p.cfg.MaxBytes {
		return nil
	}
	return p.wanted.take(min(limit, p.cfg.MaxTxs-len(p.shelf.entries)))
}

// Committed removes a block's transactions, and what may stand in no block above
// it, and deletes the parts of the journal that nothing needs any more. The
// block must be in the ledger: what is committed is not admitted again because
// this remembers it, and later because the ledger says so.
func (p *Pool) Committed(now time.Time, height uint64, txs []*block.Tx) {
	p.trim(p.commit(now, height, txs))
}

// commit returns what the journal is to be told.
func (p *Pool) commit(now time.Time, height uint64, txs []*block.Tx) map[*segment]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range txs {
		p.recent.add(t.ID())
		p.wanted.remove(t.ID())
		e := p.shelf.entries[t.ID()]
		if e == nil {
			continue
		}
		p.shelf.yield(e.sender)
		p.shelf.drop(e)
		p.leave(e, Verdict{Status: Committed})
		p.stats.Committed++
		p.stats.Waited += now.Sub(e.at)
	}
	p.shelf.height = max(p.shelf.height, height)
	for e := p.shelf.expire(); e != nil; e = p.shelf.expire() {
		p.leave(e, refused(expired(e.tx, p.shelf.height+1)))
		p.stats.Expired++
	}
	p.notify()
	return p.takeSpent()
}

// leave notes why a dropped entry left, for a Submit that waits for its journal
// write, and that its segment has one transaction less to keep. The caller holds mu.
func (p *Pool) leave(e *entry, why Verdict) {
	e.left = why
	if e.segment != nil {
		p.spend(e.segment, e)
	}
}
