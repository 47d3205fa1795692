package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapevine/testnet/local"
	"grapevine/testnet/report"
	"grapevine/testnet/traffic"
)

// testnet is a network of real processes, which the test's end takes down.
type testnet struct{ dir string }

func (n testnet) do(t *testing.T, args ...string) ran {
	t.Helper()
	return peer(t, n.args(args...)...)
}

func (n testnet) args(args ...string) []string {
	return append(append([]string{"testnet"}, args...), "--dir", n.dir)
}

func newTestnet(t *testing.T, peers int, args ...string) testnet {
	t.Helper()
	n := testnet{filepath.Join(t.TempDir(), "net")}
	t.Cleanup(func() { local.Down(n.dir, 0) })
	n.do(t, append([]string{"up", "-n", strconv.Itoa(peers)}, args...)...).want(t, exitOK)
	return n
}

// pids returns the process IDs that the testnet's file names.
func (n testnet) pids(t *testing.T) []int {
	t.Helper()
	net, err := local.Open(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range net.Peers {
		if p.Process.PID != 0 {
			pids = append(pids, p.Process.PID)
		}
	}
	return pids
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf(format, args...)
		}
	}
}

// gone fails the test when one of the processes still runs.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("process %d is left: %s", pid, stat)
		}
	}
}

func (n testnet) lines(t *testing.T, count int) string {
	t.Helper()
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "line %d\n\n", i)
	}
	path := filepath.Join(n.dir, "lines.txt")
	write(t, b.String(), path)
	return path
}

func TestTestnet(t *testing.T) {
	n := newTestnet(t, 4)
	n.do(t, "up").want(t, exitRefused, n.dir, "running already", "peer testnet down")

	watching := command(t, n.args("watch")...)
	watched := &lockedBuffer{}
	watching.Stdout = watched
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	file := n.lines(t, 150)
	if r := n.do(t, "submit", file, "--wait").want(t, exitOK); !strings.Contains(r.out, "150 lines accepted by 4 peers") {
		t.Errorf("submit printed %q", r.out)
	}
	for i := range 4 {
		want := fmt.Sprintf("peer %d   block 1 ", i)
		eventually(t, func() bool { return strings.Contains(watched.String(), want) }, "watch does not show %q", want)
	}
	if err := watching.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := watching.Wait(); err != nil {
		t.Errorf("watch ended with %v when it was interrupted, want no error", err)
	}

	r := n.do(t, "report", "-o", "json").want(t, exitOK)
	var got report.Report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Peers != 4 || !got.Agree || got.Height == 0 || uint64(len(got.Blocks)) != got.Height {
		t.Fatalf("report printed %s, %v", r.out, err)
	}
	if b := got.Blocks[0]; b.Peers != 4 || b.Push+b.Pull+b.Catchup != 3 || b.Max <= 0 {
		t.Errorf("block 1 is reported as %+v: want it at 4 peers, by some road at 3 of them", b)
	}
	if r = n.do(t, "report").want(t, exitOK); !strings.Contains(r.out, "the ledgers agree") {
		t.Errorf("report printed %s", r.out)
	}

	if r = n.do(t, "check", file, "--acknowledged").want(t, exitOK); !strings.Contains(r.out, "all 300 looked for") {
		t.Errorf("check printed %s", r.out)
	}
	write(t, read(t, file)+"one more\n", file)
	n.do(t, "check", file, "--timeout", "1s").want(t, exitWrong)
	n.do(t, "submit", file, "--wait").want(t, exitOK)
	if r = n.do(t, "check", file).want(t, exitWrong); !strings.Contains(r.out, `has "line 1" 2 times, want once`) {
		t.Errorf("check of a file that was submitted twice printed %s", r.out)
	}

	pids := n.pids(t)
	if r = n.do(t, "down").want(t, exitOK); !strings.Contains(r.out, "4 stopped") {
		t.Errorf("down printed %q", r.out)
	}
	gone(t, pids)
	if r = n.do(t, "down").want(t, exitOK); !strings.Contains(r.out, "4 not running") {
		t.Errorf("the second down printed %q", r.out)
	}
	const again = "start it with peer testnet up --dir "
	n.do(t, "report").want(t, exitUnreachable, "peer 3 is down", again+n.dir)
	n.do(t, "submit", file).want(t, exitUnreachable, again+n.dir)

	n.do(t, "up", "-n", "5").want(t, exitFailed, "has 4 peers, not 5", "--fresh")
	n.do(t, "up").want(t, exitOK)
	n.do(t, "check", "--acknowledged").want(t, exitOK)
	n.do(t, "down", "--remove").want(t, exitOK)
	if left, err := os.ReadDir(n.dir); err != nil || len(left) != 1 || left[0].Name() != "lines.txt" {
		t.Errorf("down --remove left %v, %v: want only the file that is not the testnet's", left, err)
	}
}

// TestTestnetLosesNothing kills peers, the orderer too, under load.
func TestTestnetLosesNothing(t *testing.T) {
	n := newTestnet(t, 4)
	load := command(t, n.args("load", "--rate", "100", "--duration", "6s", "--size", "200", "-o", "json")...)
	loaded := make(chan ran, 1)
	go func() { loaded <- run(t, load) }()
	for _, victim := range []string{"2", "0"} {
		time.Sleep(time.Second) // let the load go on for a while
		n.do(t, "kill", victim).want(t, exitOK)
		n.do(t, "kill", victim).want(t, exitRefused, "does not run", "peer testnet start "+victim+" --dir "+n.dir)
		if r := n.do(t, "status", "-o", "json").want(t, exitOK); strings.Count(r.out, `"state":"down"`) != 1 {
			t.Errorf("status with peer %s killed printed %s", victim, r.out)
		}
		time.Sleep(time.Second)
		n.do(t, "start", victim).want(t, exitOK)
		n.do(t, "start", victim).want(t, exitRefused, "running already")
	}
	n.do(t, "kill", "9").want(t, exitNotFound, "0 to 3")

	r := (<-loaded).want(t, exitOK)
	var res traffic.Result
	if err := json.Unmarshal([]byte(r.out), &res); err != nil || res.Accepted != 600 || res.Refused+res.Failed != 0 {
		t.Errorf("load printed %s, %v: want 600 accepted", r.out, err)
	}
	if r = n.do(t, "check", "--acknowledged", "-o", "json").want(t, exitOK); !strings.Contains(r.out, `"agree":true,"wanted":600,"once":true`) {
		t.Errorf("check printed %s", r.out)
	}

	n.do(t, "kill", "1").want(t, exitOK)
	if r = n.do(t, "report").want(t, exitOK, "peer 1 is down"); !strings.Contains(r.out, "\n3 of 4 peers, height ") || !strings.Contains(r.out, ": their ledgers agree (peer 1 was not asked)\n") {
		t.Errorf("report with a dead peer printed %s", r.out)
	}
	if r = n.do(t, "report", "-o", "json").want(t, exitOK); !strings.HasPrefix(r.out, `{"peers":4,"asked":3,"down":[1],`) {
		t.Errorf("report with a dead peer printed %s", r.out)
	}
	pids := n.pids(t)
	if r = n.do(t, "down").want(t, exitOK); !strings.Contains(r.out, "3 stopped, 1 not running") {
		t.Errorf("down with a dead peer printed %q", r.out)
	}
	gone(t, pids)
}

// TestTestnetOfOne: numbers of one, files of nothing, and blocks that go nowhere.
func TestTestnetOfOne(t *testing.T) {
	n := testnet{filepath.Join(t.TempDir(), "net")}
	t.Cleanup(func() { local.Down(n.dir, 0) })
	shows := func(want string, args ...string) {
		t.Helper()
		if r := n.do(t, args...).want(t, exitOK); !strings.Contains(r.out, want) {
			t.Errorf("peer testnet %q printed %s, want %q", args, r.out, want)
		}
	}
	shows("1 peer is up: network testnet-", "up", "-n", "1")
	n.do(t, "up", "-n", "2").want(t, exitRefused, "(1 of its 1 peer)")

	empty, line := filepath.Join(n.dir, "empty.txt"), filepath.Join(n.dir, "line.txt")
	write(t, "\n\n", empty)
	write(t, "one line\n", line)
	missing := filepath.Join(n.dir, "none.txt")
	n.do(t, "submit", missing).want(t, exitNotFound, missing)
	n.do(t, "check", missing).want(t, exitNotFound, missing)
	if r := n.do(t, "submit", empty, "--wait").want(t, exitFailed, "no lines in "+empty); r.out != "" {
		t.Errorf("submitting nothing printed %s", r.out)
	}
	stdin := command(t, n.args("submit", "-")...)
	stdin.Stdin = strings.NewReader("")
	run(t, stdin).want(t, exitFailed, "no lines in the standard input")

	shows("1 line accepted by 1 peer in ", "submit", line, "--wait")
	shows("1 ledger at height", "check", line)
	shows("the one looked for stands in it exactly once:", "check", line)
	shows("–", "report")
	shows("compared with no other", "report")
	shows("1 peer: 1 stopped\n", "down")
}

func TestLoadTable(t *testing.T) {
	for _, c := range []struct {
		r    traffic.Result
		want string
	}{
		{traffic.Result{}, "acknowledged after\t–\n"},
		{traffic.Result{Offered: 3, Failed: 3}, "acknowledged after\t–\n"},
		{traffic.Result{Offered: 3, Failed: 2, P50: 1, P95: 2, Max: 3}, "acknowledged after\tp50 1.0 ms, p95 2.0 ms, max 3.0 ms\n"},
	} {
		var b strings.Builder
		if loadTable(&b, c.r); !strings.HasSuffix(b.String(), c.want) {
			t.Errorf("of %+v it is\n%swant the end %q", c.r, b.String(), c.want)
		}
	}
}

// TestUpThatFails takes a peer's port away.
func TestUpThatFails(t *testing.T) {
	n := newTestnet(t, 3)
	n.do(t, "down").want(t, exitOK)
	net1, err := local.Open(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", net1.Peers[1].API)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n.do(t, "up").want(t, exitFailed, "peer 1 ended before it was ready", filepath.Join("peer-1", "peer.log"), "address already in use")
	gone(t, n.pids(t))
	if r := n.do(t, "status", "-o", "json").want(t, exitOK); strings.Count(r.out, `"state":"down"`) != 3 {
		t.Errorf("after an up that failed, status printed %s", r.out)
	}
}

// TestUpInterrupted stops up itself in the middle.
func TestUpInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() { local.Down(dir, 0) })
	up := command(t, "testnet", "up", "-n", "6", "--dir", dir)
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	eventually(t, func() bool {
		net, err := local.Open(dir)
		if err != nil || net.Peers[2].Process.PID == 0 {
			return false
		}
		pids = testnet{dir}.pids(t)
		return true
	}, "up does not begin")
	up.Process.Signal(syscall.SIGTERM)
	up.Wait()
	if code := up.ProcessState.ExitCode(); code == exitOK {
		t.Skip("it was ready before it was interrupted")
	}
	gone(t, pids)
}
