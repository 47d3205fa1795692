package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/api/codec"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/report"
)

// apiFlag gives the command the flag --api, whose default is in the environment.
func apiFlag(cmd *cobra.Command) *string {
	def := os.Getenv("GRAPEVINE_API")
	if def == "" {
		def = defaultAPI
	}
	return cmd.Flags().String("api", def, "address of the node's API (GRAPEVINE_API)")
}

// printMessage writes what a node answered: as the API's own JSON, or by table.
func printMessage(o *cli.Output, cmd *cobra.Command, m proto.Message, table func(w io.Writer)) error {
	if !o.IsJSON() {
		return o.Print(cmd, nil, table)
	}
	text, err := codec.Line(m)
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
	}
	return err
}

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--api ADDR]",
		Short: "How a node is doing",
		Example: `  peer status
  peer status --api 127.0.0.1:9710 -o json | jq .height`,
		Args: cobra.NoArgs,
	}
	addr, out := apiFlag(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client := api.Dial(*addr)
		defer client.Close()
		s, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		return printMessage(out, cmd, s, func(w io.Writer) { statusTable(w, s) })
	}
	return cmd
}

func statusTable(w io.Writer, s *apipb.GetStatusResponse) {
	ready := yesNo(s.Ready)
	if s.Reason != "" {
		ready += ": " + s.Reason
	}
	if s.Note != "" {
		ready += ", but " + s.Note
	}
	for _, row := range [][2]string{
		{"peer ID", s.PeerId},
		{"software", s.Software},
		{"network", fmt.Sprintf("%s (%s)", s.ChainId, s.GenesisId)},
		{"orderer", s.Orderer},
		{"ready", ready},
		{"height", fmt.Sprint(s.Height)},
		{"tip", s.TipId},
		{"tip time", s.TipTime},
		{"base", fmt.Sprint(s.Base)},
		{"neighbours", fmt.Sprint(s.Neighbours)},
		{"pool", fmt.Sprintf("%d transactions, %s", s.PoolTxs, report.Size(int(s.PoolBytes)))},
		{"mode", s.Mode},
		{"addresses", strings.Join(s.Addrs, "\n\t")},
		{"started", s.Started},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
}

func membersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "members [--api ADDR]",
		Short:   "The peers that a node knows of",
		Example: "  peer members\n  peer members -o json | jq '.members[].peer_id'",
		Args:    cobra.NoArgs,
	}
	addr, out := apiFlag(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client := api.Dial(*addr)
		defer client.Close()
		got, err := client.Members(cmd.Context())
		if err != nil {
			return err
		}
		return printMessage(out, cmd, got, func(w io.Writer) {
			fmt.Fprintln(w, "PEER ID\tSTATE\tNEIGHBOUR\tHEIGHT\tBASE\tSOFTWARE\tADDRESSES")
			for _, m := range got.Members {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", m.PeerId, stateOf(m), yesNo(m.Neighbour), m.Height, m.Base, m.Software, strings.Join(m.Addrs, " "))
			}
			printNote(w, got.Note)
		})
	}
	return cmd
}

// printNote writes what keeps transactions from being ordered, if anything does.
func printNote(w io.Writer, note string) {
	if note != "" {
		fmt.Fprintln(w, "note: "+note)
	}
}

// stateOf is a member's state for people: a connection outlasts its peer for half a minute.
func stateOf(m *apipb.Member) string {
	if m.Silent == 0 {
		return m.State
	}
	return fmt.Sprintf("%s, silent for %v", m.State, time.Duration(m.Silent).Truncate(time.Second))
}

// shortTime is a block's time for people, to the millisecond.
func shortTime(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		return rfc3339
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}
