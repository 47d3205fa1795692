package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grapevine/api"
	"grapevine/cmd/internal/cli"
	"grapevine/ledger"
	"grapevine/node"
)

func ledgerCommand() *cobra.Command {
	return cli.Group("ledger", "Look after a ledger", "  peer ledger verify --home alice", ledgerVerifyCommand())
}

func ledgerVerifyCommand() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "verify --home DIR | --api ADDR",
		Short: "Check a whole ledger again, and what else is in a home",
		Long: `Check a whole home again: the ledger, with every hash, signature and parent, every
index entry, and that nothing else is stored; and whether configuration, genesis,
identity, orderer's lock, journal, proof against the orderer and incarnation can be
read and fit each other. It says what it looked at, and names what is wrong, with exit
code 6. What a crash left is no fault: it says what the next start will do about it.
It changes nothing itself. The node must not run.

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
	OK       bool      `json:"ok"`
	Height   uint64    `json:"height"` // up to which all is well
	TipID    string    `json:"tip_id"`
	Blocks   uint64    `json:"blocks"`
	Txs      uint64    `json:"txs"`
	Bytes    uint64    `json:"bytes"`
	Recovery string    `json:"recovery"` // what opening will repair; empty: nothing
	Checked  []checked `json:"checked"`  // what was looked at in a home
	Fault    string    `json:"fault"`    // what is wrong
}

// checked is a thing in a home that was looked at.
type checked struct {
	What  string `json:"what"`
	Found string `json:"found"`
	Fault string `json:"fault"`
}

func verifiedTable(w io.Writer, r verified) {
	fmt.Fprintf(w, "height\t%d\ntip\t%s\nblocks\t%d\ntransactions\t%d\nbytes\t%d\n", r.Height, r.TipID, r.Blocks, r.Txs, r.Bytes)
	for _, c := range r.Checked {
		if c.Fault != "" {
			c.Found = "WRONG"
		}
		fmt.Fprintf(w, "%s\t%s\n", c.What, c.Found)
	}
	verdict := "all is well"
	if !r.OK {
		verdict = "the ledger is good up to this height; wrong: " + r.Fault
	}
	fmt.Fprintf(w, "verdict\t%s\n", verdict)
}

func verifyHome(home string, progress func(height, tip uint64)) (verified, error) {
	s, flags := defaultSettings(), pflag.NewFlagSet("", pflag.ContinueOnError)
	s.addFlags(flags)
	cfg, err := loadHome(home, s, func() error { return s.load(flags, filepath.Join(home, configFile)) })
	if err == nil {
		err = checkSettings(home, cfg)
	}
	if err != nil {
		return verified{}, err
	}
	v, err := node.Verify(cfg, progress)
	r := v.Ledger
	res := verified{
		OK: err == nil, Height: r.Tip.Height, TipID: r.Tip.ID.String(),
		Blocks: r.Blocks, Txs: r.Txs, Bytes: r.Bytes, Recovery: r.Recovery.String(),
	}
	for _, p := range v.Parts {
		c := checked{What: p.Name, Found: p.Found}
		if p.Err != nil {
			c.Fault = p.Err.Error()
		}
		res.Checked = append(res.Checked, c)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return res, cli.NotFound(err)
	case errors.Is(err, ledger.ErrHeld):
		return res, cli.Refused(fmt.Errorf("%w; ask the node itself with --api", err))
	case errors.Is(err, ledger.ErrWrongNetwork) || len(v.Parts) == 0:
		return res, err
	case err != nil:
		res.Fault = err.Error()
		err = cli.Wrong(err)
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
