package dissemination

import (
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/ordering"
	"grapevine/p2p/wire"
)

// halt ends this peer's chain: nothing more of the producer is appended. What was
// committed stays, and is served.
func (d *Driver) halt(height uint64, why error) {
	if d.halted != nil {
		return
	}
	d.halted = fmt.Errorf("halted at height %d: %w", height, why)
	d.stopped.Store(&d.halted)
	d.log.Error("the orderer broke the rules, no more of its blocks are appended", "height", height, "err", why)
	if d.cfg.Halted != nil {
		d.cfg.Halted(d.halted)
	}
}

// prove halts on evidence, keeps it and passes it on. A peer that halted without a
// proof that stands by itself takes one all the same.
func (d *Driver) prove(e *ordering.Evidence, why error) {
	if d.evidence != nil {
		return
	}
	d.evidence = e.Encode()
	if d.cfg.KeepEvidence != nil {
		if err := d.cfg.KeepEvidence(d.evidence); err != nil {
			d.log.Error("keeping the evidence", "err", err)
		}
	}
	d.halt(e.Height(), why)
	for _, p := range d.neighbours {
		d.spreadEvidence(p)
	}
}

func (d *Driver) spreadEvidence(to wire.PeerID) {
	if n := len(d.evidence); n > 0 && n <= message.MaxProof {
		d.send(to, &message.Evidence{Proof: d.evidence})
	}
}

// equivocated is told of two signed headers at one height.
func (d *Driver) equivocated(a, b *block.SignedHeader) {
	d.prove(ordering.Equivocation(*a, *b), fmt.Errorf("the orderer signed two blocks at height %d, %s and %s", a.Height, a.Header.ID(), b.Header.ID()))
}

// invalid is told of a signed block that can stand in no chain.
func (d *Driver) invalid(b *block.Block, why error) {
	d.prove(ordering.InvalidBlock(b), fmt.Errorf("the orderer signed an invalid block: %w", why))
}

// onEvidence checks a proof that a peer passed on.
func (d *Driver) onEvidence(m *message.Evidence) error {
	e, err := ordering.DecodeEvidence(m.Proof)
	if err != nil {
		return fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	if err := e.Verify(d.cfg.Genesis); err != nil {
		return err
	}
	d.post(func(time.Time) {
		d.prove(e, fmt.Errorf("a peer showed proof that the orderer broke the rules at height %d", e.Height()))
	})
	return nil
}

// checkAgainstChain looks whether a signed header contradicts the ledger.
func (d *Driver) checkAgainstChain(h *block.SignedHeader, id block.ID) {
	if h.Height > d.cfg.Ledger.Tip().Height {
		return
	}
	if have, err := d.cfg.Ledger.Header(h.Height); err == nil && have.Header.ID() != id {
		d.post(func(time.Time) { d.equivocated(&have, h) })
	}
}

// contradicts looks whether a signed header contradicts one on its way into the
// ledger, whichever way that came, and halts if it does.
func (d *Driver) contradicts(h *block.SignedHeader, id block.ID) bool {
	if other := d.bodies.signedAt(h.Height, id); other != nil {
		d.equivocated(other, h)
		return true
	}
	return false
}
