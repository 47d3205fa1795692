package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Version is the software's, as --version and other peers show it.
const Version = "0.1.0"

// Root makes a program of a command: with the version, and help on the exit codes.
func Root(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.Version = Version
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.AddCommand(children...)
	cmd.AddCommand(versionCommand(cmd.Name()))
	cmd.AddCommand(&cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitHelp})
	completeValues(cmd)
	fitHelp(cmd)
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", helpWidth)))
	return cmd
}

// helpWidth is how many characters a line of help has at most: what every terminal has.
const helpWidth = 80

// fitHelp breaks the lines of this command's help, and of those below it, anew.
func fitHelp(cmd *cobra.Command) {
	cmd.Long = Wrap(cmd.Long, "")
	for _, c := range cmd.Commands() {
		fitHelp(c)
	}
}

// Wrap breaks the lines of a text anew, so that with the indent before each none is longer
// than help may be. Lines that begin with a space stay as they are, and so do lines of one
// word.
func Wrap(text, indent string) string {
	var b strings.Builder
	at := 0 // in the line that is being written; 0: at its beginning
	end := func() {
		if at > 0 {
			b.WriteByte('\n')
		}
		at = 0
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, " ") || strings.TrimSpace(line) == "" {
			end()
			b.WriteString(line)
			continue
		}
		for word := range strings.FieldsSeq(line) {
			size := utf8.RuneCountInString(word)
			if at > 0 && at+1+size > helpWidth {
				end()
			}
			if at == 0 {
				b.WriteString(indent + word)
				at = len(indent) + size
				continue
			}
			b.WriteString(" " + word)
			at += 1 + size
		}
	}
	if at > 0 && strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
	return b.String()
}

// version is what the command of that name prints.
type version struct {
	Program  string `json:"program"`
	Version  string `json:"version"`
	Go       string `json:"go"`
	Revision string `json:"revision"` // of the source; empty if the build does not know it
	Changed  bool   `json:"changed"`  // the source differed from that revision
}

func versionCommand(program string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Which software this is", Args: cobra.NoArgs,
		Example: fmt.Sprintf("  %s version\n  %s version -o json", program, program),
	}
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := version{Program: program, Version: Version, Go: runtime.Version()}
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, s := range info.Settings {
				switch s.Key {
				case "vcs.revision":
					v.Revision = s.Value
				case "vcs.modified":
					v.Changed = s.Value == "true"
				}
			}
		}
		return out.Print(cmd, v, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s, built with %s", v.Program, v.Version, v.Go)
			if v.Revision != "" {
				fmt.Fprintf(w, " from %.12s", v.Revision)
			}
			if v.Changed {
				fmt.Fprint(w, " and changes")
			}
			fmt.Fprintln(w)
		})
	}
	return cmd
}

// completeValues has shells complete the values of flags that have a few words to choose
// from, below this command too.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if v, ok := f.Value.(interface{ Words() []string }); ok && len(v.Words()) > 0 {
			cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(v.Words(), cobra.ShellCompDirectiveNoFileComp))
		}
	})
	for _, c := range cmd.Commands() {
		completeValues(c)
	}
}

// Main runs the program with the process's arguments, and ends the process.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, root, os.Args[1:]))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	begun := false // cobra's own errors, all of them about usage, come before
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		begun = true
		return nil
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitCode(err)
	if !begun {
		code = ExitUsage
	}
	if !errors.Is(err, ErrSaid) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	if code == ExitUsage {
		fmt.Fprintf(os.Stderr, "See %s --help.\n", cmd.CommandPath())
	}
	return code
}

// Group makes a command that only holds others.
func Group(use, short, example string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Help()
			return Usagef("name one of its commands")
		},
	}
	c.AddCommand(children...)
	return c
}

// ShellQuoted writes a word so that a shell reads it as one.
func ShellQuoted(word string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_./=:,+@%", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
