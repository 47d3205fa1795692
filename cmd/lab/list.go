package main

import (
	"cmp"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/report"
	"grapevine/testnet/scenario"
)

func listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The scenarios that lab run knows by name",
		Long: `The scenarios that lab run knows by name. A scenario is a TOML file; those here
are part of the program, and stand in testnet/scenarios of its source.`,
		Example: "  lab list\n  lab list -o json | jq -r '.[].name'",
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
		return out.Write(cmd, list, func(w io.Writer) error {
			width := cli.Width(os.Stdout)
			return report.WriteAligned(w, width, listColumns(width), list)
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

// listedScenario is a row of lab list.
type listedScenario struct {
	Name      string   `json:"name"`
	About     string   `json:"about"`
	World     string   `json:"world"`
	Peers     int      `json:"peers"`
	Blocks    int      `json:"blocks"`
	Protocols []string `json:"protocols"`
	Seed      uint64   `json:"seed"`
}

// listColumns are those of lab list. In a narrow terminal the text ends with it.
func listColumns(width int) []report.Column[listedScenario] {
	about := func(s listedScenario) string {
		const name = 12 // what the names and the gap behind them take
		if text := []rune(s.About); width > name && len(text) > width-name {
			return string(text[:width-name-1]) + "…"
		}
		return s.About
	}
	return []report.Column[listedScenario]{
		{Head: "NAME", Left: true, Cell: func(s listedScenario) string { return s.Name }},
		{Head: "PEERS", Left: true, Spare: 1, Cell: func(s listedScenario) string { return strconv.Itoa(s.Peers) }},
		{Head: "BLOCKS", Left: true, Spare: 2, Cell: func(s listedScenario) string { return strconv.Itoa(s.Blocks) }},
		{Head: "WORLD", Left: true, Spare: 3, Cell: func(s listedScenario) string { return s.World }},
		{Head: "PROTOCOLS", Left: true, Spare: 4, Cell: func(s listedScenario) string { return strings.Join(s.Protocols, ",") }},
		{Head: "ABOUT", Left: true, Cell: about},
	}
}

// scenarioNames are what shells complete to.
func scenarioNames() []string {
	var names []string
	for _, s := range scenario.Library() {
		names = append(names, s.Name)
	}
	return names
}
