package node

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ordering"
)

func TestKeptEvidenceHaltsTheNextLife(t *testing.T) {
	orderer, dir := sig.NewKey([32]byte{1}), t.TempDir()
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Admission: genesis.Admission{Type: "open"},
		Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(nonce uint64) block.SignedHeader {
		tx := sig.NewKey([32]byte{2}).SignTx(g.ID(), block.TxFields{Nonce: nonce, Expiry: 5})
		return orderer.SignHeader(block.Draft(g.ID(), block.Limits{}, block.Tip{ID: g.ID()}, 1, orderer.Public(), []*block.Tx{tx}))
	}
	cfg := Config{Genesis: g, Key: sig.NewKey([32]byte{3}), Dir: dir}
	life := func() error {
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ready := n.Ready()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return ready
	}
	if err := life(); err == nil || strings.Contains(err.Error(), "halted") {
		t.Fatalf("before the proof Ready says %v", err)
	}
	proof := ordering.Equivocation(signed(1), signed(2)).Encode()
	if err := ordering.KeepEvidence(filepath.Join(dir, "evidence"), proof); err != nil {
		t.Fatal(err)
	}
	if err := life(); err == nil || !strings.Contains(err.Error(), "halted at height 1") {
		t.Errorf("with a proof beside the ledger Ready says %v, want that it halted at height 1", err)
	}
	if err := ordering.KeepEvidence(filepath.Join(dir, "evidence"), proof[:len(proof)-1]); err != nil {
		t.Fatal(err)
	}
	if n, err := New(cfg); err == nil {
		n.Close()
		t.Error("a node starts with a damaged proof beside its ledger")
	}
}

// A data directory remembers whose it is: another key is refused, in words that say both.
func TestDirectoryIsOfOnePeer(t *testing.T) {
	orderer, other := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Admission: genesis.Admission{Type: "open"},
		Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
	})
	if err != nil {
		t.Fatal(err)
	}
	life := func(dir string, key sig.Key) error {
		n, err := New(Config{Genesis: g, Key: key, Dir: dir})
		if err != nil {
			return err
		}
		return n.Close()
	}
	dir := t.TempDir()
	if err := errors.Join(life(dir, other), life(dir, other)); err != nil {
		t.Fatal(err)
	}
	third := sig.NewKey([32]byte{3})
	if err := life(dir, third); err == nil || !strings.Contains(err.Error(), genesis.PeerID(other.Public())) || !strings.Contains(err.Error(), genesis.PeerID(third.Public())) {
		t.Errorf("with another key: %v", err)
	}
	dir = t.TempDir() // one of before, which says nothing but has a lock
	if err := ordering.CreateLock(filepath.Join(dir, "orderer.lock"), g.ID()); err != nil {
		t.Fatal(err)
	}
	if err := life(dir, other); err == nil || !strings.Contains(err.Error(), "orderer's lock") {
		t.Errorf("a lock beside another's key: %v", err)
	}
	if err := life(dir, orderer); err != nil {
		t.Error(err)
	}
}
