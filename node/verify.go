package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"grapevine/block"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/ordering"
	"grapevine/p2p"
)

// Verified says what Verify looked at, and what it found.
type Verified struct {
	Ledger ledger.Report
	Parts  []Part
}

// Part is one of the things in a data directory.
type Part struct {
	Name  string
	Found string // for people; "" if it is wrong
	Err   error
}

// Verify checks all that is in a data directory, which no node may have open, and changes
// nothing: that it is the identity's; the ledger, every byte of it; the orderer's lock
// against the ledger; the journal; the proof against the orderer, and the incarnation.
// The error joins those of the parts. Progress, if given, is called after each height.
func Verify(cfg Config, progress func(height, tip uint64)) (Verified, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Verified{}, err
	}
	in := func(name string) string { return filepath.Join(cfg.Dir, name) }
	release, err := ledger.Hold(in(ledgerDir))
	if err != nil {
		return Verified{}, err
	}
	var v Verified
	v.add("identity", func() (string, error) {
		_, err := cfg.checkOwner()
		return genesis.PeerID(cfg.Key.Public()), err
	})
	v.add("ledger", func() (_ string, err error) {
		v.Ledger, err = ledger.Verify(in(ledgerDir), cfg.Genesis, progress)
		return fmt.Sprintf("%d blocks; %s", v.Ledger.Blocks, v.Ledger.Recovery), err
	})
	whole := v.err() == nil
	v.add("lock", func() (string, error) { return cfg.verifyLock(in(lockFile), whole, v.Ledger) })
	v.add("journal", func() (string, error) {
		c, err := mempool.Verify(in(journalDir), cfg.Genesis.ID())
		text := fmt.Sprintf("%d transactions in %d files", c.Transactions, c.Segments)
		if c.Dropped > 0 {
			text += fmt.Sprintf("; the last write, %d bytes in %s, is torn, and will be left out", c.Dropped, c.Torn)
		}
		return text, err
	})
	v.add("evidence", func() (string, error) {
		e, err := ordering.KeptEvidence(in(evidenceFile), cfg.Genesis)
		if e == nil {
			return "none", err
		}
		return fmt.Sprintf("a proof against the orderer, at height %d: this node appends nothing more", e.Height()), err
	})
	v.add("incarnation", func() (string, error) {
		n, err := p2p.KeptIncarnation(cfg.Dir)
		if n == 0 {
			return "none", err
		}
		return "of " + time.Unix(0, int64(n)).UTC().Format(time.DateTime), err
	})
	return v, errors.Join(v.err(), release())
}

// verifyLock holds the lock against the ledger, if that is known to be right.
func (c Config) verifyLock(path string, whole bool, r ledger.Report) (string, error) {
	tip := r.Tip
	if !whole {
		tip = block.Tip{ID: c.Genesis.ID()} // every lock is ahead of it
	}
	height, err := ordering.VerifyLock(path, c.Genesis.ID(), tip)
	switch orderer := c.Genesis.Produces(c.Key.Public()); {
	case errors.Is(err, ordering.ErrNoLock) && !orderer:
		return "none, and this peer is not the orderer", nil
	case errors.Is(err, ordering.ErrNoLock): // a start comes up as a peer like others
		return err.Error(), nil
	}
	return fmt.Sprintf("height %d", height), err
}

func (v *Verified) add(name string, look func() (string, error)) {
	found, err := look()
	if err != nil {
		found = ""
	}
	v.Parts = append(v.Parts, Part{name, found, err})
}

func (v *Verified) err() error {
	var all []error
	for _, p := range v.Parts {
		all = append(all, p.Err)
	}
	return errors.Join(all...)
}
