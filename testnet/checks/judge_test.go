package checks

import (
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

const ms = time.Millisecond

// sound is a plan and an outcome that keeps all of it: two blocks, at 100 and 200 ms;
// peer 0 makes them, 1 to 3 get them within 50 ms, 4 is cut off at the end and has the
// first, 5 crashes at 130 ms and is back at 300 ms, when it gets the second.
func sound() (*scenario.Plan, *outcome.Outcome) {
	p := &scenario.Plan{
		PeerPlans: make([]scenario.PeerPlan, 6),
		Events: []scenario.Event{
			{At: 100 * ms, Kind: scenario.Propose, Block: 0, Fault: -1},
			{At: 130 * ms, Kind: scenario.Kill, Peers: []int{5}},
			{At: 160 * ms, Kind: scenario.CutOff, Peers: []int{4}, Fault: 1},
			{At: 200 * ms, Kind: scenario.Propose, Block: 1, Fault: -1},
			{At: 300 * ms, Kind: scenario.Start, Peers: []int{5}},
		},
	}
	p.Checks = scenario.Checks{
		Reach: scenario.Duration(100 * ms),
		P99:   scenario.Duration(150 * ms), Max: scenario.Duration(150 * ms),
		Coverage: 0.7, Redundancy: 1.5, Bytes: 1300,
	}
	a, b := block.ID{0xa}, block.ID{0xb}
	o := &outcome.Outcome{
		Blocks: []outcome.Block{{Height: 1, ID: a, Bytes: 1000, At: 100 * ms}, {Height: 2, ID: b, Bytes: 1000, At: 200 * ms}},
		Peers:  make([]outcome.Peer, 6),
		Healed: 300 * ms,
		End:    1000 * ms,
	}
	arrive := func(peer int, height uint64, at time.Duration, via arrival.Via) {
		o.Arrivals = append(o.Arrivals, outcome.Arrival{Peer: peer, Height: height, ID: o.Blocks[height-1].ID, At: at, Via: via})
	}
	for i := range o.Peers {
		o.Peers[i] = outcome.Peer{Height: 2, ID: b, Received: 2000, Sent: 3000}
	}
	o.Peers[4].Height, o.Peers[4].ID = 1, a
	o.Peers[5].Gone(130 * ms)
	o.Peers[5].Back(300 * ms)
	arrive(0, 1, 100*ms, arrival.Own)
	arrive(5, 1, 120*ms, arrival.Push)
	for i := 1; i <= 4; i++ {
		arrive(i, 1, time.Duration(110+10*i)*ms, arrival.Push)
	}
	arrive(0, 2, 200*ms, arrival.Own)
	for i := 1; i <= 3; i++ {
		arrive(i, 2, 250*ms, arrival.Shards)
	}
	arrive(5, 1, 320*ms, arrival.Pull) // again: it need not have been in its ledger
	arrive(5, 2, 330*ms, arrival.Pull)
	return p, o
}

// Indices of sound's arrivals.
const (
	firstOfFive  = 1  // block 1 at peer 5, before its crash
	firstOfOne   = 2  // block 1 at peer 1
	secondOfOne  = 7  // block 2 at peer 1
	secondOfFive = 11 // block 2 at peer 5
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(p *scenario.Plan, o *outcome.Outcome)
		says   string // a part of the only breach; "" for none
	}{
		{"nothing", func(*scenario.Plan, *outcome.Outcome) {}, ""},
		{"blocks that the orderer cuts itself", func(p *scenario.Plan, _ *outcome.Outcome) {
			p.Load.TxRate, p.Events = 1, p.Events[1:]
		}, ""},
		{"an end before a block was made", func(p *scenario.Plan, _ *outcome.Outcome) {
			p.Events = append(p.Events, scenario.Event{At: 1100 * ms, Kind: scenario.Propose, Fault: -1})
		}, "blocks made: 2, want the 3 that the plan has"},
		{"an outcome of nothing", func(_ *scenario.Plan, o *outcome.Outcome) { *o = outcome.Outcome{} },
			"peers: the outcome is of 0, the plan of 6"},
		{"a peer that healed later than another fault", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Healed = 400 * ms
			o.Arrivals[secondOfFive].At = 450 * ms
		}, ""},
		{"a block that the orderer cut late", func(p *scenario.Plan, o *outcome.Outcome) {
			p.Load.TxRate, o.Blocks[1].At = 1, 500*ms
			for i := range o.Arrivals[secondOfOne-1:] {
				o.Arrivals[secondOfOne-1+i].At += 300 * ms
			}
			o.Arrivals[secondOfFive].At = 590 * ms
		}, ""},
		{"a dead peer's ledger", func(p *scenario.Plan, o *outcome.Outcome) {
			p.Events = append(p.Events, scenario.Event{At: 300 * ms, Kind: scenario.Kill, Peers: []int{3}})
			o.Peers[3].Height = 0
		}, ""},
		{"a block that was not made", func(p *scenario.Plan, _ *outcome.Outcome) {
			p.Events = append(p.Events, scenario.Event{At: 300 * ms, Kind: scenario.Propose, Fault: -1})
		}, "blocks made: 2, want the 3 that the plan has"},
		{"a block too many", func(p *scenario.Plan, _ *outcome.Outcome) { p.Events[0].Kind = scenario.Mend },
			"blocks made: 2, want the 1 that the plan has"},
		{"an invented block", func(p *scenario.Plan, o *outcome.Outcome) {
			o.Blocks = o.Blocks[:1]
			p.Load.TxRate = 1 // so that it is not a block too few
			p.Checks = scenario.Checks{Reach: p.Checks.Reach}
		}, "blocks that nobody made: peer 0 accepted block 0b000000 at height 2, at 200ms; peer 1 accepted"},
		{"a fork", func(p *scenario.Plan, o *outcome.Outcome) {
			p.Checks = scenario.Checks{Reach: p.Checks.Reach}
			o.Blocks = append(o.Blocks, outcome.Block{Height: 2, ID: block.ID{0xcc}, Bytes: 1000, At: 210 * ms})
			p.Load.TxRate = 1 // so that it is not a block too many
			o.Arrivals[secondOfOne].ID, o.Peers[1].ID = block.ID{0xcc}, block.ID{0xcc}
		}, "at height 2 peer 0 has block 0b000000, peer 1 has cc000000"}, // once
		{"a ledger that ends with another block", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Peers[3].ID = block.ID{0xdd}
		}, "peers that differ: at height 2 peer 0 has block 0b000000, peer 3 has dd000000"},
		{"a height that goes back", func(_ *scenario.Plan, o *outcome.Outcome) {
			again := o.Arrivals[firstOfOne]
			again.At = 400 * ms
			o.Arrivals = append(o.Arrivals, again, o.Arrivals[secondOfOne])
		}, "heights out of order: peer 1 accepted height 1 at 400ms, after height 2 at 250ms"},
		{"the same height twice without a crash", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Arrivals = append(o.Arrivals, o.Arrivals[secondOfOne])
		}, "heights out of order: peer 1 accepted height 2 at 250ms, after height 2 at 250ms"},
		{"a height that is left out", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Arrivals[firstOfOne].Peer = 5 // before its crash, and again
			o.Arrivals = append(o.Arrivals[:firstOfOne], o.Arrivals[firstOfOne+1:]...)
		}, "heights out of order: peer 1 accepted height 2 at 250ms, after height 0 at 0s"},
		{"a ledger that lost a block", func(p *scenario.Plan, o *outcome.Outcome) {
			p.Events = append(p.Events, scenario.Event{At: 300 * ms, Kind: scenario.CutOff, Peers: []int{3}, Fault: 2})
			o.Peers[3].Height, o.Peers[3].ID = 1, o.Blocks[0].ID
		}, "heights out of order: peer 3 ended at height 1, and came to height 2 at 250ms"},
		{"a peer without the tip", func(p *scenario.Plan, _ *outcome.Outcome) {
			p.Events = append(p.Events, scenario.Event{At: 300 * ms, Kind: scenario.Mend, Peers: []int{4}, Fault: 1})
		}, "live peers without the tip, height 2, at the end, 1s: peer 4 is at height 1"},
		{"a peer that has the tip late", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Healed = 250 * ms
			o.Arrivals[secondOfFive].At = 401 * ms
		}, "the tip, height 2, came late: want it 100ms after the network was quiet, 300ms: peer 5 had it at 401ms"},
		{"an honest peer dropped", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Drops = []outcome.Drop{{Peer: 1, Dropped: 3, At: 5 * ms, Why: "sent nonsense"}}
		}, "honest peers dropped: peer 1 dropped peer 3 at 5ms: sent nonsense"},
		{"more bytes than were sent", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.Peers[1].Received, o.Peers[2].Sent = 2001, 3001
			for i := range o.Peers {
				o.Peers[i].Sent -= 1000
			}
			o.Peers[2].Sent--
		}, "bytes: all peers received 12001 and sent 12000"},
		{"bytes from nowhere", func(_ *scenario.Plan, o *outcome.Outcome) {
			for i := range o.Peers {
				o.Peers[i].Sent = 300
			}
			o.Peers[2].Sent = 12000
			o.Peers[2].Received = 1501
		}, "bytes from nowhere: peer 2 received 1501, all others sent 1500"},
		{"bytes that were asked for now and then", func(_ *scenario.Plan, o *outcome.Outcome) {
			for i := range o.Peers {
				o.Peers[i].Sent = 0
			}
			o.Sampled = true
		}, ""},
		{"a block that was missed for ever, without a chain", func(_ *scenario.Plan, o *outcome.Outcome) {
			o.NoChain = true
			last := o.Arrivals[len(o.Arrivals)-1]
			o.Arrivals = o.Arrivals[:len(o.Arrivals)-1]
			o.Peers[last.Peer].Height, o.Peers[last.Peer].ID = last.Height-1, o.Blocks[len(o.Blocks)-2].ID
		}, ""},
		{"p99", func(p *scenario.Plan, _ *outcome.Outcome) { p.Checks.P99 = scenario.Duration(49 * ms) },
			"p99 of the latency is 50 ms: want at most 49 ms"},
		{"max", func(p *scenario.Plan, _ *outcome.Outcome) {
			p.Checks.Max = scenario.Duration(49*ms + 500*time.Microsecond)
		},
			"the largest latency is 50 ms: want at most 49.5 ms"},
		{"coverage", func(p *scenario.Plan, _ *outcome.Outcome) { p.Checks.Coverage = 0.9 },
			"coverage by push is 0.888889: want at least 0.9"},
		{"redundancy", func(p *scenario.Plan, _ *outcome.Outcome) { p.Checks.Redundancy = 1.2 },
			"redundancy (bytes received per body byte) is 1.333333: want at most 1.2"},
		{"bytes", func(p *scenario.Plan, _ *outcome.Outcome) { p.Checks.Bytes = 999 },
			"what a peer received per block is 1000 bytes: want at most 999 bytes"},
		{"a bound on what is not known", func(p *scenario.Plan, o *outcome.Outcome) {
			*o, p.Load.TxRate = outcome.Outcome{End: time.Second, Peers: make([]outcome.Peer, len(p.PeerPlans))}, 1
			p.Checks = scenario.Checks{P99: scenario.Duration(ms)}
		}, "p99 of the latency is NaN ms"},
	} {
		p, o := sound()
		c.damage(p, o)
		got := Judge(p, o)
		if c.says == "" && len(got) != 0 {
			t.Errorf("%s: %q, want no breach", c.name, got)
		}
		if c.says != "" && (len(got) != 1 || strings.Count(got[0], c.says) != 1) {
			t.Errorf("%s: %q, want one breach that says %q", c.name, got, c.says)
		}
	}
}

func TestJudgeNamesTheFirstFewPeers(t *testing.T) {
	p, o := sound()
	for i := 1; i < 6; i++ {
		for range 2 {
			o.Drops = append(o.Drops, outcome.Drop{Peer: i, Dropped: 0, Why: "x"})
		}
	}
	const want = "honest peers dropped: peer 1 dropped peer 0 at 0s: x; peer 1 dropped peer 0 at 0s: x; " +
		"peer 2 dropped peer 0 at 0s: x; peer 2 dropped peer 0 at 0s: x; peer 3 dropped peer 0 at 0s: x; and 5 more"
	if got := Judge(p, o); len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
