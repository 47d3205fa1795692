package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"grapevine/block"
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
	Duplicates float64  `json:"duplicates"` // bodies' worth that came again, summed over the peers
}

// Total is how all blocks together spread. A latency is that of one block at one
// peer other than its producer.
type Total struct {
	Blocks, Txs, Bytes           int
	Arrivals                     int // latencies that the percentiles are of
	P50, P95, Max                float64
	HopMax                       int
	Push, Pull, Catchup, Missing int
	Duplicates                   float64 // bodies' worth that came again
}

// Merge returns the blocks that the facts speak of, by height.
func Merge(facts []Fact) []Block {
	blocks := []Block{}
	for _, group := range byBlock(facts) {
		blocks = append(blocks, summary(group))
	}
	return blocks
}

// Totals returns the sums and percentiles over all blocks.
func Totals(facts []Fact) Total {
	var t Total
	var latencies []time.Duration
	for _, group := range byBlock(facts) {
		b := summary(group)
		t.Blocks, t.Txs, t.Bytes = t.Blocks+1, t.Txs+b.Txs, t.Bytes+b.Bytes
		t.Push, t.Pull, t.Catchup = t.Push+b.Push, t.Pull+b.Pull, t.Catchup+b.Catchup
		t.Duplicates += b.Duplicates
		t.HopMax = max(t.HopMax, b.HopMax)
		for _, f := range group {
			t.Missing += f.Missing
		}
		latencies = append(latencies, travelled(group)...)
	}
	t.Duplicates = hundredths(t.Duplicates)
	slices.Sort(latencies)
	t.Arrivals = len(latencies)
	t.P50, t.P95, t.Max = Rank(latencies, 50), Rank(latencies, 95), Rank(latencies, 100)
	return t
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

// summary sums up the facts of one block, of which there is at least one.
func summary(group []Fact) Block {
	b := Block{Height: group[0].Height, ID: group[0].ID, Txs: group[0].Txs, Bytes: group[0].Bytes, Peers: len(group)}
	for _, f := range group {
		switch f.Via {
		case ViaPush, ViaShards:
			b.Push++
		case ViaPull:
			b.Pull++
		case ViaCatchup:
			b.Catchup++
		}
		b.HopMax = max(b.HopMax, f.Hop)
		b.Duplicates += f.Duplicates
	}
	b.Duplicates = hundredths(b.Duplicates)
	latencies := travelled(group)
	slices.Sort(latencies)
	b.P50, b.P95, b.Max = Rank(latencies, 50), Rank(latencies, 95), Rank(latencies, 100)
	return b
}

// hundredths takes out of a sum what adding binary fractions put into it.
func hundredths(x float64) float64 { return math.Round(100*x) / 100 }

// arrivals returns how many latencies the block's percentiles are of.
func (b Block) arrivals() int { return b.Push + b.Pull + b.Catchup }

func travelled(group []Fact) []time.Duration {
	var out []time.Duration
	for _, f := range group {
		if f.Via != ViaOwn {
			out = append(out, f.Latency)
		}
	}
	return out
}

// Rank returns the percentile of sorted latencies by nearest rank, in milliseconds
// to the microsecond; 0 of none.
func Rank(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := (len(sorted)*percent + 99) / 100
	return math.Round(float64(sorted[max(at, 1)-1])/float64(time.Microsecond)) / 1000
}
