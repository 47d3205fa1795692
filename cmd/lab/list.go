package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
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

// scenarioNames are what shells complete to.
func scenarioNames() []string {
	var names []string
	for _, s := range scenario.Library() {
		names = append(names, s.Name)
	}
	return names
}
