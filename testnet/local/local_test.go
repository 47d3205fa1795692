package local

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sleeper starts a process that sleeps, and which the test's end kills.
func sleeper(t *testing.T) (Process, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p, err := identify(cmd.Process.Pid)
	if err != nil || p.PID != cmd.Process.Pid || p.Started == "" {
		t.Fatalf("a process that runs is %+v, %v", p, err)
	}
	return p, cmd
}

// hang is how long tests wait for other processes. It only makes a failure of what would
// hang: no test is about how fast this machine is.
const hang = 5 * time.Minute

func runs(t *testing.T, p Process, want bool) {
	t.Helper()
	if got, err := p.Running(); err != nil || got != want {
		t.Errorf("process %+v runs: %v, %v; want %v", p, got, err, want)
	}
}

func TestAReusedProcessIDIsAnotherProcess(t *testing.T) {
	p, cmd := sleeper(t)
	runs(t, p, true)
	before := Process{p.PID, "long ago"} // it had this ID before
	runs(t, before, false)
	if err := before.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if gone, err := p.await(50 * time.Millisecond); gone || err != nil {
		t.Errorf("a signal to the process that had the ID before ended the one that has it now (%v, %v)", gone, err)
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if gone, err := p.await(hang); !gone || err != nil {
		t.Errorf("SIGKILL did not end it: %v, %v", gone, err)
	}
	runs(t, p, false) // a zombie: nobody has waited for it yet
	cmd.Wait()
	runs(t, p, false)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a process that has ended: %v, want none and no error", err)
	}
	runs(t, Process{}, false)
}

func TestFromStat(t *testing.T) {
	rest := " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20"
	for stat, want := range map[string]bool{
		"7 (sleep) S" + rest:          true,
		"7 (a name) Z (odd) S" + rest: true,
		"7 (sleep) Z" + rest:          false,
		"7 (sleep) X" + rest:          false,
	} {
		p, err := fromStat(7, []byte(stat))
		if err != nil || (p != Process{}) != want {
			t.Errorf("%q is %+v, %v: want it to run: %v", stat, p, err, want)
		}
		if want && !strings.HasPrefix(p.Started, "4242 ticks") {
			t.Errorf("%q started at %q, want 4242 ticks", stat, p.Started)
		}
	}
	if _, err := fromStat(7, []byte("7 (sleep) S 1")); err == nil {
		t.Error("a short line is no error")
	}
}

func TestLaunchedProcessLeadsASession(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, ended, err := launch("sh", []string{"-c", "echo out; echo err >&2; exec sleep 60"}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer p.signal(syscall.SIGKILL)
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(p.PID), 0, 0)
	if errno != 0 || int(sid) != p.PID {
		t.Errorf("its session is %d, %v: want its own, %d", sid, errno, p.PID)
	}
	for begun := time.Now(); ; time.Sleep(pollEvery) { // nothing tells of another process's writing
		text, err := os.ReadFile(log)
		if err == nil && bytes.Equal(text, []byte("out\nerr\n")) {
			break
		}
		if time.Since(begun) > hang {
			t.Fatalf("the log holds %q, %v", text, err)
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, _, err := launch(filepath.Join(t.TempDir(), "none"), nil, nil, log); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("launching what is not there: %v, want an error that names it", err)
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(50)
	if err != nil || len(ports) != 50 {
		t.Fatalf("got %d ports, %v", len(ports), err)
	}
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 50 || ports[0] < lowPort || ports[49] >= highPort {
		t.Errorf("ports %v: want 50 different ones from %d to %d", ports, lowPort, highPort)
	}
	held, err := hold(ports[0])
	if err != nil || len(held) != 2 {
		t.Fatalf("holding port %d: %v", ports[0], err)
	}
	if again, err := hold(ports[0]); err == nil || len(again) != 0 {
		t.Errorf("a port that is held is free: %v", err)
	}
	for _, c := range held {
		c.Close()
	}
}

func TestTailShowsThisStartAlone(t *testing.T) {
	log := filepath.Join(t.TempDir(), "peer.log")
	var text strings.Builder
	text.WriteString("from the start before\n")
	from := int64(text.Len())
	for range 40 {
		text.WriteString("a line\n")
	}
	text.WriteString("the last\n")
	if err := os.WriteFile(log, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Started{Peer: Peer{Home: filepath.Dir(log)}, log: from}
	got := s.Tail()
	if n := strings.Count(got, "\n") + 1; n != tailLines || !strings.HasSuffix(got, "the last") {
		t.Errorf("the tail has %d lines and ends so: %q", n, got)
	}
	s.log = int64(text.Len()) - int64(len("the last\n"))
	if got := s.Tail(); got != "  the last" {
		t.Errorf("the tail of a start that wrote one line is %q", got)
	}
	s.Peer.Home = filepath.Join(s.Peer.Home, "none")
	if got := s.Tail(); !strings.Contains(got, "no such file") {
		t.Errorf("the tail of no log is %q", got)
	}
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNone) {
		t.Errorf("opening nothing: %v, want ErrNone", err)
	}
	if err := change(dir, func(*Network) error { return nil }); !errors.Is(err, ErrNone) {
		t.Errorf("changing nothing: %v, want ErrNone", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking for a testnet left %v, %v", entries, err)
	}
	n := &Network{Version: stateVersion, ChainID: "x", Peers: []Peer{{Index: 0, Process: Process{1, "then"}}}, dir: dir}
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(dir, func(*Network) error { return nil }); !errors.Is(err, ErrBusy) {
		t.Errorf("changing what another changes: %v, want ErrBusy", err)
	}
	unlock()
	if err := change(dir, func(n *Network) error { n.ChainID = "y"; return nil }); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil || again.ChainID != "y" || again.Peers[0].Process != n.Peers[0].Process {
		t.Errorf("read again it is %+v, %v", again, err)
	}
	for name, text := range map[string]string{"version": `{"version":2}`, "testnet.json": `{"version":`} {
		if err := os.WriteFile(statePath(dir), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error about %s", text, err, name)
		}
	}
}

func TestRemoveTakesOnlyWhatIsATestnets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	if err := os.MkdirAll(filepath.Join(dir, "peer-0", "ledger"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"testnet.json.txt", "peer-review.txt", "client.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "peer-7"), 0o755); err != nil {
		t.Fatal(err)
	}
	left := func(want ...string) {
		t.Helper()
		all, err := os.ReadDir(dir)
		var got []string
		for _, e := range all {
			got = append(got, e.Name())
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("left are %q, %v: want %q", got, err, want)
		}
	}
	if err := Remove(dir); err == nil || !strings.Contains(err.Error(), "not known to be a testnet") {
		t.Errorf("homes that are no testnet's are removed: %v", err)
	}
	left("client.key", "peer-0", "peer-7", "peer-review.txt", "testnet.json.txt")
	if err := (&Network{Version: stateVersion, Peers: []Peer{{Index: 0}}, dir: dir}).save(); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	left("peer-7", "peer-review.txt", "testnet.json.txt")
	if err := Remove(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "peer-7")); err != nil {
		t.Fatal(err)
	}
	p, _ := sleeper(t)
	n := &Network{Version: stateVersion, Peers: []Peer{{Process: p}}, dir: dir}
	if err := n.save(); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("removing a network that runs: %v, want ErrRunning", err)
	}
}

func TestVacant(t *testing.T) {
	dir := t.TempDir()
	for _, ok := range []string{dir, filepath.Join(dir, "none")} {
		if err := Vacant(ok); err != nil {
			t.Errorf("an empty or missing directory: %v", err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "peer-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Vacant(dir); err == nil || !strings.Contains(err.Error(), "no testnet.json") {
		t.Errorf("a directory with homes: %v", err)
	}
	if err := (&Network{Version: stateVersion, dir: dir}).save(); err != nil {
		t.Fatal(err)
	}
	if err := Vacant(dir); !errors.Is(err, ErrThere) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory with a testnet: %v, want ErrThere", err)
	}
}

func TestBootstrap(t *testing.T) {
	n := &Network{Peers: make([]Peer, 20)}
	for i := range n.Peers {
		n.Peers[i] = Peer{Index: i, ID: string(rune('a' + i)), Listen: []string{"addr-" + string(rune('a'+i)), "other"}}
	}
	for i := range n.Peers {
		addrs := n.bootstrap(i)
		if len(addrs) != min(bootstrapPeers, len(n.Peers)-1) {
			t.Errorf("peer %d is told of %d peers, want %d", i, len(addrs), min(bootstrapPeers, len(n.Peers)-1))
		}
		if i > 0 && addrs[0] != "addr-a/p2p/a" {
			t.Errorf("peer %d is told of %q: want the orderer first", i, addrs)
		}
		self := n.Peers[i].Listen[0] + "/p2p/" + n.Peers[i].ID
		sorted := slices.Sorted(slices.Values(addrs))
		if slices.Contains(addrs, self) || len(slices.Compact(sorted)) != len(addrs) {
			t.Errorf("peer %d is told of %q: want others, each once", i, addrs)
		}
	}
	if addrs := (&Network{Peers: n.Peers[:1]}).bootstrap(0); len(addrs) != 0 {
		t.Errorf("a network of one is told of %q", addrs)
	}
}

// TestMakingHomes: a program that makes two homes and refuses the third leaves none.
func TestMakingHomes(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "peer")
	text := "#!/bin/sh\ncase $3 in *peer-2) echo no room >&2; exit 1 ;; esac\nmkdir $3 && cp $5 $7 $3 && shift 7 && echo $* >$PEERS/args\n"
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PEERS", dir)
	cfg := Config{Dir: filepath.Join(dir, "net"), Binary: program, Peers: 3, Settings: map[string]string{"log_level": "warn"},
		Own: func(peer int) map[string]string { return map[string]string{"seed": strconv.Itoa(peer)} }}
	_, err := Begin(cfg)
	if err == nil || !strings.Contains(err.Error(), "peer 2: making its home: "+program+" init: exit status 1:\nno room") {
		t.Errorf("%v, want an error that shows what the program said", err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "testnet.lock" {
		t.Errorf("left are %q, %v", left, err)
	}
	cfg.Peers = 2
	s, err := Begin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.End(0)
	args, err := os.ReadFile(filepath.Join(dir, "args"))
	if want := "--api=" + s.Peers[1].API + " --bootstrap=" + s.Peers[0].Listen[0] + "/p2p/" + s.Peers[0].ID + " "; err != nil || !strings.HasPrefix(string(args), want) ||
		!strings.HasSuffix(string(args), " --log-format=json --log-level=warn --seed=1\n") {
		t.Errorf("peer 1 was told %s, %v: want it to begin with %s", args, err, want)
	}
	if _, err := Begin(cfg); !errors.Is(err, ErrBusy) {
		t.Errorf("a second session in the same directory: %v, want ErrBusy", err)
	}
}
