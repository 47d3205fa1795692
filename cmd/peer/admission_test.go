package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// newKey makes an identity and returns its peer ID.
func newKey(t *testing.T, home string) string {
	t.Helper()
	var k createdKey
	r := peer(t, "key", "new", "--home", home, "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &k); err != nil || !strings.HasPrefix(k.PeerID, "12D3KooW") {
		t.Fatalf("key new printed %q, %v", r.Out, err)
	}
	return k.PeerID
}

// joined makes the home of a peer that knows the first one's address, and starts it.
func joined(t *testing.T, home, genesis, bootstrap string) *runningNode {
	t.Helper()
	api, settings := loopback(t)
	n := &runningNode{home: home, api: api}
	inited(t, append([]string{"--home", home, "--genesis", genesis, "--bootstrap", bootstrap}, settings...)...)
	n.launch(t)
	return n
}

// Three operators make a network that is for them alone, each at home, as the README tells
// it. A fourth, whom the list does not name, is told so.
func TestNetworkOfListedPeers(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	bobID, carolID := newKey(t, at("bob")), newKey(t, at("carol"))
	api, settings := loopback(t)
	alice := &runningNode{home: at("alice"), api: api}
	a := inited(t, append([]string{"--home", alice.home, "--admit", bobID + "," + carolID}, settings...)...)
	alice.launch(t)
	listen := settings[len(settings)-1] + "/p2p/" + a.PeerID
	genesis := filepath.Join(alice.home, genesisFile)
	bob, carol := joined(t, at("bob"), genesis, listen), joined(t, at("carol"), genesis, listen)
	peer(t, "init", "--home", at("dave"), "--genesis", genesis, "--bootstrap", listen).Want(t, cli.ExitUsage, "12D3KooW", "is not among those", "ask whoever makes the network")
	for n, id := range map[*runningNode]string{alice: a.PeerID, bob: bobID, carol: carolID} {
		n.until(t, "it is ready, and knows two others", func(ready bool, status string) bool {
			return ready && strings.Contains(status, `"neighbours":2`) && strings.Contains(status, `"peer_id":"`+id+`"`)
		})
	}
	peer(t, "tx", "submit", "hello", "--wait", "--api", carol.api, "--key", at("client.key")).Want(t, cli.ExitOK)
	for _, n := range []*runningNode{alice, bob} {
		n.until(t, "the block is there", func(_ bool, status string) bool { return strings.Contains(status, `"height":1`) })
	}
}

func TestKeyNew(t *testing.T) {
	home := filepath.Join(t.TempDir(), "bob")
	id := newKey(t, home)
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 1 {
		t.Errorf("the home has %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(home, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	key := clitest.Read(t, home, keyFile)
	peer(t, "key", "new", "--home", home).Want(t, cli.ExitRefused, id, "peer init --home")
	peer(t, "init", "--home", home, "--key", filepath.Join(home, keyFile)).Want(t, cli.ExitRefused, "has an identity already", "--key")
	peer(t, "start", "--home", home).Want(t, cli.ExitNotFound, home, genesisFile, "peer init")
	if c := inited(t, "--home", home); c.PeerID != id || !c.Orderer || clitest.Read(t, home, keyFile) != key {
		t.Errorf("the home that was made is of %+v, the key was %s's", c, id)
	}
	peer(t, "key", "new", "--home", home).Want(t, cli.ExitRefused, home, "already")
	peer(t, "key", "new").Want(t, cli.ExitUsage, "--home")
}

func TestAdmit(t *testing.T) {
	dir := t.TempDir()
	id := newKey(t, filepath.Join(dir, "bob"))
	init := func(args ...string) clitest.Ran {
		return peer(t, append([]string{"init", "--home", filepath.Join(dir, "alice")}, args...)...)
	}
	init("--admit", "somebody").Want(t, cli.ExitUsage, "somebody", "peer ID")
	init("--admit", id+","+id).Want(t, cli.ExitUsage, id, "twice")
	inited(t, "--home", filepath.Join(dir, "other"))
	init("--admit", id, "--genesis", filepath.Join(dir, "other", genesisFile)).Want(t, cli.ExitUsage, "--admit", "--genesis")
	init("--admit", id).Want(t, cli.ExitOK)
	if g := clitest.Read(t, dir, "alice", genesisFile); !strings.Contains(g, `"list"`) || !strings.Contains(g, id) {
		t.Errorf("the genesis is %s", g)
	}
}

// A start that is refused leaves a home as it was, so that what was wrong can be put right.
func TestRefusedStartLeavesTheHome(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	home, other := filepath.Join(t.TempDir(), "alice"), filepath.Join(t.TempDir(), "other")
	inited(t, "--home", home, "--listen", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", taken.Addr().(*net.TCPAddr).Port), "--api", "off")
	inited(t, "--home", other)
	own := clitest.Read(t, home, genesisFile)
	for _, c := range []struct{ genesis, says string }{
		{clitest.Read(t, other, genesisFile), "orderer's lock"}, {own, "in use"},
	} {
		clitest.Write(t, c.genesis, home, genesisFile)
		peer(t, "start", "--home", home).Want(t, cli.ExitFailed, c.says)
		entries, err := os.ReadDir(home)
		if err != nil || len(entries) != 4 {
			t.Errorf("%s: the refused start left %v, %v", c.says, entries, err)
		}
	}
	if err := os.Remove(filepath.Join(home, lockFile)); err != nil {
		t.Fatal(err)
	}
	peer(t, "start", "--home", home, "--new-chain").Want(t, cli.ExitFailed, "in use")
	if _, err := os.Stat(filepath.Join(home, ledgerDir)); err == nil {
		t.Error("a refused start with --new-chain left a ledger")
	}
}

// A directory that is there is where the home is wanted: where a disk is mounted, the one
// that the shell is in, or what a link leads to.
func TestInitFillsADirectoryInPlace(t *testing.T) {
	dir := t.TempDir()
	full := "config.toml genesis.json identity.key orderer.lock"
	list := func(path string) string {
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	mkdir := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	here := mkdir("here")
	cmd := program.Command(t, "init", "--home", ".")
	cmd.Dir = here
	clitest.Run(t, cmd).Want(t, cli.ExitOK)
	if got := list(here); got != full {
		t.Errorf("init --home . left %q", got)
	}

	target, link := mkdir("disk/data"), filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	inited(t, "--home", link)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || list(target) != full {
		t.Errorf("the link is %v, %v, and leads to %q", info, err, list(target))
	}
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink(filepath.Join(dir, "none"), nowhere); err != nil {
		t.Fatal(err)
	}
	peer(t, "init", "--home", nowhere).Want(t, cli.ExitRefused, nowhere, "symbolic link")

	mount := mkdir("mount") // where a disk is mounted nothing can be renamed to
	mkdir("mount/lost+found")
	before, err := os.Stat(mount)
	if err != nil {
		t.Fatal(err)
	}
	inited(t, "--home", mount)
	if after, err := os.Stat(mount); err != nil || !os.SameFile(before, after) || list(mount) != full[:len(full)-len("orderer.lock")]+"lost+found orderer.lock" {
		t.Errorf("the directory is another one, %v, or holds %q", err, list(mount))
	}
}
