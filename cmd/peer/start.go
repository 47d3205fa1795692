package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/dissemination/protocol"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/node"
	"grapevine/ordering"
)

func startCommand() *cobra.Command {
	var home string
	var newChain, resetLock bool
	s := defaultSettings()
	cmd := &cobra.Command{
		Use:   "start --home DIR",
		Short: "Run a node until SIGTERM or SIGINT",
		Long: `Run a node until SIGTERM or SIGINT, at which it stops in order. A second signal ends
it at once. It logs to standard error.

A setting given as a flag counts over its environment variable, that over
config.toml in the home directory, and that over the default. See peer help settings.

An orderer signs only with its lock, DIR/orderer.lock, which says what it has signed
so far: signing from an old state would fork the chain. After a start it first hears
from the other peers how far the chain goes, since its home may be an old copy; in a
network of one peer, say --alone. Where the lock is lost, or turns out to be old, its
operator must say what is true: --new-chain, that this key has signed no block in this
network yet; --reset-lock, that no other node has the key, and that it has signed nothing
that the other peers do not know: it catches up from them first.`,
		Example: `  peer start --home alice
  peer start --home alice --log-level debug --api off
  GRAPEVINE_MODE=pull peer start --home alice`,
		Args: cobra.NoArgs,
	}
	homeFlag(cmd, &home)
	cmd.Flags().BoolVar(&newChain, "new-chain", false, "orderer: write the lock of a key that has signed nothing, and start")
	cmd.Flags().BoolVar(&resetLock, "reset-lock", false, "orderer: set a lost or old lock to the chain's tip, once other peers have been heard")
	s.addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if newChain && resetLock {
			return cli.Usagef("both --new-chain and --reset-lock: give the one that is true")
		}
		cfg, err := loadHome(home, s, func() error { return s.load(cmd.Flags(), filepath.Join(home, configFile)) })
		if err != nil {
			return err
		}
		if cfg.Logger, err = newLogger(cmd.ErrOrStderr(), s.LogFormat, s.LogLevel); err != nil {
			return err
		}
		warnOfVariables(cfg.Logger, os.Environ())
		if err := checkSettings(home, cfg); err != nil {
			return err
		}
		switch {
		case newChain:
			err = writeNewLock(home, cfg)
		case resetLock:
			err, cfg.ResetLock = checkOrderer(home, cfg), true
		}
		if err != nil {
			return err
		}
		return runNode(cmd.Context(), cfg)
	}
	return cmd
}

// loadHome reads a home directory into a node's configuration.
func loadHome(home string, s *settings, load func() error) (node.Config, error) {
	if err := checkHome(home); err != nil {
		return node.Config{}, err
	}
	if _, err := os.Stat(filepath.Join(home, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return node.Config{}, cli.NotFound(fmt.Errorf("%s is no peer's home, it has no %s: put the key back if it was there, or make a new directory with peer init --home", home, keyFile))
	}
	key, err := sig.LoadKey(filepath.Join(home, keyFile))
	if err != nil {
		return node.Config{}, err
	}
	g, err := genesis.Load(filepath.Join(home, genesisFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.NotFound(fmt.Errorf("%s has an identity and no %s: put it back if it was there, or make the rest of the home with peer init --home %s --genesis FILE", home, genesisFile, cli.ShellQuoted(home)))
	}
	if err != nil {
		return node.Config{}, err
	}
	if err := load(); err != nil {
		return node.Config{}, err
	}
	cfg := s.nodeConfig()
	cfg.Key, cfg.Genesis, cfg.Dir = key, g, home
	return cfg, nil
}

// checkSettings refuses settings that a node would refuse.
func checkSettings(home string, cfg node.Config) error {
	if err := cfg.Check(); err != nil {
		return cli.Usagef("the settings (%s, environment, flags): %w", filepath.Join(home, configFile), err)
	}
	return nil
}

// nodeConfig returns what the settings mean to a node.
func (s *settings) nodeConfig() node.Config {
	cfg := node.Config{
		Listen: s.Listen, Advertise: s.Advertise, Bootstrap: s.Bootstrap,
		API: s.API, APIPublic: s.APIPublic, APIHosts: s.APIHosts, Alone: s.Alone,
		Software: "grapevine/" + cli.Version,
		Protocol: protocol.Config{Fresh: s.Fresh, NoCatchup: !s.Catchup}, MaxMembers: s.MaxMembers,
		Cutter: ordering.CutterConfig{
			Timeout:        s.BlockTimeout,
			MaxTxs:         s.BlockMaxTxs,
			PreferredBytes: s.BlockPreferredBytes,
		},
		PoolMaxTxs: s.PoolMaxTxs, PoolMaxBytes: s.PoolMaxBytes, PoolMaxPerSender: s.PoolMaxPerSender,
		Seed: s.Seed,
	}
	if s.API == noAPI {
		cfg.API = ""
	}
	return cfg
}

// newLogger makes the logger that the settings ask for.
func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, cli.Usagef("log_level is %q: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// gcPercent lets the heap grow to three times what is live before it is collected: a
// node's live heap is some 10 MB, and at Go's default of 100 the collector took a
// tenth of a loaded node's time. GOGC in the environment counts over it.
const gcPercent = 300

// runNode runs the node until ctx ends.
func runNode(ctx context.Context, cfg node.Config) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	n, err := newNode(cfg)
	if err != nil {
		return err
	}
	begun := time.Now()
	err = n.Run(ctx)
	if ctx.Err() != nil && err == nil {
		cfg.Logger.Info("stopped", "after", time.Since(begun).Round(time.Second))
	}
	return err
}

// newNode opens a node. An address at which it cannot listen is a setting, and the error
// says where those stand.
func newNode(cfg node.Config) (*node.Node, error) {
	n, err := node.New(cfg)
	for _, address := range []error{syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EACCES, syscall.EAFNOSUPPORT} {
		var call *net.OpError
		if errors.As(err, &call) && errors.Is(err, address) {
			return nil, fmt.Errorf("the settings (%s, environment, flags): %w", filepath.Join(cfg.Dir, configFile), err)
		}
	}
	return n, err
}

func writeNewLock(home string, cfg node.Config) error {
	if err := checkOrderer(home, cfg); err != nil {
		return err
	}
	path := filepath.Join(home, lockFile)
	if _, err := os.Stat(path); err == nil {
		return cli.Refused(fmt.Errorf("%s is there, so this key may have signed: start without --new-chain", path))
	}
	tip, err := ledgerTip(home, cfg)
	if err != nil {
		return err
	}
	if tip.Height > 0 {
		return cli.Refused(fmt.Errorf("the ledger in %s has %d blocks, all signed by this key, so its chain is not new: start with --reset-lock, if the key has signed none above height %d", home, tip.Height, tip.Height))
	}
	return ordering.CreateLock(path, cfg.Genesis.ID())
}

// ledgerTip returns where the home's ledger ends. Where there is none, none is made, which
// would be bound to this network though the start be refused.
func ledgerTip(home string, cfg node.Config) (block.Tip, error) {
	if _, err := os.Stat(filepath.Join(home, ledgerDir)); errors.Is(err, fs.ErrNotExist) {
		return block.Tip{}, nil
	}
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(home, ledgerDir), Genesis: cfg.Genesis, Logger: cfg.Logger})
	if err != nil {
		return block.Tip{}, err
	}
	return l.Tip(), l.Close()
}

func checkOrderer(home string, cfg node.Config) error {
	if cfg.Genesis.Produces(cfg.Key.Public()) {
		return nil
	}
	return cli.Refused(fmt.Errorf("the peer in %s, %s, is not the orderer, whom the genesis names as %s: only an orderer has a lock",
		home, genesis.PeerID(cfg.Key.Public()), cfg.Genesis.Producer()))
}
