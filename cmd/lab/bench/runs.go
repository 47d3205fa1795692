package bench

import (
	"slices"
	"strings"

	"grapevine/testnet/outcome"
)

// The worlds.
const (
	events  = "events"
	packets = "packets"
)

// run is a comparison: a scenario and flags of lab run.
type run struct {
	Title string `json:"title"` // runs of one title share a table
	World string `json:"world"`
	Args  string `json:"args"` // words with blanks between
	// Picture is the file that an update draws; empty is none.
	Picture string `json:"picture,omitempty"`
}

// result is what came of a run.
type result struct {
	run
	Rows     []outcome.Row `json:"rows"`
	Breaches []string      `json:"breaches"` // of what must hold, as lab run names them
}

func (r run) commandLine() string { return "run " + r.Args + " --world " + r.World }

// made says whether a result is of this run.
func (r run) made(of result) bool { return of.run == r }

const (
	ours      = " --protocol grapevine"
	presets   = " --protocol grapevine,fabric,fabric-enhanced"
	baselines = " --protocol grapevine,gossipsub,gossipsub-chunked"
	everybody = " --protocol grapevine,fabric,fabric-enhanced,gossipsub,gossipsub-chunked"
)

// runs are the README's tables. Links have 50 Mbit/s and 50 ms where none are named.
var runs = []run{
	{"1 MiB cold, 50 peers", packets, "default" + everybody, "testnet/bench/default.svg"},
	{"1 MiB cold, 50 peers", events, "default" + presets, ""},
	{"160 KiB cold, 100 peers", packets, "default --peers 100 --block-size 160KiB" + baselines, ""},
	{"160 KiB cold, 100 peers", events, "default --peers 100 --block-size 160KiB" + presets, ""},
	{"4 MiB cold, 20 peers", packets, "testnet/bench/heavy.toml" + baselines, ""},
	{"4 MiB cold, 20 peers", events, "testnet/bench/heavy.toml" + presets, ""},
	{"1 MiB of which 95 % is there, 100 peers", packets, "warm" + ours, ""},
	{"1 MiB of which 95 % is there, 100 peers", events, "warm" + presets, ""},
	{"growth: 1 MiB cold", events, "default --peers 100 --blocks 2" + presets, ""},
	{"growth: 1 MiB cold", events, "large" + presets, ""},
	{"growth: 1 MiB cold", events, "growth" + ours, ""},
	{"20 % of packets lost, 256 KiB cold, 40 peers", packets, "testnet/bench/lossy.toml" + baselines, ""},
	{"20 % of packets lost, 256 KiB cold, 40 peers", events, "testnet/bench/lossy.toml" + presets, ""},
	{"30 % of peers dead, 256 KiB cold, 40 peers", packets, "default --dead 0.3 --peers 40 --block-size 256KiB" + baselines, ""},
	{"30 % of peers dead, 256 KiB cold, 40 peers", events, "default --dead 0.3 --peers 40 --block-size 256KiB" + presets, ""},
	{"Fabric's push: 4 KiB, 100 peers, 100 blocks", events, "small --blocks 100 --protocol fabric,fabric-enhanced,grapevine", ""},
}

// titles returns the tables' titles, each once, in their order.
func titles(of []result) []string {
	var out []string
	for _, r := range of {
		if !slices.Contains(out, r.Title) {
			out = append(out, r.Title)
		}
	}
	return out
}

func (r run) words() []string { return strings.Fields(r.commandLine()) }
