package packets

import (
	"flag"
	"slices"
	"testing"

	"grapevine/testnet/scenario"
)

var networks = flag.Int("networks", 1, "how many networks the measurement of the baseline is the median of")

// turns is the baseline with another publisher for each block, as it was in the
// measurements that it is held against. (One that publishes all of them takes a sixth
// longer: its connections are past their slow start, and share its link less evenly.)
type turns struct{ *gossip }

func (g turns) propose(number int) error {
	return g.publish(7*number%g.w.plan.Peers, number)
}

// The baseline is as fast as in measurements made with another harness, of the same
// libraries on the same links: 50 peers, 1 MiB, 50 Mbit/s, 50 ms, each peer dialling ten
// others. What they gave for N=50, of 4 and of 5 blocks, was
//
//	one message, D=6                   p50 2.86–3.14 s  p99 4.44–4.61 s  duplicates 5.0–5.1
//	64 chunks, PublishBatch, D=4       p50 0.79 s       p99 1.58 s       duplicates 1.65
//
// and of the medians of several networks a fifth more or less is allowed. GossipSub draws its
// meshes anew in each, so that those of one scatter: with one message the p50 of eight
// networks was 3.00 to 3.74 s, a standard deviation of 7 %, and their p99 4.30 to 5.65 s. Of
// one, as scripts/test.sh plays it, a third is allowed. The chunked p99 has no lower bound: it
// is that of the slowest two or three of all deliveries, and scatters from 1.0 s to 1.7 s. A
// faster baseline is the harder to beat.
func TestLargeBaselineIsTheOneMeasured(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		protocol string
		p50, p99 [2]float64 // ms
		again    [2]float64
	}{
		{gossipsub, [2]float64{2860, 3140}, [2]float64{4440, 4610}, [2]float64{5.0, 5.1}},
		{chunked, [2]float64{790, 790}, [2]float64{0, 1580}, [2]float64{1.65, 1.65}},
	} {
		p := planned(t, func(s *scenario.Scenario) {
			*s = scenario.Defaults()
			s.Load.Blocks = 3
		})
		var p50, p99, again []float64
		for range *networks {
			o := playingWith(t, p, tc.protocol, func(w *world, protocol string) (kind, error) {
				return turns{newGossip(w, protocol)}, nil
			})
			r := o.Row()
			p50, p99, again = append(p50, float64(r.P50)), append(p99, float64(r.P99)), append(again, float64(r.Duplicates))
			if r.Coverage != 1 {
				t.Errorf("%s: coverage is %v", tc.protocol, r.Coverage)
			}
		}
		allowed := 1.0 / 3
		if *networks >= 5 {
			allowed = 1.0 / 5
		}
		for _, f := range []struct {
			name string
			got  []float64
			want [2]float64
		}{{"p50", p50, tc.p50}, {"p99", p99, tc.p99}, {"duplicates", again, tc.again}} {
			slices.Sort(f.got)
			if got := f.got[len(f.got)/2]; got < (1-allowed)*f.want[0] || got > (1+allowed)*f.want[1] {
				t.Errorf("%s: the median %s of %.4g is %.4g, measured were %v", tc.protocol, f.name, f.got, got, f.want)
			}
		}
	}
}

// A hundred nodes, all neighbours of all, and a block of 1 MiB.
func TestLargeHundredPeers(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		*s = scenario.Defaults()
		s.Peers, s.Load.Blocks, s.Load.TxSize = 100, 1, 1000 // every node checks every signature
	})
	o, err := Run(t.Context(), p, grapevine, nil)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, p, o)
	t.Logf("%+v", o.Row())
	if len(o.Arrivals) != 100 {
		t.Errorf("%d arrivals, want 100", len(o.Arrivals))
	}
}
