package scenario

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Plan is a scenario resolved by its seed: who is who, and what happens when. The
// same scenario gives the same plan, in every world.
type Plan struct {
	Scenario
	PeerPlans []PeerPlan
	// Events are in the order of their times. At one time, faults end, then others
	// begin, and then there is a block.
	Events []Event
	// delays is the regions' table, row by row; negative: the links' latency counts.
	delays []time.Duration
}

// PeerPlan is one peer.
type PeerPlan struct {
	Link
	Class  string        // "" is none
	Region int           // index into Scenario.Regions; -1 is none
	Joins  time.Duration // when it starts, by a Start event; zero: it is there from the beginning
}

// EventKind is what happens.
type EventKind uint8

// What can happen. Crash to Slow are faults that begin and the others are their ends.
const (
	Propose     EventKind = iota // the orderer makes the block numbered Block
	CutOff                       // Peers are cut off from all others
	Mend                         // they no longer are
	Kill                         // Peers end without a word
	Start                        // Peers start, for the first time or again
	SetLoss                      // packets to and from Peers are lost with probability Loss, on top of their own
	SetWithhold                  // Peers bring nothing of what they say that they have, or do again
	SetRate                      // Peers send and receive at Rate; zero: at their own again
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
	On    bool // of SetWithhold
}

// Plan draws what the scenario leaves to chance. Who is where, who is of which class
// and whom each fault befalls come from streams of their own, so that a fault more
// changes nothing but itself, and what comes after it in the file only where it must.
func (s Scenario) Plan() (*Plan, error) {
	if s.Checks.Reach == 0 {
		s.Checks.Reach = defaultReach
	}
	p, err := s.plan()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.called(), err)
	}
	return p, nil
}

func (s Scenario) plan() (*Plan, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := &Plan{Scenario: s, PeerPlans: make([]PeerPlan, s.Peers)}
	for i := range p.PeerPlans {
		p.PeerPlans[i] = PeerPlan{Link: s.Link, Region: -1}
	}
	p.drawRegions()
	if err := p.drawClasses(); err != nil {
		return nil, err
	}
	r := &resolver{Plan: p}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	p.Events = append(r.ends, r.begins...)
	slices.SortStableFunc(p.Events, byTime)
	p.Events = append(p.Events, p.proposals()...)
	slices.SortStableFunc(p.Events, byTime)
	if err := p.attended(); err != nil {
		return nil, err
	}
	if last := p.Quiet(); s.Duration != 0 && last > s.Duration.D() {
		return nil, fmt.Errorf("duration %s: the last that happens is at %s: want more, or leave it out", s.Duration, last)
	}
	return p, nil
}

// proposals returns the blocks that are made while the orderer is there.
func (p *Plan) proposals() []Event {
	var out []Event
	if p.Load.TxRate > 0 {
		return nil
	}
	for k := range p.Load.Blocks {
		at := (p.Load.First + Duration(k)*p.Load.Every).D()
		if p.Alive(0, at) {
			out = append(out, Event{At: at, Kind: Propose, Fault: -1, Block: len(out)})
		}
	}
	return out
}

// drawRegions draws each peer's region by the weights, and tabulates the latencies.
func (p *Plan) drawRegions() {
	n := len(p.Regions)
	if n == 0 {
		return
	}
	sums, sum := make([]float64, n), 0.0
	for i, r := range p.Regions {
		sum += r.Weight
		sums[i] = sum
	}
	rng := p.Random("regions", 0)
	for i := range p.PeerPlans {
		at := min(rng.Float64()*sum, math.Nextafter(sum, 0)) // the product may round up to sum
		p.PeerPlans[i].Region = slices.IndexFunc(sums, func(s float64) bool { return at < s })
	}
	p.delays = make([]time.Duration, n*n)
	for i := range p.delays {
		p.delays[i] = -1
	}
	for i, r := range p.Regions {
		if r.Orderer {
			p.PeerPlans[0].Region = i
		}
		for name, d := range r.Latency {
			j := p.region(name)
			p.delays[i*n+j], p.delays[j*n+i] = d.D(), d.D()
		}
	}
}

// drawClasses puts the peers named into their classes, and then draws the shares from
// the others.
func (p *Plan) drawClasses() error {
	put := func(peer int, c Class) {
		p.PeerPlans[peer].Class = c.Name
		p.PeerPlans[peer].Link = p.Link.over(c.Link)
	}
	for _, c := range p.Classes {
		for _, peer := range c.Peers {
			put(peer, c)
		}
	}
	free := slices.DeleteFunc(p.Random("classes", 0).Perm(p.Peers), func(peer int) bool { return p.PeerPlans[peer].Class != "" })
	taken, sum := 0, 0.0
	for _, c := range p.Classes {
		sum += c.Share
		upto := int(math.Round(sum * float64(p.Peers))) // so that rounding does not add up
		if upto > len(free) {
			return fmt.Errorf("class %q.share %v: only %d of %d peers are in no class yet: want less, or fewer named", c.Name, c.Share, len(free)-taken, p.Peers)
		}
		for _, peer := range free[taken:max(taken, upto)] {
			put(peer, c)
		}
		taken = max(taken, upto)
	}
	return nil
}
