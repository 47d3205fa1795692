package node

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ordering"
)

// names are what is in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// A first start that is refused, whatever for, binds nothing to its network; a later one
// leaves what is there.
func TestRefusedStartLeavesNothingBehind(t *testing.T) {
	key := sig.NewKey([32]byte{1})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Admission: genesis.Admission{Type: "open"},
		Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
	})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, c := range []struct {
		name string
		lock block.ID
		cfg  Config
	}{
		{"the API's port is taken", g.ID(), Config{API: taken.Addr().String()}},
		{"the peers' port is taken", g.ID(), Config{Listen: []string{"/ip4/127.0.0.1/tcp/" + port}}},
		{"the lock is another network's", block.ID{7}, Config{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Dir, c.cfg.Key, c.cfg.Genesis = t.TempDir(), key, g
			if err := ordering.CreateLock(filepath.Join(c.cfg.Dir, lockFile), c.lock); err != nil {
				t.Fatal(err)
			}
			if n, err := New(c.cfg); err == nil {
				n.Close()
				t.Fatal("it was not refused")
			}
			if got := names(t, c.cfg.Dir); got != lockFile {
				t.Errorf("it left %s", got)
			}
		})
	}
	cfg := Config{Dir: t.TempDir(), Key: key, Genesis: g}
	n, err := New(cfg)
	if err == nil {
		err = n.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	before := names(t, cfg.Dir)
	cfg.API = taken.Addr().String()
	if n, err := New(cfg); err == nil {
		n.Close()
		t.Fatal("it was not refused")
	}
	if after := names(t, cfg.Dir); after != before || !strings.Contains(after, ledgerDir) {
		t.Errorf("a later refusal left %s of %s", after, before)
	}
}

// A peer that knows nobody says so, for it may wait for ever.
func TestAPeerWithoutBootstrapSaysSo(t *testing.T) {
	orderer, other := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Admission: genesis.Admission{Type: "open"},
		Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
	})
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[bool]sig.Key{false: orderer, true: other} {
		var log bytes.Buffer
		n, err := New(Config{Dir: t.TempDir(), Key: key, Genesis: g, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "no bootstrap peers") != want {
			t.Errorf("orderer: %v; the log is\n%s", !want, log.String())
		}
	}
}

// Nobody talks to a peer that the genesis does not admit: it is told at once.
func TestAPeerThatIsNotAdmittedIsTold(t *testing.T) {
	orderer, other := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Admission: genesis.Admission{Type: "list", Peers: []string{genesis.PeerID(orderer.Public())}},
		Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (Config{Key: orderer, Genesis: g}).Check(); err != nil {
		t.Error(err)
	}
	if err := (Config{Key: other, Genesis: g}).Check(); err == nil || !strings.Contains(err.Error(), genesis.PeerID(other.Public())) {
		t.Errorf("a peer that is not admitted: %v", err)
	}
}
