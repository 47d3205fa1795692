package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Output is where a command's data goes, and in which form.
type Output struct{ form string }

// OutputFlag gives the command the flag -o.
func OutputFlag(cmd *cobra.Command) *Output {
	o := &Output{form: "table"}
	cmd.Flags().VarP(Text(&o.form, "table", "json"), "output", "o", "form of the data: table or json")
	return o
}

// Print writes data as JSON, or calls table to write it for people.
func (o *Output) Print(cmd *cobra.Command, data any, table func(w io.Writer)) error {
	w := cmd.OutOrStdout()
	if o.IsJSON() {
		return o.json(w, data)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(tab)
	return tab.Flush()
}

// IsJSON says that the data is wanted as JSON.
func (o *Output) IsJSON() bool { return o.form == "json" }

// json writes data on a line of its own.
func (o *Output) json(w io.Writer, data any) error {
	text, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	return err
}

// Write is Print for what is laid out already.
func (o *Output) Write(cmd *cobra.Command, data any, text func(w io.Writer) error) error {
	if o.IsJSON() {
		return o.json(cmd.OutOrStdout(), data)
	}
	return text(cmd.OutOrStdout())
}

// Terminal says whether f is one.
func Terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Width returns how many characters a line of the terminal f has, 0 if f is none.
func Width(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Paint returns a function that colours text by an ANSI code, or leaves it alone
// when f is no terminal or the user wants no colours (no-color.org).
func Paint(f *os.File) func(code, text string) string {
	if !Terminal(f) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[0m" }
}
