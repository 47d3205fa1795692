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
	d.tellHalted(d.halted)
}

func (d *Driver) tellHalted(why error) {
	if d.cfg.Halted != nil {
		d.cfg.Halted(why)
	}
}

// prove halts on evidence, keeps it and passes it on. A peer that halted without a
// proof that stands by itself takes one all the same.
func (d *Driver) prove(e *ordering.Evidence, why error) {
	if d.evidence != nil {
		return
	}
	d.evidence = e.Encode()
	d.halt(e.Height(), why)
	d.keep()
	for _, p := range d.neighbours {
		d.spreadEvidence(p)
	}
}

// keepEvery is how often it is tried again to keep a proof on a disk that did not take it:
// as long as it takes somebody to make room, and a guess.
const keepEvery = 10 * time.Second

// keep puts the proof on the disk. Until it is there this life is halted and a next one
// would not be, so that nothing would keep it from the orderer's other chain: whoever asks
// whether the node is ready hears of it, and it is tried again until it succeeds.
func (d *Driver) keep() {
	if d.cfg.KeepEvidence == nil {
		return
	}
	err := d.cfg.KeepEvidence(d.evidence)
	switch {
	case err != nil:
		if d.unkept == nil {
			d.log.Error("the proof is not on the disk, and a restart would forget it: make the disk take it before the node is stopped", "again", keepEvery, "err", err)
		}
		time.AfterFunc(keepEvery, func() { d.post(func(time.Time) { d.keep() }) })
		d.tellHalted(fmt.Errorf("%w; the proof is not on the disk, and a restart would forget it: make the disk take it before the node is stopped: %w", d.halted, err))
	case d.unkept != nil:
		d.log.Info("the proof is on the disk now")
		d.tellHalted(d.halted)
	}
	d.unkept = err
}

// Unkept says, after Run has ended, why the proof against the orderer is not on the disk, or
// nil: there is none, or it is.
func (d *Driver) Unkept() error { return d.unkept }

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

// malformed is told of a list or a body that is right under its root, and wrong in itself.
func (d *Driver) malformed(h *block.SignedHeader, data []byte, isBody bool, why error) {
	d.prove(ordering.MalformedString(h, data, isBody), fmt.Errorf("the orderer signed an invalid block: %w", why))
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
