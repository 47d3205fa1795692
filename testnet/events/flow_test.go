package events

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"grapevine/p2p/wire"
	"grapevine/testnet/scenario"
)

// opened is a world that stands: a scenario without blocks of peers that know each
// other, but for what is changed.
func opened(t *testing.T, change func(*scenario.Scenario)) *world {
	t.Helper()
	s := scenario.Defaults()
	s.Name, s.Membership, s.Load.Blocks = "test", "static", 0
	if change != nil {
		change(&s)
	}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(p, "grapevine")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.roster.open(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

// flowOf opens a world of two peers, unless that is changed, and returns the flow from
// the first to the second.
func flowOf(t *testing.T, change func(*scenario.Scenario)) (*world, *flow) {
	t.Helper()
	w := opened(t, func(s *scenario.Scenario) {
		s.Peers = 2
		if change != nil {
			change(s)
		}
	})
	return w, w.peers[0].flow(1)
}

// heard notes when it arrives.
type heard struct{ at *[]time.Duration }

func (h heard) arrive(w *world, _, _ *peer) { *h.at = append(*h.at, w.since()) }

func TestMessagesTakeWhatLinksTake(t *testing.T) {
	for _, c := range []struct {
		name        string
		size        int64
		least, most time.Duration
	}{
		// 50 ms of the way and 1.4 ms of serialisation at each end.
		{"a kilobyte", 1000, 50 * time.Millisecond, 52 * time.Millisecond},
		// Within the first window of 32 packets, of which pacing lets 10 go at once.
		{"32 KiB", 32 << 10, 80 * time.Millisecond, 120 * time.Millisecond},
		// 40 KB and 82 KB go in the first two round trips.
		{"128 KiB", 128 << 10, 230 * time.Millisecond, 310 * time.Millisecond},
		// Slow start takes five round trips to fill 50 Mbit/s with 100 ms.
		{"4 MiB", 4 << 20, 1100 * time.Millisecond, 1500 * time.Millisecond},
	} {
		w, f := flowOf(t, nil)
		var at []time.Duration
		f.send(w, wire.Blocks, c.size, heard{&at})
		w.play(int64(20 * time.Second))
		if len(at) != 1 || at[0] < c.least || at[0] > c.most {
			t.Errorf("%s took %v: want %v to %v", c.name, at, c.least, c.most)
		}
	}
}

func TestALinkGivesItsRate(t *testing.T) {
	w, f := flowOf(t, func(s *scenario.Scenario) { s.Link.Latency = scenario.Duration(5 * time.Millisecond) })
	var at []time.Duration
	for range 40 {
		f.send(w, wire.Blocks, 100<<10, heard{&at})
	}
	w.play(int64(20 * time.Second))
	if len(at) != 40 {
		t.Fatalf("%d of 40 messages arrived", len(at))
	}
	rate := float64(20*100<<10*8) / (at[39] - at[19]).Seconds() * 1.05
	if rate < 48e6 || rate > 50.1e6 {
		t.Errorf("a link of 50 Mbit/s carried %.1f Mbit/s", rate/1e6)
	}
}

// Two flows into one peer have half of its link each, and a short message does not
// wait behind a long one of another.
func TestFlowsTakeTurns(t *testing.T) {
	w, _ := flowOf(t, func(s *scenario.Scenario) { s.Peers, s.Link.Latency = 3, scenario.Duration(time.Millisecond) })
	var long, short []time.Duration
	w.peers[0].flow(2).send(w, wire.Blocks, 4<<20, heard{&long})
	w.play(int64(200 * time.Millisecond))
	w.peers[1].flow(2).send(w, wire.Blocks, 1000, heard{&short})
	w.play(int64(20 * time.Second))
	if len(long) != 1 || len(short) != 1 || short[0] > 205*time.Millisecond {
		t.Errorf("the short message arrived at %v, the long one at %v: want the short one 5 ms after 200 ms", short, long)
	}
}

func TestALaneKeepsItsOrderAndLosesNothing(t *testing.T) {
	w, f := flowOf(t, func(s *scenario.Scenario) {
		s.Link.Loss, s.Link.Jitter = 0.1, scenario.Duration(30*time.Millisecond)
	})
	rng := rand.New(rand.NewPCG(1, 1))
	var order []int
	for i := range 200 {
		f.send(w, wire.Bodies+wire.Lane(i%2), 1+rng.Int64N(20_000), numbered{i, &order})
	}
	w.play(int64(10 * time.Minute))
	if len(order) != 200 {
		t.Fatalf("%d of 200 messages arrived over a link that loses a tenth", len(order))
	}
	for lane := range 2 {
		var got []int
		for _, i := range order {
			if i%2 == lane {
				got = append(got, i)
			}
		}
		if !slices.IsSorted(got) {
			t.Errorf("lane %d delivered in the order %v", lane, got)
		}
	}
	if f.look(w); f.inflight != 0 {
		t.Errorf("%d bytes are in flight, when all has arrived", f.inflight)
	}
}

type numbered struct {
	i     int
	order *[]int
}

func (n numbered) arrive(*world, *peer, *peer) { *n.order = append(*n.order, n.i) }

// What a cut swallowed is sent again when it is over, without a new connection.
func TestACutIsOutlived(t *testing.T) {
	w, f := flowOf(t, nil)
	var at []time.Duration
	f.send(w, wire.Blocks, 1<<20, heard{&at})
	w.play(int64(150 * time.Millisecond))
	w.peers[1].side = 1
	w.watch()
	w.play(int64(10 * time.Second))
	if len(at) != 0 {
		t.Fatal("a message passed a cut link")
	}
	w.peers[1].side = 0
	w.watch()
	w.play(int64(60 * time.Second))
	if len(at) != 1 || w.peers[0].flow(1) != f {
		t.Errorf("the message arrived at %v, connection kept: %v; want once, after the cut, over the same connection", at, w.peers[0].flow(1) == f)
	}
}

func TestAFullLaneRefuses(t *testing.T) {
	w, f := flowOf(t, nil)
	var at []time.Duration
	sent := 0
	for f.send(w, wire.Control, 100<<10, heard{&at}) {
		sent++
	}
	if sent < 5 || sent > 6 || w.overflows != 1 {
		t.Errorf("a lane of 512 KiB took %d messages of 100 KiB, and counted %d overflows", sent, w.overflows)
	}
}

func TestQueueIsInOrder(t *testing.T) {
	var q queue
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		q.push(rng.Int64N(50), nil)
	}
	last := event{at: -1}
	for range 1000 {
		e := q.pop()
		if e.before(&last) {
			t.Fatalf("%d/%d came after %d/%d", e.at, e.seq, last.at, last.seq)
		}
		last = e
	}
}
