package protocol

import (
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// candidate is a whole block, right in itself, on its way into the chain.
type candidate struct {
	block message.Block
	via   arrival.Via
	from  wire.PeerID
}

// line holds whole blocks until it is their turn.
type line struct {
	next  uint64               // the height whose turn it is
	ready map[uint64]candidate // by height, above next
	taken []candidate          // of which Accepted or Refused is to come, ascending
}

// filled says whether a height has a block, in the chain or in line.
func (l *line) filled(height uint64) bool {
	_, ready := l.ready[height]
	return ready || height < l.next
}

// enter puts a candidate in line, unless its height is filled, and returns whose turn
// it is now.
func (l *line) enter(c candidate) []candidate {
	if l.filled(c.block.Height) {
		return nil
	}
	l.ready[c.block.Height] = c
	before := len(l.taken)
	for c, ok := l.ready[l.next]; ok; c, ok = l.ready[l.next] {
		delete(l.ready, l.next)
		l.next++
		l.taken = append(l.taken, c)
	}
	return l.taken[before:]
}

// leave takes out the first that was taken.
func (l *line) leave() candidate {
	c := l.taken[0]
	l.taken = l.taken[1:]
	return c
}
