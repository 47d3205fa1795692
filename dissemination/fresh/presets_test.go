package fresh

import (
	"testing"
	"time"
)

// Other systems' gossip as settings of this core does what simulations and papers
// say of it. The configurations are those of dissemination/preset.

func fabricPush() Config {
	return Config{Mode: PushOnly, Fanout: 3, Batch: 10 * time.Millisecond, Blind: true, BodyHops: 256, GapDelay: -1, Keep: 10}
}

func fabric() Config {
	c := fabricPush()
	c.Mode, c.PullEvery, c.PullFixed, c.PullPeers, c.DigestWait = PushPull, 4*time.Second, true, 3, time.Second
	return c
}

func enhanced() Config {
	return Config{
		Mode: PushOnly, Fanout: 4, SourceFanout: 1, Blind: true, BodyHops: 3, Contagion: 9, GapDelay: -1, Keep: 10,
		FetchTimeout: 10 * time.Second,
	}
}

// reached returns how many peers, the producer included, have a block whole, on average.
func (w *network) reached(blocks int) float64 {
	n := 0
	for _, p := range w.peers {
		n += len(p.whole)
	}
	return float64(n) / float64(blocks)
}

// Push at fan-out 3, infect and die, reaches 94.4 of 100 peers with 280 copies.
func TestLargeFabricPushMissesSome(t *testing.T) {
	const blocks, runs = 50, 4 // fewer than the window: nobody gets past the first that missed it
	reached, copies := 0.0, 0.0
	for seed := range uint64(runs) {
		w := newNetwork(100*seed, 100, 99, fabricPush())
		proposeMany(w, blocks, time.Second, 5*time.Second, 3, 1)
		reached += w.reached(blocks) / runs
		copies += float64(w.sent["body"]) / blocks / runs
		if n := w.sent["fetch"] + w.sent["pull"] + w.sent["digest"] + w.sent["announce"]; n > 0 {
			t.Errorf("%d other messages were sent, want bodies alone", n)
		}
	}
	t.Logf("%.1f of 100 peers were reached with %.1f copies a block", reached, copies)
	if reached < 93.4 || reached > 95.4 {
		t.Errorf("%.1f of 100 peers were reached, want 94.4", reached)
	}
	if copies < 275 || copies > 286 {
		t.Errorf("%.1f copies a block, want 280", copies)
	}
}

// The rest comes by the pull, up to a period and the wait later.
func TestLargeFabricPullBringsTheRest(t *testing.T) {
	const blocks = 50
	w := newNetwork(12, 100, 99, fabric())
	slowest := time.Duration(0)
	for range blocks {
		b := w.propose(w.peers[0], 3, 1)
		made := w.now
		for w.at(b.height) < 100 && w.now.Sub(made) < time.Minute {
			w.run(50 * time.Millisecond)
		}
		slowest = max(slowest, w.now.Sub(made))
	}
	if got := w.at(blocks); got != 100 {
		t.Fatalf("%d of 100 peers accepted all of %d blocks", got, blocks)
	}
	pulled := 0
	for _, p := range w.peers[1:] {
		for h := uint64(blocks - 9); h <= blocks; h++ { // those that it still remembers
			if f, ok := p.engine.Facts(p.whole[h]); !ok || f.Via == ViaPull {
				pulled++
			}
		}
	}
	t.Logf("the slowest peer had a block %v after it was made; %d of 990 deliveries by pull, %d copies a block", slowest, pulled, w.sent["body"]/blocks)
	if pulled < 20 || pulled > 100 {
		t.Errorf("%d of 990 deliveries came by pull, want about 56", pulled)
	}
	if slowest < time.Second || slowest > 14*time.Second {
		t.Errorf("the slowest peer had a block %v after it was made, want more than the wait, and less than a few periods", slowest)
	}
}

// Bodies in the first hops and digests afterwards reach everybody with about one
// body a peer and 2,112 digests a block.
func TestLargeEnhancedReachesAll(t *testing.T) {
	const blocks = 60
	w := newNetwork(13, 100, 99, enhanced())
	proposeMany(w, blocks, 3*time.Second, 5*time.Second, 3, 1)
	if got := w.at(blocks); got != 100 {
		t.Fatalf("%d of 100 peers accepted all of %d blocks", got, blocks)
	}
	bodies, digests := float64(w.sent["body"]+w.sent["part"])/blocks, float64(w.sent["digest"])/blocks
	pushed := float64(w.sent["body"]) / blocks
	t.Logf("%.1f bodies, %.1f of them pushed, and %.0f digests a block", bodies, pushed, digests)
	if bodies < 99 || bodies > 102 {
		t.Errorf("%.1f bodies a block, want 100.5", bodies)
	}
	if pushed < 20 || pushed > 21 {
		t.Errorf("%.1f bodies a block were pushed, want 1, 4 and 16", pushed)
	}
	if digests < 2050 || digests > 2170 {
		t.Errorf("%.0f digests a block, want 2112", digests)
	}
	if n := w.sent["announce"] + w.sent["pull"]; n > 0 {
		t.Errorf("%d announcements and pulls were sent, want none", n)
	}
}
