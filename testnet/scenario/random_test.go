package scenario

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRandom: whatever a seed draws is a scenario, with a plan, that heals in time.
func TestRandom(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(1000) {
		s := Random(seed << 54) // the highest bits count too
		p, err := s.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if seed < 200 {
			checkPlan(t, p)
			if got := roundTrip(t, s); !reflect.DeepEqual(got, s) {
				t.Errorf("wrote %+v\nread  %+v", s, got)
			}
		}
		if again := Random(seed << 54); !reflect.DeepEqual(s, again) {
			t.Fatalf("seed %d gives another scenario", seed)
		}
		if s.Settings.NoCatchup && (s.Settings.Mode == "push" || slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == Crash || f.Kind == Join })) {
			t.Errorf("%s: somebody may stay behind", s.Name)
		}
		if d := p.Checks.Reach.D(); d < 2*time.Minute || d > 20*time.Hour || p.Duration != 0 {
			t.Errorf("%s has %v to heal", s.Name, d)
		}
		note(seen, s)
	}
	for _, want := range strings.Fields("cut crash loss slow join static live auto many class region warm cold jitter loss-all nocatchup push pull orderer 4") {
		if seen[want] < 10 {
			t.Errorf("of 1000 scenarios %d have %q, want more", seen[want], want)
		}
	}
}

// note counts what a scenario has.
func note(seen map[string]int, s Scenario) {
	has := map[string]bool{
		s.Membership: true, "many": s.Peers > 60, "class": len(s.Classes) > 0, "region": len(s.Regions) > 0,
		"warm": s.Load.Warm == 1, "cold": s.Load.Warm == 0, "jitter": s.Link.Jitter > 0, "loss-all": s.Link.Loss > 0,
		"nocatchup": s.Settings.NoCatchup, s.Settings.Mode: true, "4": len(s.Faults) == 4,
	}
	for _, f := range s.Faults {
		has[f.Kind] = true
		has["orderer"] = has["orderer"] || slices.Contains(f.Peers, 0)
	}
	for k, yes := range has {
		if yes {
			seen[k]++
		}
	}
}
