package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// inited makes a home and returns what init printed.
func inited(t *testing.T, args ...string) created {
	t.Helper()
	r := peer(t, append([]string{"init", "-o", "json"}, args...)...).Want(t, cli.ExitOK)
	var c created
	if err := json.Unmarshal([]byte(r.Out), &c); err != nil {
		t.Fatalf("init printed %q: %v", r.Out, err)
	}
	return c
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	alice, bob := filepath.Join(dir, "alice"), filepath.Join(dir, "bob")
	a := inited(t, "--home", alice, "--chain-id", "garden")
	if !a.Orderer || a.ChainID != "garden" || !strings.HasPrefix(a.PeerID, "12D3KooW") {
		t.Errorf("a new network's first peer is %+v: want its orderer", a)
	}
	b := inited(t, "--home", bob, "--genesis", filepath.Join(alice, genesisFile), "--mode", "pull", "--listen", "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2")
	if b.Orderer || b.GenesisID != a.GenesisID || b.PeerID == a.PeerID {
		t.Errorf("a peer that joins is %+v, the first is %+v", b, a)
	}
	if clitest.Read(t, alice, genesisFile) != clitest.Read(t, bob, genesisFile) {
		t.Error("the genesis was not copied byte for byte")
	}
	if config := clitest.Read(t, bob, configFile); !strings.Contains(config, "\nmode = \"pull\"\n") || !strings.Contains(config, "\nlisten = [\"/ip4/127.0.0.1/tcp/1\", \"/ip4/127.0.0.1/tcp/2\"]\n") || !strings.Contains(config, "\n#fanout = 0\n") {
		t.Errorf("the flags are not in config.toml:\n%s", config)
	}
	for home, want := range map[string]string{
		alice: "config.toml genesis.json identity.key orderer.lock",
		bob:   "config.toml genesis.json identity.key",
	} {
		entries, err := os.ReadDir(home)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s has %q, %v: want %q", home, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(alice, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v, %v: want 0600", info.Mode(), err)
	}
}

func TestInitTakesAnIdentity(t *testing.T) {
	dir := t.TempDir()
	a := inited(t, "--home", filepath.Join(dir, "alice"))
	b := inited(t, "--home", filepath.Join(dir, "again"), "--key", filepath.Join(dir, "alice", keyFile))
	if a.PeerID != b.PeerID || clitest.Read(t, dir, "alice", keyFile) != clitest.Read(t, dir, "again", keyFile) {
		t.Errorf("with alice's key it is %+v, alice is %+v", b, a)
	}
	none := filepath.Join(dir, "none.key")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--key", none).Want(t, cli.ExitNotFound, none)
}

func TestInitTwiceHarmsNothing(t *testing.T) {
	home := filepath.Join(t.TempDir(), "alice")
	inited(t, "--home", home)
	key, lock := clitest.Read(t, home, keyFile), clitest.Read(t, home, lockFile)
	peer(t, "init", "--home", home).Want(t, cli.ExitRefused, home, "nothing was changed", "peer start")
	if clitest.Read(t, home, keyFile) != key || clitest.Read(t, home, lockFile) != lock {
		t.Error("the second init changed the home")
	}
	if rest, err := filepath.Glob(filepath.Join(filepath.Dir(home), ".peer-init-*")); err != nil || len(rest) > 0 {
		t.Errorf("init left %q behind, %v", rest, err)
	}
}

func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(full, 0o755); err != nil {
		t.Fatal(err)
	}
	clitest.Write(t, "letter", full, "letter.txt")
	peer(t, "init", "--home", full).Want(t, cli.ExitRefused, full, "letter.txt", "name a new directory")

	peer(t, "init", "--home", filepath.Join(dir, "x"), "--genesis", filepath.Join(dir, "none.json")).Want(t, cli.ExitNotFound, "none.json")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--chain-id", "Not A Name").Want(t, cli.ExitUsage, `"Not A Name"`)

	peer(t, "init", "--home", filepath.Join(dir, "x"), "--listen", "1.2.3.4:99").Want(t, cli.ExitUsage, `"1.2.3.4:99"`, "want a multiaddr")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--bootstrap", "/ip4/127.0.0.1/tcp/1").Want(t, cli.ExitUsage, "/ip4/127.0.0.1/tcp/1", "/p2p/<id>")

	peer(t, "init", "--home", filepath.Join(dir, "x"), "--api", "0.0.0.0:9700").Want(t, cli.ExitUsage, "0.0.0.0:9700", "--api-public")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--key", dir).Want(t, cli.ExitFailed, dir, "is a directory")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--block-timeout", "0s").Want(t, cli.ExitUsage, "more than zero", "300ms")

	inited(t, "--home", filepath.Join(dir, "good"))
	alone := filepath.Join(dir, "alone")
	peer(t, "init", "--home", alone, "--genesis", filepath.Join(dir, "good", genesisFile)).Want(t, cli.ExitOK, "no --bootstrap", filepath.Join(alone, configFile))
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--genesis", filepath.Join(dir, "good", genesisFile), "--chain-id", "other").Want(t, cli.ExitUsage, "--chain-id other")
	bad := strings.Replace(clitest.Read(t, dir, "good", genesisFile), `"chain_id"`, `"Chain_id"`, 1)
	clitest.Write(t, bad, dir, "bad.json")
	peer(t, "init", "--home", filepath.Join(dir, "x"), "--genesis", filepath.Join(dir, "bad.json")).Want(t, cli.ExitFailed, "bad.json", `"Chain_id"`, "spelled")
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("a refused init made the home")
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	inited(t, "--home", empty)
}
