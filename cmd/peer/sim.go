package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/events"
	"grapevine/testnet/outcome"
	"grapevine/testnet/packets"
	"grapevine/testnet/scenario"
)

// simWorld is a network that plays scenarios in virtual time.
type simWorld struct {
	name      string
	protocols []string
	check     func(plan *scenario.Plan, protocol string) error
	run       func(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error)
}

// simWorlds are all that there are.
func simWorlds() []simWorld {
	return []simWorld{
		{scenario.Events, events.Protocols(), events.Check, events.Run},
		{scenario.Packets, packets.Protocols(), packets.Check, packets.Run},
	}
}

func simCommand(worlds []simWorld) *cobra.Command {
	cmd := cli.Group("sim", "Networks of simulated peers, in virtual time",
		`  peer sim list
  peer sim run
  peer sim run loss --protocol grapevine --plot loss.html`,
		simRun(worlds), simList())
	cmd.Long = `Networks of simulated peers, in virtual time: what a scenario describes is played
with one protocol after another, on the same network with the same faults, and
measured. In the world "events" the protocols' cores run alone, over modelled links,
to the bit the same each time; in the world "packets" whole nodes run over simulated
packets.`
	return cmd
}

// simFlags are a scenario's values that the command line overrides.
type simFlags struct {
	world             string
	protocols         []string
	peers, blocks     int
	blockSize, txSize scenario.Bytes
	warm, loss, dead  float64
	bandwidth         scenario.Rate
	latency           scenario.Duration
	seed              uint64
}

// override is a flag, and what it does to a scenario when it is given.
type override struct {
	flag  string
	value pflag.Value
	help  string
	apply func(s *scenario.Scenario)
	// same says that the network and its load stay what they are, so that the
	// scenario's bounds still hold.
	same bool
}

func (f *simFlags) table(worlds []string) []override {
	return []override{
		{"world", cli.Text(&f.world, worlds...), "where to run: " + strings.Join(worlds, " or "),
			func(s *scenario.Scenario) { s.World = f.world }, true},
		{"protocol", cli.List(&f.protocols), "what to compare, with commas between",
			func(s *scenario.Scenario) { s.Protocols = f.protocols }, true},
		{"peers", cli.Count(&f.peers, scenario.MinPeers, scenario.MaxPeers), "how many peers",
			func(s *scenario.Scenario) { s.Peers = f.peers }, false},
		{"blocks", cli.Count(&f.blocks, 0, scenario.MaxBlocks), "how many blocks",
			func(s *scenario.Scenario) { s.Load.Blocks = f.blocks }, true},
		{"block-size", &f.blockSize, "size of the blocks' bodies, such as 160KiB",
			func(s *scenario.Scenario) { s.Load.BlockSizes = []scenario.Bytes{f.blockSize} }, false},
		{"tx-size", &f.txSize, "size of a transaction, such as 250B",
			func(s *scenario.Scenario) { s.Load.TxSize = f.txSize }, false},
		{"warm", fractionValue{&f.warm}, "how much of a block each peer holds before it is made, from 0 to 1",
			func(s *scenario.Scenario) { s.Load.Warm = f.warm }, false},
		{"bandwidth", &f.bandwidth, "of each peer, up and down, where no class says otherwise, such as 50mbit",
			func(s *scenario.Scenario) { s.Link.Up, s.Link.Down = f.bandwidth, f.bandwidth }, false},
		{"latency", &f.latency, "from peer to peer, one way, where no regions say otherwise, such as 50ms",
			func(s *scenario.Scenario) { s.Link.Latency = f.latency }, false},
		{"loss", fractionValue{&f.loss}, "share of packets that are lost, where no class says otherwise, from 0 to 1",
			func(s *scenario.Scenario) { s.Link.Loss = f.loss }, false},
		{"dead", partValue{fractionValue{&f.dead}}, "share of peers that crash just before the first block, for ever, from 0 to less than 1",
			func(s *scenario.Scenario) {
				if f.dead > 0 {
					s.Faults = append(slices.Clip(s.Faults), crashBefore(s.Load.First, f.dead))
				}
			}, false},
		{"seed", cli.Seed(&f.seed), "of all that is left to chance",
			func(s *scenario.Scenario) { s.Seed = f.seed }, true},
	}
}

// crashBefore is the fault that the flag --dead adds.
func crashBefore(first scenario.Duration, share float64) scenario.Fault {
	const before = scenario.Duration(time.Millisecond) // too short for anybody to notice
	return scenario.Fault{Kind: scenario.Crash, At: max(first-before, 0), Share: share, Flag: "--dead"}
}

// simulation is a scenario as the command line wants it, and where it runs.
type simulation struct {
	command string // that runs it
	name    string // as it was given
	given   []string
	unbound []string // flags for which the scenario's bounds are not checked
	world   simWorld
	plan    *scenario.Plan
}

// prepare reads the scenario, puts the flags over it, and finds its world. Its errors
// are about usage: nothing has run.
func prepare(name string, flags *pflag.FlagSet, table []override, worlds []simWorld) (*simulation, error) {
	s, err := findScenario(name)
	if err != nil {
		return nil, err
	}
	sim := &simulation{command: "peer sim run", name: name}
	sim.override(&s, flags, table)
	if sim.world, err = worldOf(s, worlds); err != nil {
		return nil, cli.Usage(err)
	}
	if sim.plan, err = s.Plan(); err != nil {
		return nil, cli.Usage(err)
	}
	for _, p := range s.Protocols {
		if err := sim.world.check(sim.plan, p); err != nil {
			return nil, cli.Usage(err)
		}
	}
	return sim, nil
}

func findScenario(name string) (scenario.Scenario, error) {
	s, err := scenario.Find(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, cli.NotFound(err)
	}
	if errors.Is(err, scenario.ErrUnknown) {
		err = fmt.Errorf("%w (peer sim list shows them)", err)
	}
	if err != nil {
		return s, cli.Usage(err)
	}
	return s, nil
}

// override puts the flags over the scenario, and notes those that a replay must give
// again besides the ones that it always gives.
func (sim *simulation) override(s *scenario.Scenario, flags *pflag.FlagSet, table []override) {
	for _, row := range table {
		if !flags.Changed(row.flag) {
			continue
		}
		before := *s
		row.apply(s)
		if !row.same && !reflect.DeepEqual(before, *s) && unbind(s) {
			sim.unbound = append(sim.unbound, "--"+row.flag)
		}
		if row.flag != "world" && row.flag != "protocol" && row.flag != "seed" {
			sim.given = append(sim.given, "--"+row.flag, row.value.String())
		}
	}
}

// unbind takes the scenario's bounds away: they are of the network that it describes. It
// says whether there were any.
func unbind(s *scenario.Scenario) bool {
	before := s.Checks
	s.Checks = scenario.Checks{Reach: before.Reach}
	return before != s.Checks
}

// worldOf finds where a scenario runs, and whether all of its protocols run there.
func worldOf(s scenario.Scenario, worlds []simWorld) (simWorld, error) {
	var names []string
	for _, w := range worlds {
		names = append(names, w.name)
	}
	at := slices.Index(names, s.World)
	if at < 0 {
		return simWorld{}, fmt.Errorf("scenario %s is for the world %q: want --world %s, or peer testnet run", s.Name, s.World, strings.Join(names, " or --world "))
	}
	for _, p := range s.Protocols {
		if slices.Contains(worlds[at].protocols, p) {
			continue
		}
		for _, w := range worlds {
			if slices.Contains(w.protocols, p) {
				return simWorld{}, fmt.Errorf("protocol %q does not run in the world %q, which has %s: take --world %s, or leave it out",
					p, s.World, strings.Join(worlds[at].protocols, ", "), w.name)
			}
		}
		return simWorld{}, fmt.Errorf("protocol %q: the world %q has %s", p, s.World, strings.Join(worlds[at].protocols, ", "))
	}
	return worlds[at], nil
}

// replay is the command line that runs one protocol of a simulation again.
func (s *simulation) replay(protocol string) string {
	words := []string{s.name}
	if s.world.name != scenario.Processes { // whose command has no other
		words = append(words, "--world", s.world.name)
	}
	words = append(append(words, "--protocol", protocol, "--seed", fmt.Sprint(s.plan.Seed)), s.given...)
	for i, w := range words {
		words[i] = cli.ShellQuoted(w)
	}
	return s.command + " " + strings.Join(words, " ")
}

func simList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The scenarios that peer sim run knows by name",
		Long: `The scenarios that peer sim run knows by name. A scenario is a TOML file; those here
are part of the program, and stand in testnet/scenarios of its source.`,
		Example: "  peer sim list\n  peer sim list -o json | jq -r '.[].name'",
		Args:    cobra.NoArgs,
	}
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list := []listedScenario{}
		for _, s := range scenario.Library() {
			list = append(list, listedScenario{s.Name, s.About, s.World, s.Peers, s.Load.Blocks, s.Protocols, s.Seed})
		}
		slices.SortStableFunc(list, func(a, b listedScenario) int { // the default first
			return cmp.Compare(rankOf(a.Name), rankOf(b.Name))
		})
		return out.Print(cmd, list, func(w io.Writer) {
			fmt.Fprintln(w, "NAME\tPEERS\tBLOCKS\tWORLD\tPROTOCOLS\tABOUT")
			for _, s := range list {
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", s.Name, s.Peers, s.Blocks, s.World, strings.Join(s.Protocols, ","), s.About)
			}
		})
	}
	return cmd
}

func rankOf(name string) int {
	if name == scenario.Default {
		return 0
	}
	return 1
}

// listedScenario is a row of peer sim list.
type listedScenario struct {
	Name      string   `json:"name"`
	About     string   `json:"about"`
	World     string   `json:"world"`
	Peers     int      `json:"peers"`
	Blocks    int      `json:"blocks"`
	Protocols []string `json:"protocols"`
	Seed      uint64   `json:"seed"`
}
