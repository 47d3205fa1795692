package mempool

import (
	"errors"
	"fmt"
	"time"

	"grapevine/block"
)

// Offer takes transactions from elsewhere, whose signatures and stateless checks the
// caller has done. It returns a verdict for each. What is refused because the pool
// is full is remembered as wanted.
func (p *Pool) Offer(now time.Time, txs []*block.Tx) []Verdict {
	return p.OfferUnchecked(now, "", txs, func(list []*block.Tx) []error { return make([]error, len(list)) })
}

// OfferUnchecked is Offer of transactions that a neighbour brings, whose signatures check looks at, of those alone
// that are neither here nor in the ledger. What it says, in order, nil for what is
// right, is the verdicts' error.
func (p *Pool) OfferUnchecked(now time.Time, from string, txs []*block.Tx, check func([]*block.Tx) []error) []Verdict {
	verdicts := p.screen(txs)
	var lacking []*block.Tx
	var places []int
	for _, i := range p.unknown(txs, verdicts) {
		if verdicts[i].Status == 0 {
			lacking, places = append(lacking, txs[i]), append(places, i)
		}
	}
	if len(lacking) > 0 {
		for i, err := range check(lacking) {
			if err != nil {
				verdicts[places[i]] = refused(err)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range txs {
		if verdicts[i].Status == 0 {
			verdicts[i] = p.offer(now, t, from)
		}
		p.count(verdicts[i])
	}
	return verdicts
}

// offer decides on one transaction that the ledger did not have. The caller holds mu.
func (p *Pool) offer(now time.Time, t *block.Tx, from string) Verdict {
	if v := p.known(t.ID()); v.Status != 0 {
		return v
	}
	if err := p.shelf.admit(t, from); err != nil {
		if errors.Is(err, ErrFull) {
			p.wanted.add(t.ID())
		}
		return refused(err)
	}
	p.show(p.shelf.hold(t.Clone(), now, from))
	return Verdict{Status: Accepted}
}

// Submit takes transactions from a client of this node, whose signatures and
// stateless checks the caller has done, and returns a verdict for each. Accepted
// and Duplicate are acknowledgements: when it returns, the journal has these
// transactions, synced, and they stay on offer until committed or expired.
// Concurrent calls share a sync.
//
// An error says that the journal failed. The transactions that needed it are then
// Refused with that error, and so are all later ones, until Tend has begun a new segment.
func (p *Pool) Submit(now time.Time, txs []*block.Tx) ([]Verdict, error) {
	verdicts := p.screen(txs)
	claims, own := p.reserve(now, txs, verdicts)
	if own.batch != nil {
		p.journal.commit(own)
	}
	var failed error
	for _, c := range claims {
		if c.batch == nil {
			continue // no journal
		}
		<-c.batch.done
		if c.batch.err != nil {
			failed = c.batch.err
		}
	}
	p.grant(claims, verdicts)
	return verdicts, failed
}

// screen decides on the transactions that are in the ledger, or that the pool
// knows to be committed, and leaves the others undecided. The ledger is read
// without the lock; a block that is committed meanwhile is in p.recent afterwards.
func (p *Pool) screen(txs []*block.Tx) []Verdict {
	verdicts := make([]Verdict, len(txs))
	for _, i := range p.unknown(txs, verdicts) {
		id := txs[i].ID()
		committed, err := p.cfg.Committed(id)
		switch {
		case err != nil:
			verdicts[i] = refused(fmt.Errorf("asking the ledger for transaction %s: %w", id.Short(), err))
		case committed:
			verdicts[i].Status = Committed
		}
	}
	return verdicts
}

// unknown returns which of the transactions only the ledger can tell about.
func (p *Pool) unknown(txs []*block.Tx, verdicts []Verdict) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ask []int
	for i, t := range txs {
		switch {
		case p.recent.has(t.ID()):
			verdicts[i].Status = Committed
		case p.shelf.entries[t.ID()] == nil:
			ask = append(ask, i)
		}
	}
	return ask
}

// known decides on a transaction that is in the pool or committed lately. The
// caller holds mu.
func (p *Pool) known(id block.ID) Verdict {
	switch {
	case p.shelf.entries[id] != nil:
		return Verdict{Status: Duplicate}
	case p.recent.has(id):
		return Verdict{Status: Committed}
	}
	return Verdict{}
}

// claim is what a Submit wants to acknowledge: an entry, once its journal write is
// through, be that this Submit's own or another's that came first.
type claim struct {
	place int // of the transaction in the call
	entry *entry
	batch *batch // nil: nothing to wait for
}

// reserve makes room for the undecided transactions and enters those that the
// journal does not have yet in its next batch. The verdicts it writes are those
// that hold if the journal write succeeds.
func (p *Pool) reserve(now time.Time, txs []*block.Tx, verdicts []Verdict) ([]claim, ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var claims []claim
	var fresh []*entry
	for i, t := range txs {
		if verdicts[i].Status != 0 {
			continue
		}
		verdicts[i] = p.known(t.ID())
		e := p.shelf.entries[t.ID()]
		if verdicts[i].Status == 0 {
			if err := p.shelf.admit(t, ""); err != nil {
				verdicts[i] = refused(err)
				continue
			}
			e = p.shelf.hold(t.Clone(), now, "")
			verdicts[i].Status = Accepted
		}
		if e == nil || e.local {
			continue // committed lately, or acknowledged before
		}
		claims = append(claims, claim{place: i, entry: e, batch: e.batch})
		if e.batch == nil {
			fresh = append(fresh, e)
		}
	}
	own := p.enter(fresh)
	for i := range claims {
		claims[i].batch = claims[i].entry.batch
	}
	return claims, own
}

// enter puts entries into the journal's next batch. The caller holds mu.
func (p *Pool) enter(fresh []*entry) ticket {
	if p.journal == nil || len(fresh) == 0 {
		return ticket{}
	}
	own := p.journal.join(fresh)
	for _, e := range fresh {
		e.batch = own.batch
	}
	return own
}

// grant acts on the outcome of the claims' journal writes: what was written is
// put on offer, what was not is taken back, and what left the pool meanwhile gets
// the verdict that it left with.
func (p *Pool) grant(claims []claim, verdicts []Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range claims {
		if c.entry.batch == c.batch { // the first of those that wait for it
			p.finish(c.entry, c.batch)
		}
		switch {
		case c.entry.left.Status != 0:
			verdicts[c.place] = c.entry.left
		case c.batch != nil && c.batch.err != nil:
			verdicts[c.place] = refused(c.batch.err)
		}
	}
	for _, v := range verdicts {
		p.count(v)
	}
}

// finish ends an entry's journal write. The caller holds mu.
func (p *Pool) finish(e *entry, b *batch) {
	e.batch = nil
	if b != nil && b.err != nil {
		if e.offer < 0 && e.left.Status == 0 { // else gossip brought it too, and it stays
			p.shelf.drop(e)
		}
		return
	}
	if b != nil && e.segment == nil { // else a later segment has it already
		e.segment = b.segment
	}
	e.local = true
	if e.left.Status == 0 && e.offer < 0 && e.tx.Expiry <= p.shelf.height {
		p.shelf.drop(e)
		e.left = refused(expired(e.tx, p.shelf.height+1))
	}
	switch {
	case e.left.Status != 0:
		if e.segment != nil {
			p.spend(e.segment, e)
		}
	case e.offer < 0:
		p.show(e)
	}
}

// show puts a held entry on offer and says so. The caller holds mu.
func (p *Pool) show(e *entry) {
	p.shelf.show(e)
	p.wanted.remove(e.tx.ID())
	p.notify()
}

// count enters a verdict in the statistics. The caller holds mu.
func (p *Pool) count(v Verdict) {
	switch v.Status {
	case Accepted:
		p.stats.Accepted++
	case Refused:
		p.stats.Refused++
	}
}
