package checks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"grapevine/block"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// Judge says what a run broke: of what holds for every run, and of the
// scenario's bounds. Each breach is one text, which names the check, the peers (the
// first few), the values, and what was wanted. None is good.
func Judge(p *scenario.Plan, o *outcome.Outcome) []string {
	j := judge{plan: p, o: o, made: map[block.ID]bool{}}
	for _, b := range o.Blocks {
		j.made[b.ID] = true
	}
	if n := len(o.Peers); n != len(p.PeerPlans) {
		return []string{fmt.Sprintf("peers: the outcome is of %d, the plan of %d", n, len(p.PeerPlans))}
	}
	j.proposals()
	j.inventions()
	j.agreement()
	if !o.NoChain {
		j.heights()
		j.reach()
	}
	j.honest()
	j.balance()
	j.bounds()
	return j.breaches
}

type judge struct {
	plan     *scenario.Plan
	o        *outcome.Outcome
	made     map[block.ID]bool
	breaches []string
}

func (j *judge) breach(format string, args ...any) {
	j.breaches = append(j.breaches, fmt.Sprintf(format, args...))
}

// fewPeers is how many of those that break a check are named: enough to see a
// pattern, and to have one to follow through the trace.
const fewPeers = 5

// gather makes one breach of what several peers did.
func (j *judge) gather(check string, found []string) {
	if n := len(found); n > fewPeers {
		found = append(slices.Clip(found[:fewPeers]), fmt.Sprintf("and %d more", n-fewPeers))
	}
	if len(found) > 0 {
		j.breach("%s: %s", check, strings.Join(found, "; "))
	}
}

// proposals: every block was made that the plan has.
func (j *judge) proposals() {
	if j.plan.Load.TxRate > 0 {
		return
	}
	planned := 0
	for _, e := range j.plan.Events {
		if e.Kind == scenario.Propose {
			planned++
		}
	}
	if made := len(j.o.Blocks); made != planned {
		j.breach("blocks made: %d, want the %d that the plan has", made, planned)
	}
}

// inventions: whatever a peer accepted was made.
func (j *judge) inventions() {
	var found []string
	for _, a := range j.o.Arrivals {
		if !j.made[a.ID] {
			found = append(found, fmt.Sprintf("peer %d accepted block %s at height %d, at %v", a.Peer, a.ID.Short(), a.Height, a.At))
		}
	}
	j.gather("blocks that nobody made", found)
}

// agreement: no two peers differ at a height.
func (j *judge) agreement() {
	type at struct {
		height uint64
		peer   int
	}
	first := map[uint64]outcome.Arrival{}
	differ := map[at]bool{}
	var found []string
	see := func(peer int, height uint64, id block.ID) {
		f, ok := first[height]
		if !ok {
			first[height] = outcome.Arrival{Peer: peer, ID: id}
		} else if f.ID != id && !differ[at{height, peer}] {
			differ[at{height, peer}] = true
			found = append(found, fmt.Sprintf("at height %d peer %d has block %s, peer %d has %s", height, f.Peer, f.ID.Short(), peer, id.Short()))
		}
	}
	for _, a := range j.o.Arrivals {
		see(a.Peer, a.Height, a.ID)
	}
	for i, p := range j.o.Peers {
		if p.Height > 0 {
			see(i, p.Height, p.ID)
		}
	}
	j.gather("peers that differ", found)
}

// heights: a peer accepts block after block, from the first on, and ends where it
// came to. What it accepted last before a crash it may accept once more: its ledger
// need not have had it yet.
func (j *judge) heights() {
	if len(j.o.Blocks) == 0 {
		return
	}
	var found []string
	last := make([]outcome.Arrival, len(j.o.Peers))
	for i := range last {
		last[i].Height = j.o.Blocks[0].Height - 1
	}
	for _, a := range j.o.Arrivals {
		before := &last[a.Peer]
		again := a.Height == before.Height && j.restarted(a.Peer, before.At, a.At)
		if a.Height != before.Height+1 && !again {
			found = append(found, fmt.Sprintf("peer %d accepted height %d at %v, after height %d at %v", a.Peer, a.Height, a.At, before.Height, before.At))
		}
		*before = a
	}
	for i, p := range j.o.Peers {
		if j.plan.Alive(i, j.o.End) && p.Height != last[i].Height {
			found = append(found, fmt.Sprintf("peer %d ended at height %d, and came to height %d at %v", i, p.Height, last[i].Height, last[i].At))
		}
	}
	j.gather("heights out of order", found)
}

// restarted says whether the peer was away between two times.
func (j *judge) restarted(peer int, from, to time.Duration) bool {
	return slices.ContainsFunc(j.o.Peers[peer].Away, func(s outcome.Span) bool { return from <= s.From && s.To <= to })
}

// reach: whoever should be there and connected at the end, as the plan has it, has what
// the highest of them has, and came to it in time.
func (j *judge) reach() {
	live := make([]bool, len(j.o.Peers))
	var tip uint64
	for i, p := range j.o.Peers {
		if live[i] = j.plan.Reachable(i, j.o.End); live[i] {
			tip = max(tip, p.Height)
		}
	}
	quiet := max(j.plan.Quiet(), j.o.Healed)
	for _, b := range j.o.Blocks {
		quiet = max(quiet, b.At)
	}
	at := make([]time.Duration, len(j.o.Peers))
	for _, a := range j.o.Arrivals {
		if a.Height == tip && at[a.Peer] == 0 {
			at[a.Peer] = a.At
		}
	}
	within := j.plan.Checks.Reach.D()
	var behind, late []string
	for i, p := range j.o.Peers {
		switch {
		case !live[i]:
		case p.Height < tip:
			behind = append(behind, fmt.Sprintf("peer %d is at height %d", i, p.Height))
		case at[i] > quiet+within:
			late = append(late, fmt.Sprintf("peer %d had it at %v", i, at[i]))
		}
	}
	j.gather(fmt.Sprintf("live peers without the tip, height %d, at the end, %v", tip, j.o.End), behind)
	j.gather(fmt.Sprintf("the tip, height %d, came late: want it %v after the network was quiet, %v", tip, within, quiet), late)
}

// honest: nobody gave cause to be dropped.
func (j *judge) honest() {
	var found []string
	for _, d := range j.o.Drops {
		found = append(found, fmt.Sprintf("peer %d dropped peer %d at %v: %s", d.Peer, d.Dropped, d.At, d.Why))
	}
	j.gather("honest peers dropped", found)
}

// balance: nothing comes that was not sent.
func (j *judge) balance() {
	if j.o.Sampled {
		return
	}
	var sent, received int64
	for _, p := range j.o.Peers {
		sent, received = sent+p.Sent, received+p.Received
	}
	if received > sent {
		j.breach("bytes: all peers received %d and sent %d: want no more received than sent", received, sent)
		return
	}
	var found []string
	for i, p := range j.o.Peers {
		if others := sent - p.Sent; p.Received > others {
			found = append(found, fmt.Sprintf("peer %d received %d, all others sent %d", i, p.Received, others))
		}
	}
	j.gather("bytes from nowhere", found)
}

// bounds: what the scenario asks for. Where a figure is not known, because nothing
// arrived that it could be taken of, its bound is not kept.
func (j *judge) bounds() {
	if len(j.o.Blocks) == 0 && j.plan.Load.TxRate == 0 { // proposals names it if there should be some
		return
	}
	r, c := j.o.Row(), j.plan.Checks
	most := func(name string, got, want outcome.Figure, unit string) {
		if want != 0 && !(got <= want) {
			j.breach("%s is %v%s: want at most %v%s", name, got, unit, want, unit)
		}
	}
	millis := func(d scenario.Duration) outcome.Figure {
		return outcome.Figure(d.D().Seconds() * 1000)
	}
	most("p99 of the latency", r.P99, millis(c.P99), " ms")
	most("the largest latency", r.Max, millis(c.Max), " ms")
	most("redundancy (bytes received per body byte)", r.Redundancy, outcome.Figure(c.Redundancy), "")
	most("what a peer received per block", r.BytesPerPeer, outcome.Figure(c.Bytes), " bytes")
	if want := outcome.Figure(c.Coverage); want != 0 && !(r.Coverage >= want) {
		j.breach("coverage by push is %v: want at least %v", r.Coverage, want)
	}
}
