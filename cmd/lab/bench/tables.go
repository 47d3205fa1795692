package bench

import (
	"fmt"
	"io"
	"strconv"

	"grapevine/testnet/outcome"
	"grapevine/testnet/report"
)

// writeTables writes a Markdown table for each title, under the commands that make it.
func writeTables(w io.Writer, of []result) error {
	for _, title := range titles(of) {
		fmt.Fprintf(w, "\n**%s**\n\n", title)
		for _, r := range of {
			if r.Title == title {
				fmt.Fprintf(w, "    lab %s\n", r.commandLine())
			}
		}
		fmt.Fprintln(w)
		if err := report.WriteMarkdown(w, columns, 2, rowsOf(title, of)); err != nil {
			return err
		}
	}
	return nil
}

// rowsOf returns the rows of a table.
func rowsOf(title string, of []result) []outcome.Row {
	var rows []outcome.Row
	for _, r := range of {
		if r.Title == title {
			rows = append(rows, r.Rows...)
		}
	}
	return rows
}

var columns = []report.Column[outcome.Row]{
	{Head: "protocol", Cell: func(r outcome.Row) string { return r.Protocol }},
	{Head: "world", Cell: func(r outcome.Row) string { return r.World }},
	{Head: "peers", Cell: func(r outcome.Row) string { return strconv.Itoa(r.Peers) }},
	{Head: "by push", Cell: func(r outcome.Row) string { return r.Coverage.Down(3).Show("%.3f", 1) }},
	{Head: "p50", Cell: func(r outcome.Row) string { return seconds(r.P50) }},
	{Head: "p90", Cell: func(r outcome.Row) string { return seconds(r.P90) }},
	{Head: "p99", Cell: func(r outcome.Row) string { return seconds(r.P99) }},
	{Head: "max", Cell: func(r outcome.Row) string { return seconds(r.Max) }},
	{Head: "bytes per peer", Cell: func(r outcome.Row) string { return r.BytesPerPeer.Size() }},
	{Head: "per body byte", Cell: func(r outcome.Row) string { return r.Redundancy.Times() }},
	{Head: "duplicates", Cell: func(r outcome.Row) string { return r.Duplicates.Times() }},
	{Head: "hops", Cell: func(r outcome.Row) string { return r.HopMax.Count() }},
}

func seconds(millis outcome.Figure) string { return millis.Show("%.2f s", 1e-3) }
