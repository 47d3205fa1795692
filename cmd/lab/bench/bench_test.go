package bench

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"grapevine/testnet/outcome"
	"grapevine/testnet/report"
	"grapevine/testnet/scenario"
)

// row is one that every figure of is known.
func row(protocol, world string) outcome.Row {
	return outcome.Row{Protocol: protocol, World: world, Peers: 50, Blocks: 5, Seed: 1, Coverage: 0.95, P50: 100, P90: 200, P99: 300, Max: 400,
		BytesPerPeer: 100000, Redundancy: 1.5, Duplicates: 0.5, HopMax: 3, Trace: "00000000000000aa"}
}

// pair is committed and fresh results that are the same, of a run in each world.
func pair() (committed, fresh results) {
	of := func() results {
		var r results
		r.Source = "same"
		for _, at := range runs[:2] {
			r.Runs = append(r.Runs, result{at, []outcome.Row{row("grapevine", at.World)}, []string{}})
		}
		return r
	}
	return of(), of()
}

const inPackets, inEvents = 0, 1

func TestCompare(t *testing.T) {
	nan := outcome.Figure(math.NaN())
	for _, c := range []struct {
		name   string
		change func(committed, fresh *results)
		says   string // a part of the only difference; "" for none
	}{
		{"nothing", func(_, _ *results) {}, ""},
		{"a little, in packets", func(_, f *results) {
			r := &f.Runs[inPackets].Rows[0]
			r.P50, r.P90, r.P99, r.Max, r.BytesPerPeer, r.Redundancy, r.Duplicates, r.Coverage = 129, 141, 389, 639, 129000, 1.94, 0.36, 0.7
		}, ""},
		{"a little, in events", func(c, f *results) {
			f.Source = "another"
			r := &f.Runs[inEvents].Rows[0]
			r.P50, r.P99, r.Max, r.BytesPerPeer, r.Trace = 109.9, 329, 479, 90001, "00000000000000bb"
		}, ""},
		{"a run that was not played", func(_, f *results) { f.Runs = f.Runs[1:] }, ""},
		{"a new run", func(c, _ *results) { c.Runs = c.Runs[1:] }, "packets (lab run default --protocol grapevine,fabric,fabric-enhanced,gossipsub,gossipsub-chunked --world packets): there is no committed result"},
		{"a new row", func(_, f *results) { f.Runs[1].Rows = append(f.Runs[1].Rows, row("new", events)) }, "new, events (lab run default "},
		{"another trace of the same code", func(_, f *results) { f.Runs[inEvents].Rows[0].Trace = "00000000000000bb" },
			"trace is 00000000000000bb, committed is 00000000000000aa, and the code is the same"},
		{"p50 in packets", func(_, f *results) { f.Runs[inPackets].Rows[0].P50 = 131 }, "p50_ms is 131, committed is 100: +31.0 %, want at most 30 %"},
		{"p90 in events", func(_, f *results) { f.Runs[inEvents].Rows[0].P90 = 175 }, "p90_ms is 175, committed is 200: -12.5 %, want at most 10 %"},
		{"p99 in events", func(_, f *results) { f.Runs[inEvents].Rows[0].P99 = 331 }, "p99_ms is 331"},
		{"max in events", func(_, f *results) { f.Runs[inEvents].Rows[0].Max = 484 }, "max_ms is 484, committed is 400: +21.0 %, want at most 20 %"},
		{"coverage in events", func(_, f *results) { f.Runs[inEvents].Rows[0].Coverage = 0.85 }, "coverage is 0.85"},
		{"bytes in events", func(_, f *results) { f.Runs[inEvents].Rows[0].BytesPerPeer = 1102100 }, "bytes_per_peer is 1102100, committed is 100000"},
		{"redundancy in packets", func(_, f *results) { f.Runs[inPackets].Rows[0].Redundancy = 1.96 }, "redundancy is 1.96"},
		{"duplicates in packets", func(_, f *results) { f.Runs[inPackets].Rows[0].Duplicates = 0.7 }, "duplicates is 0.7"},
		{"almost nothing, thrice as much", func(c, f *results) {
			c.Runs[1].Rows[0].Duplicates, f.Runs[1].Rows[0].Duplicates = 0.005, 0.015
			c.Runs[1].Rows[0].P50, f.Runs[1].Rows[0].P50 = 0.3, 0.9
		}, ""},
		{"a figure that is not known any more", func(_, f *results) { f.Runs[inEvents].Rows[0].P99 = nan }, "p99_ms is NaN, committed is 300"},
		{"figures that never were", func(c, f *results) { c.Runs[1].Rows[0].P99, f.Runs[1].Rows[0].P99 = nan, nan }, ""},
		{"a breach", func(_, f *results) { f.Runs[1].Breaches = []string{"bytes from nowhere"} }, "broken: bytes from nowhere"},
		{"a breach that is known", func(c, f *results) {
			c.Runs[1].Breaches, f.Runs[1].Breaches = []string{"late by 2 ms"}, []string{"late by 3 ms"}
		}, ""},
	} {
		committed, fresh := pair()
		c.change(&committed, &fresh)
		got := compare(committed, fresh)
		if c.says == "" && len(got) > 0 || c.says != "" && (len(got) != 1 || !strings.Contains(got[0], c.says)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.says)
		}
	}
}

// program writes a shell script that stands where the program does.
func program(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lab")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPlay(t *testing.T) {
	r := run{"a title", events, "small --peers 5", "a.svg"}
	got, err := r.play(t.Context(), program(t, `
echo "grapevine, events, seed 1: p99 of the latency is 2 ms: want at most 1 ms" >&2
echo "to run it again: lab run" >&2
echo '[{"protocol":"'"$*"'","p99_ms":2}]'
exit 6`), true)
	if err != nil || len(got.Rows) != 1 || got.Rows[0].Protocol != "run small --peers 5 --world events -o json --plot a.svg" || got.Rows[0].P99 != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if fmt.Sprint(got.Breaches) != "[grapevine, events, seed 1: p99 of the latency is 2 ms: want at most 1 ms]" {
		t.Errorf("breaches are %q", got.Breaches)
	}
	if got, err := r.play(t.Context(), program(t, `echo '[{"protocol":"'"$*"'"}]'`), false); err != nil || strings.Contains(got.Rows[0].Protocol, "plot") || len(got.Breaches) != 0 {
		t.Errorf("without a picture, or a breach: %+v, %v", got, err)
	}
	for text, says := range map[string]string{"echo no scenario >&2; exit 2": "no scenario", "echo no JSON": "printed no rows"} {
		if got, err := r.play(t.Context(), program(t, text), false); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "small --peers 5") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// TestBench goes the whole way, with a program that is quick and always the same.
func TestBench(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	const same = `echo '[{"protocol":"grapevine","world":"events","peers":9,"coverage":0.9996,"p50_ms":12.5,"p99_ms":1234.5,"bytes_per_peer":2048,"redundancy":null}]'`
	do := func(o Options, says, fails string) string {
		t.Helper()
		var out, notes bytes.Buffer
		o.File = file
		err := Run(t.Context(), o, &out, &notes)
		if (err == nil) != (fails == "") || err != nil && !strings.Contains(err.Error(), fails) {
			t.Errorf("%+v: error %v, want %q", o, err, fails)
		}
		if !strings.Contains(notes.String(), says) {
			t.Errorf("%+v: the notes do not say %q: %s", o, says, notes.String())
		}
		return out.String()
	}
	do(Options{Tables: true}, "", "there are no results in "+file)
	do(Options{Lab: program(t, same)}, "there is no committed result", "differences from "+file)
	if _, err := os.Stat(file); err == nil {
		t.Error("results were written without --update")
	}
	do(Options{Lab: program(t, same), Update: true}, "there is no committed result", "")
	table := do(Options{Lab: program(t, same)}, "nothing differs", "")
	const line = "| grapevine | events | 9 |"
	if strings.Count(table, "\n**") != len(titles(all())) || strings.Count(table, line) != len(runs) {
		t.Errorf("tables are\n%s", table)
	}
	if again := do(Options{Tables: true}, "", ""); again != table {
		t.Errorf("tables of the committed results are\n%s", again)
	}
	other := program(t, strings.ReplaceAll(same, "12.5", "15"))
	do(Options{Lab: other, Quick: true}, "p50_ms is 15, committed is 12.5: +20.0 %, want at most 10 %", "differences")
	do(Options{Lab: other, Quick: true, Update: true}, "", "")
	got, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got.Runs {
		want := outcome.Figure(12.5)
		if r.World == events {
			want = 15
		}
		if r.run != runs[i] || r.Rows[0].P50 != want {
			t.Errorf("%s in %s was written as %+v, want p50 %v", r.Title, r.World, r.Rows, want)
		}
	}
	do(Options{Lab: program(t, "exit 1")}, "", "exit status 1")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(Options{Tables: true}, "", file)
}

// all is a result without rows for each run.
func all() []result {
	var out []result
	for _, r := range runs {
		out = append(out, result{run: r})
	}
	return out
}

func TestRunsCanBePlayed(t *testing.T) {
	for i, r := range runs {
		if slices.Contains(runs[:i], r) {
			t.Errorf("%+v stands there twice", r)
		}
		name, _, _ := strings.Cut(r.Args, " ")
		if strings.Contains(name, "/") {
			name = filepath.Join("..", "..", "..", name) // from the module's root
		}
		if _, err := scenario.Find(name); err != nil {
			t.Error(err)
		}
		if r.World != events && r.World != packets {
			t.Errorf("%q is no world", r.World)
		}
	}
}

func TestSourceHash(t *testing.T) {
	a, err := sourceHash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := sourceHash(t.Context())
	if err != nil || a != b || len(a) != 32 {
		t.Errorf("hashes %q and %q, %v", a, b, err)
	}
	var x, y bytes.Buffer
	for i, text := range []string{"package a", "package b"} {
		file := filepath.Join(t.TempDir(), "x.go")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := hashFile([]*bytes.Buffer{&x, &y}[i], file); err != nil {
			t.Fatal(err)
		}
	}
	if x.String() == y.String() || strings.Contains(x.String(), os.TempDir()) {
		t.Errorf("files are hashed as %q and %q", x.String(), y.String())
	}
}

func TestDocumentsShowTheCommittedResults(t *testing.T) {
	committed, err := load("../../../testnet/bench/results.json")
	if err != nil {
		t.Fatal(err)
	}
	of := committed.Runs
	var all strings.Builder
	if err := writeTables(&all, of); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/benchmarks.md")
	if err != nil || !strings.HasSuffix(string(page), all.String()) {
		t.Errorf("docs/benchmarks.md does not end with what scripts/bench.sh --tables prints (%v)", err)
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, title := range titles(of) {
		if !strings.Contains(string(readme), "\n**"+title+"**\n") {
			continue
		}
		shown++
		var table strings.Builder
		if err := report.WriteMarkdown(&table, outcome.Columns, 2, rowsOf(title, of)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), table.String()) {
			t.Errorf("README.md, %s: there is no table\n%s", title, &table)
		}
	}
	if shown != 2 {
		t.Errorf("README.md shows %d of the tables, want 2", shown)
	}
}
