package mempool

import "grapevine/block"

// idSet is a bounded set of IDs that forgets the oldest when it is full.
type idSet struct {
	bound int
	ring  []block.ID       // in order of arrival once it is full, oldest at next
	place map[block.ID]int // where in ring; a place that ring[place] does not confirm has been forgotten
	next  int              // place of the next ID, once ring is full
}

func newIDSet(bound int) *idSet {
	return &idSet{bound: bound, place: make(map[block.ID]int)}
}

func (s *idSet) has(id block.ID) bool {
	_, ok := s.place[id]
	return ok
}

func (s *idSet) add(id block.ID) {
	if s.has(id) {
		return
	}
	if len(s.ring) < s.bound {
		s.place[id] = len(s.ring)
		s.ring = append(s.ring, id)
		return
	}
	if old := s.ring[s.next]; s.place[old] == s.next {
		delete(s.place, old)
	}
	s.ring[s.next], s.place[id] = id, s.next
	s.next = (s.next + 1) % s.bound
}

// remove forgets an ID. Its place in the ring stays taken until the ring comes round.
func (s *idSet) remove(id block.ID) { delete(s.place, id) }

// take removes and returns up to n of the IDs, oldest first.
func (s *idSet) take(n int) []block.ID {
	var ids []block.ID
	for i := range s.ring {
		if len(ids) >= n || len(s.place) == 0 {
			break
		}
		at := (s.next + i) % len(s.ring)
		if p, ok := s.place[s.ring[at]]; ok && p == at {
			ids = append(ids, s.ring[at])
			delete(s.place, s.ring[at])
		}
	}
	if len(s.place) == 0 {
		s.ring, s.next = s.ring[:0], 0
	}
	return ids
}
