package processes

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"grapevine/testnet/local"
	"grapevine/testnet/scenario"
)

// Protocols returns the names of what Run can play: real peers speak our own alone.
func Protocols() []string { return []string{scenario.Grapevine} }

// apart is how far from each other blocks of different sizes must be: the orderer cuts
// the smaller ones when their time is up (300 ms), and whatever else has come by then
// would be in them.
const apart = time.Second

// Check refuses a plan that processes on one machine cannot play. Another world can.
func Check(plan *scenario.Plan) error {
	for i, f := range plan.Faults {
		if f.Kind != scenario.Crash && f.Kind != scenario.Join {
			return fmt.Errorf("fault[%d] (%s): there are no links to do that to on loopback, where processes can %s and %s", i, f.Kind, scenario.Crash, scenario.Join)
		}
	}
	sizes := slices.Compact(slices.Clone(plan.Load.BlockSizes))
	switch {
	case plan.Peers > local.MaxPeers:
		return fmt.Errorf("%d peers: want %d processes at most", plan.Peers, local.MaxPeers)
	case plan.Membership == scenario.Static:
		return fmt.Errorf("membership = %q: processes find each other by themselves: want %q", plan.Membership, scenario.Auto)
	case plan.Load.TxRate == 0 && len(sizes) > 1 && plan.Load.Every.D() < apart:
		return fmt.Errorf("load.block_sizes has %d sizes, and load.every is %s: the orderer would cut other blocks than these: want one size, or %v at least", len(sizes), plan.Load.Every, apart)
	}
	for i := range plan.Peers {
		if plan.Alive(i, plan.End()) {
			return nil
		}
	}
	return fmt.Errorf("all %d peers are crashed at the end, %v: want one that can be asked for the chain", plan.Peers, plan.End())
}

// settings returns what the peers' configurations say, besides where everybody is.
func settings(plan *scenario.Plan) map[string]string {
	s := map[string]string{}
	if plan.Load.TxRate == 0 {
		most := 0
		for i := range plan.Load.BlockSizes {
			most = max(most, plan.TxCount(i))
		}
		// As soon as it has the transactions of a block it makes one, of these.
		s["block_max_txs"], s["block_preferred_bytes"] = strconv.Itoa(most), "4MiB"
	}
	of := plan.Settings
	if of.Mode != "" {
		s["mode"] = of.Mode
	}
	s["catchup"] = strconv.FormatBool(!of.NoCatchup)
	s["fanout"] = strconv.Itoa(of.Fanout)
	s["pull_every"], s["fetch_timeout"] = of.PullEvery.String(), of.FetchTimeout.String()
	return s
}
