package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
	"grapevine/testnet/processes"
	"grapevine/testnet/scenario"
)

func testnetRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Play a scenario with real peers, with one protocol after another",
		Long: `Play a scenario, one of peer sim list or a TOML file, with real peers on this machine,
with one protocol after another (grapevine, fabric, fabric-enhanced), and print a row
of figures for each, as peer sim run does. Flags count over the scenario's values. No
process is left at the end, nor when it is interrupted.

What a scenario means here:

  blocks   the orderer is the real one: when a block is due, all of its transactions are
           handed in to the orderer, which makes it a tenth of a second later
  warm     is not heeded: gossip brings the transactions to all pools before that
  tx_rate  transactions are handed in at random peers, and the orderer cuts as it likes
  crash    SIGKILL; after for the peer is started again, with its ledger
  join     the peer is started later
  links, classes, regions
           are not heeded: all peers are on loopback. Faults that need links (cut, loss,
           slow) are an error; the worlds of peer sim run can do those

Bytes are those of the peers' own counters, GossipSub's included, and 5 % as in the event
world; what a peer counted last before it was killed is missing. What must hold is
checked as by peer sim run, with the exit code 6; the scenario's bounds only if it says
world = "processes", for else they are of another network. A run is not repeatable to
the bit: the seed decides who crashes and when, not who is faster. Two processors carry
about twenty peers.

Each protocol's network is in a directory of its own in --dir, for peer testnet up, report
and check. Without --dir they are in a temporary one, which is kept when something went
wrong.`,
		Example: `  peer testnet run crash --peers 10
  peer testnet run crowd --peers 8 --blocks 40 --dir /tmp/crowd
  peer testnet up --dir /tmp/crowd/grapevine      and look at what it left
  peer testnet run small --peers 7 --protocol grapevine,fabric -o json | jq '.[].p99_ms'`,
		Args: cobra.ExactArgs(1),
	}
	var f simFlags
	table := slices.DeleteFunc(f.table(nil), func(row override) bool { return !slices.Contains(runFlags, row.flag) })
	for _, row := range table {
		short := ""
		if row.flag == "peers" {
			short = "n" // as of peer testnet up
		}
		cmd.Flags().VarPF(row.value, row.flag, short, row.help).DefValue = "" // the scenario's
	}
	dir := cmd.Flags().String("dir", "", "directory for the networks, one for each protocol (default: a temporary one)")
	patience := cmd.Flags().Duration("timeout", time.Minute, "how long the peers may take to be ready")
	picture := plotFlag(cmd)
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sim, err := prepareProcesses(args[0], cmd.Flags(), table)
		if err != nil {
			return err
		}
		if err := checkPlot(*picture, sim.plan); err != nil {
			return err
		}
		return sim.withProcesses(cmd, *dir, *patience, func() error { return sim.compare(cmd, out, *picture) })
	}
	return cmd
}

// runFlags are those of peer sim run that processes can heed.
var runFlags = []string{"protocol", "peers", "blocks", "block-size", "tx-size", "dead", "seed"}

// prepareProcesses is prepare for a scenario of whatever world, played by processes.
func prepareProcesses(name string, flags *pflag.FlagSet, table []override) (*simulation, error) {
	s, err := findScenario(name)
	if err != nil {
		return nil, err
	}
	if s.World != scenario.Processes {
		s.World = scenario.Processes
		unbind(&s)
	}
	sim := &simulation{command: "peer testnet run", name: name}
	sim.override(&s, flags, table)
	if sim.world, err = worldOf(s, []simWorld{{name: scenario.Processes, protocols: processes.Protocols()}}); err != nil {
		return nil, cli.Usage(err)
	}
	if sim.plan, err = s.Plan(); err != nil {
		return nil, cli.Usage(err)
	}
	if err := processes.Check(sim.plan); err != nil {
		world := scenario.Events
		if s.Load.TxRate > 0 {
			world = scenario.Packets
		}
		return nil, cli.Usage(fmt.Errorf("%w; the world %q can: peer sim run %s --world %s", err, world, cli.ShellQuoted(name), world))
	}
	return sim, nil
}

const notHeeded = "peers are on loopback, whatever the scenario's links are; and gossip fills the pools before a block is made, whatever warm is"

// withProcesses has the simulation's world run peers below a directory while play runs,
// and says where they were if something goes wrong.
func (s *simulation) withProcesses(cmd *cobra.Command, dir string, patience time.Duration, play func() error) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	temporary := dir == ""
	if temporary {
		if dir, err = os.MkdirTemp("", "peer-testnet-run-"); err != nil {
			return fmt.Errorf("making a directory for the networks: %w", err)
		}
	} else if err := s.room(dir); err != nil {
		return err
	}
	s.world.run = func(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
		cfg := local.Config{Dir: filepath.Join(dir, protocol), Binary: binary, Patience: patience}
		o, err := processes.Run(ctx, cfg, plan, protocol, progress)
		return o, testnetError(err)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), notHeeded)
	err = play()
	switch {
	case err != nil:
		return fmt.Errorf("%w\nthe peers' files, logs included, are in %s", err, dir)
	case temporary:
		return os.RemoveAll(dir)
	}
	return nil
}

// room says before anything runs whether there is room for the networks in a directory
// that was given, which a replay must give again.
func (s *simulation) room(dir string) error {
	for _, protocol := range s.plan.Protocols {
		if err := local.Vacant(filepath.Join(dir, protocol)); err != nil {
			return testnetError(err)
		}
	}
	s.given = append(s.given, "--dir", dir)
	return nil
}
