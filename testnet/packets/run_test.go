package packets

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/membership"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

func TestLargeEveryProtocolReachesEverybody(t *testing.T) {
	t.Parallel()
	for _, protocol := range Protocols() {
		t.Run(protocol, func(t *testing.T) {
			p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks, s.Load.Every = 6, 3, seconds(3) })
			o := playing(t, p, protocol)
			judge(t, p, o)
			checkWhole(t, p, o)
			if o.Protocol != protocol || o.World != "packets" || o.Seed != p.Seed || o.Trace != 0 {
				t.Errorf("outcome of %q in %q, seed %d, trace %d", o.Protocol, o.World, o.Seed, o.Trace)
			}
			last := o.Arrivals[len(o.Arrivals)-1].At
			if o.End < last+time.Second || o.End > last+2*time.Second {
				t.Errorf("the run ended at %v, the last block arrived at %v", o.End, last)
			}
		})
	}
}

// checkWhole wants every block at every peer, at a time and a cost that can be.
func checkWhole(t *testing.T, p *scenario.Plan, o *outcome.Outcome) {
	t.Helper()
	if got, want := len(o.Arrivals), p.Peers*p.Load.Blocks; got != want {
		t.Fatalf("%d arrivals, want %d", got, want)
	}
	bodies := 0
	for i, b := range o.Blocks {
		bodies += b.Bytes
		if want := (p.Load.First + scenario.Duration(i)*p.Load.Every).D(); b.Height != uint64(i+1) || b.Bytes != p.BodyBytes(i) || b.At != want {
			t.Errorf("block %d: height %d, %d bytes, at %v; want %d bytes at %v", i, b.Height, b.Bytes, b.At, p.BodyBytes(i), want)
		}
	}
	for _, d := range o.Deliveries() {
		// Twice the way from the orderer to the peer: through its link and through the peer's.
		least := p.Latency(0, d.Peer) + time.Duration(p.BodyBytes(d.Block))*8*time.Second/time.Duration(p.Link.Down)
		if d.Latency < least || d.Latency > 10*time.Second || d.Via == arrival.Own || d.From == d.Peer || d.From < 0 {
			t.Errorf("peer %d has block %d %v after it was made, via %s from %d", d.Peer, d.Height, d.Latency, d.Via, d.From)
		}
	}
	for i, peer := range o.Peers {
		if !peer.Alive || peer.Height != uint64(p.Load.Blocks) || peer.ID != o.Blocks[len(o.Blocks)-1].ID {
			t.Errorf("peer %d is at height %d, alive %v", i, peer.Height, peer.Alive)
		}
		if sent := i == 0; sent && peer.Sent < int64(bodies) || !sent && peer.Received < int64(bodies) {
			t.Errorf("peer %d received %d bytes and sent %d; the blocks have %d", i, peer.Received, peer.Sent, bodies)
		}
	}
	row := o.Row()
	if gossip := strings.HasPrefix(o.Protocol, gossipsub); gossip && row.Duplicates < 0.2 || row.Redundancy < row.Duplicates+1 || row.Redundancy > 8 {
		t.Errorf("redundancy %v, duplicates %v", row.Redundancy, row.Duplicates)
	}
}

func TestLargeWarmPoolsNeedNoBodies(t *testing.T) {
	t.Parallel()
	for _, warm := range []float64{0.5, 1} {
		p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks, s.Load.Warm = 5, 2, warm })
		o := playing(t, p, grapevine)
		judge(t, p, o)
		// Announcements of 128 transactions take 3 KB, and come from everybody.
		if got := float64(o.Row().Redundancy); got < 1-warm || got > 1-warm+0.35 {
			t.Errorf("warm %v: redundancy %v", warm, got)
		}
	}
}

// Those that speak Fabric's gossip have the neighbours that whole nodes have.
func TestMeshIsThatOfWholeNodes(t *testing.T) {
	for _, n := range []int{2, membership.DefaultFull, membership.DefaultFull + 1, 300} {
		p := planned(t, func(s *scenario.Scenario) { s.Peers = n })
		g := newGossip(&world{plan: p}, fabricProtocol)
		for i, list := range g.targets {
			if len(list) < min(n-1, membership.DefaultActive) || n <= membership.DefaultFull && len(list) != n-1 || n > membership.DefaultFull && len(list) > 3*membership.DefaultActive {
				t.Errorf("of %d peers, peer %d has %d neighbours", n, i, len(list))
			}
			for k, j := range list {
				if j == i || slices.Contains(list[:k], j) || !slices.Contains(g.targets[j], i) {
					t.Errorf("of %d peers, %d has %d for a neighbour, itself, twice, or not the other way", n, i, j)
				}
			}
		}
	}
}

func TestLargeUsersSubmit(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks, s.Load.TxRate = 5, 3, 50
		s.Faults = []scenario.Fault{{Kind: scenario.Cut, Peers: []int{3}, At: seconds(1.5), For: seconds(1)}}
	})
	o := playing(t, p, grapevine)
	judge(t, p, o)
	bytes := 0
	for _, b := range o.Blocks {
		bytes += b.Bytes
	}
	if want := 150 << 10; bytes != want {
		t.Errorf("the blocks have %d bytes, %d were submitted", bytes, want)
	}
	if first := o.Blocks[0].At; first < time.Second || first > 2*time.Second {
		t.Errorf("the first block was made at %v", first)
	}
}

// Between two transactions the network has nothing to do, and the run is not over.
func TestLargeUsersTakeTheirTime(t *testing.T) {
	p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks, s.Load.TxRate = 3, 12, 0.25 })
	o := playing(t, p, grapevine)
	judge(t, p, o)
	if len(o.Blocks) != 3 {
		t.Errorf("%d blocks, want one for each of 3 transactions", len(o.Blocks))
	}
}

func TestLargeRefusals(t *testing.T) {
	for want, change := range map[string]func(s *scenario.Scenario) string{
		`protocol "chaos"`:               func(*scenario.Scenario) string { return "chaos" },
		`1001 peers`:                     func(s *scenario.Scenario) string { s.Peers = 1001; return grapevine },
		`membership = "static"`:          func(s *scenario.Scenario) string { s.Membership = scenario.Static; return grapevine },
		`load.tx_rate with protocol "go`: func(s *scenario.Scenario) string { s.Load.TxRate = 1; return gossipsub },
		`which has no transactions: leave it out, or play grapevine`: func(s *scenario.Scenario) string {
			s.Load.TxRate = 1
			return enhanced
		},
		`load.tx_rate with a crash of peer 0`: func(s *scenario.Scenario) string {
			s.Load.TxRate = 1
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{0}, At: seconds(1)}}
			return grapevine
		},
	} {
		var protocol string
		p := planned(t, func(s *scenario.Scenario) { protocol = change(s) })
		if _, err := Run(t.Context(), p, protocol, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %s", err, want)
		}
	}
}

// The way that the command takes: through a process of its own.
func TestLargeRunInAProcessOfItsOwn(t *testing.T) {
	p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks = 4, 2 })
	var shares []float64
	o, err := Run(t.Context(), p, grapevine, func(share float64) { shares = append(shares, share) })
	if err != nil {
		t.Fatal(err)
	}
	judge(t, p, o)
	checkWhole(t, p, o)
	if n := len(shares); n < 3 || !slices.IsSorted(shares) || shares[0] <= 0 || shares[n-1] > 1 {
		t.Errorf("progress was %v", shares)
	}
	again, err := p.Scenario.Plan()
	if err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("the scenario's plan is another one in the child: %v", err)
	}
}

func TestLargeInterruptedRun(t *testing.T) {
	p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks, s.Load.Every = 4, 1_000, seconds(0.1) })
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	began := time.Now()
	_, err := Run(ctx, p, gossipsub, func(float64) { cancel(enough) })
	if !errors.Is(err, enough) {
		t.Errorf("error is %v, want %v", err, enough)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestLargeCrashOfTheProcessIsTold(t *testing.T) {
	t.Setenv(crashVariable, "1")
	_, err := Run(t.Context(), planned(t, func(s *scenario.Scenario) { s.Peers = 2 }), grapevine, nil)
	if err == nil || !strings.Contains(err.Error(), "a crash that was asked for") || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("error is %v", err)
	}
}

// A program that does not call Child would start itself for ever.
func TestLargeProgramThatForgotChild(t *testing.T) {
	t.Setenv(childVariable, "1")
	_, err := Run(t.Context(), planned(t, func(s *scenario.Scenario) { s.Peers = 2 }), grapevine, nil)
	if err == nil || !strings.Contains(err.Error(), "packets.Child") {
		t.Errorf("error is %v", err)
	}
}

// A network that cannot come together is an error, which comes out of the process.
func TestLargeNetworkThatDoesNotStand(t *testing.T) {
	p := planned(t, func(s *scenario.Scenario) { s.Peers, s.Load.Blocks, s.Link.Loss = 3, 1, 0.999 })
	_, err := Run(t.Context(), p, gossipsub, nil)
	if want := fmt.Sprintf("after %v the network does not stand: peer 0 has no connection", knitTime); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

// Whole nodes keep their word.
func TestNobodyWithholdsInThePacketWorld(t *testing.T) {
	s := scenario.Defaults()
	s.Faults = []scenario.Fault{{Kind: scenario.Withhold, Share: 0.3}}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(p, grapevine); err == nil || !strings.Contains(err.Error(), `world = "events"`) {
		t.Errorf("the error is %v, want one that names the world which can do it", err)
	}
}
