package main

import (
	"strings"
	"testing"

	"grapevine/cmd/internal/cli"
)

// A network of real peers lives through peers that break its rules, and lets go of them.
// How long transactions may take is left open: this machine may be busy.
func TestAdversary(t *testing.T) {
	built.Path(t) // beside the program
	r := lab(t, "adversary", "garbage", "unasked", "-n", "3", "--duration", "1s", "--p95", "5m")
	r.Want(t, cli.ExitOK)
	var cases []string
	for line := range strings.Lines(r.Out) {
		cases = append(cases, strings.Fields(line)[0])
	}
	if got, want := strings.Join(cases, " "), "case calm garbage unasked"; got != want {
		t.Errorf("played were %q, want %q:\n%s", got, want, r.Out)
	}
	lab(t, "adversary", "nobody").Want(t, cli.ExitUsage, "nobody", "garbage")
	if r := lab(t, "adversary", "--list"); !strings.Contains(r.Out, "stalled") {
		t.Errorf("the list is %q", r.Out)
	}
}
