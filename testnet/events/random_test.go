package events

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"grapevine/testnet/checks"
	"grapevine/testnet/scenario"
)

// Random scenarios, each from its seed: sizes, links, faults and settings of all sorts.
// GRAPEVINE_SIM_SEEDS=from-to plays others than the usual ones, GRAPEVINE_SIM_SEEDS=n
// only that one.
func TestLargeRandomScenarios(t *testing.T) {
	from, to := seeds(t)
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for seed := range next {
				playRandom(t, seed)
			}
		})
	}
	for seed := from; seed <= to; seed++ {
		next <- seed
	}
	close(next)
	workers.Wait()
}

func seeds(t *testing.T) (from, to uint64) {
	from, to = 1, 250
	v := os.Getenv("GRAPEVINE_SIM_SEEDS")
	if v == "" {
		return from, to
	}
	a, b, ranged := strings.Cut(v, "-")
	if !ranged {
		b = a
	}
	from, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		t.Fatalf("GRAPEVINE_SIM_SEEDS=%s: want a seed, or from-to: %v", v, err)
	}
	if to, err = strconv.ParseUint(b, 10, 64); err != nil {
		t.Fatalf("GRAPEVINE_SIM_SEEDS=%s: want a seed, or from-to: %v", v, err)
	}
	return from, to
}

func playRandom(t *testing.T, seed uint64) {
	s := scenario.Random(seed)
	p, err := s.Plan()
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	o, err := Run(context.Background(), p, scenario.Grapevine, nil)
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	for _, b := range checks.Judge(p, o) {
		t.Errorf("seed %d (%d peers, %d faults; GRAPEVINE_SIM_SEEDS=%d plays it again): %s", seed, len(p.PeerPlans), len(p.Faults), seed, b)
	}
}

// The named scenarios keep their bounds, as far as they take seconds.
func TestLargeLibraryKeepsItsBounds(t *testing.T) {
	for _, s := range scenario.Library() {
		if s.Peers > 200 {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			p, err := s.Plan()
			if err != nil {
				t.Fatal(err)
			}
			o, err := Run(context.Background(), p, scenario.Grapevine, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range checks.Judge(p, o) {
				t.Error(b)
			}
		})
	}
}
