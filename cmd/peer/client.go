package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"grapevine/api/apipb"
	"grapevine/api/codec"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/report"
)

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
		Use:   "status",
		Short: "How a node is doing",
		Example: `  peer status
  peer status --dir .testnet --peer 3
  peer status --api 127.0.0.1:9710 -o json | jq .height`,
		Args: cobra.NoArgs,
	}
	at, out := targetFlags(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := at.dial()
		if err != nil {
			return err
		}
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
		{"network", s.ChainId},
		{"genesis", s.GenesisId},
		{"orderer", s.Orderer},
		{"ready", ready},
		{"height", fmt.Sprint(s.Height)},
		{"tip", s.TipId},
		{"tip time", s.TipTime},
		{"base", fmt.Sprint(s.Base)},
		{"neighbours", fmt.Sprint(s.Neighbours)},
		{"pool", fmt.Sprintf("%d transactions, %s", s.PoolTxs, report.Size(int(s.PoolBytes)))},
		{"mode", s.Mode},
		{"addresses", addressText(s.Addrs)},
		{"started", s.Started},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
}

// addressText lists addresses a line each, without what is the same in all of them, and is
// too long for a line.
func addressText(addrs []string) string {
	var b strings.Builder
	for _, a := range addrs {
		at, _, _ := strings.Cut(a, "/p2p/")
		b.WriteString(at + "\n\t")
	}
	return b.String() + "(for --bootstrap, each with /p2p/ and the peer ID behind it)"
}

func membersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "members",
		Short:   "The peers that a node knows of",
		Example: "  peer members\n  peer members --peer 3          of the testnet in .testnet\n  peer members -o json | jq '.members[].peer_id'",
		Args:    cobra.NoArgs,
	}
	at, out := targetFlags(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := at.dial()
		if err != nil {
			return err
		}
		defer client.Close()
		got, err := client.Members(cmd.Context())
		if err != nil {
			return err
		}
		if out.IsJSON() {
			return printMessage(out, cmd, got, nil)
		}
		if err := report.WriteAligned(cmd.OutOrStdout(), cli.Width(os.Stdout), memberColumns, got.Members); err != nil {
			return err
		}
		printNote(cmd.OutOrStdout(), got.Note)
		return nil
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
	return fmt.Sprintf("%s, silent %v", m.State, time.Duration(m.Silent).Truncate(time.Second))
}

// memberColumns are those of peer members.
var memberColumns = []report.Column[*apipb.Member]{
	{Head: "PEER ID", Left: true, Cell: func(m *apipb.Member) string { return m.PeerId }},
	{Head: "STATE", Left: true, Cell: func(m *apipb.Member) string { return stateOf(m) }},
	{Head: "NEIGHBOUR", Left: true, Spare: 1, Cell: func(m *apipb.Member) string { return yesNo(m.Neighbour) }},
	{Head: "HEIGHT", Left: true, Cell: func(m *apipb.Member) string { return fmt.Sprint(m.Height) }},
	{Head: "BASE", Left: true, Spare: 3, Cell: func(m *apipb.Member) string { return fmt.Sprint(m.Base) }},
	{Head: "SOFTWARE", Left: true, Spare: 2, Cell: func(m *apipb.Member) string { return m.Software }},
	{Head: "ADDRESSES", Left: true, Spare: 4, Cell: func(m *apipb.Member) string { return strings.Join(m.Addrs, " ") }},
}

// shortTime is a block's time for people, to the millisecond.
func shortTime(rfc3339 string) string {
	t, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		return rfc3339
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}
