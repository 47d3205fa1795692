package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/ledgers"
	"grapevine/testnet/report"
	"grapevine/testnet/traffic"
)

func testnetReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "How each block spread, and whether the ledgers agree",
		Long: `How each block spread, from the logs of all peers, and whether the ledgers agree,
from the peers themselves: each is asked for the block at every height. With --last the
table, its totals and the JSON are of the last blocks alone. Latencies
are from a block's time to its acceptance by a peer other than its producer. Peers
that are down are named and not asked: what is said of ledgers is said of the others'
(in JSON: asked is how many those are, down is a list of the rest). The exit code is 6
when ledgers differ, or when a peer is not at the others' height by the end of
--timeout.`,
		Example: `  peer testnet report
  peer testnet report --last 20
  peer testnet report -o json | jq '.agree, .blocks[-1].p95_ms'`,
		Args: cobra.NoArgs,
	}
	dir, out := dirFlag(cmd), cli.OutputFlag(cmd)
	last := 0
	cmd.Flags().Var(cli.Count(&last, 0, math.MaxInt32), "last", "show so many blocks, the last ones; 0: all")
	timeout := cmd.Flags().Duration("timeout", 10*time.Second, "how long a peer may take to come to the others' height")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		asked, down, err := n.alive()
		if err != nil {
			return err
		}
		finding, err := ledgers.Agree(cmd.Context(), asked, *timeout)
		if err != nil {
			return err
		}
		facts, err := n.facts()
		if err != nil {
			return err
		}
		facts = report.Last(facts, last)
		r := report.Report{
			Peers: len(n.Peers), Asked: len(asked), Down: down,
			Height: finding.Height, Agree: finding.OK(), Blocks: report.Merge(facts),
		}
		if err := out.Write(cmd, r, func(w io.Writer) error { return r.WriteTable(w, cli.Width(os.Stdout), report.Totals(facts)) }); err != nil {
			return err
		}
		return problems("the ledgers do not agree", finding)
	}
	return cmd
}

// problems makes an error of a finding, and names each problem on standard error.
func problems(what string, f ledgers.Finding) error {
	if f.OK() {
		return nil
	}
	for _, p := range f.Problems {
		fmt.Fprintln(os.Stderr, p)
	}
	return cli.Wrong(errors.New(what))
}

// alive returns the peers whose processes run, and the numbers of the others, which it
// names.
func (n *network) alive() (up []ledgers.Peer, down []int, err error) {
	down = []int{}
	for i, p := range n.checked() {
		running, err := n.Peers[i].Process.Running()
		if err != nil {
			return nil, nil, err
		}
		if running {
			up = append(up, p)
		} else {
			down = append(down, i)
			fmt.Fprintf(os.Stderr, "%s is down and is not asked\n", p.Name)
		}
	}
	if len(up) == 0 {
		return nil, nil, cli.Unreachable(errors.New("no peer of the testnet runs: " + n.again()))
	}
	return up, down, nil
}

// facts reads the logs of all peers.
func (n *network) facts() ([]report.Fact, error) {
	var all []report.Fact
	for _, p := range n.Peers {
		f, err := os.Open(p.Log())
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was never started
		}
		if err != nil {
			return nil, fmt.Errorf("reading logs: %w", err)
		}
		facts, _, err := report.ReadLog(p.Index, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, facts...)
	}
	return all, nil
}

// checkedFile is what peer testnet check prints.
type checkedFile struct {
	Peers    int      `json:"peers"`
	Height   uint64   `json:"height"`
	Agree    bool     `json:"agree"`
	Wanted   int      `json:"wanted"` // lines or transactions looked for
	Once     bool     `json:"once"`   // all of them stand in every ledger, as often as they were handed in
	Problems []string `json:"problems"`
}

func testnetCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Whether every ledger holds what was submitted, exactly once",
		Long: `Whether all ledgers agree, and each of them holds every line of the file as a
payload exactly as often as the file has it; with --acknowledged, every transaction
that a peer acknowledged to peer testnet submit or load, exactly once. It first
waits until no pool holds a transaction and all peers are at one height. Every peer
must run. The exit code is 6 when something is wrong.`,
		Example: `  peer testnet check go.sum
  peer testnet check --acknowledged --timeout 2m`,
		Args: cobra.MaximumNArgs(1),
	}
	dir, out := dirFlag(cmd), cli.OutputFlag(cmd)
	acknowledged := cmd.Flags().Bool("acknowledged", false, "look for the acknowledged transactions")
	timeout := cmd.Flags().Duration("timeout", time.Minute, "how long to wait for the network to come to rest")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		up, down, err := n.alive()
		if err != nil {
			return err
		}
		if len(down) > 0 {
			return cli.Unreachable(fmt.Errorf("every ledger is to be looked at: start what is down with peer testnet start %d --dir %s", down[0], cli.ShellQuoted(*dir)))
		}
		if err := n.quiet(cmd.Context(), up, *timeout); err != nil {
			return err
		}
		res, err := n.check(cmd.Context(), args, *acknowledged)
		if err != nil {
			return err
		}
		if err := out.Print(cmd, res, func(w io.Writer) { checkTable(w, res) }); err != nil {
			return err
		}
		if !res.Agree || !res.Once {
			return cli.Wrong(errors.New("something is wrong, as listed"))
		}
		return nil
	}
	return cmd
}

func (n *network) check(ctx context.Context, args []string, acknowledged bool) (checkedFile, error) {
	peers := n.checked()
	agree, err := ledgers.Agree(ctx, peers, 0)
	if err != nil {
		return checkedFile{}, err
	}
	res := checkedFile{Peers: len(peers), Height: agree.Height, Agree: agree.OK(), Once: true, Problems: []string{}}
	res.Problems = append(res.Problems, agree.Problems...)
	add := func(wanted int, f ledgers.Finding) {
		res.Wanted += wanted
		res.Once = res.Once && f.OK()
		res.Problems = append(res.Problems, f.Problems...)
	}
	if len(args) > 0 {
		lines, err := linesOf(args[0], int(^uint(0)>>1))
		if err != nil {
			return res, err
		}
		found, err := ledgers.Payloads(ctx, peers, lines)
		if err != nil {
			return res, err
		}
		add(len(lines), found)
	}
	if acknowledged {
		ids, err := traffic.ReadLog(n.AcknowledgedPath())
		if err != nil {
			return res, err
		}
		found, err := ledgers.Present(ctx, peers, ids)
		if err != nil {
			return res, err
		}
		add(len(ids), found)
	}
	return res, nil
}

func checkTable(w io.Writer, r checkedFile) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	all, each := fmt.Sprintf("all %d looked for stand", r.Wanted), "each"
	if r.Wanted == 1 {
		all = "the one looked for stands"
	}
	if r.Peers == 1 {
		each = "it"
		fmt.Fprintf(w, "1 ledger at height %d, compared with no other\n", r.Height)
	} else {
		fmt.Fprintf(w, "%d ledgers at height %d agree:\t%s\n", r.Peers, r.Height, yesNo(r.Agree))
	}
	if r.Wanted > 0 {
		fmt.Fprintf(w, "%s in %s exactly once:\t%s\n", all, each, yesNo(r.Once))
	}
}
