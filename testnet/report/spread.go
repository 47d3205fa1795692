package report

import (
	"math"
	"slices"
	"time"

	"grapevine/dissemination/arrival"
)

// Spread sums up how blocks came to peers that had not made them: one block, or many.
// Reports and the figures of runs are made of it.
type Spread struct {
	latencies []time.Duration
	sorted    bool
	roads     map[arrival.Via]int
}

// Add adds an arrival: the road by which it came, and how long after the block's time.
func (s *Spread) Add(via arrival.Via, latency time.Duration) {
	if s.roads == nil {
		s.roads = map[arrival.Via]int{}
	}
	s.roads[via]++
	s.latencies, s.sorted = append(s.latencies, latency), false
}

// Came returns how many came by these roads.
func (s *Spread) Came(roads ...arrival.Via) int {
	n := 0
	for _, via := range roads {
		n += s.roads[via]
	}
	return n
}

// Rank returns the percentile of the latencies by nearest rank, in milliseconds to the
// microsecond.
func (s *Spread) Rank(percent int) Figure {
	if len(s.latencies) == 0 {
		return Figure(math.NaN())
	}
	if !s.sorted {
		slices.Sort(s.latencies)
		s.sorted = true
	}
	at := (len(s.latencies)*percent + 99) / 100
	return Figure(math.Round(float64(s.latencies[max(at, 1)-1])/float64(time.Microsecond)) / 1000)
}
