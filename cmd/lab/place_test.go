package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
)

// scene writes a scenario of four peers.
func scene(t *testing.T, blocks int, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scene.toml")
	clitest.Write(t, fmt.Sprintf("peers = 4\nload.blocks = %d\nload.first = \"500ms\"\nload.every = \"500ms\"\nload.block_sizes = [\"32KiB\"]\n%s", blocks, more), path)
	return path
}

// pidsOf returns the process IDs that a testnet's file names.
func pidsOf(t *testing.T, dir string) []int {
	t.Helper()
	n, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range n.Peers {
		if p.Process.PID != 0 {
			pids = append(pids, p.Process.PID)
		}
	}
	return pids
}

// onPeers plays a scenario in the world of processes.
func onPeers(t *testing.T, args ...string) clitest.Ran {
	t.Helper()
	built.Path(t) // beside the program
	return lab(t, append([]string{"run", "--world", "processes"}, args...)...)
}

func TestProcesses(t *testing.T) {
	file := scene(t, 4, "fault = [{kind = \"crash\", at = \"1200ms\", for = \"700ms\", peers = [2]}, {kind = \"join\", at = \"1500ms\", peers = [3]}]\n")
	dir := filepath.Join(t.TempDir(), "runs")
	r := onPeers(t, file, "--dir", dir, "-o", "json").Want(t, cli.ExitOK, "peers are on loopback")
	var rows []outcome.Row
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("printed %s, %v", r.Out, err)
	}
	got := rows[0]
	if got.Protocol != "grapevine" || got.World != "processes" || got.Peers != 4 || got.Blocks != 4 || got.Seed != 1 || got.Trace != "" {
		t.Errorf("the row is %+v", got)
	}
	// One copy of every body comes to each, and transactions come more than once. Three
	// peers received each of the four blocks, and all four took part.
	const body = 32 << 10 / 250 * 250
	perPeer := float64(got.Redundancy) * 3 * body / 4
	if !(got.Max > 0) || !(got.Coverage > 0.5) || !(got.Redundancy > 1) || !(got.Redundancy < 20) || math.Abs(perPeer-float64(got.BytesPerPeer)) > 1 {
		t.Errorf("the row is %+v: want known figures, and %v bytes per peer", got, perPeer)
	}
	net := filepath.Join(dir, "grapevine")
	if pids := pidsOf(t, net); len(pids) != 0 {
		t.Errorf("processes %v are noted as running", pids)
	}
	left, err := local.Open(net)
	if err != nil {
		t.Fatal(err)
	}
	for i, starts := range []int{1, 1, 2, 1} {
		if got := strings.Count(clitest.Read(t, left.Peers[i].Log()), `"msg":"node started"`); got != starts {
			t.Errorf("peer %d was started %d times, want %d", i, got, starts)
		}
	}
	if strings.Count(clitest.Read(t, left.Peers[2].Log()), `"msg":"node stopped"`) != 1 {
		t.Error("peer 2 stopped in order before it was killed, or not at the end")
	}
	r = onPeers(t, file, "--dir", dir, "--protocol", "grapevine").Want(t, cli.ExitRefused, net, "holds a testnet already", "another directory")
	if strings.Count(r.Err, "\n") != 1 || r.Out != "" {
		t.Errorf("refused, it printed %s and\n%s\nwant one line on standard error", r.Out, r.Err)
	}
	built.Run(t, "testnet", "up", "--dir", net).Want(t, cli.ExitOK) // what it left can be looked at
	defer built.Run(t, "testnet", "down", "--dir", net)
	if r := built.Run(t, "testnet", "report", "-o", "json", "--dir", net).Want(t, cli.ExitOK); !strings.Contains(r.Out, `"height":4,"agree":true`) {
		t.Errorf("report of what is left says %s", r.Out)
	}
}

func TestProcessesOfUsers(t *testing.T) {
	left := clitest.Temporaries(t)
	file := scene(t, 4, "world = \"processes\"\nload.tx_rate = 50\n")
	r := onPeers(t, file, "--peers", "3", "--blocks", "1", "-o", "json").Want(t, cli.ExitOK)
	var rows []outcome.Row
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || len(rows) != 1 || rows[0].Protocol != "grapevine" || rows[0].Blocks == 0 {
		t.Errorf("printed %s, %v: want a row of grapevine", r.Out, err)
	}
	if left := left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestProcessesNamesBreaches(t *testing.T) {
	left := clitest.Temporaries(t)
	file := scene(t, 1, "world = \"processes\"\nchecks.p99 = \"1us\"\n")
	r := onPeers(t, file, "--seed", "5").Want(t, cli.ExitWrong, "grapevine, processes, seed 5: p99 of the latency is ",
		"want at most 0.001 ms", "to run it again: lab run "+file+" --world processes --protocol grapevine --seed 5\n")
	dirs := left()
	if len(dirs) != 1 || !strings.Contains(r.Err, "logs included, are in "+dirs[0]) {
		t.Fatalf("left are %q, and standard error says\n%s", dirs, r.Err)
	}
	if text := clitest.Read(t, filepath.Join(dirs[0], "grapevine", "peer-3", "peer.log")); !strings.Contains(text, "block accepted") {
		t.Errorf("the log that is left says\n%s", text)
	}
	if !strings.Contains(r.Out, "grapevine  processes      4       1") {
		t.Errorf("the table is\n%s", r.Out)
	}
	clitest.Write(t, strings.Replace(clitest.Read(t, file), "world = \"processes\"", "", 1), file) // another network's bounds
	onPeers(t, file, "--seed", "2").Want(t, cli.ExitOK)
}

func TestProcessesOfAPeerThatEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	net := filepath.Join(dir, "grapevine")
	built.Path(t)
	cmd := program.Command(t, "run", "--world", "processes", scene(t, 60, ""), "--dir", dir)
	wait := clitest.Begin(t, cmd)
	log := filepath.Join(net, "peer-2", "peer.log")
	clitest.Eventually(t, func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "block accepted")
	}, "no block comes to peer 2")
	pids := pidsOf(t, net)
	if err := syscall.Kill(pids[2], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait().Want(t, cli.ExitFailed, "peer 2 ended by itself", log, "to run it again: ", " --seed 1 --dir "+dir+"\n", "are in "+dir)
	clitest.Gone(t, pids)
}

func TestProcessesInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	net := filepath.Join(dir, "grapevine")
	built.Path(t)
	cmd := program.Command(t, "run", "--world", "processes", scene(t, 60, ""), "--dir", dir)
	wait := clitest.Begin(t, cmd)
	var pids []int
	clitest.Eventually(t, func() bool {
		if n, err := local.Open(net); err != nil || n.Peers[3].Process.PID == 0 {
			return false
		}
		pids = pidsOf(t, net)
		return true
	}, "it does not begin")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait().Want(t, cli.ExitFailed, "interrupted while grapevine ran", "are in "+dir)
	clitest.Gone(t, pids)
}

func TestProcessesUsage(t *testing.T) {
	left := clitest.Temporaries(t)
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"nowhere", cli.ExitUsage, []string{`"nowhere"`, "lab list"}},
		{"none/none.toml", cli.ExitNotFound, []string{"none.toml"}},
		{"partition", cli.ExitUsage, []string{"fault[0] (cut)", "no links", "lab run partition --world events"}},
		{"crash --peers 201", cli.ExitUsage, []string{"201 peers: want 200", "lab run crash"}},
		{"growth --peers 10", cli.ExitUsage, []string{`membership = "static"`}},
		{"small --warm 0.5", cli.ExitUsage, []string{`--warm means nothing in the world "processes"`, "peers are on loopback"}},
		{"small --latency 5ms", cli.ExitUsage, []string{"--latency means nothing"}},
		{"small --peer-binary none/peer", cli.ExitNotFound, []string{"--peer-binary", "none/peer"}},
		{"small --protocol gossipsub", cli.ExitUsage, []string{`"gossipsub"`, `"processes", which has grapevine`, "--world packets"}},
		{"small --plot a.pdf", cli.ExitUsage, []string{".svg, .png or .html"}},
		{"small --peers 1", cli.ExitUsage, []string{"--peers", "2 to"}},
	} {
		r := onPeers(t, strings.Fields(c.args)...).Want(t, c.code, c.says...)
		if r.Out != "" {
			t.Errorf("lab run --world processes %s: standard output is %q", c.args, r.Out)
		}
	}
	file := scene(t, 4, "world = \"packets\"\nload.tx_rate = 5\nfault = [{kind = \"loss\", at = \"1s\", loss = 0.1}]\n")
	onPeers(t, file).Want(t, cli.ExitUsage, "fault[0] (loss)", "lab run "+file+" --world packets")
	if left := left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

// TestPeerIsLookedFor: the program is nowhere, then on PATH, then beside the laboratory's.
func TestPeerIsLookedFor(t *testing.T) {
	clitest.Temporaries(t)
	dir := t.TempDir()
	alone := filepath.Join(dir, "lab")
	if err := os.Link(program.Path(t), alone); err != nil {
		t.Fatal(err)
	}
	file := scene(t, 1, "")
	try := func(path string) clitest.Ran {
		cmd := exec.CommandContext(t.Context(), alone, "run", file, "--world", "processes", "--peers", "2")
		cmd.Env = append(os.Environ(), "PATH="+path)
		return clitest.Run(t, cmd)
	}
	try(dir).Want(t, cli.ExitNotFound, "there is no program "+filepath.Join(dir, "peer")+", nor peer on PATH", "go build -o ", "--peer-binary")
	onPath := filepath.Join(t.TempDir(), "peer")
	clitest.Write(t, "#!/bin/sh\necho this is $0 >&2; exit 3\n", onPath)
	if err := os.Chmod(onPath, 0o755); err != nil {
		t.Fatal(err)
	}
	try(filepath.Dir(onPath)+":/bin:/usr/bin").Want(t, cli.ExitFailed, "this is "+onPath)
	if err := os.Link(built.Path(t), filepath.Join(dir, "peer")); err != nil {
		t.Fatal(err)
	}
	try(filepath.Dir(onPath)).Want(t, cli.ExitOK)
}
