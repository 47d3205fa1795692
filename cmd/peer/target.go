package main

import (
	"os"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/local"
)

// target is the node that a command talks to: at an address, or a peer of a testnet.
type target struct {
	cmd  *cobra.Command
	addr *string
	dir  *string
	peer int
}

// targetFlags gives the command the flags that name a node: --api, whose default is in the
// environment, or --dir and --peer.
func targetFlags(cmd *cobra.Command) *target {
	t := &target{cmd: cmd, addr: apiFlag(cmd), dir: dirFlag(cmd)}
	cmd.Flags().Lookup("dir").Usage = "directory of the testnet whose peer to talk to, instead of --api"
	cmd.Flags().Var(cli.Count(&t.peer, 0, local.MaxPeers-1), "peer", "number of the testnet's peer, from 0")
	return t
}

// dial returns a client of the node.
func (t *target) dial() (*api.Client, error) {
	given := t.cmd.Flags().Changed
	if !given("dir") && !given("peer") {
		return api.Dial(*t.addr), nil
	}
	if given("api") {
		return nil, cli.Usagef("--api %s and a testnet's peer: name the node in one way", *t.addr)
	}
	n, err := local.Open(*t.dir)
	if err != nil {
		return nil, testnetError(err)
	}
	p, err := n.Peer(t.peer)
	if err != nil {
		return nil, testnetError(err)
	}
	*t.addr = p.API
	return api.Dial(p.API), nil
}

// apiFlag gives the command the flag --api, whose default is in the environment.
func apiFlag(cmd *cobra.Command) *string {
	def := os.Getenv("GRAPEVINE_API")
	if def == "" {
		def = defaultAPI
	}
	return cmd.Flags().String("api", def, "address of the node's API (GRAPEVINE_API)")
}
