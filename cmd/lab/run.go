package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/checks"
	"grapevine/testnet/outcome"
	"grapevine/testnet/plot"
	"grapevine/testnet/scenario"
)

const runHelp = `Play a scenario, one of lab list or a TOML file, with one protocol after another, and
print a row of figures for each. Flags count over the scenario's values.

  by push        blocks that push or shards brought, of all that peers other than the
                 producer should have got: those that ran when the block was made
  p50 … max      from a block's time to its acceptance, over the same
  bytes/peer     what a peer received per block, all protocols included
  per body byte  received by all, over the bodies that had to come
  duplicates     bodies' worth that came again, over the same
  hops           the most peers that a block passed through

What must hold is checked after each run: that peers agree, that no height goes back,
that all come to the tip, that nobody is dropped without cause, and, of the protocol
grapevine, the scenario's bounds, unless a flag makes the network or its load another
(--blocks and --seed do not), which is said. What is broken is named on standard error,
with the command that runs it again, and the exit code is 6.

In the world "processes" the peers are processes of the peer program on this machine. No
process is left at the end, nor when it is interrupted. What a scenario means there:

  blocks   the orderer is the real one: when a block is due, all of its transactions are
           handed in to the orderer, which makes it a tenth of a second later
  warm     is not heeded: gossip brings the transactions to all pools before that
  tx_rate  transactions are handed in at random peers, and the orderer cuts as it likes
  crash    SIGKILL; after for the peer is started again, with its ledger
  join     the peer is started later
  links, classes, regions
           are not heeded: all peers are on loopback. Faults that need links (cut, loss,
           slow) are an error; the other worlds can do those

Bytes are then those of the peers' own counters, GossipSub's included, and 5 % as in the
event world; what a peer counted last before it was killed is missing. The scenario's
bounds are checked only if it says world = "processes", for else they are of another
network. Such a run is not repeatable to the bit: the seed decides who crashes and when,
not who is faster. Two processors carry about twenty peers. Each protocol's network is in
a directory of its own in --dir, for peer testnet up, report and check; without --dir
they are in a temporary one, which is kept when something went wrong.`

func runCommand(of []world, p *place) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [SCENARIO]",
		Short: "Play a scenario with one protocol after another, and compare them",
		Long:  runHelp,
		Example: `  lab run
  lab run large --peers 500 --blocks 1
  lab run --world packets --protocol grapevine,gossipsub --plot compared.png
  lab run mine.toml --loss 0.2 --dead 0.3 --seed 7 -o json | jq '.[].p99_ms'
  lab run crash --world processes --peers 10
  lab run crowd --world processes --peers 8 --blocks 40 --dir /tmp/crowd
  peer testnet up --dir /tmp/crowd/grapevine      and look at what it left`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(), cobra.ShellCompDirectiveDefault // or a file
		},
	}
	var names []string
	for _, w := range of {
		names = append(names, w.name)
	}
	var f flags
	table := f.table(names)
	for _, row := range table {
		short := ""
		if row.flag == "peers" {
			short = "n" // as of peer testnet up
		}
		cmd.Flags().VarPF(row.value, row.flag, short, row.help).DefValue = "" // the scenario's
	}
	p.addFlags(cmd.Flags())
	picture := plotFlag(cmd)
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := scenario.Default
		if len(args) > 0 {
			name = args[0]
		}
		sim, err := prepare(name, cmd.Flags(), table, of)
		if err != nil {
			return err
		}
		if err := checkPlot(*picture, sim.plan); err != nil {
			return err
		}
		play := func() error { return sim.compare(cmd, out, *picture) }
		if sim.world.name == scenario.Processes {
			return p.hold(cmd, sim, play)
		}
		return play()
	}
	return cmd
}

func plotFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("plot", "", "draw latencies, and how a block spread, to this file: .svg, .png or .html")
}

// checkPlot says before anything runs whether the picture can be drawn.
func checkPlot(path string, plan *scenario.Plan) error {
	if path == "" {
		return nil
	}
	if plan.Load.Blocks == 0 && plan.Load.TxRate == 0 {
		return cli.Usage(fmt.Errorf("--plot %s: %s has no blocks whose way could be drawn: leave it out, or take --blocks", path, plan.Name))
	}
	if err := plot.Check(path); err != nil {
		return cli.Usage(err)
	}
	return nil
}

// compare runs all protocols, and shows what came of it: of those that had ended, too,
// when one of them could not.
func (s *simulation) compare(cmd *cobra.Command, out *cli.Output, picture string) error {
	var runs []*outcome.Outcome
	rows, broken := []outcome.Row{}, 0
	var failed error
	if len(s.unbound) > 0 && slices.Contains(s.plan.Protocols, bound) {
		fmt.Fprintf(cmd.ErrOrStderr(), "the scenario's bounds are not checked, for %s makes it another network\n", strings.Join(s.unbound, ", "))
	}
	for _, protocol := range s.plan.Protocols {
		o, err := s.play(cmd.Context(), protocol)
		if err != nil {
			failed = err
			break
		}
		rows = append(rows, o.Row())
		if picture != "" {
			runs = append(runs, o)
		}
		broken += s.judge(cmd.ErrOrStderr(), o)
	}
	if failed == nil || len(rows) > 0 {
		err := out.Write(cmd, rows, func(w io.Writer) error { return s.writeTable(w, rows) })
		failed = errors.Join(failed, err)
	}
	if len(runs) > 0 {
		failed = errors.Join(failed, plot.Write(picture, s.plan.Name, runs))
	}
	if failed == nil && broken > 0 {
		return cli.Wrong(fmt.Errorf("%d of what must hold did not, as listed", broken))
	}
	return failed
}

func (s *simulation) writeTable(w io.Writer, rows []outcome.Row) error {
	if _, err := fmt.Fprintf(w, "%s, seed %d\n", s.plan.Name, s.plan.Seed); err != nil {
		return err
	}
	return outcome.WriteTable(w, cli.Width(os.Stdout), rows)
}

// play runs one protocol.
func (s *simulation) play(ctx context.Context, protocol string) (*outcome.Outcome, error) {
	bar := cli.NewProgress(protocol)
	o, err := s.world.run(ctx, s.plan, protocol, func(share float64) { bar.Update(int(share*100), 100, "%") })
	bar.End()
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted while %s ran", protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("running %s in the world %q: %w\nto run it again: %s", protocol, s.world.name, err, s.replay(protocol))
	}
	return o, nil
}

// bound is the protocol that a scenario's bounds are for: the others are there to be
// compared with, and are as slow as they are.
const bound = "grapevine"

// judge names what a run broke, and returns how much that is.
func (s *simulation) judge(w io.Writer, o *outcome.Outcome) int {
	plan := *s.plan
	if o.Protocol != bound {
		plan.Checks = scenario.Checks{Reach: plan.Checks.Reach}
	}
	breaches := checks.Judge(&plan, o)
	for _, b := range breaches {
		fmt.Fprintf(w, "%s, %s, seed %d: %s\n", o.Protocol, o.World, o.Seed, b)
	}
	if len(breaches) > 0 {
		fmt.Fprintf(w, "to run it again: %s\n", s.replay(o.Protocol))
	}
	return len(breaches)
}
