package events

import (
	"testing"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/testnet/scenario"
)

// Where not all are neighbours of all, a block comes by stripes: to everybody about once, as soon
// as in a full mesh and one hop more, and nobody sends much more than others.
func TestLargeStripesReachAll(t *testing.T) {
	p, o := play(t, scenario.Grapevine, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.First, s.Load.Every = 150, 3, scenario.Duration(3*time.Second), scenario.Duration(1500*time.Millisecond)
	})
	byShards := 0
	for _, a := range o.Arrivals {
		if a.Via == arrival.Shards {
			byShards++
		}
	}
	if want := len(o.Blocks) * (len(o.Peers) - 1); byShards != want {
		t.Errorf("%d acceptances by shards, want %d", byShards, want)
	}
	sent, busiest := int64(0), int64(0)
	for _, x := range o.Peers {
		sent += x.Sent
		busiest = max(busiest, x.Sent)
	}
	bodies := int64(0)
	for _, b := range o.Blocks {
		bodies += int64(b.Bytes)
	}
	mean := float64(sent) / float64(len(o.Peers))
	row := o.Row()
	t.Logf("%+v; the orderer sends %.2f bodies, the busiest %.2f of the mean; upload %v", row, float64(o.Peers[0].Sent)/float64(bodies), float64(busiest)/mean, p.PeerPlans[0].Up)
	if row.P99 > 650 {
		t.Errorf("p99 is %v ms, want at most 650", row.P99)
	}
	if o.Quiet <= 0 || row.Idle > 20_000 || o.Peers[1].Idle == 0 {
		t.Errorf("quiet for %v, with %v bytes a second to a peer: want some of both, and at most 20 KB", o.Quiet, row.Idle)
	}
	if row.Redundancy > 1.35 {
		t.Errorf("%.3f bytes received per byte of a body, want at most 1.35", row.Redundancy)
	}
	if float64(busiest) > 3*mean || o.Peers[0].Sent > 2*bodies {
		t.Errorf("the busiest sends %.2f of the mean, the orderer %.2f bodies: want at most 3 and 2", float64(busiest)/mean, float64(o.Peers[0].Sent)/float64(bodies))
	}
}

// A third of the peers that are gone, and nobody knows, costs their stripes a new way, and no
// more than that; after some blocks the stripes go around them.
func TestLargeStripesGoAroundTheDead(t *testing.T) {
	_, o := play(t, scenario.Grapevine, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.First, s.Load.Every = 150, 4, scenario.Duration(3*time.Second), scenario.Duration(1500*time.Millisecond)
		s.Load.BlockSizes = []scenario.Bytes{256 << 10}
		s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: s.Load.First - scenario.Duration(100*time.Millisecond), Share: 1.0 / 3}}
	})
	made, last := map[uint64]time.Duration{}, map[uint64]time.Duration{}
	for _, b := range o.Blocks {
		made[b.Height] = b.At
	}
	for _, a := range o.Arrivals {
		last[a.Height] = max(last[a.Height], a.At-made[a.Height])
	}
	row := o.Row()
	t.Logf("%+v; the last peer has them after %v", row, last)
	if row.Coverage < 0.99 || row.P99 > 1200 {
		t.Errorf("coverage is %v and p99 %v ms, want 0.99 and at most 1200", row.Coverage, row.P99)
	}
	if row.P50 > 700 {
		t.Errorf("p50 is %v ms, want at most 700: stripes go around the dead after some blocks", row.P50)
	}
}

// Peers that keep what they should pass on, and do not give what they say that they have, hold up
// a block until they are known, and the orderer does not make up for them by itself.
func TestLargeWithheldBlocksArrive(t *testing.T) {
	for _, peers := range []int{50} {
		_, o := play(t, scenario.Grapevine, func(s *scenario.Scenario) {
			s.Peers, s.Load.Blocks, s.Load.First, s.Load.Every = peers, 2, scenario.Duration(3*time.Second), scenario.Duration(5*time.Second)
			s.Load.BlockSizes = []scenario.Bytes{256 << 10}
			s.Faults = []scenario.Fault{{Kind: scenario.Withhold, At: s.Load.First - scenario.Duration(100*time.Millisecond), Share: 0.3}}
		})
		row := o.Row()
		t.Logf("%+v", row)
		if row.Coverage < 0.99 || row.P99 > 4000 {
			t.Errorf("%d peers: coverage is %v and p99 %v ms, want 0.99 and at most 4 s", peers, row.Coverage, row.P99)
		}
		if row.Orderer > 6 {
			t.Errorf("%d peers: the orderer sends %v bodies, want at most 6", peers, row.Orderer)
		}
	}
}
