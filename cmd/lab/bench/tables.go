package bench

import (
	"fmt"
	"io"

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
		if err := report.WriteMarkdown(w, outcome.Columns, 2, rowsOf(title, of)); err != nil {
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
