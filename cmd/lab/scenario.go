package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/events"
	"grapevine/testnet/outcome"
	"grapevine/testnet/packets"
	"grapevine/testnet/processes"
	"grapevine/testnet/scenario"
)

// world is where scenarios are played.
type world struct {
	name      string
	protocols []string
	check     func(plan *scenario.Plan, protocol string) error
	run       func(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error)
}

// worlds are all that there are. Networks of processes are in a place.
func worlds(p *place) []world {
	return []world{
		{scenario.Events, events.Protocols(), events.Check, events.Run},
		{scenario.Packets, packets.Protocols(), packets.Check, packets.Run},
		{scenario.Processes, processes.Protocols(), func(plan *scenario.Plan, _ string) error { return processes.Check(plan) }, p.run},
	}
}

// flags are a scenario's values that the command line overrides.
type flags struct {
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

func (f *flags) table(worlds []string) []override {
	return []override{
		{"world", cli.Text(&f.world, worlds...), "where to run: " + strings.Join(worlds, " or "),
			func(s *scenario.Scenario) {
				if f.world == scenario.Processes && s.World != f.world {
					unbind(s)
				}
				s.World = f.world
			}, true},
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
	name    string // as it was given
	given   []string
	unbound []string // flags for which the scenario's bounds are not checked
	world   world
	plan    *scenario.Plan
}

// prepare reads the scenario, puts the flags over it, and finds its world. Its errors
// are about usage: nothing has run.
func prepare(name string, given *pflag.FlagSet, table []override, of []world) (*simulation, error) {
	s, err := findScenario(name)
	if err != nil {
		return nil, err
	}
	sim := &simulation{name: name}
	sim.override(&s, given, table)
	if sim.world, err = worldOf(s, of); err != nil {
		return nil, cli.Usage(err)
	}
	if sim.plan, err = s.Plan(); err != nil {
		return nil, cli.Usage(err)
	}
	if err := sim.heeds(given); err != nil {
		return nil, err
	}
	for _, p := range s.Protocols {
		err := sim.world.check(sim.plan, p)
		if err != nil && s.World == scenario.Processes {
			err = elsewhere(err, name, s)
		}
		if err != nil {
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
		err = fmt.Errorf("%w (lab list shows them)", err)
	}
	if err != nil {
		return s, cli.Usage(err)
	}
	return s, nil
}

// override puts the flags over the scenario, and notes those that a replay must give
// again besides the ones that it always gives.
func (sim *simulation) override(s *scenario.Scenario, given *pflag.FlagSet, table []override) {
	for _, row := range table {
		if !given.Changed(row.flag) {
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
func worldOf(s scenario.Scenario, of []world) (world, error) {
	var names []string
	for _, w := range of {
		names = append(names, w.name)
	}
	at := slices.Index(names, s.World)
	if at < 0 {
		return world{}, fmt.Errorf("scenario %s is for the world %q: want --world %s", s.Name, s.World, strings.Join(names, " or --world "))
	}
	for _, p := range s.Protocols {
		if !slices.Contains(of[at].protocols, p) {
			return world{}, notThere(p, of[at], of)
		}
	}
	return of[at], nil
}

// notThere says of a protocol that does not run in a world where it does.
func notThere(protocol string, in world, of []world) error {
	has := strings.Join(in.protocols, ", ")
	for _, w := range of {
		if slices.Contains(w.protocols, protocol) {
			return fmt.Errorf("protocol %q does not run in the world %q, which has %s: take --world %s, or leave it out", protocol, in.name, has, w.name)
		}
	}
	return fmt.Errorf("protocol %q: the world %q has %s", protocol, in.name, has)
}

// replay is the command line that runs one protocol of a simulation again.
func (s *simulation) replay(protocol string) string {
	words := []string{s.name, "--world", s.world.name}
	words = append(append(words, "--protocol", protocol, "--seed", fmt.Sprint(s.plan.Seed)), s.given...)
	for i, w := range words {
		words[i] = cli.ShellQuoted(w)
	}
	return "lab run " + strings.Join(words, " ")
}
