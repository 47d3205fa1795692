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
	"grapevine/genesis"
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
	var admit []string
	s := defaultSettings()
	cmd := &cobra.Command{
		Use:   "init --home DIR [--genesis FILE]",
		Short: "Make a home directory: identity, config, genesis",
		Long: `Make a home directory for a peer: its identity (identity.key, a secret), its
config.toml, and the network's genesis.json.

With --genesis the peer is to join that network. Without, it gets a new network of
its own whose orderer it is; give its genesis.json to the others. With --admit that
network is for its orderer and those peers alone; each of them has its ID from
peer key new, and makes the rest of its home with --genesis. Nobody can be admitted
later: the list is part of the network's identity.

The identity is the one that peer key new has put there, or that of --key, which is
copied, or else a new one. Settings given as flags are written into config.toml.

A directory that is there and has nothing but an identity in it is filled in place. A
home that is there already is left alone, and that is an error.`,
		Example: `  peer init --home alice
  peer init --home alice --admit 12D3KooW…,12D3KooW…
  peer init --home bob --genesis alice/genesis.json --api 127.0.0.1:9710 \
      --listen /ip4/127.0.0.1/udp/9711/quic-v1 \
      --bootstrap /ip4/127.0.0.1/udp/9701/quic-v1/p2p/12D3KooW…`,
		Args: cobra.NoArgs,
	}
	homeFlag(cmd, &home)
	cmd.Flags().StringVar(&genesisPath, "genesis", "", "genesis file of the network to join; none: a new network")
	cmd.Flags().StringVar(&chainID, "chain-id", "grapevine", "name of the new network")
	cmd.Flags().StringVar(&keyPath, "key", "", "key file of the identity to take; none: the one in DIR, or a new one")
	cmd.Flags().Var(cli.List(&admit), "admit", "peer IDs that the new network is for, besides its orderer; none: it is open to all")
	s.addFlags(cmd.Flags())
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if genesisPath != "" && cmd.Flags().Changed("chain-id") {
			return cli.Usagef("--chain-id %s with --genesis %s: the genesis names the chain", chainID, genesisPath)
		}
		if genesisPath != "" && len(admit) > 0 {
			return cli.Usagef("--admit with --genesis %s: the genesis says who is admitted, and has another ID if it is changed: leave out one of them", genesisPath)
		}
		place, err := lookAt(home)
		if err != nil {
			return err
		}
		key, err := identity(place, keyPath)
		if err != nil {
			return err
		}
		g, err := joinOrFound(key, genesisPath, chainID, admit)
		if err != nil {
			return err
		}
		cfg := s.nodeConfig()
		cfg.Key, cfg.Genesis = key, g
		if err := cfg.Check(); err != nil {
			return cli.Usagef("%w", err)
		}
		if err := place.makeHome(key, g, s.changed(cmd.Flags())); err != nil {
			return err
		}
		c := created{home, genesis.PeerID(key.Public()), g.ChainID, g.ID().String(), g.Produces(key.Public())}
		if !c.Orderer && len(s.Bootstrap) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "no --bootstrap: this peer will look for nobody, and be alone until another connects to it; set bootstrap in %s\n", filepath.Join(home, configFile))
		}
		return out.Print(cmd, c, func(w io.Writer) { c.table(w, s.Alone) })
	}
	return cmd
}

// table says what was made, and what is to be done with it.
func (c created) table(w io.Writer, alone bool) {
	fmt.Fprintf(w, "home\t%s\npeer ID\t%s\nnetwork\t%s\ngenesis\t%s\norderer\t%s\n", c.Home, c.PeerID, c.ChainID, c.GenesisID, yesNo(c.Orderer))
	if c.Orderer && !alone {
		fmt.Fprintf(w, "orders\tonce it has heard another peer, who joins by means of %s:\n\tpeer init --home DIR --genesis FILE --bootstrap ADDRESS/p2p/PEER_ID\n", filepath.Join(c.Home, genesisFile))
	}
	fmt.Fprintf(w, "next\tpeer start --home %s\n", cli.ShellQuoted(c.Home))
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
func identity(home place, path string) (sig.Key, error) {
	switch {
	case home.hasKey && path != "":
		return sig.Key{}, cli.Refused(fmt.Errorf("home %s has an identity already, %s: leave --key %s out, or name another directory", home.path, keyFile, path))
	case home.hasKey:
		return sig.LoadKey(filepath.Join(home.path, keyFile))
	case path == "":
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
func joinOrFound(key sig.Key, path, chainID string, admit []string) (*genesis.Genesis, error) {
	if path != "" {
		g, err := genesis.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = cli.NotFound(err)
		}
		return g, err
	}
	admission := genesis.Admission{Type: "open"}
	if len(admit) > 0 {
		admission = genesis.Admission{Type: "list", Peers: admit}
	}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   chainID,
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: admission,
		Coding:    genesis.ReedSolomon,
	})
	if err != nil {
		return nil, cli.Usagef("new network: %w", err)
	}
	return g, nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
