package mempool

import (
	"container/list"
	"time"

	"grapevine/block"
)

// Select chooses transactions for the block at height: fairly among senders, a
// sender's own in order of arrival, at most maxCount, and no more than
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

// fill goes round the ring until the selection is full or no sender has anything
// left that fits.
func (s *selection) fill(ring *list.List) []*block.Tx {
	var again []*list.Element // where those senders stand that had a turn and have more
	for el := ring.Front(); el != nil && !s.full(); el = el.Next() {
		if next := s.turn(el.Value.(*sender).own.Front()); next != nil {
			again = append(again, next)
		}
	}
	for len(again) > 0 && !s.full() {
		round := again
		again = again[:0] // never ahead of the reading
		for _, el := range round {
			if next := s.turn(el); next != nil {
				again = append(again, next)
			}
		}
	}
	return s.txs
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
