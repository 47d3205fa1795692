package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
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

func TestTestnetRun(t *testing.T) {
	file := scene(t, 4, "fault = [{kind = \"crash\", at = \"1200ms\", for = \"700ms\", peers = [2]}, {kind = \"join\", at = \"1500ms\", peers = [3]}]\n")
	dir := filepath.Join(t.TempDir(), "runs")
	r := peer(t, "testnet", "run", file, "--dir", dir, "-o", "json").Want(t, cli.ExitOK, "peers are on loopback")
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
	n := testnet{filepath.Join(dir, "grapevine")}
	if pids := n.pids(t); len(pids) != 0 {
		t.Errorf("processes %v are noted as running", pids)
	}
	net, err := local.Open(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, starts := range []int{1, 1, 2, 1} {
		if got := strings.Count(clitest.Read(t, net.Peers[i].Log()), `"msg":"node started"`); got != starts {
			t.Errorf("peer %d was started %d times, want %d", i, got, starts)
		}
	}
	if strings.Count(clitest.Read(t, net.Peers[2].Log()), `"msg":"node stopped"`) != 1 {
		t.Error("peer 2 stopped in order before it was killed, or not at the end")
	}
	r = peer(t, "testnet", "run", file, "--dir", dir, "--protocol", "fabric,grapevine").Want(t, cli.ExitRefused, n.dir, "holds a testnet already", "another directory")
	if strings.Count(r.Err, "\n") != 1 || r.Out != "" {
		t.Errorf("refused, it printed %s and\n%s\nwant one line on standard error", r.Out, r.Err)
	}
	if _, err := os.Stat(filepath.Join(dir, "fabric")); err == nil {
		t.Error("fabric was played in a directory that was refused")
	}
	n.do(t, "up").Want(t, cli.ExitOK) // what it left can be looked at
	defer n.do(t, "down")
	if r := n.do(t, "report", "-o", "json").Want(t, cli.ExitOK); !strings.Contains(r.Out, `"height":4,"agree":true`) {
		t.Errorf("report of what is left says %s", r.Out)
	}
}

func TestTestnetRunOfUsers(t *testing.T) {
	left := clitest.Temporaries(t)
	file := scene(t, 4, "world = \"processes\"\nload.tx_rate = 50\nprotocols = [\"fabric\", \"grapevine\"]\n")
	r := peer(t, "testnet", "run", file, "--peers", "3", "--blocks", "1", "-o", "json").Want(t, cli.ExitOK)
	var rows []outcome.Row
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || len(rows) != 2 || rows[0].Protocol != "fabric" || rows[0].Blocks == 0 || rows[1].Blocks == 0 {
		t.Errorf("printed %s, %v: want a row of fabric and one of grapevine", r.Out, err)
	}
	if left := left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestTestnetRunNamesBreaches(t *testing.T) {
	left := clitest.Temporaries(t)
	file := scene(t, 1, "world = \"processes\"\nchecks.p99 = \"1us\"\n")
	r := peer(t, "testnet", "run", file, "--seed", "5").Want(t, cli.ExitWrong, "grapevine, processes, seed 5: p99 of the latency is ",
		"want at most 0.001 ms", "to run it again: peer testnet run "+file+" --protocol grapevine --seed 5\n")
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
	peer(t, "testnet", "run", file, "--seed", "2").Want(t, cli.ExitOK)
}

func TestTestnetRunOfAPeerThatEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	n := testnet{filepath.Join(dir, "grapevine")}
	cmd := program.Command(t, "testnet", "run", scene(t, 60, ""), "--dir", dir)
	wait := clitest.Begin(t, cmd)
	log := filepath.Join(n.dir, "peer-2", "peer.log")
	clitest.Eventually(t, func() bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), "block accepted")
	}, "no block comes to peer 2")
	pids := n.pids(t)
	if err := syscall.Kill(pids[2], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait().Want(t, cli.ExitFailed, "peer 2 ended by itself", log, "to run it again: ", " --seed 1 --dir "+dir+"\n", "are in "+dir)
	clitest.Gone(t, pids)
}

func TestTestnetRunInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs")
	n := testnet{filepath.Join(dir, "grapevine")}
	cmd := program.Command(t, "testnet", "run", scene(t, 60, ""), "--dir", dir)
	wait := clitest.Begin(t, cmd)
	var pids []int
	clitest.Eventually(t, func() bool {
		if net, err := local.Open(n.dir); err != nil || net.Peers[3].Process.PID == 0 {
			return false
		}
		pids = n.pids(t)
		return true
	}, "it does not begin")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	wait().Want(t, cli.ExitFailed, "interrupted while grapevine ran", "are in "+dir)
	clitest.Gone(t, pids)
}

func TestTestnetRunUsage(t *testing.T) {
	left := clitest.Temporaries(t)
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"", cli.ExitUsage, []string{"accepts 1 arg"}},
		{"nowhere", cli.ExitUsage, []string{`"nowhere"`, "peer sim list"}},
		{"none/none.toml", cli.ExitNotFound, []string{"none.toml"}},
		{"partition", cli.ExitUsage, []string{"fault[0] (cut)", "no links", "peer sim run partition --world events"}},
		{"crash --peers 201", cli.ExitUsage, []string{"201 peers: want 200", "peer sim run crash"}},
		{"growth --peers 10", cli.ExitUsage, []string{`membership = "static"`}},
		{"small --warm 0.5", cli.ExitUsage, []string{"--warm"}},
		{"small --world events", cli.ExitUsage, []string{"--world"}},
		{"small --protocol gossipsub", cli.ExitUsage, []string{`"gossipsub"`, `"processes" has grapevine, fabric, fabric-enhanced`}},
		{"small --plot a.pdf", cli.ExitUsage, []string{".svg, .png or .html"}},
		{"small --peers 1", cli.ExitUsage, []string{"--peers", "2 to"}},
	} {
		r := peer(t, append([]string{"testnet", "run"}, strings.Fields(c.args)...)...).Want(t, c.code, c.says...)
		if r.Out != "" {
			t.Errorf("peer testnet run %s: standard output is %q", c.args, r.Out)
		}
	}
	file := scene(t, 4, "world = \"packets\"\nload.tx_rate = 5\nfault = [{kind = \"loss\", at = \"1s\", loss = 0.1}]\n")
	peer(t, "testnet", "run", file).Want(t, cli.ExitUsage, "fault[0] (loss)", "peer sim run "+file+" --world packets")
	if left := left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}
