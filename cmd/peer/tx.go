package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/traffic"
)

func txCommand() *cobra.Command {
	return cli.Group("tx", "Submit transactions and look them up",
		"  peer tx submit 'hello, world' --wait\n  peer tx get 6f0c…", txSubmitCommand(), txGetCommand())
}

// submission is the flags of peer tx submit.
type submission struct {
	at            *target
	file, keyPath *string
	wait          *bool
	timeout       *time.Duration
	out           *cli.Output
}

func txSubmitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit [PAYLOAD | --file FILE | -]",
		Short: "Sign transactions and submit them to a node",
		Long: `Sign transactions and submit them to a node.

The payload is the argument, or each line of the file, or with - each line of the
standard input. Empty lines are passed over. The key that signs is made when its
file is not there. Each transaction gets a random nonce, so the same payload twice
is two transactions, and expires after nine tenths of the network's longest lifetime.

It ends when the node has answered for all of them, with --wait when all of them
stand in blocks. Refused transactions are listed, and the exit code is then 5.`,
		Example: `  peer tx submit 'hello, world'
  peer tx submit --file go.sum --wait
  peer tx submit 'hello, testnet' --wait --dir .testnet --peer 3
  seq 100 | peer tx submit - --key alice.key -o json | jq -r .txs[].id`,
		Args: cobra.MaximumNArgs(1),
	}
	s := submission{
		at:      targetFlags(cmd),
		file:    cmd.Flags().String("file", "", "file with a payload on each line"),
		keyPath: keyFlag(cmd),
		wait:    cmd.Flags().Bool("wait", false, "wait until all stand in blocks"),
		timeout: cmd.Flags().Duration("timeout", time.Minute, "how long to wait with --wait"),
		out:     cli.OutputFlag(cmd),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) }
	return cmd
}

func keyFlag(cmd *cobra.Command) *string {
	def := os.Getenv("GRAPEVINE_KEY")
	if def == "" {
		def = "client.key"
	}
	return cmd.Flags().String("key", def, "key file that signs, made on first use (GRAPEVINE_KEY)")
}

// submitted is what peer tx submit prints.
type submitted struct {
	Accepted  int           `json:"accepted"`
	Duplicate int           `json:"duplicate"`
	Refused   int           `json:"refused"`
	Txs       []submittedTx `json:"txs"`
	Note      string        `json:"note,omitempty"` // what keeps transactions from being ordered
}

type submittedTx struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	Height uint64 `json:"height,omitempty"` // with --wait
}

func (s submission) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	client, err := s.at.dial()
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	payloads, err := s.payloads(cmd, args, int(status.Limits.GetMaxTxBytes())-block.TxOverhead)
	if err != nil {
		return err
	}
	key, err := sig.LoadOrCreateKey(*s.keyPath)
	if err != nil {
		return err
	}
	signer, err := signerFor(key, status)
	if err != nil {
		return err
	}
	res, err := s.submit(ctx, client, signer, payloads)
	if err == nil {
		if later, err := client.Status(ctx); err == nil {
			res.Note = later.Note
		}
		if *s.wait {
			printNote(cmd.ErrOrStderr(), res.Note)
			if err = s.await(ctx, client, res); err == nil {
				res.Note = "" // it did not last
			}
		}
	}
	if res != nil {
		err = errors.Join(err, s.print(cmd, res))
	}
	return err
}

// signerFor makes a signer for the network that the node belongs to.
func signerFor(key sig.Key, s *apipb.GetStatusResponse) (traffic.Signer, error) {
	genesisID, err := block.ParseID(s.GenesisId)
	if err != nil {
		return traffic.Signer{}, fmt.Errorf("the node's genesis: %w", err)
	}
	return traffic.Signer{Key: key, Genesis: genesisID, Expiry: traffic.Expiry(s.Height, s.Limits.GetMaxLifetime())}, nil
}

func (s submission) payloads(cmd *cobra.Command, args []string, longest int) ([][]byte, error) {
	switch {
	case *s.file != "" && len(args) > 0:
		return nil, cli.Usagef("both --file %s and the payload %q: give one", *s.file, args[0])
	case *s.file != "":
		return linesOf(*s.file, longest)
	case len(args) == 0:
		return nil, cli.Usagef("no payload: give one, or --file FILE, or - for the standard input")
	case args[0] == "-":
		return traffic.Lines(cmd.InOrStdin(), longest)
	case len(args[0]) > longest:
		return nil, cli.Refused(fmt.Errorf("the payload has %d bytes: the network takes at most %d", len(args[0]), longest))
	}
	return [][]byte{[]byte(args[0])}, nil
}

func linesOf(path string, longest int) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.NotFound(fmt.Errorf("reading payloads: %w", err))
	}
	if err != nil {
		return nil, fmt.Errorf("reading payloads: %w", err)
	}
	defer f.Close()
	lines, err := traffic.Lines(f, longest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lines, nil
}

// submitBatch is how many transactions are signed and submitted at a time: some
// milliseconds of signing.
const submitBatch = 1000

func (s submission) submit(ctx context.Context, client *api.Client, signer traffic.Signer, payloads [][]byte) (*submitted, error) {
	bar := cli.NewProgress("submitting")
	defer bar.End()
	res := &submitted{Txs: make([]submittedTx, 0, len(payloads))}
	for total := len(payloads); len(payloads) > 0; {
		n := min(submitBatch, len(payloads))
		txs := make([]*block.Tx, n)
		for i, p := range payloads[:n] {
			txs[i] = signer.Sign(p)
		}
		verdicts, err := client.Submit(ctx, txs...)
		if err != nil {
			return nil, fmt.Errorf("after %d of %d transactions: %w", len(res.Txs), total, err)
		}
		for i, v := range verdicts {
			res.add(txs[i], v)
		}
		payloads = payloads[n:]
		bar.Update(len(res.Txs), total, "")
	}
	return res, nil
}

func (r *submitted) add(t *block.Tx, v *apipb.TxVerdict) {
	r.Txs = append(r.Txs, submittedTx{ID: t.ID().String(), Status: v.Status, Reason: v.Reason})
	switch v.Status {
	case api.StatusAccepted:
		r.Accepted++
	case api.StatusDuplicate, api.StatusCommitted:
		r.Duplicate++
	default:
		r.Refused++
	}
}

// awaitEvery is how often a transaction that is waited for is asked after.
const awaitEvery = 50 * time.Millisecond

// await waits until every transaction that was not refused stands in a block.
func (s submission) await(ctx context.Context, client *api.Client, res *submitted) error {
	ctx, cancel := context.WithTimeout(ctx, *s.timeout)
	defer cancel()
	bar := cli.NewProgress("waiting for blocks")
	defer bar.End()
	for i := range res.Txs {
		t := &res.Txs[i]
		if t.Status == api.StatusRefused {
			continue
		}
		if err := awaitTx(ctx, client, t); err != nil {
			return fmt.Errorf("waiting for %d of %d transactions: %w", len(res.Txs)-i, len(res.Txs), err)
		}
		bar.Update(i+1, len(res.Txs), "")
	}
	return nil
}

func awaitTx(ctx context.Context, client *api.Client, t *submittedTx) error {
	id, err := block.ParseID(t.ID)
	if err != nil {
		return err
	}
	for {
		got, err := client.Tx(ctx, id)
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if got.Status == api.StatusCommitted {
			t.Status, t.Height = got.Status, got.Height
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is %s: %w", t.ID, got.Status, context.Cause(ctx))
		case <-time.After(awaitEvery):
		}
	}
}

func (s submission) print(cmd *cobra.Command, res *submitted) error {
	err := s.out.Print(cmd, res, func(w io.Writer) {
		for _, t := range res.Txs {
			if t.Status == api.StatusRefused || len(res.Txs) == 1 || *s.wait {
				fmt.Fprintf(w, "%s\t%s\n", t.ID, t.where())
			}
		}
		fmt.Fprintf(w, "%d accepted, %d known already, %d refused\n", res.Accepted, res.Duplicate, res.Refused)
		printNote(w, res.Note)
	})
	if err == nil && res.Refused > 0 {
		err = cli.Refused(fmt.Errorf("%d of %d transactions were refused", res.Refused, len(res.Txs)))
	}
	return err
}

// where says where a transaction stands, in a few words.
func (t submittedTx) where() string {
	switch {
	case t.Height > 0:
		return fmt.Sprintf("block %d", t.Height)
	case t.Reason != "":
		return t.Status + ": " + t.Reason
	}
	return t.Status
}

func txGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "A transaction, and where it stands",
		Long: `A transaction, and where it stands. Of one that stands in a block, the first 8 digits
of its ID or more will do, if no other begins with them.`,
		Example: `  peer tx get 6f0c…
  peer tx get 6f0c… -o json | jq -r .tx.payload | base64 -d`,
		Args: cobra.ExactArgs(1),
	}
	at, out := targetFlags(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := block.ParsePrefix(args[0]); err != nil {
			return cli.Usage(err)
		}
		client, err := at.dial()
		if err != nil {
			return err
		}
		defer client.Close()
		t, err := client.FindTx(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if t.Status == api.StatusUnknown {
			return cli.NotFound(fmt.Errorf("transaction %s is neither in the chain nor in the pool of the node at %s", args[0], *at.addr))
		}
		return printMessage(out, cmd, t, func(w io.Writer) { txTable(w, t) })
	}
	return cmd
}

func txTable(w io.Writer, t *apipb.GetTxResponse) {
	where := t.Status
	if t.Status == api.StatusCommitted {
		where = fmt.Sprintf("committed in block %d, at %d", t.Height, t.Index)
	}
	fmt.Fprintf(w, "ID\t%s\nstatus\t%s\nsender\t%s\nnonce\t%d\nexpiry\theight %d\npayload\t%s\n",
		t.Id, where, t.Tx.GetSender(), t.Tx.GetNonce(), t.Tx.GetExpiry(), payloadText(t.Tx.GetPayload()))
}
