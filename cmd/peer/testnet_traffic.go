package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/ledgers"
	"grapevine/testnet/local"
	"grapevine/testnet/report"
	"grapevine/testnet/traffic"
)

// sender makes a Sender over all peers, dead ones too: they may come back. It
// writes down what is acknowledged; the function that it returns ends that.
func (n *network) sender(patience time.Duration) (*traffic.Sender, func() error, error) {
	log, err := traffic.OpenLog(n.AcknowledgedPath())
	if err != nil {
		return nil, nil, err
	}
	var failed error
	s := &traffic.Sender{Peers: n.handed(), Patience: patience, Acknowledged: func(ids []block.ID) {
		failed = errors.Join(failed, log.Add(ids))
	}}
	return s, func() error { return errors.Join(failed, log.Close()) }, nil
}

// anyStatus asks the peers in turn until one answers.
func (n *network) anyStatus(ctx context.Context) (*apipb.GetStatusResponse, error) {
	s := traffic.Sender{Peers: n.handed()}
	status, err := s.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("no peer of the testnet answers: %s: %w", n.again(), err)
	}
	return status, nil
}

// handed returns the peers for package traffic.
func (n *network) handed() []traffic.Peer {
	var peers []traffic.Peer
	for i, p := range n.Peers {
		peers = append(peers, traffic.Peer{Name: p.Name(), Client: n.clients[i]})
	}
	return peers
}

func testnetSubmit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit each line of a file through peers chosen at random",
		Long: `Submit each line of a file, or with - of the standard input, through peers chosen
at random, and through others where one is down. Empty lines are passed over. It
ends when all are accepted, with --wait when every peer that runs has them in its
ledger; those that do not are named. With
--watch it shows each block as each peer accepts it, as peer testnet watch does.`,
		Example: `  peer testnet submit go.sum
  peer testnet submit go.sum --watch
  seq 1000 | peer testnet submit - --wait`,
		Args: cobra.ExactArgs(1),
	}
	dir, out := dirFlag(cmd), cli.OutputFlag(cmd)
	wait := cmd.Flags().Bool("wait", false, "wait until every peer that runs has them in its ledger")
	watch := cmd.Flags().Bool("watch", false, "wait like --wait, and show the blocks as they spread")
	var res submittedLines
	at := 0 // how many peers have them
	timeout := cmd.Flags().Duration("timeout", time.Minute, "how long to wait with --wait, and to go on trying while no peer takes any")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *watch && out.IsJSON() {
			return cli.Usagef("--watch with -o json: what it shows is for people; run peer testnet watch beside it")
		}
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		*wait = *wait || *watch
		do := func() (err error) {
			if res, err = n.submitLines(cmd, args[0], *timeout); err != nil || !*wait {
				return err
			}
			up, down, err := n.alive()
			if err != nil {
				return err
			}
			if slices.Contains(down, 0) {
				fmt.Fprintf(os.Stderr, "peer 0 is the orderer: nothing is committed before it runs again: peer testnet start 0 --dir %s\n", cli.ShellQuoted(n.dir))
			}
			at = len(up)
			if err := n.quiet(cmd.Context(), up, *timeout); err != nil {
				return fmt.Errorf("%s accepted; waiting for them: %w", report.Count(res.Accepted, "line"), err)
			}
			return nil
		}
		if *watch {
			err = n.watching(cmd, do)
		} else {
			err = do()
		}
		if err != nil {
			return err
		}
		return out.Print(cmd, res, func(w io.Writer) {
			fmt.Fprintf(w, "%s accepted in %.1f s", report.Count(res.Accepted, "line"), res.Seconds)
			switch {
			case *wait && at < len(n.Peers):
				fmt.Fprintf(w, ", and committed by %d of %s", at, report.Count(len(n.Peers), "peer"))
			case *wait:
				fmt.Fprintf(w, ", and committed by %s", report.Count(at, "peer"))
			}
			fmt.Fprintln(w)
		})
	}
	return cmd
}

// submittedLines is what peer testnet submit prints.
type submittedLines struct {
	Lines    int     `json:"lines"`
	Accepted int     `json:"accepted"`
	Retried  int     `json:"retried"` // requests that had to go to another peer
	Seconds  float64 `json:"seconds"`
}

func (n *network) submitLines(cmd *cobra.Command, path string, patience time.Duration) (res submittedLines, err error) {
	status, err := n.anyStatus(cmd.Context())
	if err != nil {
		return res, err
	}
	payloads, err := readPayloads(cmd, path, int(status.Limits.GetMaxTxBytes())-block.TxOverhead)
	if err != nil {
		return res, err
	}
	if len(payloads) == 0 {
		return res, fmt.Errorf("no lines in %s: want a transaction on each", nameOf(path))
	}
	key, err := sig.LoadOrCreateKey(n.KeyPath())
	if err != nil {
		return res, err
	}
	signer, err := signerFor(key, status)
	if err != nil {
		return res, err
	}
	txs := make([]*block.Tx, len(payloads))
	for i, p := range payloads {
		txs[i] = signer.Sign(p)
	}
	sender, finish, err := n.sender(patience)
	if err != nil {
		return res, err
	}
	bar := n.progress("submitting")
	begun := time.Now()
	out, err := sender.Spread(cmd.Context(), txs, func(answered int) { bar.Update(answered, len(txs), "lines") })
	bar.End()
	res = submittedLines{len(payloads), out.Accepted + out.Duplicate, out.Retried, time.Since(begun).Seconds()}
	if err := errors.Join(err, finish()); err != nil {
		return res, fmt.Errorf("%d of %d lines were accepted: %w", res.Accepted, res.Lines, err)
	}
	if out.Refused > 0 {
		return res, refusedLines(out, txs)
	}
	return res, nil
}

func readPayloads(cmd *cobra.Command, path string, longest int) ([][]byte, error) {
	if path == "-" {
		return traffic.Lines(cmd.InOrStdin(), longest)
	}
	return linesOf(path, longest)
}

// nameOf is how people are shown where payloads come from.
func nameOf(path string) string {
	if path == "-" {
		return "the standard input"
	}
	return path
}

// refusedLines names one of the refused transactions.
func refusedLines(out traffic.Outcome, txs []*block.Tx) error {
	for reason, t := range out.Reasons {
		return cli.Refused(fmt.Errorf("%d of %d lines were refused, such as line %d of those that are not empty: %s", out.Refused, len(txs), slices.Index(txs, t)+1, reason))
	}
	return cli.Refused(fmt.Errorf("%d of %d lines were refused", out.Refused, len(txs)))
}

// checked returns the peers for package ledgers.
func (n *network) checked() []ledgers.Peer {
	var peers []ledgers.Peer
	for i, p := range n.Peers {
		peers = append(peers, ledgers.Peer{Name: p.Name(), Client: n.clients[i]})
	}
	return peers
}

// quiet waits until nothing is pending at these peers and all of them are at one height.
func (n *network) quiet(ctx context.Context, peers []ledgers.Peer, patience time.Duration) error {
	bar := n.progress("waiting for blocks")
	defer bar.End()
	most := uint32(1)
	return ledgers.Quiet(ctx, peers, patience, func(waiting uint32) {
		most = max(most, waiting)
		bar.Update(int(most-waiting), int(most), fmt.Sprintf("(%d transactions wait)", waiting))
	})
}

func testnetLoad() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load --rate R --duration D --size B",
		Short: "Submit random transactions at a fixed rate",
		Long: `Submit random transactions at a fixed rate, whether or not the peers keep up,
through peers chosen at random, and through others where one is down. The IDs of
those that a peer acknowledged are added to DIR/acknowledged, for peer testnet check
--acknowledged. Interrupted, it ends early and still prints its result.`,
		Example: "  peer testnet load --rate 500 --duration 30s --size 250",
		Args:    cobra.NoArgs,
	}
	dir, out := dirFlag(cmd), cli.OutputFlag(cmd)
	load := traffic.Load{Size: 250}
	cmd.Flags().Float64Var(&load.Rate, "rate", 100, "transactions a second")
	cmd.Flags().DurationVar(&load.Duration, "duration", 10*time.Second, "how long")
	cmd.Flags().Var(cli.Size(&load.Size), "size", "payload of each")
	cmd.Flags().IntVar(&load.Senders, "senders", 100, "keys that take turns to sign")
	through := cmd.Flags().IntSlice("through", nil, "the peers that take part, such as 3,4; by default all")
	patience := cmd.Flags().Duration("timeout", 30*time.Second, "how long a transaction is offered to one peer after the other")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if load.Rate <= 0 || load.Duration <= 0 || load.Senders < 1 {
			return cli.Usagef("--rate %v, --duration %v, --senders %d: want more than zero of each", load.Rate, load.Duration, load.Senders)
		}
		if load.Rate*load.Duration.Seconds() < 1 {
			return cli.Usagef("--rate %v for --duration %v is not one transaction: raise one of them", load.Rate, load.Duration)
		}
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		if err := n.only(*through); err != nil {
			return err
		}
		res, err := n.offer(cmd.Context(), load, *patience)
		if err != nil {
			return err
		}
		if err := out.Print(cmd, res, func(w io.Writer) { loadTable(w, res) }); err != nil {
			return err
		}
		if res.Refused > 0 {
			return cli.Refused(res.Err())
		}
		return res.Err()
	}
	return cmd
}

// only forgets all peers but these, unless there are none.
func (n *network) only(through []int) error {
	if len(through) == 0 {
		return nil
	}
	for _, i := range through {
		if i < 0 || i >= len(n.Peers) {
			return cli.Usagef("--through %d: the testnet's peers are 0 to %d", i, len(n.Peers)-1)
		}
	}
	var peers []local.Peer
	var clients []*api.Client
	for i, c := range n.clients {
		if slices.Contains(through, i) {
			peers, clients = append(peers, n.Peers[i]), append(clients, c)
		} else {
			c.Close()
		}
	}
	n.Peers, n.clients = peers, clients
	return nil
}

func (n *network) offer(ctx context.Context, load traffic.Load, patience time.Duration) (res traffic.Result, err error) {
	status, err := n.anyStatus(ctx)
	if err != nil {
		return res, err
	}
	if load.Genesis, err = block.ParseID(status.GenesisId); err != nil {
		return res, err
	}
	if longest := int(status.Limits.GetMaxTxBytes()) - block.TxOverhead; load.Size > longest {
		return res, cli.Usagef("--size is %d: the network takes payloads of at most %d bytes", load.Size, longest)
	}
	sender, finish, err := n.sender(patience)
	if err != nil {
		return res, err
	}
	load.Sender = sender
	following, stop := context.WithCancel(ctx)
	defer stop()
	load.Expiry = sender.Follow(following, status)
	bar := cli.NewProgress("offering")
	load.Progress = func(offered, total int) { bar.Update(offered, total, "transactions") }
	res, err = load.Run(ctx)
	bar.End()
	return res, errors.Join(err, finish())
}

func loadTable(w io.Writer, r traffic.Result) {
	fmt.Fprintf(w, "offered\t%d\naccepted\t%d\nrefused\t%d\nnever answered\t%d\n", r.Offered, r.Accepted, r.Refused, r.Failed)
	fmt.Fprintf(w, "retried requests\t%d\noffered late\t%d\n", r.Retried, r.Late)
	fmt.Fprintf(w, "time\t%.1f s\nrate\t%.1f accepted/s\n", r.Seconds, r.Rate)
	after := "–"
	if r.Failed < r.Offered {
		after = fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, max %.1f ms", r.P50, r.P95, r.Max)
	}
	fmt.Fprintf(w, "acknowledged after\t%s\n", after)
}
