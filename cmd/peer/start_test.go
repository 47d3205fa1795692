package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/testnet/local"
)

// node is a peer start that runs.
type runningNode struct {
	home, api string
	cmd       *exec.Cmd
	log       *lockedBuffer
}

// lockedBuffer is what a process writes while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// loopback are the settings of a node that listens where nobody else does.
func loopback(t *testing.T) (api string, args []string) {
	t.Helper()
	ports, err := local.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	api = fmt.Sprintf("127.0.0.1:%d", ports[0])
	return api, []string{"--api", api, "--listen", fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", ports[1])}
}

// started makes a home for a network of one, starts it, and waits until it answers.
func started(t *testing.T, args ...string) *runningNode {
	t.Helper()
	home := filepath.Join(t.TempDir(), "alice")
	api, settings := loopback(t)
	inited(t, append(append([]string{"--home", home, "--alone"}, settings...), args...)...)
	n := &runningNode{home: home, api: api}
	n.start(t)
	return n
}

func (n *runningNode) start(t *testing.T, args ...string) {
	t.Helper()
	n.launch(t, args...)
	n.until(t, "the node is ready", func(ready bool, _ string) bool { return ready })
}

// launch starts the node's process.
func (n *runningNode) launch(t *testing.T, args ...string) {
	t.Helper()
	n.cmd, n.log = program.Command(t, append([]string{"start", "--home", n.home}, args...)...), &lockedBuffer{}
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.cmd.Process.Kill(); n.cmd.Wait() })
}

// until waits until the node's status is so.
func (n *runningNode) until(t *testing.T, what string, so func(ready bool, status string) bool) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) { // nothing tells of another process
		r := peer(t, "status", "--api", n.api, "-o", "json")
		var s struct{ Ready bool }
		if r.Code == cli.ExitOK && json.Unmarshal([]byte(r.Out), &s) == nil && so(s.Ready, r.Out) {
			return
		}
		if time.Since(begun) > hang {
			t.Fatalf("it is not so that %s: %s%s\n%s", what, r.Out, r.Err, n.log)
		}
	}
}

// stop ends the node by SIGTERM and returns its exit code.
func (n *runningNode) stop(t *testing.T) int {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.cmd.Wait()
	return n.cmd.ProcessState.ExitCode()
}

func TestOneNode(t *testing.T) {
	n := started(t, "--api-hosts=peer0")
	for host, want := range map[string]int{"peer0:9700": http.StatusOK, "peer1:9700": http.StatusForbidden} {
		r, err := http.NewRequest(http.MethodGet, "http://"+n.api+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("asked as %s: %s, want %d", host, res.Status, want)
		}
	}
	at := func(args ...string) []string {
		return append(args, "--api", n.api, "--key", filepath.Join(n.home, "client.key"))
	}
	api := func(args ...string) []string { return append(args, "--api", n.api) }

	var sent submitted
	r := peer(t, at("tx", "submit", "hello, world", "--wait", "-o", "json")...).Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &sent); err != nil || sent.Accepted != 1 || sent.Txs[0].Status != "committed" || sent.Txs[0].Height != 1 {
		t.Fatalf("submitting printed %s, %v: want one transaction, committed at height 1", r.Out, err)
	}
	id := sent.Txs[0].ID
	if r = peer(t, api("tx", "get", id)...).Want(t, cli.ExitOK); !strings.Contains(r.Out, `"hello, world"`) || !strings.Contains(r.Out, "committed in block 1, at 0") {
		t.Errorf("tx get printed %s", r.Out)
	}
	if short := peer(t, api("tx", "get", id[:8])...).Want(t, cli.ExitOK); short.Out != r.Out {
		t.Errorf("by a short ID tx get printed %s", short.Out)
	}
	peer(t, api("tx", "get", "abababab")...).Want(t, cli.ExitNotFound, "begins with abababab")
	peer(t, api("tx", "get", strings.Repeat("ab", 32))...).Want(t, cli.ExitNotFound, "neither in the chain nor in the pool")
	if r = peer(t, api("block", "get", "1")...).Want(t, cli.ExitOK); !strings.Contains(r.Out, id) || !strings.Contains(r.Out, "via own") {
		t.Errorf("block get printed %s", r.Out)
	}
	if tip := peer(t, api("block", "get", "tip")...).Want(t, cli.ExitOK); tip.Out != r.Out {
		t.Errorf("block get tip printed %s", tip.Out)
	}
	var first struct{ Header struct{ ID string } }
	if err := json.Unmarshal([]byte(peer(t, api("block", "get", "1", "-o", "json")...).Want(t, cli.ExitOK).Out), &first); err != nil {
		t.Fatal(err)
	}
	if short := peer(t, api("block", "get", first.Header.ID[:8])...).Want(t, cli.ExitOK); short.Out != r.Out {
		t.Errorf("by the short ID %s block get printed %s", first.Header.ID[:8], short.Out)
	}
	peer(t, api("block", "get", "2")...).Want(t, cli.ExitNotFound)
	peer(t, api("block", "get", strings.Repeat("ab", 32))...).Want(t, cli.ExitNotFound)

	missing := filepath.Join(n.home, "none.txt")
	peer(t, at("tx", "submit", "--file", missing)...).Want(t, cli.ExitNotFound, missing)

	cmd := program.Command(t, at("tx", "submit", "-", "--wait")...)
	cmd.Stdin = strings.NewReader("one\n\ntwo\r\nthree")
	if r = clitest.Run(t, cmd).Want(t, cli.ExitOK); !strings.Contains(r.Out, "3 accepted, 0 known already, 0 refused") || strings.Count(r.Out, "  block ") != 3 {
		t.Errorf("submitting three lines printed %q", r.Out)
	}
	peer(t, at("tx", "submit", strings.Repeat("x", 70_000))...).Want(t, cli.ExitRefused, "70000 bytes", "at most")
	clitest.Write(t, "short\n"+strings.Repeat("x", 70_000), n.home, "long.txt")
	peer(t, at("tx", "submit", "--file", filepath.Join(n.home, "long.txt"))...).Want(t, cli.ExitFailed, "line 2")

	r = peer(t, api("block", "watch", "--from", "1", "--count", "2", "--txs", "full", "-o", "json")...).Want(t, cli.ExitOK)
	if lines := strings.Count(r.Out, "\n"); lines != 2 || !strings.Contains(r.Out, `"height":2`) {
		t.Errorf("watching two blocks printed %d lines: %s", lines, r.Out)
	}
	if r = peer(t, api("members", "-o", "json")...).Want(t, cli.ExitOK); !strings.Contains(r.Out, `"members":[`) {
		t.Errorf("members printed %s", r.Out)
	}
	if r = peer(t, api("ledger", "verify")...).Want(t, cli.ExitOK); !strings.Contains(r.Out, "all is well") {
		t.Errorf("verifying a running node printed %s", r.Out)
	}
	peer(t, "ledger", "verify", "--home", n.home).Want(t, cli.ExitRefused, "--api")
	peer(t, "start", "--home", n.home, "--api", "off").Want(t, cli.ExitFailed, filepath.Join(n.home, "ledger"))

	if code := n.stop(t); code != cli.ExitOK {
		t.Errorf("SIGTERM ended the node with %d:\n%s", code, n.log)
	}
	var v verified
	r = peer(t, "ledger", "verify", "--home", n.home, "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil || !v.OK || v.Txs != 4 {
		t.Errorf("verifying printed %s, %v: want 4 transactions, all well", r.Out, err)
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "alice")
	_, settings := loopback(t)
	inited(t, append([]string{"--home", home}, settings...)...)
	start := func(args ...string) clitest.Ran {
		t.Helper()
		return peer(t, append([]string{"start", "--home", home}, args...)...)
	}

	peer(t, "start", "--home", filepath.Join(dir, "none")).Want(t, cli.ExitNotFound, "none", "peer init")
	start("--api", "0.0.0.0:0").Want(t, cli.ExitUsage, "0.0.0.0:0", "--api-public")
	start("--listen", "nonsense").Want(t, cli.ExitUsage, "nonsense")
	start("--bootstrap", "/ip4/127.0.0.1/tcp/1").Want(t, cli.ExitUsage, "/ip4/127.0.0.1/tcp/1", "/p2p/")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	start("--api", taken.Addr().String()).Want(t, cli.ExitFailed, taken.Addr().String(), "in use", configFile)
	start("--listen", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)).Want(t, cli.ExitFailed, fmt.Sprint(port), "in use", configFile)
	start("--listen", "/ip4/192.0.2.1/udp/0/quic-v1").Want(t, cli.ExitFailed, "192.0.2.1", "advertise", configFile)

	config := clitest.Read(t, home, configFile)
	clitest.Write(t, config+"\nfanuot = 3\n", home, configFile)
	start().Want(t, cli.ExitUsage, configFile, `unknown key "fanuot"`)
	if err := os.Remove(filepath.Join(home, configFile)); err != nil {
		t.Fatal(err)
	}
	start().Want(t, cli.ExitNotFound, configFile, "an empty file")
	clitest.Write(t, config, home, configFile)

	key := filepath.Join(home, keyFile)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	start().Want(t, cli.ExitFailed, key, "0644", "chmod 600")
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOrderersLock(t *testing.T) {
	n := started(t)
	peer(t, "tx", "submit", "hello", "--wait", "--api", n.api, "--key", filepath.Join(n.home, "client.key")).Want(t, cli.ExitOK)
	n.stop(t)
	lock := filepath.Join(n.home, lockFile)
	peer(t, "start", "--home", n.home, "--new-chain").Want(t, cli.ExitRefused, lock, "without --new-chain")

	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	n.launch(t) // it is a peer like others, and says why it orders nothing
	n.until(t, "the status names the lock", func(ready bool, status string) bool {
		return !ready && strings.Contains(status, lock) && strings.Contains(status, "--new-chain")
	})
	n.stop(t)

	peer(t, "start", "--home", n.home, "--new-chain").Want(t, cli.ExitRefused, "1 blocks", "--reset-lock")
	n.start(t, "--reset-lock") // the ledger's tip is all that was ever signed
	peer(t, "tx", "submit", "hello again", "--wait", "--api", n.api, "--key", filepath.Join(n.home, "client.key")).Want(t, cli.ExitOK)
	n.stop(t)

	bob := filepath.Join(t.TempDir(), "bob")
	inited(t, "--home", bob, "--genesis", filepath.Join(n.home, genesisFile))
	for _, flag := range []string{"--new-chain", "--reset-lock"} {
		peer(t, "start", "--home", bob, flag).Want(t, cli.ExitRefused, "is not the orderer")
	}
	if _, err := os.Stat(filepath.Join(bob, lockFile)); err == nil {
		t.Error("a peer that is not the orderer got a lock")
	}
}

func TestNewChain(t *testing.T) {
	n := started(t)
	n.stop(t)
	if err := os.Remove(filepath.Join(n.home, lockFile)); err != nil {
		t.Fatal(err)
	}
	n.start(t, "--new-chain")
	peer(t, "tx", "submit", "hello", "--wait", "--api", n.api, "--key", filepath.Join(n.home, "client.key")).Want(t, cli.ExitOK)
}

func TestAnothersDirectory(t *testing.T) {
	n := started(t)
	n.stop(t)
	other := filepath.Join(t.TempDir(), "other")
	inited(t, "--home", other)
	clitest.Write(t, clitest.Read(t, other, genesisFile), n.home, genesisFile)
	peer(t, "start", "--home", n.home).Want(t, cli.ExitFailed, filepath.Join(n.home, "ledger"), "network")
	peer(t, "ledger", "verify", "--home", n.home).Want(t, cli.ExitFailed, "network")
}

func TestDamagedLedger(t *testing.T) {
	n := started(t)
	for range 3 {
		peer(t, "tx", "submit", strings.Repeat("x", 3000), "--wait", "--api", n.api, "--key", filepath.Join(n.home, "client.key")).Want(t, cli.ExitOK)
	}
	n.stop(t)
	files, err := filepath.Glob(filepath.Join(n.home, "ledger", "*.vlog"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no value log in the ledger, %v", err)
	}
	text := []byte(clitest.Read(t, files[0]))
	at := bytes.Index(text, bytes.Repeat([]byte("x"), 100))
	if at < 0 {
		t.Fatal("no payload in the value log")
	}
	text[at] ^= 1
	clitest.Write(t, string(text), files[0])
	r := peer(t, "ledger", "verify", "--home", n.home, "-o", "json").Want(t, cli.ExitWrong)
	if !strings.Contains(r.Out, `"ok":false`) {
		t.Errorf("verifying a damaged ledger printed %s", r.Out)
	}
}
