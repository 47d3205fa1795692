package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"grapevine/ordering"
)

// evidenceName is the file beside the ledger that keeps a proof against the
// orderer. A node that has one appends nothing more, in all its later lives.
const evidenceName = "evidence"

// keepEvidence writes the proof so that after a crash it is there whole or not at
// all.
func (n *Node) keepEvidence(proof []byte) error {
	if n.cfg.Dir == "" {
		return nil
	}
	path := n.path(evidenceName)
	if err := writeSynced(path+".new", proof); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(n.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// keptEvidence reads the proof that an earlier life kept, or nil.
func (n *Node) keptEvidence() (*ordering.Evidence, error) {
	if n.cfg.Dir == "" {
		return nil, nil
	}
	path := n.path(evidenceName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the proof against the orderer: %w", err)
	}
	e, err := ordering.DecodeEvidence(raw)
	if err == nil {
		err = e.Verify(n.cfg.Genesis)
	}
	if err != nil {
		return nil, fmt.Errorf("the proof against the orderer in %s proves nothing: move it away if it was not this node that wrote it: %w", path, err)
	}
	return e, nil
}
