package packets

import (
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/testnet/checks"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// crashVariable makes the child panic before it does anything.
const crashVariable = "GRAPEVINE_PACKETS_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" && os.Getenv(crashVariable) != "" {
		panic("a crash that was asked for")
	}
	Child()
	os.Exit(m.Run())
}

// planned makes a plan of small blocks, each a second after the other.
func planned(t *testing.T, change func(s *scenario.Scenario)) *scenario.Plan {
	t.Helper()
	s := scenario.Defaults()
	s.Name, s.World = "test", scenario.Packets
	s.Load.BlockSizes, s.Load.TxSize = []scenario.Bytes{128 << 10}, 1<<10
	s.Load.Every = seconds(1)
	s.Link.Latency = scenario.Duration(20 * time.Millisecond)
	change(&s)
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func seconds(n float64) scenario.Duration { return scenario.Duration(n * 1e9) }

// playing plays a plan here, in a bubble.
func playing(t *testing.T, p *scenario.Plan, protocol string) *outcome.Outcome {
	t.Helper()
	return playingWith(t, p, protocol, newKind)
}

func playingWith(t *testing.T, p *scenario.Plan, protocol string, peers func(*world, string) (kind, error)) *outcome.Outcome {
	t.Helper()
	if err := Check(p, protocol); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var out *outcome.Outcome
	synctest.Test(t, func(t *testing.T) {
		var err error
		if out, err = play(p, protocol, peers, func(float64) {}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%s: %d peers, %d blocks, %v of virtual time in %v: %+v",
		protocol, p.Peers, len(out.Blocks), out.End, time.Since(began).Round(time.Millisecond), out.Row())
	return out
}

// judge holds an outcome against what must hold.
func judge(t *testing.T, p *scenario.Plan, o *outcome.Outcome) {
	t.Helper()
	for _, breach := range checks.Judge(p, o) {
		t.Errorf("%s: %s", o.Protocol, breach)
	}
}

// arrivals returns those of a peer.
func arrivals(o *outcome.Outcome, peer int) []outcome.Arrival {
	return slices.DeleteFunc(slices.Clone(o.Arrivals), func(a outcome.Arrival) bool { return a.Peer != peer })
}
