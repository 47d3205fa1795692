package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// program is the one that the tests are of.
var program = clitest.Program{Name: "peer", Package: "."}

func TestMain(m *testing.M) { clitest.Main(m) }

// peer runs the peer program to its end.
func peer(t *testing.T, args ...string) clitest.Ran {
	t.Helper()
	return program.Run(t, args...)
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	if count := clitest.Helped(t, newRoot()); count != 21 {
		t.Errorf("%d commands: want the 21 that there are", count)
	}
	r := peer(t, "testnet", "load", "--help").Want(t, cli.ExitOK)
	if !strings.Contains(r.Out, "Examples:") {
		t.Errorf("--help without an example: %s", r.Out)
	}
}

func TestCommandsThatPrintDataDoSoAsJSON(t *testing.T) {
	silent := map[string]bool{"start": true, "testnet watch": true, "testnet kill": true, "testnet start": true}
	clitest.Leaves(newRoot(), func(words []string, c *cobra.Command) {
		name := strings.Join(words, " ")
		if has := c.Flags().Lookup("output") != nil; has == silent[name] {
			t.Errorf("peer %s: flag -o is there: %v", name, has)
		}
	})
}

func TestWrongUsage(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, args := range [][]string{
		{"nonsense"}, {"status", "--nonsense"}, {"status", "extra"}, {"status", "-o", "xml"},
		{"tx"}, {"tx", "submit", "a", "b"}, {"tx", "get"}, {"tx", "get", "abcd"}, {"tx", "get", "abcdefabc"}, {"block", "get", "abcd"}, {"tx", "get", id[:63] + "g"},
		{"block", "get", "0"}, {"block", "get", "-1"}, {"block", "get", "x"}, {"block", "get", id[:63] + "g"},
		{"start"}, {"init"}, {"start", "--home", "x", "--fanout", "many"}, {"start", "--home", "x", "--mode", "shout"},
		{"start", "--home", "x", "--new-chain", "--reset-lock"},
		{"ledger", "verify"}, {"ledger", "verify", "--home", "x", "--api", "y"},
		{"testnet"}, {"testnet", "up", "-n", "0"}, {"testnet", "up", "-n", "x"}, {"testnet", "kill", "one"}, {"testnet", "load", "--rate", "0"}, {"testnet", "load", "--rate", "0.1", "--duration", "1s"}, {"testnet", "load", "--size", "-1"},
	} {
		r := peer(t, args...).Want(t, cli.ExitUsage, "--help")
		if r.Out != "" && len(args) > 1 {
			t.Errorf("peer %q: standard output is %q", args, r.Out)
		}
	}
}

func TestUpSaysHowManyPeers(t *testing.T) {
	for _, n := range []string{"x", "0", "201"} {
		if r := peer(t, "testnet", "up", "-n", n).Want(t, cli.ExitUsage, "from 1 to 200"); strings.Contains(r.Err, "strconv") {
			t.Errorf("-n %s: standard error is\n%s", n, r.Err)
		}
	}
}

func TestExitCodesSayWhatIsNotFound(t *testing.T) {
	r := peer(t, "help", "exit-codes").Want(t, cli.ExitOK)
	if !strings.Contains(r.Out, "not found: ") || !strings.Contains(r.Out, "an input file") {
		t.Errorf("it says\n%s\nwant an input file among what is not found", r.Out)
	}
}

func TestNobodyThere(t *testing.T) {
	const nobody = "127.0.0.1:1"
	id := strings.Repeat("ab", 32)
	for _, args := range [][]string{
		{"status"}, {"members"}, {"tx", "submit", "hello"}, {"tx", "get", id}, {"block", "get", "1"}, {"block", "watch"}, {"ledger", "verify"},
	} {
		peer(t, append(args, "--api", nobody)...).Want(t, cli.ExitUnreachable, nobody, "peer start")
	}
	dir := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"status"}, {"submit", os.Args[0]}, {"load"}, {"watch"}, {"kill", "1"}, {"start", "1"}, {"report"}, {"check"}, {"down"},
	} {
		peer(t, append(append([]string{"testnet"}, args...), "--dir", dir)...).Want(t, cli.ExitNotFound, dir, "peer testnet up")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}

func TestVersion(t *testing.T) {
	if r := peer(t, "version").Want(t, cli.ExitOK); !strings.HasPrefix(r.Out, "peer "+cli.Version+", built with go") {
		t.Errorf("it printed %q", r.Out)
	}
	if r := peer(t, "version", "-o", "json").Want(t, cli.ExitOK); !strings.HasPrefix(r.Out, `{"program":"peer","version":"`+cli.Version+`"`) {
		t.Errorf("it printed %q", r.Out)
	}
}

// Shells complete commands, and the values of flags that have a few words to choose from.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := peer(t, "completion", shell).Want(t, cli.ExitOK); !strings.Contains(r.Out, "__complete") {
			t.Errorf("completion %s printed %d bytes", shell, len(r.Out))
		}
	}
	for _, c := range []struct{ line, want string }{
		{"testnet up --mode ", "push-pull push pull"},
		{"start --log-level ", "debug info warn error"},
		{"block get --txs ", "none ids full"},
		{"status -o ", "table json"},
		{"key ", "new"},
	} {
		r := peer(t, append([]string{"__complete"}, strings.Split(c.line, " ")...)...).Want(t, cli.ExitOK)
		var got []string
		for line := range strings.Lines(r.Out) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if !strings.HasPrefix(word, ":") {
				got = append(got, word)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q completes to %q, want %q", c.line, got, c.want)
		}
	}
}
