package fabric

import (
	"math"
	"testing"
	"time"

	"grapevine/dissemination/arrival"
)

// What simulations and papers say of the two protocols comes out here.

// pushed returns how many nodes a block reached, the producer included, counting those
// that could not accept it yet.
func pushed(w *network, b Block) float64 {
	n := 0.0
	for _, x := range w.nodes {
		if x.bodies[b.ID] {
			n++
		}
	}
	return n
}

// Push with fan-out 3, infect and die, reaches 94.4 ± 2.5 of 100 peers with 280 copies:
// the figures of a Monte-Carlo of the algorithm, which agree with what Berendea et al. saw
// in a cluster.
func TestLargeKnownFabricPushMissesSome(t *testing.T) {
	const blocks = 400
	cfg := Fabric()
	cfg.PullEvery, cfg.CheckEvery = 0, 0
	w := newNetwork(t, 1, 100, cfg)
	sum, squares := 0.0, 0.0
	for range blocks {
		b := w.propose(w.nodes[0], 1000)
		w.run(time.Second)
		r := pushed(w, b)
		sum += r
		squares += r * r
	}
	mean := sum / blocks
	deviation := math.Sqrt(squares/blocks - mean*mean)
	copies := float64(w.bodies) / blocks
	t.Logf("%.2f ± %.2f of 100 peers were reached with %.1f copies a block", mean, deviation, copies)
	if math.Abs(mean-94.4) > 0.6 || math.Abs(deviation-2.5) > 0.5 {
		t.Errorf("%.2f ± %.2f of 100 peers were reached, want 94.4 ± 2.5", mean, deviation)
	}
	if copies < 275 || copies > 286 {
		t.Errorf("%.1f copies a block, want 280", copies)
	}
	if n := w.sent["Hello"] + w.sent["Advert"] + w.sent["StateRequest"]; n > 0 {
		t.Errorf("%d other messages were sent, want bodies and heights alone", n)
	}
}

// The rest comes by pull, up to a period and the wait later, or by state transfer.
func TestLargeKnownFabricPullBringsTheRest(t *testing.T) {
	const blocks, peers = 100, 100
	w := newNetwork(t, 2, peers, Fabric())
	made := make([]time.Time, blocks)
	for i := range made {
		made[i] = w.now
		w.propose(w.nodes[0], 1000)
		w.run(12*time.Second + 7*time.Millisecond)
	}
	if got := w.at(blocks); got != peers {
		t.Fatalf("%d of %d peers accepted all of %d blocks", got, peers, blocks)
	}
	ways, slowest := [arrival.CatchUp + 1]float64{}, time.Duration(0)
	var again uint64
	for _, x := range w.nodes {
		again += x.peer.Stats().Again
		for i, a := range x.got {
			ways[a.Via] += 1.0 / (blocks * peers)
			slowest = max(slowest, x.at[i].Sub(made[i]))
		}
	}
	copies := 1 - ways[arrival.Own] + float64(again)/(blocks*peers)
	t.Logf("%.4f pushed, %.4f pulled, %.4f by state transfer, the slowest after %v; %.3f copies a peer", ways[arrival.Push]+ways[arrival.Own], ways[arrival.Pull], ways[arrival.CatchUp], slowest, copies)
	if math.Abs(ways[arrival.Push]+ways[arrival.Own]-0.944) > 0.006 || ways[arrival.Pull] < 0.03 {
		t.Errorf("%.3f were pushed, %.3f pulled: want 0.944, and most of the rest", ways[arrival.Push]+ways[arrival.Own], ways[arrival.Pull])
	}
	if copies < 2.75 || copies > 2.95 {
		t.Errorf("%.3f copies a peer, want 2.86", copies)
	}
	if slowest < 4*time.Second || slowest > 10*time.Second {
		t.Errorf("the slowest peer had a block %v after it was made, want more than a pull's period, and less than a check's", slowest)
	}
}

// Bodies in the first hops and digests afterwards reach everybody, with one body for each
// and 2,112 digests a block.
func TestLargeKnownEnhancedReachesAll(t *testing.T) {
	const blocks = 400
	w := newNetwork(t, 3, 100, Enhanced())
	whole := 0
	for range blocks {
		b := w.propose(w.nodes[0], 1000)
		w.run(200 * time.Millisecond) // less than a state transfer takes to notice
		if pushed(w, b) == 100 {
			whole++
		}
	}
	perPeer, adverts, push := float64(w.bodies)/blocks/100, float64(w.sent["Advert"])/blocks, float64(w.sent["Push"])/blocks
	t.Logf("%d of %d blocks reached all; %.4f bodies a peer; %.1f pushes and %.0f adverts a block", whole, blocks, perPeer, push, adverts)
	if whole < blocks-1 {
		t.Errorf("%d of %d blocks reached all 100 peers", whole, blocks)
	}
	if perPeer < 0.99 || perPeer > 1.02 {
		t.Errorf("%.3f bodies a peer, want 1.005", perPeer)
	}
	if push < 20 || push > 21 {
		t.Errorf("%.1f bodies a block were pushed, want 1, 4 and 16", push)
	}
	if adverts < 2050 || adverts > 2170 {
		t.Errorf("%.0f adverts a block, want 2112", adverts)
	}
	if n := w.sent["Hello"]; n > 0 {
		t.Errorf("%d pulls, want none", n)
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64, cfg Config) uint64 {
		w := newNetwork(t, seed, 30, cfg)
		w.traced = true
		for range 10 {
			w.propose(w.nodes[0], 1000)
			w.run(3 * time.Second)
		}
		return w.trace
	}
	for name, cfg := range map[string]Config{"fabric": Fabric(), "enhanced": Enhanced()} {
		if a, b, other := run(5, cfg), run(5, cfg), run(6, cfg); a != b || a == other || a == 0 {
			t.Errorf("%s: traces of one seed are %x and %x, of another %x", name, a, b, other)
		}
	}
}
