package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"grapevine/block"
	"grapevine/genesis"
)

// Errors that callers branch on.
var (
	// ErrNotFound says that the ledger does not hold what was asked for.
	ErrNotFound = errors.New("not in the ledger")
	// ErrAmbiguous says that more than one ID begins like this.
	ErrAmbiguous = errors.New("more than one ID in the ledger begins like this")
	// ErrGap says that blocks are missing between the tip and the block.
	ErrGap = errors.New("gap")
	// ErrFork says that the block stands on another chain than the ledger's.
	ErrFork = errors.New("fork")
	// ErrInvalid says that the block breaks a rule that needs the chain, or does
	// not hold what its header says.
	ErrInvalid = errors.New("invalid block")
	// ErrWrongNetwork says that the directory belongs to another genesis.
	ErrWrongNetwork = errors.New("another network's ledger")
	// ErrHeld says that another process has the directory open.
	ErrHeld = errors.New("held by another process")
	// ErrCorrupt says that the directory's contents contradict themselves.
	ErrCorrupt = errors.New("damaged")
	// ErrFailed says that a commit failed, so that what is on disk is unknown until
	// the ledger is opened again.
	ErrFailed = errors.New("the ledger takes no more blocks until it is opened again")
	// ErrClosed says that the ledger was closed.
	ErrClosed = errors.New("ledger is closed")
)

// Config says where a ledger lives and whose it is.
type Config struct {
	// Dir is the ledger's own directory, made when missing; "" keeps the chain in
	// memory, without any durability.
	Dir string
	// Memory keeps the chain from one opening to the next where Dir is "", as a
	// directory would; one ledger at a time may have it open. Nil: it is forgotten at
	// Close.
	Memory *Memory
	// Genesis is the network's definition, required.
	Genesis *genesis.Genesis
	// Logger takes Badger's lines, its errors and warnings at warn and the rest at
	// debug. Nil discards them.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if c.Genesis == nil {
		return errors.New("opening ledger: no genesis given")
	}
	return nil
}

// Ledger is an open chain. Its methods may be called from any goroutine; the
// blocks it returns are shared and must not be changed.
type Ledger struct {
	genesis block.ID
	limits  block.Limits
	name    string // the directory, for messages
	db      store
	recent  recent

	tip     atomic.Pointer[block.Tip]   // written by the holder of writing
	checked atomic.Pointer[block.Block] // the last that may follow the tip that it stands on

	// writing has room for one: Append and Close hold it. It is a channel and not a
	// mutex because a commit waits for other goroutines, and one that waits for a
	// mutex meanwhile would stop virtual time in a simulation.
	writing chan struct{}
	failed  error // why no block is taken any more; owned by the holder of writing

	reading sync.RWMutex // held shared by every read, so that Close waits for them
	closed  bool         // guarded by reading

	advance  sync.Mutex
	advanced chan struct{} // guarded by advance; closed and replaced at each Append
}

// Open opens the ledger of a network, or makes it. It refuses a directory of
// another network (ErrWrongNetwork), one that another process holds (ErrHeld), and
// one whose contents are damaged (ErrCorrupt), as far as that shows in the tables,
// all of which it reads, in the logs' ends and in the last block.
func Open(cfg Config) (*Ledger, error) {
	l, err := open(cfg, openDisk)
	if err != nil {
		return nil, err
	}
	if err := l.start(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// start checks that the database is this network's and finds the tip in it.
func (l *Ledger) start() error {
	if err := l.claim(); err != nil {
		return err
	}
	return l.resume()
}

// open opens the database, one in a directory by the function given, and looks at nothing
// of the ledger's in it.
func open(cfg Config, onDisk func(dir string, l block.Limits, logger *slog.Logger) (*disk, error)) (*Ledger, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Ledger{
		genesis:  cfg.Genesis.ID(),
		limits:   cfg.Genesis.BlockLimits(),
		name:     cfg.Dir,
		writing:  make(chan struct{}, 1),
		advanced: make(chan struct{}),
	}
	l.tip.Store(&block.Tip{ID: l.genesis})
	if cfg.Dir == "" {
		l.name = "in memory"
		l.db = newMemory()
		if cfg.Memory != nil {
			l.db = &cfg.Memory.store
		}
		return l, nil
	}
	d, err := onDisk(cfg.Dir, l.limits, cfg.Logger)
	if err != nil {
		return nil, err
	}
	l.db = d
	return l, nil
}

// claim checks that the directory is this network's, and makes it so when it is
// empty.
func (l *Ledger) claim() error {
	meta, err := l.get([]byte(keyMeta))
	if errors.Is(err, ErrNotFound) {
		return l.found()
	}
	if err != nil {
		return l.damaged("%w", err)
	}
	return l.checkMeta(meta)
}

func (l *Ledger) checkMeta(meta []byte) error {
	version, id, err := decodeMeta(meta)
	switch {
	case err != nil:
		return l.damaged("%w", err)
	case version != formatVersion:
		return fmt.Errorf("ledger %s has format %d: this software reads format %d", l.name, version, formatVersion)
	case id != l.genesis:
		return fmt.Errorf("ledger %s: %w: it belongs to genesis %s, this node's is %s: give the node the other genesis file, or another directory",
			l.name, ErrWrongNetwork, id, l.genesis)
	}
	return nil
}

// found writes the metadata of a new ledger.
func (l *Ledger) found() error {
	empty := true
	if err := l.keys(nil, func([]byte) bool { empty = false; return false }); err != nil {
		return l.damaged("%w", err)
	}
	if !empty {
		return l.damaged("it holds a Badger database without a ledger's metadata")
	}
	if err := l.db.commit([]write{{[]byte(keyMeta), metaValue(l.genesis)}}); err != nil {
		return fmt.Errorf("creating ledger %s: %w", l.name, err)
	}
	return nil
}

// Close waits for reads and for an append that are under way, and closes the
// database. Everything afterwards is ErrClosed, a second Close nil. A disk that fails has
// it give up after some seconds: then the error says why, and the directory stays held
// until the process ends.
func (l *Ledger) Close() error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if err := l.db.close(); err != nil {
		return fmt.Errorf("closing ledger %s: %w", l.name, err)
	}
	return nil
}

// Tip returns the last durable block, or height 0 and the genesis ID when there is
// none.
func (l *Ledger) Tip() block.Tip { return *l.tip.Load() }

// Base returns the lowest height that the ledger holds, or will hold.
func (l *Ledger) Base() uint64 { return 1 }

// Advanced returns a channel that is closed when the tip next moves. Take it
// before looking at Tip, so as not to miss a move in between.
func (l *Ledger) Advanced() <-chan struct{} {
	l.advance.Lock()
	defer l.advance.Unlock()
	return l.advanced
}

// errStop is what Await returns when it is told to stop.
var errStop = errors.New("no longer awaited")

// Await returns nil once the tip is at a height, or above it. It gives up with the cause
// of ctx when that is done, and with another error when stop closes, which may be nil.
func (l *Ledger) Await(ctx context.Context, height uint64, stop <-chan struct{}) error {
	for {
		advanced := l.Advanced()
		if l.Tip().Height >= height {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stop:
			return fmt.Errorf("height %d: %w", height, errStop)
		}
	}
}

func (l *Ledger) move(tip block.Tip) {
	l.tip.Store(&tip)
	l.advance.Lock()
	defer l.advance.Unlock()
	close(l.advanced)
	l.advanced = make(chan struct{})
}
