// Command peer runs a node of a Grapevine network, talks to one, and runs whole
// testnets of them on one machine. Simulated networks and comparisons are cmd/lab's.
//
// Flags and environment variables end here: the packages below take plain
// configurations. Data goes to standard output, as a table or with -o json;
// progress and errors go to standard error. See peer help exit-codes and peer help
// settings.
package main

import (
	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
)

func main() { cli.Main(newRoot()) }

func newRoot() *cobra.Command {
	return cli.Root(&cobra.Command{
		Use:   "peer",
		Short: "A node of a Grapevine network, and the commands to use one",
		Example: `  scripts/demo.sh                 the whole thing, once
  peer testnet up -n 7            seven peers on this machine
  peer init --home alice          a new network with one peer, its orderer
  peer start --home alice`,
	},
		initCommand(),
		keyCommand(),
		startCommand(),
		statusCommand(),
		membersCommand(),
		txCommand(),
		blockCommand(),
		ledgerCommand(),
		testnetCommand(),
		&cobra.Command{Use: "settings", Short: "The settings of a peer", Long: settingsHelp()},
	)
}
