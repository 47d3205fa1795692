package node

import (
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
		return orderer.SignHeader(block.Draft(g.ID(), block.Tip{ID: g.ID()}, 1, orderer.Public(), []*block.Tx{tx}))
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
