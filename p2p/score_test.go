package p2p

import (
	"fmt"
	"testing"
	"time"

	"grapevine/p2p/wire"
)

func TestScores(t *testing.T) {
	type step struct {
		after   time.Duration // since the step before
		offence Offence
		cut     bool
		refused bool // right after
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"two forgeries", []step{{0, Forged, false, false}, {time.Second, Forged, true, true}}},
		{"two forgeries at once", []step{{0, Forged, false, false}, {0, Malformed, true, true}}},
		{"healed in between", []step{{0, Forged, false, false}, {150 * time.Second, Forged, false, false}, {150 * time.Second, Forged, false, false}}},
		{"half healed", []step{{0, Forged, false, false}, {75 * time.Second, Forged, false, false}, {0, Invalid, true, true}}},
		{"silence now and then is forgiven", []step{{0, Silent, false, false}, {12 * time.Second, Silent, false, false}, {12 * time.Second, Silent, false, false}, {12 * time.Second, Silent, false, false}}},
		{"charged while refused", []step{{0, Forged, false, false}, {0, Forged, true, true}, {0, Forged, true, true}, {time.Second, Silent, true, true}}},
		{"back with half its credit", []step{{0, Forged, false, false}, {0, Forged, true, true}, {time.Minute, Silent, false, false}, {0, Forged, false, false}, {0, Forged, true, true}}},
		{"refused for twice as long", []step{
			{0, Forged, false, false}, {0, Forged, true, true}, {time.Minute, Forged, false, false}, {0, Forged, true, true},
			{time.Minute, Silent, true, true}, {time.Minute, Silent, false, false}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, now := newScores(), time.Unix(1e9, 0)
			for i, st := range test.steps {
				now = now.Add(st.after)
				if cut := s.charge(now, "p", st.offence); cut != st.cut {
					t.Errorf("step %d: cut %v, want %v", i, cut, st.cut)
				}
				if refused := s.refused(now, "p"); refused != st.refused {
					t.Errorf("step %d: refused %v, want %v", i, refused, st.refused)
				}
				if s.refused(now, "q") {
					t.Errorf("step %d: another peer is refused", i)
				}
			}
		})
	}
}

func TestRefusalIsBounded(t *testing.T) {
	s, now := newScores(), time.Unix(1e9, 0)
	for range 20 {
		for !s.charge(now, "p", Forged) {
		}
		now = s.peers["p"].until
	}
	if got := s.peers["p"].refusal; got != longRefusal {
		t.Errorf("the last refusal is %v, want %v", got, longRefusal)
	}
	now = now.Add(forgetAfter + time.Second)
	for !s.charge(now, "p", Forged) {
	}
	if got := s.peers["p"].refusal; got != firstRefusal {
		t.Errorf("after a good day it is %v, want %v", got, firstRefusal)
	}
}

func TestScoresAreBounded(t *testing.T) {
	s, now := newScores(), time.Unix(1e9, 0)
	for !s.charge(now, "villain", Forged) {
	}
	for i := range maxScores + 100 {
		s.charge(now, wire.PeerID(fmt.Sprint(i)), Silent)
	}
	if len(s.peers) > maxScores {
		t.Errorf("%d peers remembered, want at most %d", len(s.peers), maxScores)
	}
	if !s.refused(now, "villain") {
		t.Error("a refused peer was forgotten for the sake of small offenders")
	}
}

func TestMeter(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := newMeter(now)
	for i := range controlBurst {
		if got := m.take(now); got != fair {
			t.Fatalf("message %d at once is %v", i, got)
		}
	}
	for i := range controlOver {
		if got := m.take(now); got != enough {
			t.Fatalf("message %d above the share is %v", i, got)
		}
	}
	if got := m.take(now); got != tooMuch {
		t.Errorf("one more is %v", got)
	}
	now = now.Add(time.Second)
	for i := range controlPerSec {
		if got := m.take(now); got != fair {
			t.Errorf("message %d of the next second is %v", i, got)
		}
	}
}
