package events

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

var update = flag.Bool("update", false, "write the traces anew: when a protocol was meant to change")

// tracedRuns plays scenarios whose traces are kept, random ones of few peers, and returns a line for each.
func tracedRuns(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, protocol := range Protocols() {
		for seed := uint64(1); seed <= 30; seed += 2 {
			s := scenario.Random(seed)
			if s.Peers > 25 {
				continue
			}
			p, err := s.Plan()
			if err != nil {
				t.Fatal(err)
			}
			o, err := Run(context.Background(), p, protocol, nil)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %d %016x\n", protocol, seed, o.Trace)
		}
	}
	return out.String()
}

// One seed gives one trace: within a process, and, since the traces are kept in a
// file, in every process, with the race detector and without. A line that changes
// says that a protocol does something else than it did: if it was meant to, write the
// file anew with go test ./testnet/events -run Trace -update.
func TestSameSeedSameTrace(t *testing.T) {
	const path = "testdata/traces.txt"
	got := tracedRuns(t)
	if again := tracedRuns(t); again != got {
		t.Fatalf("the same seeds gave other traces in the same process:\n%s\nand\n%s", got, again)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(lines) || line != lines[i] {
			t.Errorf("protocol, seed and trace are %s: kept is %s", line, lines[min(i, len(lines)-1)])
		}
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		trace := line[strings.LastIndex(line, " "):]
		if seen[trace] {
			t.Errorf("trace%s comes twice: it says nothing", trace)
		}
		seen[trace] = true
	}
}

// A protocol's change is committed with its figures.
func TestLargeTheCommittedFiguresAreOfThisCode(t *testing.T) {
	text, err := os.ReadFile("../bench/results.json")
	if err != nil {
		t.Fatal(err)
	}
	var committed struct {
		Runs []struct {
			Args string
			Rows []outcome.Row
		}
	}
	if err := json.Unmarshal(text, &committed); err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Find(scenario.Default)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Run(t.Context(), p, scenario.Grapevine, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, seen := o.Row(), 0
	for _, r := range committed.Runs {
		for _, row := range r.Rows {
			if row.World != scenario.Events || row.Protocol != scenario.Grapevine || !strings.HasPrefix(r.Args, scenario.Default+" --protocol") {
				continue
			}
			if seen++; row.Trace != want.Trace {
				t.Errorf("testnet/bench/results.json has %+v\nand this code makes it %+v\nrun scripts/bench.sh --update", row, want)
			}
		}
	}
	if seen != 1 {
		t.Errorf("testnet/bench/results.json has %d rows of the default scenario in this world, want one", seen)
	}
}
