package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/report"
)

func blockCommand() *cobra.Command {
	return cli.Group("block", "Look at blocks of the chain", "  peer block get 1\n  peer block watch", blockGetCommand(), blockWatchCommand())
}

func blockGetCommand() *cobra.Command {
	var txs string
	cmd := &cobra.Command{
		Use:   "get [HEIGHT | ID | tip]",
		Short: "A block by its height or ID; the last one for tip, or when none is named",
		Long: `A block by its height or its ID, of which the first 8 digits will do, as they are shown,
if no other begins with them; the last one for tip, or when none is named.`,
		Example: `  peer block get tip
  peer block get 72bff0a4
  peer block get 12
  peer block get --txs full -o json 12 | jq -r '.body.transactions[].payload' | base64 -d`,
		Args: cobra.MaximumNArgs(1),
	}
	at, out := targetFlags(cmd), cli.OutputFlag(cmd)
	txsFlag(cmd, &txs, api.TxsIDs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req := &apipb.GetBlockRequest{Txs: txs}
		if len(args) > 0 {
			if err := nameBlock(req, args[0]); err != nil {
				return err
			}
		}
		client, err := at.dial()
		if err != nil {
			return err
		}
		defer client.Close()
		b, err := client.Block(cmd.Context(), req)
		if api.NotFound(err) && req.Height > 0 && len(args[0]) == block.ShortDigits { // an ID's digits may all be decimal
			if byID, idErr := client.Block(cmd.Context(), &apipb.GetBlockRequest{Id: args[0], Txs: txs}); idErr == nil {
				b, err = byID, nil
			}
		}
		if err != nil {
			return err
		}
		return printMessage(out, cmd, b, func(w io.Writer) { blockTable(w, b) })
	}
	return cmd
}

func txsFlag(cmd *cobra.Command, txs *string, def string) {
	*txs = def
	cmd.Flags().Var(cli.Text(txs, api.TxsNone, api.TxsIDs, api.TxsFull), "txs", "how much of its transactions: none, ids or full")
}

// nameBlock reads a height, an ID or the word for the last block, which is what a request
// that names none is for.
func nameBlock(req *apipb.GetBlockRequest, arg string) error {
	if arg == "tip" {
		return nil
	}
	height, err := strconv.ParseUint(arg, 10, 64)
	if err == nil && height > 0 && height <= block.MaxHeight && len(arg) < 2*len(block.ID{}) {
		req.Height = height
		return nil
	}
	if _, err := block.ParsePrefix(arg); err != nil {
		return cli.Usagef("block %q: want a height from 1, an ID of 64 hexadecimal digits or the first 8 of them, or tip", arg)
	}
	req.Id = arg
	return nil
}

func blockTable(w io.Writer, b *apipb.Block) {
	h := b.Header
	fmt.Fprintf(w, "height\t%d\nID\t%s\nparent\t%s\ntime\t%s\ntransactions\t%d\nbody\t%s\ntx root\t%s\nproducer\t%s\n",
		h.Height, h.Id, h.Parent, h.Time, h.Txs, report.Size(int(h.Bytes)), h.TxRoot, h.Producer)
	if b.Fact != nil {
		fmt.Fprintf(w, "arrived\t%s\n", factText(b.Fact))
		if b.Fact.From != "" {
			fmt.Fprintf(w, "from\t%s\n", b.Fact.From)
		}
	}
	for i, id := range b.Body.GetTxIds() {
		fmt.Fprintf(w, "tx %d\t%s\n", i, id)
	}
	for i, t := range b.Body.GetTransactions() {
		fmt.Fprintf(w, "tx %d\t%s  %s\n", i, t.Id, payloadText(t.Payload))
	}
}

// factText says how a block came to the node, but not from whom.
func factText(f *apipb.Fact) string {
	text := fmt.Sprintf("via %s after %s", f.Via, time.Duration(f.Latency).Round(10*time.Microsecond))
	if f.From != "" {
		text += fmt.Sprintf(", hop %d", f.Hop)
	}
	return text + fmt.Sprintf(", %d fetched, %.2f duplicates", f.Missing, f.Duplicates)
}

// payloadText shows a payload on one line of a terminal, whatever is in it.
func payloadText(p []byte) string {
	const most = 60 // with a label before it, it fits a line of 80
	if len(p) > most {
		return fmt.Sprintf("%q… (%d bytes)", p[:most], len(p))
	}
	return fmt.Sprintf("%q", p)
}

func blockWatchCommand() *cobra.Command {
	var from uint64
	var count int
	var txs string
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Every block as the node accepts it, until interrupted",
		Example: `  peer block watch
  peer block watch --from 1 --count 10 -o json | jq .header.height`,
		Args: cobra.NoArgs,
	}
	at, out := targetFlags(cmd), cli.OutputFlag(cmd)
	cmd.Flags().Uint64Var(&from, "from", 0, "height to begin at; 0: the next block")
	cmd.Flags().IntVar(&count, "count", 0, "end after so many blocks; 0: go on")
	txsFlag(cmd, &txs, api.TxsNone)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := at.dial()
		if err != nil {
			return err
		}
		defer client.Close()
		ctx := cmd.Context()
		for b, err := range client.Watch(ctx, &apipb.WatchBlocksRequest{From: from, Txs: txs}) {
			if ctx.Err() != nil {
				return nil // interrupted: that is how it ends
			}
			if err != nil {
				return err
			}
			if err := printMessage(out, cmd, b, func(w io.Writer) { blockLine(w, b) }); err != nil {
				return err
			}
			if count--; count == 0 {
				return nil
			}
		}
		return nil
	}
	return cmd
}

func blockLine(w io.Writer, b *apipb.Block) {
	h := b.Header
	fmt.Fprintf(w, "%s  block %d  %.8s  %s  %s", shortTime(h.Time), h.Height, h.Id, report.Count(int(h.Txs), "tx"), report.Size(int(h.Bytes)))
	if b.Fact != nil {
		fmt.Fprintf(w, "  %s", b.Fact.Via)
	}
	fmt.Fprintln(w)
	for _, id := range b.Body.GetTxIds() {
		fmt.Fprintf(w, "    %s\n", id)
	}
	for _, t := range b.Body.GetTransactions() {
		fmt.Fprintf(w, "    %s  %s\n", t.Id, payloadText(t.Payload))
	}
}
