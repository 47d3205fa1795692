package scenario

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Random returns the stream of randomness that the scenario's seed has for a purpose;
// purposes and numbers that differ give streams that have nothing to do with each
// other. Whatever in a run is left to chance comes from one of them.
func (s Scenario) Random(purpose string, number uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(Mix(s.Seed^h.Sum64()), Mix(number+h.Sum64())))
}

// Mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
// number generators, OOPSLA 2014): a permutation whose bits all depend on all.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Latency returns how long a packet is under way from one peer to another, besides
// queues and jitter: what their regions say, else the mean of the two links', each of
// which gives half of the way; more or less by what makes pairs uneven.
func (p *Plan) Latency(from, to int) time.Duration {
	d := p.even(from, to)
	if p.Uneven > 0 {
		pair := Mix(p.Seed^0x756e6576) ^ uint64(min(from, to))<<32 ^ uint64(max(from, to))
		share := float64(Mix(pair)>>11) / (1 << 53) // 0 to 1
		d = time.Duration(float64(d) * (1 + p.Uneven*(2*share-1)))
	}
	return d
}

// even is the latency without what makes pairs uneven.
func (p *Plan) even(from, to int) time.Duration {
	a, b := &p.PeerPlans[from], &p.PeerPlans[to]
	if len(p.delays) > 0 && a.Region >= 0 && b.Region >= 0 {
		if d := p.delays[a.Region*len(p.Regions)+b.Region]; d >= 0 {
			return d
		}
	}
	return (a.Latency + b.Latency).D() / 2
}

// TxCount returns how many transactions a block has, counting blocks from 0: as many
// as the block's size has room for, but one at least.
func (p *Plan) TxCount(block int) int {
	size := p.Load.BlockSizes[block%len(p.Load.BlockSizes)]
	return max(1, int(size/p.Load.TxSize))
}

// TxBytes returns the size of each transaction of a block, in bytes: tx_size.
func (p *Plan) TxBytes(int) int { return int(p.Load.TxSize) }

// BodyBytes returns the size of a block's body: that of its transactions, which is up
// to tx_size less than the block's size, or more where one transaction is.
func (p *Plan) BodyBytes(block int) int { return p.TxCount(block) * int(p.Load.TxSize) }

// Warm says whether a peer holds a transaction, by its place in a block, before the
// block is made. It is a function of the seed and its arguments, so that all worlds
// have the same mempools; the orderer holds all, and nobody else what is young.
func (p *Plan) Warm(block, peer, tx int) bool {
	switch {
	case peer == 0:
		return true
	case p.Young(block, tx):
		return false
	case p.Load.Warm >= 1:
		return true
	case p.Load.Warm <= 0:
		return false
	}
	h := Mix(Mix(p.Seed^uint64(block)<<32) ^ uint64(peer)<<32 ^ uint64(tx))
	return float64(h>>11) < p.Load.Warm*(1<<53)
}

// Young says whether a transaction, by its place in a block, came to the orderer just
// before the block was made.
func (p *Plan) Young(block, tx int) bool {
	if p.Load.Young <= 0 {
		return false
	}
	h := Mix(Mix(p.Seed^uint64(block)<<32^0x796f756e67) ^ uint64(tx))
	return float64(h>>11) < p.Load.Young*(1<<53)
}

// Quiet returns when the last block was due and the last fault has begun or ended:
// from here on nothing disturbs the network any more, and Checks.Reach counts.
func (p *Plan) Quiet() time.Duration {
	var quiet time.Duration
	if n := len(p.Events); n > 0 {
		quiet = p.Events[n-1].At
	}
	if p.Load.TxRate > 0 {
		quiet = max(quiet, (p.Load.First + Duration(p.Load.Blocks)*p.Load.Every).D())
	}
	return quiet
}

// End returns the most time that a run may take: the scenario's duration, or else
// until Checks.Reach after Quiet.
func (p *Plan) End() time.Duration {
	if p.Duration != 0 {
		return p.Duration.D()
	}
	return p.Quiet() + p.Checks.Reach.D()
}

// Alive says whether a peer is there, once all has happened that happens at a time.
func (p *Plan) Alive(peer int, at time.Duration) bool {
	alive := p.PeerPlans[peer].Joins == 0
	for e := range p.until(at, peer) {
		switch e.Kind {
		case Kill:
			alive = false
		case Start:
			alive = true
		}
	}
	return alive
}

// Reachable says whether a peer is there and nothing cuts it off from the orderer,
// once all has happened that happens at a time. Whether the orderer is there does not
// matter: others have its blocks.
func (p *Plan) Reachable(peer int, at time.Duration) bool {
	return p.Alive(peer, at) && p.cut(peer, at) == p.cut(0, at)
}

// cut returns the fault that cuts a peer off; -1: none. Who is cut off by the same one
// keeps each other.
func (p *Plan) cut(peer int, at time.Duration) int {
	fault := -1
	for e := range p.until(at, peer) {
		switch e.Kind {
		case CutOff:
			fault = e.Fault
		case Mend:
			fault = -1
		}
	}
	return fault
}

// until yields what has happened to a peer.
func (p *Plan) until(at time.Duration, peer int) func(func(*Event) bool) {
	return func(yield func(*Event) bool) {
		for i := range p.Events {
			e := &p.Events[i]
			if e.At > at {
				return
			}
			if _, ok := slices.BinarySearch(e.Peers, peer); ok && !yield(e) {
				return
			}
		}
	}
}
