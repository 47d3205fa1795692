package report

import (
	"cmp"
	"math"
	"slices"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

// Report says how a network's blocks spread, and whether the ledgers agree that were
// read: Height and Agree are of the peers that were asked.
type Report struct {
	Peers  int     `json:"peers"`
	Asked  int     `json:"asked"`
	Down   []int   `json:"down"` // the others, by number
	Height uint64  `json:"height"`
	Agree  bool    `json:"agree"`
	Blocks []Block `json:"blocks"`
}

// Block is how one block spread.
type Block struct {
	Height     uint64   `json:"height"`
	ID         block.ID `json:"id"`
	Txs        int      `json:"txs"`
	Bytes      int      `json:"bytes"`
	Peers      int      `json:"peers"`  // that accepted it, the producer included
	P50        float64  `json:"p50_ms"` // of the latencies of all but the producer
	P95        float64  `json:"p95_ms"`
	Max        float64  `json:"max_ms"`
	HopMax     int      `json:"hop_max"`
	Push       int      `json:"push"` // peers that got it by push or in shards
	Pull       int      `json:"pull"`
	Catchup    int      `json:"catchup"`
	Duplicates float64  `json:"duplicates"` // bodies' worth that came again, for each peer that got it
}

// Total is how all blocks together spread: as if they were one, whose height, ID and
// number of peers say nothing. A latency is that of one block at one peer other than its
// producer.
type Total struct {
	Block
	Blocks  int
	Missing int // transactions that had to be fetched
}

// Merge returns the blocks that the facts speak of, by height.
func Merge(facts []Fact) []Block {
	blocks := []Block{}
	for _, group := range byBlock(facts) {
		b := summary(group)
		b.Height, b.ID, b.Txs, b.Bytes, b.Peers = group[0].Height, group[0].ID, group[0].Txs, group[0].Bytes, len(group)
		blocks = append(blocks, b)
	}
	return blocks
}

// Totals returns the sums and percentiles over all blocks.
func Totals(facts []Fact) Total {
	groups := byBlock(facts)
	t := Total{Block: summary(slices.Concat(groups...)), Blocks: len(groups)}
	for _, group := range groups {
		t.Txs, t.Bytes = t.Txs+group[0].Txs, t.Bytes+group[0].Bytes
		for _, f := range group {
			t.Missing += f.Missing
		}
	}
	return t
}

// Last returns the facts of the last n heights that they speak of; of all if n is 0.
func Last(facts []Fact, n int) []Fact {
	var heights []uint64
	for _, f := range facts {
		heights = append(heights, f.Height)
	}
	slices.Sort(heights)
	heights = slices.Compact(heights)
	if n == 0 || n >= len(heights) {
		return facts
	}
	from := heights[len(heights)-n]
	return slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return f.Height < from })
}

// byBlock groups the facts by height and ID, each peer's first one alone, in the
// order of heights, then IDs, then peers.
func byBlock(facts []Fact) [][]Fact {
	sorted := slices.Clone(facts)
	slices.SortStableFunc(sorted, func(a, b Fact) int {
		return cmp.Or(
			cmp.Compare(a.Height, b.Height),
			slices.Compare(a.ID[:], b.ID[:]),
			cmp.Compare(a.Peer, b.Peer),
			a.Time.Compare(b.Time))
	})
	var groups [][]Fact
	for i, f := range sorted {
		switch {
		case i == 0 || f.ID != sorted[i-1].ID:
			groups = append(groups, []Fact{f})
		case f.Peer != sorted[i-1].Peer:
			last := len(groups) - 1
			groups[last] = append(groups[last], f)
		}
	}
	return groups
}

// summary sums up how blocks spread.
func summary(facts []Fact) Block {
	var b Block
	var s Spread
	for _, f := range facts {
		b.HopMax = max(b.HopMax, f.Hop)
		b.Duplicates += f.Duplicates
		if f.Via != arrival.Own {
			s.Add(f.Via, f.Latency)
		}
	}
	b.Push, b.Pull, b.Catchup = s.Came(arrival.Push, arrival.Shards), s.Came(arrival.Pull), s.Came(arrival.CatchUp)
	if n := b.arrivals(); n > 0 {
		b.Duplicates = math.Round(100*b.Duplicates/float64(n)) / 100
		b.P50, b.P95, b.Max = float64(s.Rank(50)), float64(s.Rank(95)), float64(s.Rank(100))
	}
	return b
}

// arrivals returns how many latencies the percentiles are of.
func (b Block) arrivals() int { return b.Push + b.Pull + b.Catchup }
