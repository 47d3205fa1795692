package fresh

import (
	"grapevine/dissemination/arrival"
	"testing"
	"time"
)

// proposeMany makes a block at peer 0 every interval, and then lets the network settle.
func proposeMany(w *network, blocks int, every, settle time.Duration, txs int, warm float64) {
	for range blocks {
		w.propose(w.peers[0], txs, warm)
		w.run(every)
	}
	w.run(settle)
}

func TestLargePushReachesAll(t *testing.T) {
	w := newNetwork(1, 100, 12, Config{Mode: PushOnly})
	const blocks = 50
	proposeMany(w, blocks, 500*time.Millisecond, 0, 100, 1)
	missed := 0
	for _, p := range w.peers[1:] {
		missed += blocks - len(p.reached)
	}
	if missed > 5 {
		t.Errorf("announcements missed %d of %d deliveries by push alone: want at most one in a thousand", missed, blocks*99)
	}
	if w.sent["pull"] != 0 || w.sent["fetch"] != 0 {
		t.Errorf("a warm network that only pushes pulled %d times and fetched %d times", w.sent["pull"], w.sent["fetch"])
	}
}

func TestColdBlockIsFetchedOnce(t *testing.T) {
	w := newNetwork(2, 50, 12, Config{})
	proposeMany(w, 10, time.Second, 5*time.Second, 20, 0)
	if got := w.at(10); got != 50 {
		t.Fatalf("%d of 50 peers accepted all of 10 cold blocks", got)
	}
	// Every peer but the orderer needs each body exactly once.
	if got, want := w.sent["part"], 10*49; got > want*21/20 {
		t.Errorf("bodies were sent %d times: want about %d, once per peer and block", got, want)
	}
}

func TestLossIsRepaired(t *testing.T) {
	w := newNetwork(3, 50, 10, Config{})
	w.loss = 0.2
	proposeMany(w, 20, time.Second, 10*time.Second, 20, 0.9)
	if got := w.at(20); got != 50 {
		t.Fatalf("%d of 50 peers accepted all of 20 blocks with a loss of 20 %%", got)
	}
}

func TestPullOnlyAcceptsAll(t *testing.T) {
	w := newNetwork(4, 20, 6, Config{Mode: PullOnly})
	proposeMany(w, 20, time.Second, 30*time.Second, 10, 0.5)
	if got := w.at(20); got != 20 {
		t.Fatalf("%d of 20 peers that only pull accepted all of 20 blocks", got)
	}
	for _, p := range w.peers[1:] {
		for h := uint64(1); h <= 20; h++ {
			if f, ok := p.engine.Facts(p.whole[h]); !ok || f.Via != arrival.Pull {
				t.Fatalf("%s got height %d via %v, want pull", p.id, h, f.Via)
			}
		}
	}
}

// A network that only pushes accepts what announcements reach, up to the first
// that did not: nothing repairs it.
func TestPushOnlyAcceptsWhatReachesIt(t *testing.T) {
	w := newNetwork(5, 30, 4, Config{Mode: PushOnly, Fanout: 2})
	const blocks = 20
	proposeMany(w, blocks, time.Second, 5*time.Second, 10, 1)
	missedAny := false
	for _, p := range w.peers[1:] {
		want := uint64(0)
		for p.reached[want+1] {
			want++
		}
		missedAny = missedAny || want < blocks
		if p.tip.Height != want {
			t.Errorf("%s accepted up to %d: announcements reached it up to %d", p.id, p.tip.Height, want)
		}
	}
	if !missedAny {
		t.Error("fan-out 2 reached everybody with every block: the test shows nothing")
	}
}

func TestPartitionHeals(t *testing.T) {
	w := newNetwork(6, 10, 9, Config{})
	side := w.peers[8:]
	for _, a := range side {
		for _, b := range w.peers[:8] {
			w.cut(a, b)
		}
	}
	proposeMany(w, 20, time.Second, 0, 10, 1)
	if got := w.at(20); got != 8 {
		t.Fatalf("%d peers have height 20 while two are cut off: want 8", got)
	}
	for _, a := range side {
		for _, b := range w.peers[:8] {
			w.link(a, b)
		}
	}
	w.run(3 * time.Second)
	if got := w.at(20); got != 10 {
		t.Errorf("%d of 10 peers have height 20 three seconds after the cut healed", got)
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) uint64 {
		w := newNetwork(seed, 40, 8, Config{})
		w.loss = 0.1
		proposeMany(w, 10, 700*time.Millisecond, 5*time.Second, 30, 0.8)
		return w.trace.Sum64()
	}
	a, b, c := run(7), run(7), run(8)
	if a != b {
		t.Errorf("seed 7 gave traces %x and %x", a, b)
	}
	if a == c {
		t.Errorf("seeds 7 and 8 gave the same trace %x", a)
	}
}
