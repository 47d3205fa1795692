// Package outcome is what happened in a run of a scenario, whatever world it ran in:
// which block reached whom, when and how, and what it cost. A world fills an Outcome;
// figures and pictures are made from it here, and the checks judge it.
package outcome

import (
	"time"

	"grapevine/block"
)

// Ways in which a block reaches a peer, as in the peers' logs.
const (
	ViaOwn     = "own"
	ViaPush    = "push"
	ViaShards  = "shards"
	ViaPull    = "pull"
	ViaCatchup = "catch-up"
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
	Via    string
	From   int // the peer that announced or sent it first; -1: nobody, or not known
	Hop    int
}

// Peer is what a peer is at the end, and what it received from the first announcement
// to one second after the last acceptance.
type Peer struct {
	Alive  bool // it runs, and nothing cuts it off
	Height uint64
	ID     block.ID // at Height
	// Received is all bytes that came: UDP payload in the packet world, encoded frames
	// and 5 % in the event world. Sent likewise.
	Received, Sent int64
	// Again is the bytes of block bodies that came though they were here already.
	Again int64
}

// Drop is a neighbour let go of for what it did. No honest peer gives cause.
type Drop struct {
	Peer, Dropped int
	At            time.Duration
	Why           string
}
