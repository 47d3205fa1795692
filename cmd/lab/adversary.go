package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/adversary"
	"grapevine/testnet/local"
	"grapevine/testnet/report"
)

const adversaryHelp = `Start a testnet of real peers, hand in transactions, and let hostile peers join, one
case after another. A row is printed for each:

  p50, p95   how long until a transaction stands in every honest peer's ledger
  memory     by how much the peer that grew most grew
  liars      hostile peers that still have an honest neighbour in the end

In every case honest peers must stay alive, ready, and connected to each other, and their
ledgers must agree; every transaction must be acknowledged and come to all of them; p95 may
be the larger of a second and three times that of the calm case, which is always played
first; and a peer may grow by 100 MiB. Liars that break a rule must be gone. What is broken
is named under the row, and the exit code is 6.`

func adversaryCommand(p *place) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "adversary [CASE…]",
		Short:             "Let hostile peers join a testnet of real ones, and see what becomes of it",
		Long:              adversaryHelp,
		ValidArgsFunction: completeCases,
		Example: `  lab adversary
  lab adversary idle stalled --duration 30s
  lab adversary --list
  lab adversary -o json | jq 'select(.breaches != [])'`,
	}
	cfg := adversary.Config{}
	cmd.Flags().VarP(cli.Count(&cfg.Network.Peers, 2, local.MaxPeers), "peers", "n", "how many honest peers")
	cfg.Network.Peers = 5
	cmd.Flags().DurationVar(&cfg.Duration, "duration", 10*time.Second, "how long transactions are handed in, in each case")
	cmd.Flags().Var(cli.Count(&cfg.Rate, 1, 1000), "rate", "transactions a second")
	cfg.Rate = 20
	cmd.Flags().DurationVar(&cfg.LeastP95, "p95", adversary.DefaultLeastP95, "what p95 may be, however quick the calm case is")
	out := cli.OutputFlag(cmd)
	list := cmd.Flags().Bool("list", false, "list the cases and end")
	p.addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if *list {
			for _, c := range adversary.Cases() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-16s %s\n", c.Name, c.What)
			}
			return nil
		}
		if cfg.Cases, err = chosen(args); err != nil {
			return err
		}
		if err := p.look(); err != nil {
			return err
		}
		cfg.Network.Binary = p.binary
		temporary := p.dir == ""
		if cfg.Network.Dir = p.dir; temporary {
			if cfg.Network.Dir, err = os.MkdirTemp("", "lab-adversary-"); err != nil {
				return fmt.Errorf("making a directory for the network: %w", err)
			}
		}
		cfg.Network.Patience = p.patience
		broken, told := 0, error(nil)
		if !out.IsJSON() {
			fmt.Fprintf(cmd.OutOrStdout(), "%-16s %9s %9s %9s %6s\n", "case", "p50", "p95", "memory", "liars")
		}
		err = adversary.Run(cmd.Context(), cfg, func(r adversary.Row) {
			broken += min(1, len(r.Breaches))
			told = errors.Join(told, out.Write(cmd, r, func(w io.Writer) error { return writeCase(w, r) }))
		})
		if err == nil {
			err = told
		}
		if err == nil && broken > 0 {
			err = cli.Wrong(errors.New(report.Count(broken, "case") + " broke what must hold"))
		}
		switch {
		case err != nil:
			return fmt.Errorf("%w\nthe peers' files, logs included, are in %s", taken(err), cfg.Network.Dir)
		case temporary:
			return os.RemoveAll(cfg.Network.Dir)
		}
		return nil
	}
	return cmd
}

// chosen returns the cases of these names, all if there are none.
func chosen(names []string) ([]adversary.Case, error) {
	all := adversary.Cases()
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, c := range all {
		known = append(known, strconv.Quote(c.Name))
	}
	var out []adversary.Case
	for _, name := range names {
		i := slices.IndexFunc(all, func(c adversary.Case) bool { return c.Name == name })
		if i < 0 {
			return nil, cli.Usagef("there is no case %q: want some of %s", name, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

func writeCase(w io.Writer, r adversary.Row) error {
	_, err := fmt.Fprintf(w, "%-16s %6.0f ms %6.0f ms %5d MiB %6d\n", r.Case, r.P50, r.P95, r.Memory>>20, r.Liars)
	for _, b := range r.Breaches {
		fmt.Fprintf(w, "  BROKEN: %s\n", b)
	}
	return err
}

// completeCases has shells complete the names of cases.
func completeCases(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	for _, c := range adversary.Cases() {
		names = append(names, c.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
