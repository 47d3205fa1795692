package packets

import (
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// troubled has peers 3 and 4 cut off from 2.5 s to 6.5 s, peer 5 crash at 3.5 s and come
// back at 6 s, and peer 6 join at 5.5 s. There is a block every half second from 1 s on.
func troubled(t *testing.T) *scenario.Plan {
	return planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.Every = 7, 16, seconds(0.5)
		s.Faults = []scenario.Fault{
			{Kind: scenario.Cut, Peers: []int{3, 4}, At: seconds(2.5), For: seconds(4)},
			{Kind: scenario.Crash, Peers: []int{5}, At: seconds(3.5), For: seconds(2.5)},
			{Kind: scenario.Join, Peers: []int{6}, At: seconds(5.5)},
		}
	})
}

const longest = 500 * time.Millisecond // that a block takes in an undisturbed network as small

func TestLargeNodesLiveThroughFaults(t *testing.T) {
	t.Parallel()
	p := troubled(t)
	o := playing(t, p, grapevine)
	judge(t, p, o)
	if want := 6500 * time.Millisecond; o.Healed != want {
		t.Errorf("healed at %v, want %v", o.Healed, want)
	}
	for i, away := range [][]outcome.Span{5: {{From: 3500 * time.Millisecond, To: 6 * time.Second}}, 6: {{To: 5500 * time.Millisecond}}} {
		if got := o.Peers[i].Away; !slices.Equal(got, away) {
			t.Errorf("peer %d was away %v, want %v", i, got, away)
		}
	}
	for i := range p.Peers {
		all := arrivals(o, i)
		for k, a := range all {
			if a.Height != uint64(k+1) {
				t.Fatalf("peer %d accepted height %d after %d blocks: it has lost its ledger, or skipped a height", i, a.Height, k)
			}
		}
		if len(all) != p.Load.Blocks {
			t.Errorf("peer %d accepted %d blocks, want %d", i, len(all), p.Load.Blocks)
		}
	}
	between := func(i int, from, to time.Duration) (n int) {
		for _, a := range arrivals(o, i) {
			if a.At >= from && a.At < to {
				n++
			}
		}
		return n
	}
	for _, gap := range []struct {
		peer     int
		from, to float64
	}{{3, 2.5, 6.5}, {4, 2.5, 6.5}, {5, 3.5, 6}, {6, 0, 5.5}} {
		if n := between(gap.peer, time.Duration(gap.from*1e9), time.Duration(gap.to*1e9)); n > 0 {
			t.Errorf("peer %d accepted %d blocks while it was away or cut off", gap.peer, n)
		}
	}
	if n := between(1, 0, 9*time.Second+longest); n != p.Load.Blocks {
		t.Errorf("peer 1, whom nothing befell, accepted %d blocks in time, want %d", n, p.Load.Blocks)
	}
	if via := arrivals(o, 6)[0].Via; via != arrival.CatchUp && via != arrival.Pull {
		t.Errorf("the first block came to the late joiner via %s", via)
	}
}

// Those that speak Fabric's gossip keep their chain too, and state transfer brings what
// was missed.
func TestLargeFabricLivesThroughFaults(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{fabricProtocol, enhanced} {
		p := troubled(t)
		o := playing(t, p, protocol)
		judge(t, p, o)
		for i := range p.Peers {
			all := arrivals(o, i)
			if len(all) != p.Load.Blocks {
				t.Errorf("%s: peer %d accepted %d blocks, want %d", protocol, i, len(all), p.Load.Blocks)
			}
			for _, a := range all {
				if !o.Peers[i].There(a.At) {
					t.Errorf("%s: peer %d accepted block %d at %v, and was not there", protocol, i, a.Height, a.At)
				}
			}
		}
		if via := arrivals(o, 6)[0].Via; via != arrival.CatchUp && via != arrival.Pull {
			t.Errorf("%s: the first block came to the late joiner via %s", protocol, via)
		}
	}
}

// A peer that is back hears of the next block at once, though the others' connections to
// its last life have not timed out.
func TestLargeFabricHearsWhoIsBack(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.Every = 6, 3, seconds(12)
		s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{4}, At: seconds(18), For: seconds(2)}}
	})
	o := playing(t, p, enhanced)
	judge(t, p, o)
	for _, d := range o.Deliveries() {
		if d.Via != arrival.Push || d.Latency > longest {
			t.Errorf("peer %d has block %d via %s after %v", d.Peer, d.Height, d.Via, d.Latency)
		}
	}
	checkWhole(t, p, o)
}

// GossipSub brings nobody what it has forgotten, but everybody who is back what comes
// after. It takes its time: a peer that came back may be deaf until the connections of
// its last life have timed out, after 30 s.
func TestLargeGossipLivesThroughFaults(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.Every = 6, 24, seconds(5)
		s.Faults = []scenario.Fault{
			{Kind: scenario.Cut, Peers: []int{3}, At: seconds(12), For: seconds(63)},
			{Kind: scenario.Crash, Peers: []int{4}, At: seconds(12), For: seconds(10)},
			{Kind: scenario.Join, Peers: []int{5}, At: seconds(20)},
		}
	})
	o := playing(t, p, chunked)
	times := make([]map[uint64]time.Duration, p.Peers)
	for i := range times {
		times[i] = map[uint64]time.Duration{}
	}
	for _, a := range o.Arrivals {
		if _, twice := times[a.Peer][a.Height]; twice {
			t.Errorf("peer %d accepted height %d twice", a.Peer, a.Height)
		}
		times[a.Peer][a.Height] = a.At
	}
	for i, is := range []struct{ never, always [2]float64 }{ // for blocks made then
		0: {always: [2]float64{0, 200}}, 1: {always: [2]float64{0, 200}}, 2: {always: [2]float64{0, 200}},
		3: {never: [2]float64{12, 65}, always: [2]float64{110, 200}},
		4: {never: [2]float64{12, 17}, always: [2]float64{70, 200}},
		5: {never: [2]float64{0, 12}, always: [2]float64{70, 200}},
	} {
		for _, b := range o.Blocks {
			at, has := times[i][b.Height]
			made := b.At.Seconds()
			if made >= is.always[0] && made < is.always[1] && (!has || at > b.At+longest) || made >= is.never[0] && made < is.never[1] && has {
				t.Errorf("peer %d has block %d, made at %v: %v, at %v", i, b.Height, b.At, has, at)
			}
		}
	}
	for i, want := range []uint64{24, 24, 24, 3, 3, 0} { // three were made before the faults
		if got := o.Peers[i].Height; got != want {
			t.Errorf("peer %d is at height %d, want %d", i, got, want)
		}
	}
}

// A peer that crashes says nothing more, not even goodbye.
func TestLargeCrashIsSilent(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{grapevine, fabricProtocol, gossipsub} {
		p := planned(t, func(s *scenario.Scenario) {
			s.Peers, s.Load.Blocks = 4, 1
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{2}, At: seconds(1)}} // just before the block
		})
		o := playing(t, p, protocol)
		judge(t, p, o)
		if dead := o.Peers[2]; dead.Alive || dead.Sent > 0 || dead.Received > 0 || len(o.Arrivals) != 3 {
			t.Errorf("%s: the dead peer is %+v, and there are %d arrivals", protocol, dead, len(o.Arrivals))
		}
	}
}

// The orderer's crash costs the blocks that are due meanwhile, and no others.
func TestLargeOrdererComesBack(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{grapevine, enhanced, chunked} {
		p := planned(t, func(s *scenario.Scenario) {
			s.Peers, s.Load.Blocks, s.Checks.Reach = 4, 8, seconds(10)
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{0}, At: seconds(2.5), For: seconds(3)}}
		})
		o := playing(t, p, protocol)
		if protocol == grapevine {
			judge(t, p, o)
		}
		var at []float64
		for _, b := range o.Blocks {
			at = append(at, b.At.Seconds())
		}
		if want := []float64{1, 2, 6, 7, 8}; !slices.Equal(at, want) {
			t.Errorf("%s: blocks were made at %v, want %v", protocol, at, want)
		}
	}
}

func TestLargeSlowPeer(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks = 6, 3
		s.Faults = []scenario.Fault{{Kind: scenario.Slow, Peers: []int{4}, At: seconds(1.5), For: seconds(1), Rate: 2e6}}
	})
	o := playing(t, p, grapevine)
	judge(t, p, o)
	body := time.Duration(p.BodyBytes(1)) * 8 * time.Second / 2e6
	for _, d := range o.Deliveries() {
		if slow := d.Peer == 4 && d.Block == 1; slow && d.Latency < body || !slow && d.Latency > longest {
			t.Errorf("peer %d has block %d after %v", d.Peer, d.Block, d.Latency)
		}
	}
}

func TestLargeLossyPeer(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks = 6, 3
		s.Faults = []scenario.Fault{{Kind: scenario.Loss, Peers: []int{5}, At: seconds(0.5), Loss: 0.3}}
	})
	o := playing(t, p, grapevine)
	judge(t, p, o)
	if got := len(o.Arrivals); got != 18 {
		t.Errorf("%d arrivals, want 18", got)
	}
	// Of what was sent to the peer 30 % were lost, of what others got next to nothing.
	var lost int64
	for _, peer := range o.Peers {
		lost += peer.Sent - peer.Received
	}
	if want := float64(o.Peers[5].Received) * 0.3 / 0.7; float64(lost) < want*0.7 || float64(lost) > want*1.6 {
		t.Errorf("%d bytes were lost, want about %.0f", lost, want)
	}
}

// What a peer does against the rules is told.
func TestLargeDropsAreTold(t *testing.T) {
	b := newBook(2)
	b.name(1, "one")
	b.stands(time.Now().Add(-time.Second))
	b.drop(0, "one", "forged: a wrong root")
	b.drop(0, "nobody", "flooding: much")
	out := b.close()
	b.drop(0, "one", "too late")
	b.accept(0, accepted{})
	if n := len(out.Drops); n != 2 || len(out.Arrivals) > 0 {
		t.Fatalf("%d drops and %d arrivals", n, len(out.Arrivals))
	}
	if d := out.Drops[0]; d.Peer != 0 || d.Dropped != 1 || d.At < time.Second || !strings.HasPrefix(d.Why, "forged") {
		t.Errorf("the drop is %+v", d)
	}
	if d := out.Drops[1]; d.Dropped != -1 {
		t.Errorf("the drop of somebody unknown is %+v", d)
	}
}
