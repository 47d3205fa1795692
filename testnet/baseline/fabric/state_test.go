package fabric

import (
	"slices"
	"testing"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

func TestStateTransfer(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(30)
	for from, h := range map[wire.PeerID]uint64{"a": 25, "b": 10, "c": 3} {
		p.Receive(start, from, StateInfo{h})
	}
	now, r, to := tick[StateRequest](t, p, start)
	if wait := now.Sub(start); wait > 10*time.Second {
		t.Errorf("heights are compared after %v", wait)
	}
	if r.From != 1 || r.Upto != 11 || to == "c" { // b has 10, and counts as high enough for 11
		t.Errorf("%+v goes to %s", r, to)
	}
	p.Receive(now, to, StateResponse{r.Nonce + 1, all[:11]})
	if p.Height() != 0 || p.Stats().Ignored != 1 {
		t.Error("an answer to another request was taken")
	}
	p.Receive(now, to, StateResponse{r.Nonce, all[:4]}) // as much as it may send at once
	effects := p.Effects()
	if a := effects[0].(Accept); a.Via != arrival.CatchUp || a.From != to || a.Hop != -1 {
		t.Errorf("%+v", a)
	}
	next, dest := sent[StateRequest](effects)
	if len(next) != 1 || next[0].From != 5 || next[0].Upto != 15 || next[0].Nonce == r.Nonce || dest[0][0] != "a" {
		t.Fatalf("%v goes to %v", next, dest)
	}
	if p.state.tries != 1 {
		t.Errorf("a new range has had %d tries", p.state.tries)
	}
	p.Receive(now, "a", StateResponse{next[0].Nonce, all[4:15]})
	last, _ := sent[StateRequest](p.Effects())
	if len(last) != 1 || last[0].Upto != 25 { // the heights compared, whatever has come since
		t.Fatalf("%v", last)
	}
	p.Receive(now, "a", StateResponse{last[0].Nonce, all[15:26]}) // one too many
	if p.Height() != 25 || p.Stats().StateRequests != 3 || !p.state.checkAt.Equal(now.Add(10*time.Second)) {
		t.Errorf("height %d, %d requests, the next check at %v", p.Height(), p.Stats().StateRequests, p.state.checkAt)
	}
}

// Who lacks the last block of a range counts as high enough, and who lacks two does not.
func TestWhoIsAskedForARange(t *testing.T) {
	asked := map[wire.PeerID]bool{}
	for seed := range uint64(30) {
		p := New(Fabric(), seed, start, nil)
		for from, h := range map[wire.PeerID]uint64{"a": 11, "b": 10, "c": 9} {
			p.PeerUp(start, from)
			p.Receive(start, from, StateInfo{h})
		}
		_, _, to := tick[StateRequest](t, p, start)
		asked[to] = true
	}
	if !asked["a"] || !asked["b"] || asked["c"] {
		t.Errorf("%v were asked", asked)
	}
}

func TestStateTransferGivesUp(t *testing.T) {
	p := alone(Fabric(), 3, nil)
	p.Receive(start, "a", StateInfo{5})
	now, r, to := tick[StateRequest](t, p, start)
	p.Receive(now, to, StateResponse{Nonce: r.Nonce}) // empty: a try in vain
	if list, _ := sent[StateRequest](p.Effects()); len(list) != 1 {
		t.Fatalf("%v after an empty answer", list)
	}
	for try := 2; try < 4; try++ {
		then := now
		if now, r, _ = tick[StateRequest](t, p, now); now.Sub(then) != 3*time.Second {
			t.Errorf("try %d is %v after the one before, want 3 s", try, now.Sub(then))
		}
	}
	p.puller.at = time.Time{}
	then := now
	if now = p.Deadline(); now.Sub(then) != 3*time.Second {
		t.Errorf("the fourth try waits %v", now.Sub(then))
	}
	if p.Tick(now); p.state != (state{checkAt: now.Add(10 * time.Second)}) || p.Stats().StateTimeouts != 3 {
		t.Errorf("after four tries: %+v, %d time-outs", p.state, p.Stats().StateTimeouts)
	}
	p.PeerDown(now, "a")
	if p.Tick(p.Deadline()); p.Stats().StateRequests != 4 {
		t.Error("a range was asked for that nobody has")
	}
}

func TestRangesAreServed(t *testing.T) {
	chain := blocks(30)
	for i := range chain[20:] {
		chain[20+i].Size = answerBytes / 3
	}
	chain[29].Size = 2 * answerBytes
	p := alone(Fabric(), 2, chain)
	for _, c := range []struct {
		from, upto uint64
		want       []Block // nil: no answer
	}{
		{1, 11, chain[:11]},
		{1, 12, nil}, {2, 1, nil},
		{21, 31, chain[20:23]},
		{30, 35, chain[29:]},
		{31, 31, []Block{}}, {0, 3, []Block{}},
	} {
		p.Receive(start, "a", StateRequest{9, c.from, c.upto})
		list, _ := sent[StateResponse](p.Effects())
		if (len(list) == 1) != (c.want != nil) || len(list) == 1 && (list[0].Nonce != 9 || !slices.Equal(list[0].Blocks, c.want)) {
			t.Errorf("%d to %d is answered with %v", c.from, c.upto, list)
		}
	}
}

func TestHeightsAreTold(t *testing.T) {
	p, all := alone(Fabric(), 3, blocks(2)), blocks(4)
	p.PeerUp(start, "d")
	if list, to := sent[StateInfo](p.Effects()); len(list) != 1 || list[0].Height != 2 || to[0][0] != "d" {
		t.Errorf("a new neighbour is told %v, %v", list, to)
	}
	p.Receive(start, "a", Push{Block: all[2]})
	p.Receive(start, "a", Push{Block: all[3]})
	now, m, _ := tick[StateInfo](t, p, start)
	if m.Height != 4 || now.Sub(start) > 4*time.Second {
		t.Errorf("height %d is told after %v", m.Height, now.Sub(start))
	}
	if !p.info.at.IsZero() {
		t.Error("a height is to be told again that has not changed")
	}
}

// A peer that was cut off has everything soon after: first what gossip remembers and what
// comes, then the rest by state transfer, in either protocol.
func TestWhoWasCutOffCatchesUp(t *testing.T) {
	for name, cfg := range map[string]Config{"fabric": Fabric(), "enhanced": Enhanced()} {
		w := newNetwork(t, 4, 10, cfg)
		late := w.nodes[9]
		w.isolate(late)
		for range 40 {
			w.propose(w.nodes[0], 1000)
			w.run(time.Second)
		}
		w.run(20 * time.Second) // those that push missed
		if got := w.at(40); got != 9 || late.peer.Height() != 0 {
			t.Fatalf("%s: %d peers have all blocks", name, got)
		}
		w.join(late)
		w.run(11 * time.Second)
		if got := late.peer.Height(); got != 40 {
			t.Errorf("%s: height %d after eleven seconds", name, got)
		}
		ways := [arrival.CatchUp + 1]int{}
		for _, a := range late.got {
			ways[a.Via]++
		}
		if ways[arrival.CatchUp] < 20 {
			t.Errorf("%s: the ways were %v, want most by state transfer", name, ways)
		}
	}
}

// What a full queue drops is made good.
func TestLossesAreMadeGood(t *testing.T) {
	for name, cfg := range map[string]Config{"fabric": Fabric(), "enhanced": Enhanced()} {
		w := newNetwork(t, 8, 20, cfg)
		turn := 0
		w.lose = func(_, _ *node, m Message) bool { turn++; return turn%5 == 0 }
		for range 20 {
			w.propose(w.nodes[0], 1000)
			w.run(2 * time.Second)
		}
		w.lose = nil
		w.run(30 * time.Second)
		if got := w.at(20); got != 20 {
			t.Errorf("%s: %d of 20 peers have all blocks", name, got)
		}
	}
}

// A peer that comes back with its chain goes on from there.
func TestRestart(t *testing.T) {
	w := newNetwork(t, 9, 10, Fabric())
	for range 3 {
		w.propose(w.nodes[0], 1000)
		w.run(12 * time.Second)
	}
	x := w.nodes[5]
	w.isolate(x)
	var chain []Block
	for _, a := range x.got {
		chain = append(chain, a.Block)
	}
	x.peer = New(Fabric(), 99, w.now, chain)
	w.propose(w.nodes[0], 1000)
	w.run(time.Second)
	w.join(x)
	w.run(20 * time.Second)
	if len(chain) != 3 || x.peer.Height() != 4 || w.at(4) != 10 {
		t.Errorf("it came back with %d blocks, and is at height %d", len(chain), x.peer.Height())
	}
}
