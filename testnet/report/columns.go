package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Column is a column of a table: its heading, and what stands in it of a row. All tables
// of blocks and of runs are lists of columns.
type Column[T any] struct {
	Head string
	Cell func(row T) string
}

// WriteAligned writes a table for people, its columns aligned at the right.
func WriteAligned[T any](w io.Writer, columns []Column[T], rows []T) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, cells := range table(columns, rows) {
		fmt.Fprintln(tab, strings.Join(cells, "\t")+"\t")
	}
	return tab.Flush()
}

// WriteMarkdown writes a table as Markdown, the first so many columns aligned at the left.
func WriteMarkdown[T any](w io.Writer, columns []Column[T], left int, rows []T) error {
	lines := table(columns, rows)
	rule := make([]string, len(columns))
	for i := range rule {
		if rule[i] = "---:"; i < left {
			rule[i] = "---"
		}
	}
	for _, cells := range append([][]string{lines[0], rule}, lines[1:]...) {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// table returns the cells, row by row, the headings first.
func table[T any](columns []Column[T], rows []T) [][]string {
	lines := make([][]string, 1+len(rows))
	for _, c := range columns {
		lines[0] = append(lines[0], c.Head)
		for i, row := range rows {
			lines[1+i] = append(lines[1+i], c.Cell(row))
		}
	}
	return lines
}
