// Command peer runs a node of a Grapevine network, talks to one, and runs whole
// testnets of them on one machine.
//
// Flags and environment variables end here: the packages below take plain
// configurations. Data goes to standard output, as a table or with -o json;
// progress and errors go to standard error. See peer help exit-codes and peer help
// settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"grapevine/testnet/packets"
)

// version is the software's, as --version and other peers show it.
const version = "0.1.0"

func main() {
	packets.Child() // in the process of a simulation, all there is to do
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string) int {
	root := newRoot()
	begun := false // cobra's own errors, all of them about usage, come before
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		begun = true
		return nil
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if !begun {
		code = exitUsage
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	if code == exitUsage {
		fmt.Fprintf(os.Stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// errSaid is wrapped by errors whose text is on standard output already.
var errSaid = errors.New("said above")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "peer",
		Short: "A node of a Grapevine network, and the commands to use one",
		Example: `  scripts/demo.sh                 the whole thing, once
  peer testnet up -n 7            seven peers on this machine
  peer init --home alice          a new network with one peer, its orderer
  peer start --home alice`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		initCommand(),
		startCommand(),
		statusCommand(),
		membersCommand(),
		txCommand(),
		blockCommand(),
		ledgerCommand(),
		testnetCommand(),
		simCommand(simWorlds()),
		&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitHelp},
		&cobra.Command{Use: "settings", Short: "The settings of a peer", Long: settingsHelp()},
	)
	return root
}

// group makes a command that only holds others.
func group(use, short, example string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Help()
			return usagef("name one of its commands")
		},
	}
	c.AddCommand(children...)
	return c
}
