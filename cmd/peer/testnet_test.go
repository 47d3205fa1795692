package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/testnet/local"
	"grapevine/testnet/report"
	"grapevine/testnet/traffic"
)

// testnet is a network of real processes, which the test's end takes down.
type testnet struct{ dir string }

func (n testnet) do(t *testing.T, args ...string) clitest.Ran {
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
	n.do(t, append([]string{"up", "-n", strconv.Itoa(peers), "--timeout", hang.String()}, args...)...).Want(t, cli.ExitOK)
	return n
}

// acknowledged returns how many transactions the testnet has acknowledged, by the size
// of the file, which is being written to: an ID and the line's end take 65 bytes.
func (n testnet) acknowledged(t *testing.T) int64 {
	t.Helper()
	net, err := local.Open(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(net.AcknowledgedPath())
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size() / 65
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

// hang is how long tests wait for other processes. It only makes a failure of what would
// hang: no test is about how fast this machine is.
const hang = 5 * time.Minute

// eventually waits until something is so of which nothing tells.
func eventually(t *testing.T, so func() bool, format string, args ...any) {
	t.Helper()
	for begun := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > hang {
			t.Fatalf(format, args...)
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
	clitest.Write(t, b.String(), path)
	return path
}

func TestTestnet(t *testing.T) {
	n := newTestnet(t, 4)
	n.do(t, "up").Want(t, cli.ExitRefused, n.dir, "running already", "peer testnet down")

	watching := program.Command(t, n.args("watch")...)
	watched := &lockedBuffer{}
	watching.Stdout = watched
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	file := n.lines(t, 150)
	if r := n.do(t, "submit", file, "--wait").Want(t, cli.ExitOK); !strings.Contains(r.Out, "150 lines accepted in ") {
		t.Errorf("submit printed %q", r.Out)
	}
	for i := range 4 {
		want := fmt.Sprintf("peer %d   block 1 ", i)
		clitest.Eventually(t, func() bool { return strings.Contains(watched.String(), want) }, "watch does not show %q", want)
	}
	if err := watching.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := watching.Wait(); err != nil {
		t.Errorf("watch ended with %v when it was interrupted, want no error", err)
	}

	r := n.do(t, "report", "-o", "json").Want(t, cli.ExitOK)
	var got report.Report
	if err := json.Unmarshal([]byte(r.Out), &got); err != nil || got.Peers != 4 || !got.Agree || got.Height == 0 || uint64(len(got.Blocks)) != got.Height {
		t.Fatalf("report printed %s, %v", r.Out, err)
	}
	if b := got.Blocks[0]; b.Peers != 4 || b.Push+b.Pull+b.Catchup != 3 || b.Max <= 0 {
		t.Errorf("block 1 is reported as %+v: want it at 4 peers, by some road at 3 of them", b)
	}
	if r = n.do(t, "report").Want(t, cli.ExitOK); !strings.Contains(r.Out, "the ledgers agree") {
		t.Errorf("report printed %s", r.Out)
	}

	if r = n.do(t, "check", file, "--acknowledged").Want(t, cli.ExitOK); !strings.Contains(r.Out, "all 300 looked for") {
		t.Errorf("check printed %s", r.Out)
	}
	clitest.Write(t, clitest.Read(t, file)+"one more\n", file)
	n.do(t, "check", file, "--timeout", "1s").Want(t, cli.ExitWrong)
	n.do(t, "submit", file, "--watch", "-o", "json").Want(t, cli.ExitUsage, "--watch")
	r = n.do(t, "submit", file, "--watch").Want(t, cli.ExitOK)
	if shown := strings.Count(r.Out, " block "); shown == 0 || shown%4 != 0 || !strings.Contains(r.Out, "and committed") {
		t.Errorf("want each block as each of 4 peers accepts it, and the result:\n%s", r.Out)
	}
	if r := n.do(t, "report", "--last", "1", "-o", "json").Want(t, cli.ExitOK); strings.Count(r.Out, `"height":`) != 2 {
		t.Errorf("a report of the last block printed %s", r.Out)
	}
	if r = n.do(t, "check", file).Want(t, cli.ExitWrong); !strings.Contains(r.Out, `has "line 1" 2 times, want once`) {
		t.Errorf("check of a file that was submitted twice printed %s", r.Out)
	}

	pids := n.pids(t)
	if r = n.do(t, "down", "--timeout", hang.String()).Want(t, cli.ExitOK); !strings.Contains(r.Out, "4 stopped") {
		t.Errorf("down printed %q", r.Out)
	}
	clitest.Gone(t, pids)
	if r = n.do(t, "down", "--timeout", hang.String()).Want(t, cli.ExitOK); !strings.Contains(r.Out, "4 not running") {
		t.Errorf("the second down printed %q", r.Out)
	}
	const again = "start it with peer testnet up --dir "
	n.do(t, "report").Want(t, cli.ExitUnreachable, "peer 3 is down", again+n.dir)
	n.do(t, "submit", file).Want(t, cli.ExitUnreachable, again+n.dir)

	n.do(t, "up", "-n", "5").Want(t, cli.ExitRefused, "has 4 peers, not 5", "--fresh")
	n.do(t, "up", "--base-port", "9800").Want(t, cli.ExitRefused, "--base-port", "--fresh")
	n.do(t, "up", "--mode", "pull").Want(t, cli.ExitRefused, "--mode=pull", "config.toml", "--fresh")
	n.do(t, "up").Want(t, cli.ExitOK)
	n.do(t, "check", "--acknowledged").Want(t, cli.ExitOK)
	n.do(t, "down", "--remove").Want(t, cli.ExitOK)
	if left, err := os.ReadDir(n.dir); err != nil || len(left) != 1 || left[0].Name() != "lines.txt" {
		t.Errorf("down --remove left %v, %v: want only the file that is not the testnet's", left, err)
	}
}

// TestTestnetLosesNothing kills peers, the orderer too, under load.
func TestTestnetLosesNothing(t *testing.T) {
	n := newTestnet(t, 4)
	load := program.Command(t, n.args("load", "--rate", "100", "--duration", "6s", "--size", "200", "-o", "json")...)
	loaded := make(chan clitest.Ran, 1)
	over := make(chan struct{})
	go func() { loaded <- clitest.Run(t, load); close(over) }()
	goesOn := func() { // until some more is acknowledged, or there is no more load
		t.Helper()
		had := n.acknowledged(t)
		eventually(t, func() bool {
			select {
			case <-over:
				return true
			default:
				return n.acknowledged(t) >= had+100
			}
		}, "the load does not go on: %d are acknowledged", had)
	}
	for _, victim := range []string{"2", "0"} {
		goesOn()
		n.do(t, "kill", victim).Want(t, cli.ExitOK)
		n.do(t, "kill", victim).Want(t, cli.ExitRefused, "does not run", "peer testnet start "+victim+" --dir "+n.dir)
		if r := n.do(t, "status", "-o", "json").Want(t, cli.ExitOK); strings.Count(r.Out, `"state":"down"`) != 1 {
			t.Errorf("status with peer %s killed printed %s", victim, r.Out)
		}
		goesOn()
		n.do(t, "start", victim).Want(t, cli.ExitOK)
		n.do(t, "start", victim).Want(t, cli.ExitRefused, "running already")
	}
	n.do(t, "kill", "9").Want(t, cli.ExitNotFound, "0 to 3")

	r := (<-loaded).Want(t, cli.ExitOK)
	var res traffic.Result
	if err := json.Unmarshal([]byte(r.Out), &res); err != nil || res.Accepted != 600 || res.Refused+res.Failed != 0 {
		t.Errorf("load printed %s, %v: want 600 accepted", r.Out, err)
	}
	if r = n.do(t, "check", "--acknowledged", "-o", "json").Want(t, cli.ExitOK); !strings.Contains(r.Out, `"agree":true,"wanted":600,"once":true`) {
		t.Errorf("check printed %s", r.Out)
	}

	n.do(t, "kill", "1").Want(t, cli.ExitOK)
	file := n.lines(t, 20)
	if r = n.do(t, "submit", file, "--wait").Want(t, cli.ExitOK, "peer 1 is down"); !strings.Contains(r.Out, "20 lines accepted in ") || !strings.Contains(r.Out, ", and committed by 3 of 4 peers\n") {
		t.Errorf("submit with a dead peer printed %s", r.Out)
	}
	n.do(t, "check", file).Want(t, cli.ExitUnreachable, "peer testnet start 1 --dir "+n.dir)
	if r = n.do(t, "report").Want(t, cli.ExitOK, "peer 1 is down"); !strings.Contains(r.Out, "\n3 of 4 peers, height ") || !strings.Contains(r.Out, ": their ledgers agree (peer 1 was not asked)\n") {
		t.Errorf("report with a dead peer printed %s", r.Out)
	}
	if r = n.do(t, "report", "-o", "json").Want(t, cli.ExitOK); !strings.HasPrefix(r.Out, `{"peers":4,"asked":3,"down":[1],`) {
		t.Errorf("report with a dead peer printed %s", r.Out)
	}
	pids := n.pids(t)
	if r = n.do(t, "down", "--timeout", hang.String()).Want(t, cli.ExitOK); !strings.Contains(r.Out, "3 stopped, 1 not running") {
		t.Errorf("down with a dead peer printed %q", r.Out)
	}
	clitest.Gone(t, pids)
}

// TestTestnetOfOne: numbers of one, files of nothing, and blocks that go nowhere.
func TestTestnetOfOne(t *testing.T) {
	n := testnet{filepath.Join(t.TempDir(), "net")}
	t.Cleanup(func() { local.Down(n.dir, 0) })
	shows := func(want string, args ...string) {
		t.Helper()
		if r := n.do(t, args...).Want(t, cli.ExitOK); !strings.Contains(r.Out, want) {
			t.Errorf("peer testnet %q printed %s, want %q", args, r.Out, want)
		}
	}
	ports, err := local.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	base := ports[0]
	n.do(t, "up", "-n", "1", "--base-port", "65535").Want(t, cli.ExitFailed, "at most 65535")
	shows(fmt.Sprintf("127.0.0.1:%d ", base), "up", "-n", "1", "--base-port", strconv.Itoa(base))
	for _, args := range [][]string{{"status"}, {"members"}, {"tx", "submit", "hello", "--wait", "--key", filepath.Join(n.dir, "client.key")}, {"block", "get", "tip"}} {
		at := append(args, "--dir", n.dir, "--peer", "0")
		peer(t, at...).Want(t, cli.ExitOK)
		peer(t, append(at, "--api", "127.0.0.1:1")...).Want(t, cli.ExitUsage, "in one way")
	}
	peer(t, "status", "--dir", n.dir, "--peer", "7").Want(t, cli.ExitNotFound, "no such peer", "0 to 0")
	peer(t, "status", "--dir", n.dir+"-none").Want(t, cli.ExitNotFound, "peer testnet up")
	n.do(t, "up", "-n", "2").Want(t, cli.ExitRefused, "(1 of its 1 peer)")

	empty, line := filepath.Join(n.dir, "empty.txt"), filepath.Join(n.dir, "line.txt")
	clitest.Write(t, "\n\n", empty)
	clitest.Write(t, "one line\n", line)
	missing := filepath.Join(n.dir, "none.txt")
	n.do(t, "submit", missing).Want(t, cli.ExitNotFound, missing)
	n.do(t, "check", missing).Want(t, cli.ExitNotFound, missing)
	if r := n.do(t, "submit", empty, "--wait").Want(t, cli.ExitFailed, "no lines in "+empty); r.Out != "" {
		t.Errorf("submitting nothing printed %s", r.Out)
	}
	stdin := program.Command(t, n.args("submit", "-")...)
	stdin.Stdin = strings.NewReader("")
	clitest.Run(t, stdin).Want(t, cli.ExitFailed, "no lines in the standard input")

	shows(", and committed by 1 peer\n", "submit", line, "--wait")
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
	n.do(t, "down", "--timeout", hang.String()).Want(t, cli.ExitOK)
	net1, err := local.Open(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", net1.Peers[1].API)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n.do(t, "up").Want(t, cli.ExitFailed, "peer 1 ended before it was ready", filepath.Join("peer-1", "peer.log"), "address already in use")
	clitest.Gone(t, n.pids(t))
	if r := n.do(t, "status", "-o", "json").Want(t, cli.ExitOK); strings.Count(r.Out, `"state":"down"`) != 3 {
		t.Errorf("after an up that failed, status printed %s", r.Out)
	}
}

// TestUpInterrupted stops up itself in the middle.
func TestUpInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() { local.Down(dir, 0) })
	up := program.Command(t, "testnet", "up", "-n", "6", "--dir", dir)
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	clitest.Eventually(t, func() bool {
		net, err := local.Open(dir)
		if err != nil || net.Peers[2].Process.PID == 0 {
			return false
		}
		pids = testnet{dir}.pids(t)
		return true
	}, "up does not begin")
	up.Process.Signal(syscall.SIGTERM)
	up.Wait()
	if code := up.ProcessState.ExitCode(); code == cli.ExitOK {
		t.Skip("it was ready before it was interrupted")
	}
	clitest.Gone(t, pids)
}
