package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"grapevine/api"
	"grapevine/block"
	"grapevine/dissemination"
	"grapevine/durable"
	"grapevine/genesis"
	"grapevine/internal/logline"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// What is in a data directory, beside what p2p keeps there.
const (
	ownerFile    = "peer-id"
	ledgerDir    = "ledger"
	journalDir   = "journal"
	lockFile     = "orderer.lock"
	evidenceFile = "evidence"
)

// Node is one peer of a network.
type Node struct {
	cfg     Config
	limits  block.Limits
	started time.Time
	ledger  *ledger.Ledger
	pool    *mempool.Pool
	host    *p2p.Host
	driver  *dissemination.Driver
	intake  *dissemination.Intake
	orderer Orderer     // nil when this node makes no blocks
	api     *api.Server // nil when there is none
	facts   facts
	halted  atomic.Pointer[error]
	running atomic.Bool
	sight   atomic.Pointer[p2p.Member] // of the orderer: what was known of it at the last look
	fresh   atomic.Pointer[time.Time]  // when the last block came that was not caught up on
	closers []func() error
	once    sync.Once
	absent  []string // what the data directory did not have before this start
}

// New opens a node's data and sockets. What follows is Run, or Close.
func New(cfg Config) (_ *Node, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, limits: cfg.Genesis.BlockLimits(), started: time.Now(), facts: newFacts()}
	if cfg.Seed == 0 {
		n.cfg.Seed = rand.Uint64()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(), n.forget())
		}
	}()
	for _, open := range []func() error{n.enterHome, n.openLedger, n.openPool, n.openHost, n.openDriver, n.openOrderer, n.openAPI, n.claimHome} {
		if err := open(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Node) path(name string) string {
	if n.cfg.Dir == "" {
		return ""
	}
	return filepath.Join(n.cfg.Dir, name)
}

// enterHome makes the data directory, and refuses one that is another identity's: a key of
// which a bit has changed is that of another peer, who would come up as if nothing were
// wrong.
func (n *Node) enterHome() error {
	if n.cfg.Dir == "" {
		return nil
	}
	if err := durable.MkdirAll(n.cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	for _, name := range []string{ledgerDir, journalDir, p2p.IncarnationFile} {
		if _, err := os.Lstat(n.path(name)); errors.Is(err, fs.ErrNotExist) {
			n.absent = append(n.absent, name)
		}
	}
	_, err := n.cfg.checkOwner()
	return err
}

// claimHome notes whose data directory it is, once all in it has opened.
func (n *Node) claimHome() error {
	if n.cfg.Dir == "" {
		return nil
	}
	noted, err := n.cfg.checkOwner()
	if noted || err != nil {
		return err
	}
	if err := durable.Create(n.path(ownerFile), []byte(genesis.PeerID(n.cfg.Key.Public())+"\n"), 0o644); err != nil {
		return fmt.Errorf("noting whose directory it is: %w", err)
	}
	return nil
}

// forget removes what a first start that was refused has made: ledger and journal are bound
// to a network, and the refusal may have been that it is the wrong one. What was there
// before stays, and all of it does if another process has opened the ledger since.
func (n *Node) forget() error {
	if n.ledger == nil || !slices.Contains(n.absent, ledgerDir) {
		return nil
	}
	release, err := ledger.Hold(n.path(ledgerDir))
	if err != nil {
		return nil // it is the other's now
	}
	for _, name := range n.absent {
		err = errors.Join(err, os.RemoveAll(n.path(name)))
	}
	if err = errors.Join(err, release()); err != nil {
		return fmt.Errorf("removing what the refused start has made: %w", err)
	}
	return nil
}

// checkOwner refuses a data directory that is another identity's, and says whether it is
// noted there whose it is.
func (c Config) checkOwner() (noted bool, err error) {
	own, path := genesis.PeerID(c.Key.Public()), filepath.Join(c.Dir, ownerFile)
	text, err := os.ReadFile(path)
	switch kept := strings.TrimSpace(string(text)); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, fmt.Errorf("reading whose directory it is: %w", err)
	case kept != own:
		return true, fmt.Errorf("%s is the directory of peer %s, as %s says, and the key is that of %s: put its own key back; to begin anew with this key take another directory; if the key is right and the file is not, remove the file",
			c.Dir, kept, path, own)
	default:
		return true, nil
	}
	if _, err := os.Stat(filepath.Join(c.Dir, lockFile)); err == nil && !c.Genesis.Produces(c.Key.Public()) {
		return false, fmt.Errorf("%s has an orderer's lock, and the key is that of %s, which is not the orderer: put the orderer's key back, or move the lock away", c.Dir, own)
	}
	return false, nil
}

func (n *Node) openLedger() error {
	l, err := ledger.Open(ledger.Config{Dir: n.path(ledgerDir), Memory: n.cfg.Memory, Genesis: n.cfg.Genesis, Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	n.ledger = l
	n.closers = append(n.closers, l.Close)
	return nil
}

func (n *Node) openPool() error {
	p, err := mempool.Open(mempool.Config{
		Genesis:      n.cfg.Genesis.ID(),
		Limits:       n.limits,
		Height:       n.ledger.Tip().Height,
		Journal:      n.path(journalDir),
		MaxTxs:       n.cfg.PoolMaxTxs,
		MaxBytes:     n.cfg.PoolMaxBytes,
		MaxPerSender: n.cfg.PoolMaxPerSender,
		Committed:    n.ledger.HasTx,
		Logger:       n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.pool = p
	n.closers = append(n.closers, p.Close)
	return nil
}

func (n *Node) openHost() error {
	h, err := p2p.Listen(p2p.Config{
		Key: n.cfg.Key, Genesis: n.cfg.Genesis,
		Listen: n.cfg.Listen, Advertise: n.cfg.Advertise, Bootstrap: n.cfg.Bootstrap,
		ListenPacket: n.cfg.ListenPacket, SourceIP: n.cfg.SourceIP,
		Software: n.cfg.Software, Limits: n.limits,
		Status:   func() (tip, base uint64) { return n.ledger.Tip().Height, n.ledger.Base() },
		Describe: n.describe, Dir: n.cfg.Dir, MaxMembers: n.cfg.MaxMembers,
		Validate: func(ctx context.Context, from wire.PeerID, data []byte) p2p.Verdict {
			return n.driver.Validate(ctx, from, data)
		},
		OnDropped: n.cfg.OnDropped, Logger: n.cfg.Logger, Registerer: n.cfg.Registry,
	})
	if err != nil {
		return err
	}
	n.host = h
	n.closers = append(n.closers, h.Close)
	return nil
}

// openDriver reads the proof against the orderer, if one was kept, and makes what holds
// no files open itself.
func (n *Node) openDriver() error {
	var evidence *ordering.Evidence
	var keep func([]byte) error
	if path := n.path(evidenceFile); path != "" { // beside the ledger, so that all later lives halt too
		kept, err := ordering.KeptEvidence(path, n.cfg.Genesis)
		if err != nil {
			return err
		}
		evidence, keep = kept, func(proof []byte) error { return ordering.KeepEvidence(path, proof) }
	}
	protocol := n.cfg.Protocol
	protocol.Fresh.PullHeaders = n.cfg.Genesis.Produces(n.cfg.Key.Public())
	n.driver = dissemination.New(dissemination.Config{
		Genesis: n.cfg.Genesis, Self: n.host.ID(), Ledger: n.ledger, Pool: n.pool, Host: n.host,
		Protocol: protocol, Seed: n.cfg.Seed,
		OnAccepted: n.onAccepted, Halted: n.onHalted, KeepEvidence: keep, Evidence: evidence, Hear: n.hear,
		Logger: n.cfg.Logger, Registerer: n.cfg.Registry,
	})
	n.intake = &dissemination.Intake{Genesis: n.cfg.Genesis, Ledger: n.ledger, Pool: n.pool, Driver: n.driver, Check: n.cfg.CheckTx}
	return nil
}

// hear tells the orderer what another says. One that orders alone is told nothing.
func (n *Node) hear(from wire.PeerID, msg []byte) error {
	if c, ok := n.orderer.(Consenter); ok {
		return c.Hear(from, msg)
	}
	return nil
}

// openOrderer makes this node the orderer if the genesis names its key.
func (n *Node) openOrderer() error {
	n.orderer = n.cfg.Orderer
	if c, ok := n.orderer.(Consenter); ok {
		c.Join(n.driver.TellOrderer)
	}
	if n.orderer != nil || !n.cfg.Genesis.Produces(n.cfg.Key.Public()) {
		return nil
	}
	roll := &ordering.Rollcall{Alone: n.cfg.Alone || n.cfg.Dir == "", Listed: n.cfg.Genesis.Listed()}
	cfg := ordering.SoloConfig{
		Key: n.cfg.Key, Genesis: n.cfg.Genesis, Lock: ordering.MemoryLock(n.cfg.Genesis.ID()), Pool: n.pool, Cutter: n.cfg.Cutter,
		Tip: n.ledger.Tip, Advanced: n.ledger.Advanced, Await: n.ledger.Await, Check: n.ledger.Check, Logger: n.cfg.Logger,
		Reset: n.cfg.ResetLock,
		Wait: func(now time.Time, height uint64) error {
			if roll.Over() {
				return nil
			}
			return roll.Wait(now, height, n.driver.Signed(), n.others())
		},
	}
	if path := n.path(lockFile); path != "" {
		lock, err := ordering.OpenLock(path)
		switch noLock := errors.Is(err, ordering.ErrNoLock); {
		case noLock && n.cfg.ResetLock:
			lock = ordering.LostLock(path, n.cfg.Genesis.ID())
		case noLock: // it is a peer like others, and says what is to be done
			n.cfg.Logger.Error("orderer signs nothing", "err", err)
			n.orderer = idle{err}
			return nil
		case err != nil:
			return err
		}
		cfg.Lock = lock
	}
	solo, err := ordering.NewSolo(cfg)
	if err != nil {
		return err
	}
	n.orderer = solo
	return nil
}

// idle is the orderer of a node that must not sign.
type idle struct{ why error }

// Run implements Orderer.
func (i idle) Run(ctx context.Context, _ func(context.Context, *block.Block) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Ready says why it is idle.
func (i idle) Ready() error { return i.why }

// others are the members that this node knows to exist, for the roll call.
func (n *Node) others() (list []ordering.Member) {
	for _, m := range n.host.Members() {
		if m.Peer != n.host.ID() && (m.Neighbour || m.State == "alive" || m.State == "suspect") {
			list = append(list, ordering.Member{Name: m.Peer.Short(), Answer: m.Neighbour, Height: m.Height, Ahead: m.Ahead, Named: m.Named})
		}
	}
	return list
}

func (n *Node) openAPI() error {
	if n.cfg.API == "" {
		return nil
	}
	s, err := api.Listen(api.Config{
		Listen: n.cfg.API, Public: n.cfg.APIPublic, Hosts: n.cfg.APIHosts,
		Genesis: n.cfg.Genesis, Ledger: n.ledger, Pool: n.pool, Submit: n.Submit,
		Status: n.status, Members: n.members, Facts: n.facts.at, Ready: n.Ready, Note: n.Note,
		Gatherer: n.cfg.Registry, Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.api = s
	n.closers = append(n.closers, s.Close)
	return nil
}

// Close closes what New opened, in reverse, for a node that is not run.
func (n *Node) Close() error {
	var err error
	n.once.Do(func() {
		for i := len(n.closers) - 1; i >= 0; i-- {
			err = errors.Join(err, n.closers[i]())
		}
	})
	return err
}

// errStopped ends the parts when ctx is done: an orderly stop is no error.
var errStopped = errors.New("stopped")

// Run runs the node until ctx ends, which is no error, or until a part fails. It
// closes everything before it returns.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	part := func(name string, run func(context.Context) error) {
		g.Go(func() error {
			err := run(ctx)
			if errors.Is(err, dissemination.ErrStopped) { // it has failed, and is about to say why
				<-ctx.Done()
			}
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return errStopped
		})
	}
	part("network", func(ctx context.Context) error { return n.host.Run(ctx, n.driver) })
	part("dissemination", n.driver.Run)
	part("census", n.census)
	part("journal", n.pool.Tend)
	if n.orderer == nil {
		part("watch", n.watch)
	}
	if n.orderer != nil {
		part("ordering", func(ctx context.Context) error { return n.orderer.Run(ctx, n.driver.Propose) })
	}
	if n.api != nil {
		part("api", n.api.Run)
	}
	if n.cfg.OnBlock != nil {
		part("application", n.deliver)
	}
	n.addMetrics()
	n.running.Store(true)
	n.cfg.Logger.Info(logline.NodeStarted, "peer", n.host.ID(), "network", n.cfg.Genesis.ChainID, "genesis", n.cfg.Genesis.ID(),
		"height", n.ledger.Tip().Height, "orderer", n.orderer != nil, "mode", n.cfg.Protocol.Fresh.Mode, "addrs", n.host.Addrs(), "api", n.APIAddr())
	if len(n.cfg.Bootstrap) == 0 && n.orderer == nil {
		n.cfg.Logger.Warn("no bootstrap peers: this peer looks for nobody, and is alone until another connects to it; give it the address of one with --bootstrap")
	}
	err := g.Wait()
	n.running.Store(false)
	if errors.Is(err, errStopped) {
		err = nil
	} else { // before anything is closed, which may fail in its turn
		n.cfg.Logger.Error("node fails, and ends", "err", err)
	}
	err = errors.Join(err, n.driver.Unkept(), n.Close())
	n.cfg.Logger.Info("node stopped", "height", n.ledger.Tip().Height, "err", err)
	return err
}

// censusEvery is how often the driver is told the network's size, whose logarithm
// the fan-out follows, and the neighbours' heights, which catch-up would else learn
// from blocks alone. Records change every 5 s at most.
const censusEvery = 5 * time.Second

// census tells the driver what the members' records say.
func (n *Node) census(ctx context.Context) error {
	ticker := time.NewTicker(censusEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c := n.host.Census()
			n.driver.SetMembers(c.Alive, c.Heights)
		}
	}
}

// deliver calls OnBlock for each durable block, in order.
func (n *Node) deliver(ctx context.Context) error {
	for height := n.cfg.OnBlockFrom; ; height++ {
		if n.ledger.Await(ctx, height, nil) != nil {
			return nil // ctx has ended
		}
		b, err := n.ledger.Block(height)
		if err != nil {
			return fmt.Errorf("delivering the block at height %d: %w", height, err)
		}
		if err := n.cfg.OnBlock(ctx, b); err != nil {
			return fmt.Errorf("the application refused the block at height %d: %w", height, err)
		}
	}
}
