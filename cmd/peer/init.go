package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/durable"
	"grapevine/genesis"
	"grapevine/ordering"
)

// The files of a home directory.
const (
	genesisFile = "genesis.json"
	keyFile     = "identity.key"
	configFile  = "config.toml"
	lockFile    = "orderer.lock"
	ledgerDir   = "ledger"
)

// created is what peer init prints.
type created struct {
	Home      string `json:"home"`
	PeerID    string `json:"peer_id"`
	ChainID   string `json:"chain_id"`
	GenesisID string `json:"genesis_id"`
	Orderer   bool   `json:"orderer"`
}

func initCommand() *cobra.Command {
	var home, genesisPath, chainID, keyPath string
	s := defaultSettings()
	cmd := &cobra.Command{
		Use:   "init --home DIR [--genesis FILE]",
		Short: "Make a home directory: identity, config, genesis",
		Long: `Make a home directory for a peer: its identity (identity.key, a secret), its
config.toml, and the network's genesis.json.

With --genesis the peer is to join that network. Without, it gets a new network of
its own whose orderer it is; give its genesis.json to the others. With --key it takes
that identity, which is copied, in place of a new one. Settings given as flags are
written into config.toml.

A home that is there already is left alone, and that is an error.`,
		Example: `  peer init --home alice
  peer init --home bob --genesis alice/genesis.json --api 127.0.0.1:9710 \
      --listen /ip4/127.0.0.1/udp/9711/quic-v1 \
      --bootstrap /ip4/127.0.0.1/udp/9701/quic-v1/p2p/12D3KooW…`,
		Args: cobra.NoArgs,
	}
	homeFlag(cmd, &home)
	cmd.Flags().StringVar(&genesisPath, "genesis", "", "genesis file of the network to join; none: a new network")
	cmd.Flags().StringVar(&chainID, "chain-id", "grapevine", "name of the new network")
	cmd.Flags().StringVar(&keyPath, "key", "", "key file of the identity to take; none: a new one")
	s.addFlags(cmd.Flags())
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if genesisPath != "" && cmd.Flags().Changed("chain-id") {
			return cli.Usagef("--chain-id %s with --genesis %s: the genesis names the chain", chainID, genesisPath)
		}
		if err := checkHome(home); err != nil {
			return err
		}
		key, err := identity(keyPath)
		if err != nil {
			return err
		}
		g, err := joinOrFound(key, genesisPath, chainID)
		if err != nil {
			return err
		}
		cfg := s.nodeConfig()
		cfg.Key, cfg.Genesis = key, g
		if err := cfg.Check(); err != nil {
			return cli.Usagef("%w", err)
		}
		if err := makeHome(home, key, g, s.changed(cmd.Flags())); err != nil {
			return err
		}
		c := created{home, genesis.PeerID(key.Public()), g.ChainID, g.ID().String(), g.Produces(key.Public())}
		return out.Print(cmd, c, func(w io.Writer) {
			fmt.Fprintf(w, "home\t%s\npeer ID\t%s\nnetwork\t%s (%s)\norderer\t%s\n", c.Home, c.PeerID, c.ChainID, c.GenesisID, yesNo(c.Orderer))
			fmt.Fprintf(w, "next\tpeer start --home %s\n", home)
		})
	}
	return cmd
}

// homeFlag gives the command the flag --home, whose default is in the environment.
func homeFlag(cmd *cobra.Command, home *string) {
	cmd.Flags().StringVar(home, "home", os.Getenv("GRAPEVINE_HOME"), "home directory of the peer (GRAPEVINE_HOME)")
}

func checkHome(home string) error {
	if home == "" {
		return cli.Usagef("no home directory: name it with --home DIR or GRAPEVINE_HOME")
	}
	return nil
}

// identity reads the key of the peer that a home is for, or makes a new one.
func identity(path string) (sig.Key, error) {
	if path == "" {
		return sig.Generate(), nil
	}
	key, err := sig.LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.NotFound(err)
	}
	return key, err
}

// joinOrFound reads the genesis of the network to join, or makes a new network's,
// with the key's owner as its orderer.
func joinOrFound(key sig.Key, path, chainID string) (*genesis.Genesis, error) {
	if path != "" {
		return genesis.Load(path)
	}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   chainID,
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	return g, nil
}

// makeHome writes a new home directory, all of it or nothing. It is built beside
// its place and then renamed into it.
func makeHome(home string, key sig.Key, g *genesis.Genesis, given []setting) error {
	home = filepath.Clean(home)
	if err := checkVacant(home); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(home), ".peer-init-*") // mode 0700
	if err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := fillHome(tmp, key, g, given); err != nil {
		return err
	}
	if err := os.Remove(home); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty directory at most
		return fmt.Errorf("making home: %w", err)
	}
	if err := durable.Rename(tmp, home); err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	return nil
}

func checkVacant(home string) error {
	entries, err := os.ReadDir(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return cli.Refused(fmt.Errorf("home %s: %w", home, err))
	case len(entries) == 0:
		return nil
	}
	if _, err := os.Stat(filepath.Join(home, keyFile)); err == nil {
		return cli.Refused(fmt.Errorf("home %s is a peer's already, nothing was changed: start it with peer start --home %s, or name another directory", home, home))
	}
	return cli.Refused(fmt.Errorf("home %s is a directory with other things in it (%s, …): name a new directory", home, entries[0].Name()))
}

func fillHome(dir string, key sig.Key, g *genesis.Genesis, given []setting) error {
	if err := sig.CreateKey(filepath.Join(dir, keyFile), key); err != nil {
		return err
	}
	if err := durable.Create(filepath.Join(dir, genesisFile), g.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing genesis: %w", err)
	}
	config := writeConfig(defaultSettings().table(), given)
	if err := durable.Create(filepath.Join(dir, configFile), config, 0o644); err != nil {
		return fmt.Errorf("writing config: %w", err)
	}
	if !g.Produces(key.Public()) {
		return nil
	}
	return ordering.CreateLock(filepath.Join(dir, lockFile), g.ID())
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
