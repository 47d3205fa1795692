package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Column is a column of a table: its heading, and what stands in it of a row. All tables
// of blocks and of runs are lists of columns.
type Column[T any] struct {
	Head string
	Cell func(row T) string
	Left bool // aligned at the left, not at the right
	// Spare says which columns are left out where there is no room: those with the
	// highest number first, and those with 0 never.
	Spare int
}

// gap is what stands between two columns.
const gap = "  "

// WriteAligned writes a table for people, its columns aligned. In a width of so many
// characters, 0 for any, it leaves out spare columns until the rest fits, and says which.
func WriteAligned[T any](w io.Writer, width int, columns []Column[T], rows []T) error {
	shown, without := slices.Clone(columns), []string(nil)
	lines, widths := measured(shown, rows)
	for width > 0 && total(widths) > width {
		least := slices.MaxFunc(shown, func(a, b Column[T]) int { return cmp.Compare(a.Spare, b.Spare) })
		if least.Spare == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(c Column[T]) bool { return c.Spare == least.Spare })
		lines, widths = measured(shown, rows)
	}
	for _, c := range columns {
		if !slices.ContainsFunc(shown, func(s Column[T]) bool { return s.Head == c.Head }) {
			without = append(without, c.Head)
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		for i, c := range shown {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cells[i]))
			if c.Left {
				cells[i] += pad
			} else {
				cells[i] = pad + cells[i]
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, gap), " ") + "\n")
	}
	if len(without) > 0 {
		fmt.Fprintf(&b, "(in %d columns without %s)\n", width, strings.Join(without, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// measured returns a table's cells, and how wide its columns are.
func measured[T any](columns []Column[T], rows []T) (lines [][]string, widths []int) {
	lines, widths = table(columns, rows), make([]int, len(columns))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return lines, widths
}

// total is how wide a table is whose columns are so wide.
func total(widths []int) int {
	sum := -len(gap)
	for _, w := range widths {
		sum += w + len(gap)
	}
	return sum
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
