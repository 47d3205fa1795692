package outcome

import (
	"math"
	"strconv"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/report"
)

// Row is the figures of a run.
type Row struct {
	Protocol string `json:"protocol"`
	World    string `json:"world"`
	Peers    int    `json:"peers"`
	Blocks   int    `json:"blocks"`
	Seed     uint64 `json:"seed"`
	// Coverage is the share of (block, peer), over peers other than the producer that
	// ran when the block was made, that push or shards reached.
	Coverage Figure `json:"coverage"`
	// Latencies are of the same pairs, as far as the block was accepted: from the
	// block's time, in milliseconds; percentiles by nearest rank.
	P50 Figure `json:"p50_ms"`
	P90 Figure `json:"p90_ms"`
	P99 Figure `json:"p99_ms"`
	Max Figure `json:"max_ms"`
	// BytesPerPeer is what came while blocks were under way (Peer.Idle), per block and peer
	// that ran at any time since the first; of a run without blocks, per second and peer.
	BytesPerPeer Figure `json:"bytes_per_peer"`
	// Redundancy is what came to all peers over what had to: the body of each block
	// for each peer other than its producer that accepted it.
	Redundancy Figure `json:"redundancy"`
	Duplicates Figure `json:"duplicates"` // bodies that came again, over the same
	// Idle is what came to a peer in a second in which no block was under way, in bytes.
	Idle Figure `json:"idle_bytes"`
	// Busiest is what the peer that sent most sent, over the mean, and Orderer what the
	// first block's producer sent, over the bodies of all blocks.
	Busiest Figure `json:"busiest_upload"`
	Orderer Figure `json:"orderer_upload"`
	HopMax  Figure `json:"hop_max"`
	// Noticed is how long it took after a crash, in milliseconds, until everybody who
	// lived held all who had crashed for dead: the longest. It is measured of membership
	// cores in the event world; in JSON it stands only where it is known.
	Noticed *Figure `json:"noticed_ms,omitempty"`
	Trace   string  `json:"trace"` // 16 hex digits; empty in a world that does not repeat
}

// noticed is Noticed, known or not.
func (r Row) noticed() Figure {
	if r.Noticed == nil {
		return Figure(math.NaN())
	}
	return *r.Noticed
}

// Figure is a number that need not be known.
type Figure = report.Figure

// Row takes the figures. Arrivals of blocks that nobody made count nowhere.
func (o *Outcome) Row() Row {
	r := Row{Protocol: o.Protocol, World: o.World, Peers: len(o.Peers), Blocks: len(o.Blocks), Seed: o.Seed, HopMax: Figure(math.NaN())}
	if o.Trace != 0 {
		text := strconv.FormatUint(o.Trace, 16)
		r.Trace = "0000000000000000"[len(text):] + text
	}
	var spread report.Spread
	var bodies float64 // bytes that had to come
	for _, d := range o.Deliveries() {
		bodies += float64(o.Blocks[d.Block].Bytes)
		if hop := Figure(d.Hop); hop >= 0 && !(hop <= r.HopMax) {
			r.HopMax = hop
		}
		if d.Expected {
			spread.Add(d.Via, d.Latency)
		}
	}
	r.Coverage = report.Ratio(float64(spread.Came(arrival.Push, arrival.Shards)), float64(o.Expected()))
	r.P50, r.P90, r.P99, r.Max = spread.Rank(50), spread.Rank(90), spread.Rank(99), spread.Rank(100)
	o.traffic(&r, bodies)
	if o.Noticed > 0 {
		millis := Figure(o.Noticed.Seconds() * 1000)
		r.Noticed = &millis
	}
	return r
}

func (o *Outcome) traffic(r *Row, bodies float64) {
	var received, again, idle, sent, busiest int64
	var first time.Duration
	if len(o.Blocks) > 0 {
		first = o.Blocks[0].At
	}
	peers := 0
	for _, p := range o.Peers {
		received, again, idle = received+p.Received-p.Idle, again+p.Again, idle+p.Idle
		sent, busiest = sent+p.Sent, max(busiest, p.Sent)
		if p.tookPart(first, o.End) {
			peers++
		}
	}
	per := float64(len(o.Blocks))
	if per == 0 {
		per = o.End.Seconds()
	}
	r.BytesPerPeer = report.Ratio(float64(received), float64(peers)*per)
	r.Idle = report.Ratio(float64(idle), float64(peers)*o.Quiet.Seconds())
	r.Busiest, r.Orderer = report.Ratio(float64(busiest)*float64(peers), float64(sent)), report.Ratio(o.produced())
	r.Redundancy, r.Duplicates = report.Ratio(float64(received), bodies), report.Ratio(float64(again), bodies)
}

// produced returns what the first block's producer sent, and the bytes of all bodies.
func (o *Outcome) produced() (sent, bodies float64) {
	_, producers := o.made()
	for i, b := range o.Blocks {
		if p := producers[i]; i == 0 && p >= 0 {
			sent = float64(o.Peers[p].Sent)
		}
		bodies += float64(b.Bytes)
	}
	return sent, bodies
}

// Delivery is the first acceptance of a block by a peer other than its producer.
type Delivery struct {
	Arrival
	Block    int           // index into Blocks
	Latency  time.Duration // from the block's time
	Expected bool          // the peer ran when the block was made
}

// Deliveries returns what became of the blocks, in the order in which it happened.
func (o *Outcome) Deliveries() []Delivery {
	byID, producers := o.made()
	type pair struct{ block, peer int }
	seen := make(map[pair]bool, len(o.Arrivals))
	var out []Delivery
	for _, a := range o.Arrivals {
		b, ok := byID[a.ID]
		if !ok || a.Peer == producers[b] || seen[pair{b, a.Peer}] {
			continue
		}
		seen[pair{b, a.Peer}] = true
		at := o.Blocks[b].At
		out = append(out, Delivery{Arrival: a, Block: b, Latency: a.At - at, Expected: o.Peers[a.Peer].There(at)})
	}
	return out
}

// Expected is how many pairs of a block and a peer other than its producer there are
// where the peer ran when the block was made.
func (o *Outcome) Expected() int {
	_, producers := o.made()
	n := 0
	for i, b := range o.Blocks {
		for p := range o.Peers {
			if p != producers[i] && o.Peers[p].There(b.At) {
				n++
			}
		}
	}
	return n
}

// made returns the blocks' indices by ID, and the peer that made each; -1 where its
// own acceptance is not known.
func (o *Outcome) made() (byID map[block.ID]int, producers []int) {
	byID = make(map[block.ID]int, len(o.Blocks))
	producers = make([]int, len(o.Blocks))
	for i, b := range o.Blocks {
		byID[b.ID], producers[i] = i, -1
	}
	for _, a := range o.Arrivals {
		if b, ok := byID[a.ID]; ok && a.Via == arrival.Own {
			producers[b] = a.Peer
		}
	}
	return byID, producers
}
