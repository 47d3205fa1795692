package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/events"
	"grapevine/testnet/outcome"
	"grapevine/testnet/packets"
	"grapevine/testnet/scenario"
)

// ideal is a world in which every block is everywhere 10 ms after it was made.
func ideal(_ context.Context, p *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
	o := &outcome.Outcome{Protocol: protocol, World: "events", Seed: p.Seed, End: p.End(), Peers: make([]outcome.Peer, p.Peers)}
	for _, e := range p.Events {
		if e.Kind != scenario.Propose {
			continue
		}
		b := outcome.Block{Height: uint64(e.Block + 1), ID: block.ID{byte(e.Block + 1)}, Bytes: 1000, At: e.At}
		o.Blocks = append(o.Blocks, b)
		for i := range o.Peers {
			a := outcome.Arrival{Peer: i, Height: b.Height, ID: b.ID, At: e.At, Via: arrival.Own, From: -1}
			if i > 0 {
				a.At, a.Via, a.From, a.Hop = e.At+10*time.Millisecond, arrival.Push, 0, 1
			}
			o.Arrivals = append(o.Arrivals, a)
			o.Peers[i].Height, o.Peers[i].ID = b.Height, b.ID
		}
		progress(float64(e.Block+1) / float64(p.Load.Blocks))
	}
	return o, nil
}

// idealWorlds are two worlds, and a list that plans are added to as they are played.
func idealWorlds() ([]world, *[]*scenario.Plan) {
	var played []*scenario.Plan
	run := func(ctx context.Context, p *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
		played = append(played, p)
		return ideal(ctx, p, protocol, progress)
	}
	return []world{
		{"events", []string{"grapevine", "fabric", "fabric-enhanced"}, events.Check, run},
		{"packets", []string{"grapevine", "gossipsub"}, packets.Check, run},
	}, &played
}

// simulate runs the program's command line in this process, in worlds of the test's.
func simulate(ctx context.Context, of []world, args ...string) clitest.Ran {
	var out, errs bytes.Buffer
	root := newRoot(of, &place{})
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&errs, err)
	}
	return clitest.Ran{Args: args, Code: cli.ExitCode(err), Out: out.String(), Err: errs.String()}
}

func TestRunPlaysTheScenarioAsItIs(t *testing.T) {
	of, played := idealWorlds()
	r := simulate(t.Context(), of, "run").Want(t, cli.ExitOK)
	s, err := scenario.Find(scenario.Default)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(*played) != 3 || fmt.Sprint((*played)[0].Scenario) != fmt.Sprint(want.Scenario) {
		t.Errorf("played %d plans, the first %+v: want three times %+v", len(*played), (*played)[0].Scenario, want.Scenario)
	}
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	if len(lines) != 5 || lines[0] != "default, seed 1" || !strings.Contains(lines[2], "grapevine") ||
		!strings.Contains(lines[3], "fabric") || !strings.Contains(lines[4], "fabric-enhanced  events     50       5  100.0 %  10.0 ms") {
		t.Errorf("the table is\n%s", r.Out)
	}
	if r.Err != "" {
		t.Errorf("standard error is no terminal, and has %q", r.Err)
	}
}

func TestRunFlagsOverrideTheScenario(t *testing.T) {
	of, played := idealWorlds()
	simulate(t.Context(), of, "run", "small", "--world", "packets", "--protocol", "gossipsub,grapevine", "--peers", "20",
		"--blocks", "3", "--block-size", "160KiB", "--tx-size", "300B", "--warm", "0.5", "--bandwidth", "10mbit",
		"--latency", "20ms", "--loss", "0.1", "--dead", "0.25", "--seed", "9").Want(t, cli.ExitOK)
	s, err := scenario.Find("small")
	if err != nil {
		t.Fatal(err)
	}
	s.World, s.Protocols, s.Peers, s.Seed = "packets", []string{"gossipsub", "grapevine"}, 20, 9
	s.Load.Blocks, s.Load.BlockSizes, s.Load.TxSize, s.Load.Warm = 3, []scenario.Bytes{160 << 10}, 300, 0.5
	s.Link = scenario.Link{Up: 10e6, Down: 10e6, Latency: scenario.Duration(20 * time.Millisecond), Loss: 0.1}
	s.Checks = scenario.Checks{Reach: s.Checks.Reach}
	s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: s.Load.First - scenario.Duration(time.Millisecond), Share: 0.25, Flag: "--dead"}}
	if got := (*played)[0].Scenario; fmt.Sprint(got) != fmt.Sprint(s) {
		t.Errorf("played\n%+v, want\n%+v", got, s)
	}
	for _, e := range (*played)[0].Events {
		if e.Kind == scenario.Start {
			t.Errorf("who is dead comes back: %+v", e)
		}
	}
}

func TestRunJSONStandsAlone(t *testing.T) {
	of, _ := idealWorlds()
	r := simulate(t.Context(), of, "run", "-o", "json", "--peers", "7").Want(t, cli.ExitOK)
	var rows []outcome.Row
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil {
		t.Fatalf("%v in %s", err, r.Out)
	}
	if len(rows) != 3 || rows[0].Protocol != "grapevine" || rows[0].Peers != 7 || rows[0].P99 != 10 || rows[0].Seed != 1 {
		t.Errorf("rows are %+v", rows)
	}
}

func TestRunUsage(t *testing.T) {
	of, played := idealWorlds()
	dir := t.TempDir()
	rate := dir + "/rate.toml"
	if err := os.WriteFile(rate, []byte("world = \"packets\"\nload.tx_rate = 50\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"run nowhere", cli.ExitUsage, []string{`"nowhere"`, "default", "partition"}},
		{"run defualt", cli.ExitUsage, []string{`"default"`}},
		{"run " + dir + "/none.toml", cli.ExitNotFound, []string{"none.toml"}},
		{"run --world moon", cli.ExitFailed, []string{"moon", "events, packets"}}, // cobra's: execute makes it usage
		{"run --protocol grapewine", cli.ExitUsage, []string{"grapewine", "grapevine"}},
		{"run --protocol nothing", cli.ExitUsage, []string{"nothing", "grapevine", "fabric"}},
		{"run --protocol gossipsub", cli.ExitUsage, []string{`"gossipsub" does not run in the world "events"`, "fabric-enhanced", "--world packets"}},
		{"run --world packets", cli.ExitUsage, []string{`"fabric" does not run in the world "packets"`, "--world events"}},
		{"run --world packets --protocol gossipsub-chunked", cli.ExitUsage, []string{`"gossipsub-chunked"`, "grapevine, gossipsub"}},
		{"run --peers 1", cli.ExitFailed, []string{`--peers" flag`, "from 2 to 100000"}},
		{"run --peers -5", cli.ExitFailed, []string{`--peers" flag`, "from 2 to 100000"}},
		{"run --blocks 100001", cli.ExitFailed, []string{`"--blocks"`, "from 0 to 100000"}},
		{"run --latency -1ms", cli.ExitFailed, []string{"-1ms", "250ms"}},
		{"run --warm 1.5", cli.ExitFailed, []string{"1.5", "0 to 1"}},
		{"run --dead 1", cli.ExitFailed, []string{`"--dead"`, "0 to less than 1"}},
		{"run --dead 0.995", cli.ExitUsage, []string{"--dead 0.995 leaves nobody"}},
		{"run crash --dead 0.9", cli.ExitUsage, []string{"scenario crash: --dead 0.9 is 45 peers"}},
		{"run --loss 1", cli.ExitUsage, []string{"link.loss 1", "less than 1"}},
		{"run --plot a.pdf", cli.ExitUsage, []string{"a.pdf", ".svg, .png or .html"}},
		{"run --plot " + dir + "/none/a.svg", cli.ExitUsage, []string{"none"}},
		{"run --plot a.svg membership", cli.ExitUsage, []string{"a.svg", "membership has no blocks"}},
		{"run growth --world packets --protocol grapevine", cli.ExitUsage, []string{"10000 peers", "1000 at most"}},
		{"run --protocol grapevine,gossipsub " + rate, cli.ExitUsage, []string{"tx_rate", `"gossipsub"`}},
		{"run --dir x", cli.ExitUsage, []string{`--dir means nothing in the world "events"`}},
		{"run --world packets --protocol grapevine --timeout 5s", cli.ExitUsage, []string{`--timeout means nothing in the world "packets"`}},
		{"run a b", cli.ExitFailed, []string{"at most 1"}},
	} {
		r := simulate(t.Context(), of, strings.Fields(c.args)...).Want(t, c.code, c.says...)
		if r.Out != "" || len(*played) > 0 {
			t.Errorf("lab %s: standard output is %q, and %d plans were played", c.args, r.Out, len(*played))
		}
	}
}

func TestRunAScenarioOfTheProcesses(t *testing.T) {
	of, _ := idealWorlds()
	file := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(file, []byte("world = \"processes\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	simulate(t.Context(), of, "run", file).Want(t, cli.ExitUsage, `mine is for the world "processes"`, "--world events or --world packets") // those that this test has
	r := simulate(t.Context(), of, "run", file, "--world", "events").Want(t, cli.ExitOK)
	if heading, _, _ := strings.Cut(r.Out, "\n"); heading != "mine, seed 1" {
		t.Errorf("the table is headed %q, the picture mine", heading)
	}
}

func TestRunErrorsOfAFile(t *testing.T) {
	of, _ := idealWorlds()
	file := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(file, []byte("pers = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := simulate(t.Context(), of, "run", file).Want(t, cli.ExitUsage, file+`: unknown key "pers": did you mean "peers"?`)
	if strings.Contains(r.Err, "lab list") {
		t.Errorf("a key is not in the library: %s", r.Err)
	}
	simulate(t.Context(), of, "run", "losss").Want(t, cli.ExitUsage, `did you mean "loss"? (lab list shows them)`)
}

func TestRunNamesBreaches(t *testing.T) {
	of, _ := idealWorlds()
	whole := of[0].run
	of[0].run = func(ctx context.Context, p *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
		o, err := whole(ctx, p, protocol, progress)
		if protocol == "fabric" {
			o.Drops = append(o.Drops, outcome.Drop{Peer: 1, Dropped: 2, Why: "it was slow"})
		}
		return o, err
	}
	r := simulate(t.Context(), of, "run", "--seed", "5", "--peers", "8", "--block-size", "128KiB").Want(t, cli.ExitWrong,
		"fabric, events, seed 5: honest peers dropped: peer 1 dropped peer 2 at 0s: it was slow\n",
		"to run it again: lab run default --world events --protocol fabric --seed 5 --peers 8 --block-size 128KiB\n", "1 of what must hold")
	if strings.Count(r.Err, "to run it again") != 1 || !strings.Contains(r.Out, "fabric-enhanced") {
		t.Errorf("standard error is\n%s\nstandard output is\n%s", r.Err, r.Out)
	}
}

func TestRunBoundsAreOfGrapevineAndTheNetworkAsItIs(t *testing.T) {
	of, _ := idealWorlds()
	file := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(file, []byte("protocols = [\"grapevine\", \"fabric\"]\nchecks.p99 = \"9ms\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := simulate(t.Context(), of, "run", file).Want(t, cli.ExitWrong, "grapevine, events, seed 1: p99 of the latency is 10 ms: want at most 9 ms")
	if strings.Contains(r.Err, "fabric") {
		t.Errorf("fabric was held to grapevine's bound: %s", r.Err)
	}
	simulate(t.Context(), of, "run", file, "--seed", "2", "--blocks", "3", "--world", "events").Want(t, cli.ExitWrong, "at most 9 ms")
	for _, other := range []string{"--peers=51", "--block-size=1MB", "--tx-size=300B", "--warm=0.1", "--bandwidth=60mbit", "--latency=1ms", "--loss=0.1", "--dead=0.1"} {
		flag, _, _ := strings.Cut(other, "=")
		simulate(t.Context(), of, "run", file, other).Want(t, cli.ExitOK, "bounds are not checked, for "+flag)
	}
	simulate(t.Context(), of, "run", file, "--peers=50", "--loss=0").Want(t, cli.ExitWrong, "at most 9 ms") // as they are
}

func TestRunShowsWhatHadEnded(t *testing.T) {
	of, _ := idealWorlds()
	whole, ctx, cause := of[0].run, t.Context(), errors.New("a fault of ours")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	of[0].run = func(ctx context.Context, p *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
		if protocol == "fabric" {
			return nil, cause
		}
		return whole(ctx, p, protocol, progress)
	}
	r := simulate(ctx, of, "run").Want(t, cli.ExitFailed, `running fabric in the world "events": a fault of ours`,
		"lab run default --world events --protocol fabric --seed 1")
	if !strings.Contains(r.Out, "grapevine") || strings.Contains(r.Out, "fabric") {
		t.Errorf("standard output is\n%s", r.Out)
	}
	of[0].run = func(ctx context.Context, p *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
		if protocol == "fabric" {
			cancel()
			return nil, ctx.Err()
		}
		return whole(ctx, p, protocol, progress)
	}
	r = simulate(ctx, of, "run", "-o", "json").Want(t, cli.ExitFailed, "interrupted while fabric ran")
	if !strings.HasPrefix(r.Out, `[{"protocol":"grapevine"`) || strings.Contains(r.Err, "again") {
		t.Errorf("standard output is %s, standard error %s", r.Out, r.Err)
	}
}

func TestRunPlots(t *testing.T) {
	of, _ := idealWorlds()
	file := filepath.Join(t.TempDir(), "a.svg")
	simulate(t.Context(), of, "run", "--plot", file).Want(t, cli.ExitOK)
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte("default: 50 peers, 5 blocks")) || !bytes.Contains(text, []byte("fabric-enhanced, block 3")) {
		t.Errorf("%v, or the picture is not of that run", err)
	}
}

func TestList(t *testing.T) {
	var list []listedScenario
	r := simulate(t.Context(), nil, "list", "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	if len(names) != len(scenario.Names()) || names[0] != scenario.Default || !slices.IsSorted(names[1:]) {
		t.Errorf("listed %v", names)
	}
	text := simulate(t.Context(), nil, "list").Want(t, cli.ExitOK).Out
	for _, s := range list {
		if s.About == "" || s.Peers == 0 || !strings.Contains(text, s.About) {
			t.Errorf("the list does not say about %+v", s)
		}
	}
}

// TestWorlds plays the same small scenario in every world, in the program itself.
func TestWorlds(t *testing.T) {
	for _, w := range worlds(&place{})[:2] { // those of simulated peers
		r := lab(t, "run", "small", "--world", w.name, "--protocol", "grapevine", "--peers", "5", "--blocks", "2", "-o", "json").Want(t, cli.ExitOK)
		var rows []outcome.Row
		const said = "the scenario's bounds are not checked, for --peers makes it another network\n"
		if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || len(rows) != 1 || r.Err != said {
			t.Fatalf("%s: %v in %s%s", w.name, err, r.Out, r.Err)
		}
		if got := rows[0]; got.World != w.name || got.Peers != 5 || got.Blocks != 2 || !(got.P99 > 50 && got.P99 < 1000) || (got.Trace == "") != (w.name == scenario.Packets) {
			t.Errorf("%s: the row is %+v", w.name, got)
		}
	}
}

// TestReplay breaks a bound in the event world, and runs the command that is named.
func TestReplay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "strict.toml")
	if err := os.WriteFile(file, []byte("peers = 9\nload.blocks = 3\nload.block_sizes = [\"16KiB\"]\nchecks.p99 = \"1ms\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := lab(t, "run", file, "--blocks", "2", "--seed", "3", "-o", "json").Want(t, cli.ExitWrong, "want at most 1 ms")
	_, line, _ := strings.Cut(first.Err, "to run it again: ")
	line, _, _ = strings.Cut(line, "\n")
	path := program.Path(t)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line+" -o json")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	second := clitest.Run(t, cmd).Want(t, cli.ExitWrong)
	if first.Out != second.Out || first.Err != second.Err || !strings.Contains(first.Out, `"peers":9,"blocks":2,"seed":3`) {
		t.Errorf("the first run said\n%s%s\nand the one that it named\n%s%s", first.Out, first.Err, second.Out, second.Err)
	}
}
