package membership

import (
	"testing"
	"time"
)

// TestSilenceIsSeenThroughOpenConnections cuts one member off without ending its
// connections, as kill -9 does for half a minute: all others know within some seconds, and
// nobody who lives is ever overdue.
func TestSilenceIsSeenThroughOpenConnections(t *testing.T) {
	for _, n := range []int{2, 3, 7, 30} {
		for _, seed := range []uint64{1, 2, 3} {
			s := newSim(t, seed, n, nil)
			s.run(30 * time.Second)
			overdue := func() (of map[int]int) {
				of = map[int]int{}
				for i := range s.nodes {
					for _, m := range s.nodes[i].core.Members() {
						if !m.Due.IsZero() && !s.now.Before(m.Due) {
							of[s.byKey[m.Owner]]++
						}
					}
				}
				return of
			}
			for range 120 {
				s.run(500 * time.Millisecond)
				if of := overdue(); len(of) > 0 {
					t.Fatalf("%d members: overdue while all live: %v", n, of)
				}
			}
			s.cut = func(a, b int) bool { return a == 0 || b == 0 }
			cut := s.now
			for overdue()[0] < n-1 {
				s.run(100 * time.Millisecond)
				if took := s.now.Sub(cut); took > 20*time.Second {
					t.Fatalf("%d members: only %d know after %v", n, overdue()[0], took)
				}
			}
			took, states := s.now.Sub(cut), s.states(1)
			if states[0] != Alive {
				t.Errorf("its connections are open, and it counts as %s", states[0])
			}
			if most := s.nodes[1].core.silence(); took > most {
				t.Errorf("%d members: all know after %v, want %v", n, took, most)
			}
			s.heal()
			s.run(10 * time.Second)
			if of := overdue(); len(of) > 0 {
				t.Errorf("%d members: overdue after all came back: %v", n, of)
			}
		}
	}
}

// TestHearsayIsNobodysWord: a record that others pass on proves no life.
func TestHearsayIsNobodysWord(t *testing.T) {
	s := newSim(t, 1, 4, nil)
	s.run(30 * time.Second)
	s.kill(2)
	s.run(20 * time.Second) // its last heartbeats are old news
	s.kill(3)
	s.restart(3)
	seen := false
	for range 500 { // soon it is dialled in vain, and forgotten
		s.run(10 * time.Millisecond)
		if m, ok := s.nodes[3].core.Member(simKey(2)); ok {
			seen = true
			if m.State != Tentative || !m.Word.IsZero() || !m.Due.IsZero() {
				t.Fatalf("a member that was never met: %+v", m)
			}
		}
	}
	if !seen {
		t.Error("nobody told of it")
	}
	if _, ok := s.nodes[3].core.Member(simKey(99)); ok {
		t.Error("a member that nobody knows is known")
	}
}
