package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"grapevine/cmd/lab/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Play the comparisons that the documents show, and hold them against the committed ones",
		Long: `Play every comparison that the documents show, print its tables as Markdown, and name
on standard error each figure that differs from the committed results by more than its
margin: in the event world nothing while its code is the same, else 10 %; in the packet
world, which does not repeat, 30 %; for the largest latency twice that. The exit code is
1 if there is one. It is to be run in the source's directory.`,
		Example: `  lab bench --quick
  lab bench --update && git diff testnet/bench
  lab bench --tables`,
		Args: cobra.NoArgs,
	}
	var o bench.Options
	cmd.Flags().StringVar(&o.File, "file", "testnet/bench/results.json", "the committed results")
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "the event world alone")
	cmd.Flags().BoolVar(&o.Update, "update", false, "write the results, and draw the picture, instead of failing")
	cmd.Flags().BoolVar(&o.Tables, "tables", false, "print the tables of the committed results, and run nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Lab, err = os.Executable(); err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		return bench.Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}
