package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// script runs one of the repository's scripts to its end.
func script(t *testing.T, name string, args ...string) clitest.Ran {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "scripts", name))
	if err != nil {
		t.Fatal(err)
	}
	return clitest.Run(t, exec.CommandContext(t.Context(), path, args...))
}

// TestScriptsCheckFirst: what is wrong with their arguments they say before they build,
// start or generate anything.
func TestScriptsCheckFirst(t *testing.T) {
	left := clitest.Temporaries(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.txt")
	clitest.Write(t, "\n\r\n", empty)
	for _, c := range []struct {
		script, args string
		says         string
	}{
		{"demo.sh", "-n x", "-n x: want 1 to 200 peers"},
		{"demo.sh", "-n -3", "-n -3: want 1 to 200 peers"},
		{"demo.sh", "-n 0", "-n 0: want 1 to 200 peers"},
		{"demo.sh", "-n 201", "-n 201: want 1 to 200 peers"},
		{"demo.sh", "-n 99999999999999999999", "want 1 to 200 peers"},
		{"demo.sh", "-n", "-n wants a value"},
		{"demo.sh", dir, dir + " is no file"},
		{"demo.sh", dir + "/none", dir + "/none is no file"},
		{"demo.sh", empty, "no lines in " + empty},
		{"soak.sh", "-n x", "-n x: want 1 to 200 peers"},
		{"soak.sh", "--rate fast", "--rate fast: want"},
		{"soak.sh", "--rate 0.0", "--rate 0.0: want"},
		{"soak.sh", "--duration 5", "--duration 5: want"},
		{"soak.sh", "--duration 0s", "--duration 0s: want"},
		{"soak.sh", "--size -1", "--size -1: want"},
		{"soak.sh", "--size 4KB", "--size 4KB: want"},
		{"soak.sh", "--peer 20", "--peer 20: want 0 to 19"},
		{"soak.sh", "-n 5 --kill --peer x", "--peer x: want 0 to 4"},
		{"soak.sh", "--simulate abc", "abc"},
		{"soak.sh", "--simulate 5 6", "not 6"},
		{"soak.sh", "--ledger x", "not x"},
		{"soak.sh", "--scenarios x", "not x"},
		{"soak.sh", "x", "unknown argument x"},
		{"generate.sh", "x", "unknown argument x"},
	} {
		r := script(t, c.script, strings.Fields(c.args)...).Want(t, cli.ExitUsage, "scripts/"+c.script+": ", c.says, "Usage: scripts/"+c.script)
		if r.Out != "" {
			t.Errorf("scripts/%s %s: standard output is %q", c.script, c.args, r.Out)
		}
	}
	for _, name := range []string{"demo.sh", "soak.sh", "generate.sh"} {
		if r := script(t, name, "--help").Want(t, cli.ExitOK); !strings.HasPrefix(r.Out, "Usage: scripts/"+name) {
			t.Errorf("scripts/%s --help printed %s", name, r.Out)
		}
	}
	if left := left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}
