package mempool

import (
	"slices"
	"time"

	"grapevine/block"
)

// Match returns, for a block's packed list of short IDs under the block's key, the
// pool's transaction at each place. It is nil where the pool has none, or where it
// is ambiguous: two of the pool's transactions, or two places of the list, share
// the short ID. Whether what it found is right the header's transaction root says.
func (p *Pool) Match(key block.SipKey, shorts []byte) []*block.Tx {
	sought := newSought(len(shorts) / block.ShortSize)
	for i := range len(shorts) / block.ShortSize {
		sought.add(block.ShortAt(shorts, i))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.shelf.offers {
		o := &p.shelf.offers[i]
		sought.try(key.Short(o.id), o.tx)
	}
	return sought.found
}

// BySalted returns the transactions whose salted hash (key.Sum64) is among hashes,
// in the order of hashes, for as long as they fit in maxBytes together. What the
// pool does not have, or cannot tell apart, is left out.
func (p *Pool) BySalted(key block.SipKey, hashes []uint64, maxBytes int) []*block.Tx {
	sought := newSought(len(hashes))
	for _, h := range hashes {
		sought.add(h)
	}
	p.match64(key, sought)
	var txs []*block.Tx
	for _, t := range sought.found {
		if t == nil {
			continue
		}
		if maxBytes -= t.Size(); maxBytes < 0 {
			break
		}
		txs = append(txs, t)
	}
	return txs
}

func (p *Pool) match64(key block.SipKey, s *sought) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.shelf.offers {
		o := &p.shelf.offers[i]
		s.try(key.Sum64(o.id), o.tx)
	}
}

// Inventory returns the salted hashes (key.Sum64) of what is on offer, those from
// low to high, both included, ascending, and at most limit of them: the lowest.
// Up to covered the list is complete: that is high, or the last hash of a list
// that was cut.
func (p *Pool) Inventory(key block.SipKey, low, high uint64, limit int) (hashes []uint64, covered uint64) {
	hashes = p.salted(key, low, high)
	slices.Sort(hashes)
	if limit = max(limit, 1); len(hashes) <= limit {
		return hashes, high
	}
	return slices.Clone(hashes[:limit]), hashes[limit-1]
}

// Since returns the IDs of what is on offer and came after t, the last first: what
// others may just be sending each other.
func (p *Pool) Since(t time.Time) (ids []block.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for el := p.shelf.arrival.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		if !e.at.After(t) {
			break
		}
		ids = append(ids, e.tx.ID())
	}
	return ids
}

func (p *Pool) salted(key block.SipKey, low, high uint64) []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var hashes []uint64
	for i := range p.shelf.offers {
		if h := key.Sum64(p.shelf.offers[i].id); low <= h && h <= high {
			hashes = append(hashes, h)
		}
	}
	return hashes
}

// sought is a list of hashes to be found among many more. A bitmap turns most of
// the others away before they cost a look into the map, whose own hash is secret,
// so that a list made up to collide in it is only a list.
type sought struct {
	found  []*block.Tx
	places map[uint64]int // negative: ambiguous
	bits   []uint64
}

// bitsPerHash makes one other hash in 33 pass the bitmap.
const bitsPerHash = 32

func newSought(n int) *sought {
	words := 1
	for words*64 < n*bitsPerHash {
		words *= 2
	}
	return &sought{found: make([]*block.Tx, 0, n), places: make(map[uint64]int, n), bits: make([]uint64, words)}
}

const ambiguous = -1

// add appends a hash to the list.
func (s *sought) add(h uint64) {
	place := len(s.found)
	s.found = append(s.found, nil)
	if _, twice := s.places[h]; twice {
		place = ambiguous
	}
	s.places[h] = place
	word, bit := s.bit(h)
	s.bits[word] |= bit
}

// try finds t, whose hash is h, a place if it has one.
func (s *sought) try(h uint64, t *block.Tx) {
	if word, bit := s.bit(h); s.bits[word]&bit == 0 {
		return
	}
	place, ok := s.places[h]
	switch {
	case !ok || place == ambiguous:
	case s.found[place] == nil:
		s.found[place] = t
	default:
		s.found[place], s.places[h] = nil, ambiguous
	}
}

func (s *sought) bit(h uint64) (word int, bit uint64) {
	return int(h >> 6 & uint64(len(s.bits)-1)), 1 << (h & 63)
}
