package scenario

import "time"

// Plan is a scenario resolved by its seed: who is who, and what happens when. The
// same scenario gives the same plan, in every world.
type Plan struct {
	Scenario
	PeerPlans []PeerPlan
	Events    []Event // in the order of their times
}

// PeerPlan is one peer.
type PeerPlan struct {
	Link
	Class  string        // "" is none
	Region int           // index into Scenario.Regions; -1 is none
	Joins  time.Duration // when it starts; zero: it is there from the beginning
}

// EventKind is what happens.
type EventKind uint8

// What can happen. Crash to Slow are faults that begin and the others are their ends.
const (
	Propose EventKind = iota // the orderer makes the block numbered Block
	CutOff                   // Peers are cut off from all others
	Mend                     // they no longer are
	Kill                     // Peers end without a word
	Start                    // Peers start, for the first time or again
	SetLoss                  // packets to and from Peers are lost with probability Loss, on top of their own
	SetRate                  // Peers send and receive at Rate; zero: at their own again
)

// Event is something that happens at a time.
type Event struct {
	At    time.Duration
	Kind  EventKind
	Peers []int // ascending; none for Propose
	Fault int   // index into Scenario.Faults; -1 for Propose
	Block int   // of Propose: counting from 0
	Loss  float64
	Rate  Rate
}
