package membership

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// few makes a network in which neighbours are drawn.
func few(c *Config) { c.Full, c.Active = 10, 6 }

func TestFiftyFindEachOther(t *testing.T) {
	for _, tune := range []func(*Config){nil, few} {
		s := newSim(t, 1, 50, tune)
		s.run(time.Second)
		took := s.within(60 * time.Second)
		t.Logf("all agree after %v", took)
		s.run(10 * time.Second)
		sum, _ := s.nodes[0].core.view.sum(s.now)
		for i, n := range s.nodes {
			if got, _ := n.core.view.sum(s.now); got != sum {
				t.Errorf("the sum of node %d differs", i)
			}
		}
		s.nobodyBlamed()
	}
}

func TestSmallNetworksAreFullMeshes(t *testing.T) {
	s := newSim(t, 2, 20, nil)
	s.run(30 * time.Second)
	if got, want := len(s.links), 20*19/2; got != want {
		t.Errorf("%d connections, want %d", got, want)
	}
}

func TestLargeNetworksDrawNeighbours(t *testing.T) {
	const size = 120
	s := newSim(t, 3, size, few)
	s.run(time.Minute)
	s.within(time.Minute)
	degree := make([]int, size)
	for p := range s.links {
		degree[p[0]]++
		degree[p[1]]++
	}
	for i, d := range degree {
		if d < 3 || d > size/2 {
			t.Errorf("node %d has %d neighbours", i, d)
		}
	}
	if mean := 2 * len(s.links) / size; mean < 6 || mean > 16 {
		t.Errorf("%d neighbours on average", mean)
	}
	s.nobodyBlamed()
}

func TestLargeNewsSpreads(t *testing.T) {
	s := newSim(t, 4, 50, few)
	s.run(60 * time.Second)
	info := Info{Addrs: []string{addrOf(7)}, Software: "sim", Height: 99}
	s.nodes[7].core.Update(s.now, info)
	s.run(20 * time.Second)
	for i, n := range s.nodes {
		if got := n.core.view.get(simKey(7)).Height; got != 99 {
			t.Errorf("node %d knows height %d", i, got)
		}
	}
}

func TestLargeLeavingIsToldEverybody(t *testing.T) {
	s := newSim(t, 5, 50, few)
	s.run(60 * time.Second)
	s.leave(7)
	s.run(20 * time.Second)
	for i, n := range s.nodes {
		if n.alive && s.states(i)[7] != Left {
			t.Errorf("node %d takes it for %v", i, s.states(i)[7])
		}
	}
	s.boot(7)
	s.run(time.Second)
	s.within(30 * time.Second)
}

func TestLargeKillsAreFoundAndNobodyElse(t *testing.T) {
	for _, tune := range []func(*Config){nil, few} {
		s := newSim(t, 6, 50, tune)
		s.run(90 * time.Second)
		for _, i := range []int{3, 17, 40} {
			s.kill(i)
		}
		s.within(2 * time.Minute)
		deaths := uint64(0)
		for i, n := range s.nodes {
			if n.alive {
				deaths += n.core.Stats().Deaths
				if st := s.states(i)[17]; st != Dead && st != Suspect {
					t.Errorf("node %d takes 17 for %v", i, st)
				}
			}
		}
		s.run(2 * time.Minute)
		for _, n := range s.nodes {
			if n.alive {
				if d := n.core.Stats().Deaths; d != 3 {
					t.Errorf("%d deaths seen, want 3", d)
				}
			}
		}
	}
}

func TestLargePartitionHeals(t *testing.T) {
	for _, tune := range []func(*Config){nil, few} {
		s := newSim(t, 7, 24, tune)
		s.run(90 * time.Second)
		s.partition(func(i int) bool { return i < 10 })
		s.run(12 * time.Minute) // longer than the dead are talked about
		if st := s.states(20)[5]; st != Dead {
			t.Errorf("across the cut 5 is %v", st)
		}
		s.heal()
		t.Logf("healed after %v", s.within(3*time.Minute))
		s.nobodyBlamed()
	}
}

// Even when the bootstrap peer is gone for good.
func TestLargePartitionHealsWithoutBootstrap(t *testing.T) {
	s := newSim(t, 8, 24, few)
	s.run(90 * time.Second)
	s.kill(0)
	s.partition(func(i int) bool { return i < 10 })
	s.run(12 * time.Minute)
	s.heal()
	s.within(3 * time.Minute)
}

func TestLargeChurn(t *testing.T) {
	for seed := range uint64(2) {
		s := newSim(t, 100+seed, 50, few)
		s.run(60 * time.Second)
		for range 60 {
			i := 1 + s.rng.IntN(49)
			switch n := s.nodes[i]; {
			case !n.alive:
				s.boot(i)
			case s.rng.IntN(2) == 0:
				s.kill(i)
			case s.rng.IntN(2) == 0:
				s.leave(i)
			default:
				s.restart(i)
			}
			s.run(time.Duration(1+s.rng.IntN(10)) * time.Second)
		}
		for i, n := range s.nodes {
			if !n.alive {
				s.boot(i)
			}
		}
		s.run(time.Second)
		s.within(2 * time.Minute)
		s.nobodyBlamed()
	}
}

// A node that lost its incarnation raises it above the one that comes back.
func TestLostIncarnationIsRaised(t *testing.T) {
	s := newSim(t, 9, 10, nil)
	s.run(30 * time.Second)
	s.restart(4)
	s.restart(4)
	s.run(30 * time.Second)
	s.nodes[4].inc = 0
	s.restart(4)
	s.run(30 * time.Second)
	if got := s.nodes[4].inc; got < 4 {
		t.Errorf("incarnation %d was persisted, want one above 3", got)
	}
	for i, n := range s.nodes {
		if got, own := n.core.view.get(simKey(4)).Incarnation, s.nodes[4].core.self.Incarnation; got != own {
			t.Errorf("node %d has incarnation %d, want %d", i, got, own)
		}
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) string {
		s := newSim(t, seed, 20, few)
		s.run(20 * time.Second)
		s.kill(9)
		s.partition(func(i int) bool { return i%2 == 0 })
		s.run(50 * time.Second)
		s.heal()
		s.run(20 * time.Second)
		return fmt.Sprintf("%x", s.trace.Sum(nil))
	}
	if a, b := run(1), run(1); a != b {
		t.Errorf("the same seed gave traces %s and %s", a, b)
	}
	if run(1) == run(2) {
		t.Error("another seed gave the same trace")
	}
}

func TestLargeQuietNetworksAreCheap(t *testing.T) {
	s := newSim(t, 10, 50, few)
	s.run(60 * time.Second)
	before := s.bytes
	s.run(60 * time.Second)
	perSecond := float64(s.bytes-before) / 60 / 50
	t.Logf("%.0f bytes a second and node", perSecond)
	if perSecond > 12<<10 {
		t.Errorf("%.0f bytes a second and node, at rest", perSecond)
	}
}

// A member that signs two records under one version, and shows each half of the network
// another, with heartbeats for either, turns nobody against anybody: whoever passes a
// heartbeat on has checked it against the record that he was shown. All come to hold the
// same one.
func TestTwoFacesSplitNobody(t *testing.T) {
	const liar = 20
	s := newSim(t, 9, liar+1, nil)
	s.run(30 * time.Second)
	s.nodes[liar].alive = false // it speaks by this test
	s.unlinkAll(func(a, b int) bool { return b == liar })
	var faces [2]*Record
	var chains [2][]link
	for i := range faces {
		chains[i] = newChain([32]byte{byte(i)})
		faces[i] = &Record{
			Owner: simKey(liar), Incarnation: 9, Version: 1, Anchor: chains[i][0],
			Info: Info{Addrs: []string{addrOf(liar)}},
		}
	}
	say := func(i int, m Message) {
		s.nodes[i].core.Receive(s.now, simKey(liar), m)
		s.settle(i)
	}
	for i := range liar {
		s.links[pair(i, liar)] = liar
		s.up(i, liar)
		say(i, &Delta{Records: faces[i%2 : i%2+1]})
	}
	for n := 1; n <= 60; n++ {
		for i := range liar {
			beat := n * (1 + i%2) // else what is passed on is old
			say(i, &Check{Reply: true, Beats: []Beat{{faces[i%2].entry(), uint32(beat), chains[i%2][beat]}}})
		}
		s.run(time.Second)
	}
	s.nodes = s.nodes[:liar]
	s.nobodyBlamed()
	want := s.nodes[0].core.view.get(simKey(liar)).Bytes()
	for i, n := range s.nodes {
		if got := n.core.view.get(simKey(liar)).Bytes(); !bytes.Equal(got, want) {
			t.Errorf("nodes 0 and %d hold different records of one version", i)
		}
	}
}
