package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// program is the one that the tests are of, and built the peers' that it starts.
var (
	program = clitest.Program{Name: "lab", Package: "."}
	built   = clitest.Program{Name: "peer", Package: "../peer"}
)

func TestMain(m *testing.M) { clitest.Main(m) }

// lab runs the program to its end.
func lab(t *testing.T, args ...string) clitest.Ran {
	t.Helper()
	return program.Run(t, args...)
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	if count := clitest.Helped(t, newRoot(nil, &place{})); count != 5 {
		t.Errorf("%d commands: want the 5 that there are", count)
	}
	clitest.Leaves(newRoot(nil, &place{}), func(words []string, c *cobra.Command) {
		if has := c.Flags().Lookup("output") != nil; has == (words[0] == "bench") {
			t.Errorf("lab %s: flag -o is there: %v", words[0], has)
		}
	})
	if r := lab(t, "run", "--help").Want(t, cli.ExitOK); !strings.Contains(r.Out, "Examples:") {
		t.Errorf("--help without an example: %s", r.Out)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"run", "--world", "moon"}, {"run", "--peers", "1"}, {"run", "--protocol", "none"}, {"run", "a", "b"},
		{"list", "x"}, {"bench", "x"}, {"bench", "--fast"},
	} {
		if r := lab(t, args...).Want(t, cli.ExitUsage, "--help"); r.Out != "" {
			t.Errorf("lab %q: standard output is %q", args, r.Out)
		}
	}
}

// Shells complete the names of scenarios and cases, and of worlds.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{"run gro": "growth", "adversary calm": "calm", "run --world pa": "packets"} {
		if r := lab(t, append([]string{"__complete"}, strings.Split(line, " ")...)...).Want(t, cli.ExitOK); !strings.Contains(r.Out, want+"\n") {
			t.Errorf("%q completes to %s", line, r.Out)
		}
	}
}
