// Package outcome is what happened in a run of a scenario, whatever world it ran in:
// which block reached whom, when and how, and what it cost. A world fills an Outcome;
// a Row of figures is made from it here, as package report makes its own of logs;
// pictures are drawn from it, and the checks judge it.
package outcome

import (
	"math"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

// Outcome is one protocol's run. Times count from when the network stood.
type Outcome struct {
	Protocol string
	World    string
	Seed     uint64
	Blocks   []Block       // in the order in which they were made
	Arrivals []Arrival     // in the order in which they happened, the producer's own included
	Peers    []Peer        // by their number
	Drops    []Drop        // peers that one charged so much that it let go of them
	Healed   time.Duration // when the last fault ended that ends
	End      time.Duration
	Noticed  time.Duration // see Row; zero: not known
	Quiet    time.Duration // for how long no block was under way, since the first; see Peer.Idle
	// NoChain says that the peers keep no chain and catch nothing up: what one missed it
	// never has, and what it has need not be in order.
	NoChain bool
	// Sampled says that the peers' bytes were asked of them now and then. What one
	// counted just before it was killed is missing, so that sent and received need not
	// balance.
	Sampled bool
	// Trace is a hash of all messages, of whom to whom and when; zero in a world that
	// does not repeat.
	Trace uint64
}

// Block is a block that was made.
type Block struct {
	Height uint64
	ID     block.ID
	Bytes  int           // of its body
	At     time.Duration // its header's time
}

// Arrival is a block accepted by a peer.
type Arrival struct {
	Peer   int
	Height uint64
	ID     block.ID
	At     time.Duration // when it was accepted
	Via    arrival.Via
	From   int // the peer that announced or sent it first; -1: nobody, or not known
	Hop    int // -1: not known
}

// Peer is what a peer is at the end, and what it received from the first announcement
// to one second after the last acceptance.
type Peer struct {
	Alive  bool // it runs, and nothing cuts it off
	Height uint64
	ID     block.ID // at Height
	Away   []Span   // when it did not run, in order; Gone and Back write it
	// Received is all bytes that came: UDP payload in the packet world, encoded frames
	// and what their datagrams take besides in the event world, encoded frames and 5 %
	// with processes. Sent likewise.
	Received, Sent int64
	// Idle is what of Received came while no block was under way: none is from a second after
	// everybody has the last one until the next is made.
	Idle int64
	// Again is the bytes of block bodies that came though they were here already.
	Again int64
}

// Span is from From until before To.
type Span struct{ From, To time.Duration }

// Forever ends a span that does not.
const Forever = time.Duration(math.MaxInt64)

// Gone says that the peer does not run from a time on: it crashed, or has not joined.
func (p *Peer) Gone(at time.Duration) {
	if n := len(p.Away); n == 0 || p.Away[n-1].To != Forever {
		p.Away = append(p.Away, Span{at, Forever})
	}
}

// Back says that it runs again, or for the first time.
func (p *Peer) Back(at time.Duration) {
	if n := len(p.Away); n > 0 && p.Away[n-1].To == Forever {
		p.Away[n-1].To = at
	}
}

// There says whether it ran at a time.
func (p *Peer) There(at time.Duration) bool {
	return !slices.ContainsFunc(p.Away, func(s Span) bool { return s.From <= at && at < s.To })
}

// tookPart says whether it ran at any time between two.
func (p *Peer) tookPart(from, to time.Duration) bool {
	return !slices.ContainsFunc(p.Away, func(s Span) bool { return s.From <= from && to <= s.To })
}

// Drop is a neighbour let go of for what it did. No honest peer gives cause.
type Drop struct {
	Peer, Dropped int
	At            time.Duration
	Why           string
}
