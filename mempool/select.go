package mempool

import (
	"container/list"
	"time"

	"grapevine/block"
)

// Select chooses transactions for the block at height: fairly among those who brought
// them, neighbours and this node's clients together, and fairly among the senders of
// each; a sender's own in order of arrival, at most maxCount, and no more than
// preferredBytes in all, except that the first may be larger, up to
// absoluteBytes, and then stands alone. What came later than by is left out, for
// others may not have it yet; with a zero time nothing is. It removes nothing:
// Committed does.
//
// It chooses nothing for any height but the one above the last block that the
// pool was told of, for it would offer again what a block has that the pool has
// not heard of. Changed tells when the pool hears of one.
func (p *Pool) Select(by time.Time, height uint64, maxCount, preferredBytes, absoluteBytes int) []*block.Tx {
	p.mu.Lock()
	defer p.mu.Unlock()
	if height != p.shelf.height+1 {
		return nil
	}
	s := selection{
		height: height, life: p.cfg.Limits.MaxLifetime,
		count: maxCount, preferred: preferredBytes, absolute: absoluteBytes, by: by,
	}
	return s.fill(&p.shelf.ring)
}

// selection is a block's worth of transactions in the making.
type selection struct {
	height, life               uint64
	count, preferred, absolute int
	by                         time.Time // what came later is left out; zero: nothing is
	bytes                      int
	txs                        []*block.Tx
}

// fill goes round the sources, each of which goes round its senders, until the selection
// is full or none has anything left that fits.
func (s *selection) fill(ring *list.List) []*block.Tx {
	var lines []*line
	for el := ring.Front(); el != nil; el = el.Next() {
		lines = append(lines, &line{first: el.Value.(*source).ring.Front()})
	}
	for len(lines) > 0 && !s.full() {
		round := lines
		lines = lines[:0] // never ahead of the reading
		for _, l := range round {
			if !s.full() && l.turn(s) {
				lines = append(lines, l)
			}
		}
	}
	return s.txs
}

// line is where a source's senders stand in a selection.
type line struct {
	first *list.Element   // the next of those that had no turn yet, in source.ring; nil: all had one
	again []*list.Element // where those stand that had a turn and have more
}

// turn takes one transaction of the source's next sender, and says whether it took any.
func (l *line) turn(s *selection) bool {
	for taken := len(s.txs); ; {
		var from *list.Element
		switch {
		case l.first != nil:
			from = l.first.Value.(*sender).own.Front()
			l.first = l.first.Next()
		case len(l.again) > 0:
			from, l.again = l.again[0], l.again[1:]
		default:
			return false
		}
		if next := s.turn(from); next != nil {
			l.again = append(l.again, next)
		}
		if len(s.txs) > taken {
			return true
		}
	}
}

// full says that not even the smallest transaction has room.
func (s *selection) full() bool {
	return len(s.txs) >= s.count || len(s.txs) > 0 && s.bytes+block.TxOverhead > s.preferred
}

// turn takes one transaction of a sender, from el on, and returns where it goes
// on; nil when the sender is out of this selection, because it has nothing more or
// because its next does not fit and must not be overtaken by a later one.
func (s *selection) turn(el *list.Element) *list.Element {
	for ; el != nil; el = el.Next() {
		e := el.Value.(*entry)
		t := e.tx
		if !s.possible(t) {
			continue
		}
		if !s.by.IsZero() && e.at.After(s.by) {
			return nil
		}
		if !s.fits(t.Size()) {
			return nil
		}
		s.txs = append(s.txs, t)
		s.bytes += t.Size()
		return el.Next()
	}
	return nil
}

// possible says whether t may stand at this height in a block of any size.
func (s *selection) possible(t *block.Tx) bool {
	return t.Expiry >= s.height && t.Expiry-s.height <= s.life && t.Size() <= s.absolute
}

func (s *selection) fits(size int) bool {
	return len(s.txs) < s.count && (len(s.txs) == 0 || s.bytes+size <= s.preferred)
}
