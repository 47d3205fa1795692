package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output is where a command's data goes, and in which form.
type output struct{ form string }

// outputFlag gives the command the flag -o.
func outputFlag(cmd *cobra.Command) *output {
	o := &output{form: "table"}
	cmd.Flags().VarP(textValue{&o.form, []string{"table", "json"}}, "output", "o", "form of the data: table or json")
	return o
}

// print writes data as JSON, or calls table to write it for people.
func (o *output) print(cmd *cobra.Command, data any, table func(w io.Writer)) error {
	w := cmd.OutOrStdout()
	if o.form == "json" {
		return o.json(w, data)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(tab)
	return tab.Flush()
}

func (o *output) isJSON() bool { return o.form == "json" }

// json writes data on a line of its own.
func (o *output) json(w io.Writer, data any) error {
	text, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	return err
}

// terminal says whether f is one.
func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// paint returns a function that colours text by an ANSI code, or leaves it alone
// when f is no terminal or the user wants no colours (no-color.org).
func paint(f *os.File) func(code, text string) string {
	if !terminal(f) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_, text string) string { return text }
	}
	return func(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[0m" }
}
