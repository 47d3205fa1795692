package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/durable"
	"grapevine/genesis"
)

func keyCommand() *cobra.Command {
	return cli.Group("key", "Make a peer's identity before there is a network", "  peer key new --home bob", keyNewCommand())
}

// createdKey is what peer key new prints.
type createdKey struct {
	Home   string `json:"home"`
	PeerID string `json:"peer_id"`
}

func keyNewCommand() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "new --home DIR",
		Short: "Make a peer's identity, and print its peer ID",
		Long: `Make a peer's identity, DIR/identity.key, a secret, and print its peer ID, which is
none. Whoever makes a network for listed peers needs their IDs: peer init --admit. With
the genesis that comes of it, peer init --genesis makes the rest of the home.

An identity that is there already is left alone; the error says its peer ID.`,
		Example: `  peer key new --home bob
  peer key new --home bob -o json | jq -r .peer_id`,
		Args: cobra.NoArgs,
	}
	homeFlag(cmd, &home)
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := newIdentity(home)
		if err != nil {
			return err
		}
		c := createdKey{home, genesis.PeerID(key.Public())}
		return out.Print(cmd, c, func(w io.Writer) {
			fmt.Fprintf(w, "home\t%s\npeer ID\t%s\n", c.Home, c.PeerID)
			fmt.Fprintf(w, "next\tpeer init --home %s --genesis FILE\n", cli.ShellQuoted(home))
		})
	}
	return cmd
}

// newIdentity makes a key in a directory that has nothing in it.
func newIdentity(home string) (sig.Key, error) {
	p, err := lookAt(home)
	if err != nil {
		return sig.Key{}, err
	}
	path := filepath.Join(p.path, keyFile)
	if p.hasKey {
		key, err := sig.LoadKey(path)
		if err != nil {
			return sig.Key{}, err
		}
		return sig.Key{}, cli.Refused(fmt.Errorf("home %s has an identity already, that of peer %s: name another directory, or go on with peer init --home %s", home, genesis.PeerID(key.Public()), cli.ShellQuoted(home)))
	}
	key := sig.Generate()
	if p.there {
		return key, sig.CreateKey(path, key)
	}
	if err := durable.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return sig.Key{}, fmt.Errorf("making home: %w", err)
	}
	if err := durable.MkdirAll(p.path, 0o700); err != nil {
		return sig.Key{}, fmt.Errorf("making home: %w", err)
	}
	if err := sig.CreateKey(path, key); err != nil {
		return sig.Key{}, err
	}
	return key, nil
}
