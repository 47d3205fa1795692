// Package clitest is for tests that run a program as people do: it builds it once, starts
// it, and says what it printed and how it ended.
package clitest

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
	"time"

	"github.com/spf13/cobra"
)

// Program is one that is built when it is first needed, into a directory that Main
// removes. It is built without the race detector even when the tests run under it: they
// start it some two hundred times.
type Program struct {
	Name, Package string

	once sync.Once
	path string
	err  error
}

// scratch is where programs are built.
var scratch string

// Main is what a package's TestMain does.
func Main(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "cli-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// Path returns where the program is.
func (p *Program) Path(t *testing.T) string {
	t.Helper()
	p.once.Do(func() {
		p.path = filepath.Join(scratch, p.Name)
		if out, err := exec.Command("go", "build", "-o", p.path, p.Package).CombinedOutput(); err != nil {
			p.err = fmt.Errorf("building %s: %w\n%s", p.Package, err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

// Command prepares the program with these arguments.
func (p *Program) Command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), p.Path(t), args...)
}

// Run runs the program to its end.
func (p *Program) Run(t *testing.T, args ...string) Ran {
	t.Helper()
	return Run(t, p.Command(t, args...))
}

// Ran is what a command did.
type Ran struct {
	Args     []string // the program's name first
	Code     int
	Out, Err string
}

// Run runs a command to its end.
func Run(t *testing.T, cmd *exec.Cmd) Ran {
	t.Helper()
	return Begin(t, cmd)()
}

// Begin starts a command; the function that it returns waits for its end.
func Begin(t *testing.T, cmd *exec.Cmd) func() Ran {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	args := append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return func() Ran {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Errorf("%q: %v", args, err)
		}
		return Ran{args, cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
}

// Want checks the exit code, and that standard error says each of the texts.
func (r Ran) Want(t *testing.T, code int, says ...string) Ran {
	t.Helper()
	if r.Code != code {
		t.Fatalf("%q ended with %d, want %d\nstdout: %s\nstderr: %s", r.Args, r.Code, code, r.Out, r.Err)
	}
	for _, s := range says {
		if !strings.Contains(r.Err, s) {
			t.Errorf("%q: standard error does not say %q:\n%s", r.Args, s, r.Err)
		}
	}
	return r
}

// Leaves calls with every command that has no others below it, by its words.
func Leaves(c *cobra.Command, with func(words []string, c *cobra.Command)) { leaves(c, nil, with) }

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

// Helped checks that every command has help that shows it, and returns how many there are.
func Helped(t *testing.T, root *cobra.Command) int {
	t.Helper()
	count := 0
	Leaves(root, func(words []string, c *cobra.Command) {
		count++
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s %v: no example or no description", root.Name(), words)
		}
		if !strings.Contains(c.Example, root.Name()+" "+strings.Join(words, " ")) {
			t.Errorf("%s %v: the example does not show it: %s", root.Name(), words, c.Example)
		}
	})
	return count
}

// Eventually waits until something is so.
func Eventually(t *testing.T, so func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf(format, args...)
		}
	}
}

// Gone fails the test when one of the processes still runs.
func Gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %d is left: %s", pid, stat)
		}
	}
}

// Temporaries has programs make their temporary directories in one that is empty, and
// returns what is in it.
func Temporaries(t *testing.T) func() []string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

// Read returns what a file holds.
func Read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Write writes a file.
func Write(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
