package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/cmd/internal/cli"
	"grapevine/genesis"
	"grapevine/ledger"
)

func ledgerCommand() *cobra.Command {
	return cli.Group("ledger", "Look after a ledger", "  peer ledger verify --home alice", ledgerVerifyCommand())
}

func ledgerVerifyCommand() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "verify --home DIR | --api ADDR",
		Short: "Check a whole ledger again",
		Long: `Check a whole ledger again: every hash, signature and parent, every index entry, and
that nothing else is stored. It names the first thing wrong, with exit code 6, and
says what opening the ledger will repair after a crash; verify itself changes nothing.
The node must not run.

With --api a running node is asked for all of its blocks instead, and what it
answers is checked: every hash, signature and parent, and that it finds each block
by its ID. Its indexes of transactions are not.`,
		Example: `  peer ledger verify --home alice
  peer ledger verify --api 127.0.0.1:9700`,
		Args: cobra.NoArgs,
	}
	homeFlag(cmd, &home)
	addr, out := apiFlag(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("home") && cmd.Flags().Changed("api") {
			return cli.Usagef("both --home and --api: give the directory, or the running node")
		}
		bar := cli.NewProgress("verifying")
		report := func(height, tip uint64) { bar.Update(int(height), int(tip), "blocks") }
		var res verified
		var err error
		if cmd.Flags().Changed("api") {
			res, err = verifyServed(cmd.Context(), *addr, report)
		} else {
			res, err = verifyHome(home, report)
		}
		bar.End()
		if err == nil || res.Fault != "" {
			err = errors.Join(err, out.Print(cmd, res, func(w io.Writer) { verifiedTable(w, res) }))
		}
		return err
	}
	return cmd
}

// verified is what peer ledger verify prints.
type verified struct {
	OK       bool   `json:"ok"`
	Height   uint64 `json:"height"` // up to which all is well
	TipID    string `json:"tip_id"`
	Blocks   uint64 `json:"blocks"`
	Txs      uint64 `json:"txs"`
	Bytes    uint64 `json:"bytes"`
	Recovery string `json:"recovery"` // what opening will repair; empty: nothing
	Fault    string `json:"fault"`    // the first thing wrong
}

func verifiedTable(w io.Writer, r verified) {
	fmt.Fprintf(w, "height\t%d\ntip\t%s\nblocks\t%d\ntransactions\t%d\nbytes\t%d\n", r.Height, r.TipID, r.Blocks, r.Txs, r.Bytes)
	if r.Recovery != "" {
		fmt.Fprintf(w, "recovery\t%s\n", r.Recovery)
	}
	verdict := "all is well"
	if !r.OK {
		verdict = "damaged above this height: " + r.Fault
	}
	fmt.Fprintf(w, "verdict\t%s\n", verdict)
}

func verifyHome(home string, progress func(height, tip uint64)) (verified, error) {
	if err := checkHome(home); err != nil {
		return verified{}, err
	}
	if _, err := os.Stat(filepath.Join(home, genesisFile)); errors.Is(err, fs.ErrNotExist) {
		return verified{}, cli.NotFound(fmt.Errorf("%s is no peer's home, it has no %s", home, genesisFile))
	}
	g, err := genesis.Load(filepath.Join(home, genesisFile))
	if err != nil {
		return verified{}, err
	}
	r, err := ledger.Verify(filepath.Join(home, ledgerDir), g, progress)
	res := verified{
		OK: err == nil, Height: r.Tip.Height, TipID: r.Tip.ID.String(),
		Blocks: r.Blocks, Txs: r.Txs, Bytes: r.Bytes, Recovery: r.Recovery.String(),
	}
	switch {
	case errors.Is(err, ledger.ErrCorrupt):
		res.Fault = err.Error()
		return res, cli.Wrong(err)
	case errors.Is(err, fs.ErrNotExist):
		return res, cli.NotFound(err)
	case errors.Is(err, ledger.ErrHeld):
		return res, cli.Refused(fmt.Errorf("%w; ask the node itself with --api", err))
	}
	return res, err
}

func verifyServed(ctx context.Context, addr string, progress func(height, tip uint64)) (verified, error) {
	client := api.Dial(addr)
	defer client.Close()
	v := servedChain{client: client, progress: progress}
	err := v.run(ctx)
	var fault servedFault
	if errors.As(err, &fault) {
		v.res.Fault = err.Error()
		err = cli.Wrong(err)
	}
	v.res.OK = err == nil
	return v.res, err
}
