package mempool

import "os"

// trim passes on to the journal what left the pool, and keeps the journal small.
func (p *Pool) trim(spent map[*segment]int64) {
	if p.journal == nil {
		return
	}
	p.journal.release(spent)
	if s := p.journal.sparsest(); s != nil {
		p.move(s)
	}
}

// release tells the journal how many bytes of which segments are of transactions
// that left the pool. It deletes the segments that nothing needs any more, but for
// the last.
func (j *journal) release(spent map[*segment]int64) {
	for _, s := range j.unneeded(spent) {
		if err := j.steps.Do("delete segment", func() error { return os.Remove(j.path(s.number)) }); err != nil {
			j.log.Warn("journal segment not deleted, the next start does", "path", j.path(s.number), "err", err)
		}
	}
}

func (j *journal) unneeded(spent map[*segment]int64) []*segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	for s, n := range spent {
		s.live -= n
	}
	var out []*segment
	keep := j.segments[:0]
	for i, s := range j.segments {
		if s.live == 0 && i < len(j.segments)-1 {
			out = append(out, s)
		} else {
			keep = append(keep, s)
		}
	}
	clear(j.segments[len(keep):])
	j.segments = keep
	return out
}

// sparsest returns the segment with the smallest part of its bytes still needed,
// if the journal has grown past twice what is needed and four segments; else nil.
// Then that part is less than half, so moving it frees more than it writes.
func (j *journal) sparsest() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	var size, live int64
	var best *segment
	for i, s := range j.segments {
		size += s.size
		live += s.live
		last := i == len(j.segments)-1
		if !last && (best == nil || float64(s.live)/float64(s.size) < float64(best.live)/float64(best.size)) {
			best = s
		}
	}
	if size <= 2*live+4*j.segmentBytes {
		return nil
	}
	return best
}

// move journals a segment's transactions anew, so that the segment can go. Without
// it one transaction with a distant expiry in each segment would keep them all.
func (p *Pool) move(s *segment) {
	entries, own := p.enterAgain(s)
	if own.batch == nil {
		return
	}
	p.journal.commit(own)
	if own.batch.err != nil {
		return // the old segment stays
	}
	p.journal.release(p.moved(entries, s, own.batch.segment))
}

func (p *Pool) enterAgain(s *segment) ([]*entry, ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var entries []*entry
	for _, o := range p.shelf.offers {
		if o.segment == s {
			entries = append(entries, o.entry)
		}
	}
	if len(entries) == 0 {
		return nil, ticket{}
	}
	return entries, p.journal.join(entries)
}

// moved has the entries kept by their new segment, and returns what the segments
// no longer keep.
func (p *Pool) moved(entries []*entry, from, to *segment) map[*segment]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		if e.left.Status != 0 || e.segment != from { // while it was written; the old record is counted
			p.spend(to, e)
			continue
		}
		e.segment = to
		p.spend(from, e)
	}
	return p.takeSpent()
}

// spend notes that a segment needs not keep an entry. The caller holds mu.
func (p *Pool) spend(s *segment, e *entry) {
	p.spent[s] += int64(recordOverhead + e.tx.Size())
}

// takeSpent returns what the journal is to be told. The caller holds mu.
func (p *Pool) takeSpent() map[*segment]int64 {
	spent := p.spent
	p.spent = make(map[*segment]int64)
	return spent
}
