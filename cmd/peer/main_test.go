package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// program builds the peer program, once, without the race detector even when the
// tests run under it: the tests start it some two hundred times.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "peer")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the peer program: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a directory that the end of all tests removes.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "peer-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// ran is what a command did.
type ran struct {
	args     []string
	code     int
	out, err string
}

// command prepares the peer program with these arguments.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// peer runs the peer program to its end.
func peer(t *testing.T, args ...string) ran {
	t.Helper()
	return run(t, command(t, args...))
}

func run(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	return begin(t, cmd)()
}

// begin starts a command; the function that it returns waits for its end.
func begin(t *testing.T, cmd *exec.Cmd) func() ran {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatalf("peer %q: %v", cmd.Args[1:], err)
	}
	return func() ran {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Errorf("peer %q: %v", cmd.Args[1:], err)
		}
		return ran{cmd.Args[1:], cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
}

// want checks the exit code, and that standard error says each of the texts.
func (r ran) want(t *testing.T, code int, says ...string) ran {
	t.Helper()
	if r.code != code {
		t.Fatalf("peer %q ended with %d, want %d\nstdout: %s\nstderr: %s", r.args, r.code, code, r.out, r.err)
	}
	for _, s := range says {
		if !strings.Contains(r.err, s) {
			t.Errorf("peer %q: standard error does not say %q:\n%s", r.args, s, r.err)
		}
	}
	return r
}

// leaves calls with every command that has no others below it, by its words.
func leaves(c *cobra.Command, words []string, with func(words []string, c *cobra.Command)) {
	if !c.HasAvailableSubCommands() && c.Runnable() {
		with(words, c)
	}
	for _, child := range c.Commands() {
		if child.Name() != "help" && child.Name() != "completion" {
			leaves(child, append(words[:len(words):len(words)], child.Name()), with)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	count := 0
	leaves(newRoot(), nil, func(words []string, c *cobra.Command) {
		count++
		if c.Example == "" || c.Short == "" {
			t.Errorf("peer %v: no example or no description", words)
		}
		if !strings.Contains(c.Example, "peer "+strings.Join(words, " ")) {
			t.Errorf("peer %v: the example does not show it: %s", words, c.Example)
		}
	})
	if count != 22 {
		t.Errorf("%d commands: want the 22 that there are", count)
	}
	r := peer(t, "testnet", "load", "--help").want(t, exitOK)
	if !strings.Contains(r.out, "Examples:") {
		t.Errorf("--help without an example: %s", r.out)
	}
}

func TestCommandsThatPrintDataDoSoAsJSON(t *testing.T) {
	silent := map[string]bool{"start": true, "testnet watch": true, "testnet kill": true, "testnet start": true}
	leaves(newRoot(), nil, func(words []string, c *cobra.Command) {
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
		{"tx"}, {"tx", "submit", "a", "b"}, {"tx", "get"}, {"tx", "get", "abcd"}, {"tx", "get", id[:63] + "g"},
		{"block", "get", "0"}, {"block", "get", "-1"}, {"block", "get", "x"}, {"block", "get", id[:63] + "g"},
		{"start"}, {"init"}, {"start", "--home", "x", "--fanout", "many"}, {"start", "--home", "x", "--mode", "shout"},
		{"start", "--home", "x", "--new-chain", "--reset-lock"},
		{"ledger", "verify"}, {"ledger", "verify", "--home", "x", "--api", "y"},
		{"testnet"}, {"testnet", "up", "-n", "0"}, {"testnet", "up", "-n", "x"}, {"testnet", "kill", "one"}, {"testnet", "load", "--rate", "0"}, {"testnet", "load", "--rate", "0.1", "--duration", "1s"}, {"testnet", "load", "--size", "-1"},
		{"sim"}, {"sim", "run", "--world", "moon"}, {"sim", "run", "--peers", "1"}, {"sim", "run", "--protocol", "none"}, {"sim", "list", "x"},
	} {
		r := peer(t, args...).want(t, exitUsage, "--help")
		if r.out != "" && len(args) > 1 {
			t.Errorf("peer %q: standard output is %q", args, r.out)
		}
	}
}

func TestUpSaysHowManyPeers(t *testing.T) {
	for _, n := range []string{"x", "0", "201"} {
		if r := peer(t, "testnet", "up", "-n", n).want(t, exitUsage, "from 1 to 200"); strings.Contains(r.err, "strconv") {
			t.Errorf("-n %s: standard error is\n%s", n, r.err)
		}
	}
}

func TestExitCodesSayWhatIsNotFound(t *testing.T) {
	r := peer(t, "help", "exit-codes").want(t, exitOK)
	if !strings.Contains(r.out, "not found: ") || !strings.Contains(r.out, "an input file") {
		t.Errorf("it says\n%s\nwant an input file among what is not found", r.out)
	}
}

func TestNobodyThere(t *testing.T) {
	const nobody = "127.0.0.1:1"
	id := strings.Repeat("ab", 32)
	for _, args := range [][]string{
		{"status"}, {"members"}, {"tx", "submit", "hello"}, {"tx", "get", id}, {"block", "get", "1"}, {"block", "watch"}, {"ledger", "verify"},
	} {
		peer(t, append(args, "--api", nobody)...).want(t, exitUnreachable, nobody, "peer start")
	}
	dir := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"status"}, {"submit", os.Args[0]}, {"load"}, {"watch"}, {"kill", "1"}, {"start", "1"}, {"report"}, {"check"}, {"down"},
	} {
		peer(t, append(append([]string{"testnet"}, args...), "--dir", dir)...).want(t, exitNotFound, dir, "peer testnet up")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}
