package events

import (
	"testing"
	"time"

	"grapevine/p2p/wire"
	"grapevine/testnet/scenario"
)

// Into a cut a flow sends a window and probes, however small its messages are.
func TestAFlowFallsSilentInACut(t *testing.T) {
	w, f := flowOf(t, nil)
	var at []time.Duration
	w.play(int64(time.Second))
	w.peers[1].side = 1
	w.watch()
	before := w.peers[0].sent
	for range 20 {
		f.send(w, wire.Blocks, 300, heard{&at})
		w.play(w.now + int64(17*time.Millisecond))
	}
	w.play(w.now + int64(25*time.Second))
	if sent := w.peers[0].sent - before; sent > 20_000 {
		t.Errorf("%d bytes were sent into a cut: want the messages' 6,300 and some probes", sent)
	}
	if f.silence < 4 || f.silence > 9 {
		t.Errorf("%d probes in 25 s: want half a dozen, each after twice the time", f.silence)
	}
	w.peers[1].side = 0
	w.watch()
	w.play(w.now + int64(20*time.Second))
	if len(at) != 20 {
		t.Errorf("%d of 20 messages arrived after the cut", len(at))
	}
}

// What a cut peer cannot hear it does not know.
func TestNothingIsKnownThroughACut(t *testing.T) {
	w := opened(t, func(s *scenario.Scenario) {
		s.Peers = 10
		s.Load.First, s.Load.Every, s.Load.Blocks, s.Load.BlockSizes = 5e9, 1e9, 20, []scenario.Bytes{5000}
		s.Faults = []scenario.Fault{{Kind: scenario.Cut, At: 1e9, For: 25e9, Peers: []int{9}}}
	})
	for _, ev := range w.plan.Events {
		w.queue.push(int64(ev.At), doing(func(w *world) { w.happen(ev) }))
	}
	w.play(25e9)
	if s := w.peers[9].mind.(*grapevine).core.Stats().Catchup; s.Requests > 0 {
		t.Errorf("a peer that was cut off before the first block has asked for ranges %d times", s.Requests)
	}
}

// Whom two faults cut off, those do not reach each other either.
func TestCutsAreApart(t *testing.T) {
	w := opened(t, func(s *scenario.Scenario) {
		s.Peers, s.Load.Blocks = 10, 1
		s.Faults = append(s.Faults, scenario.Fault{Kind: scenario.Cut, At: 1e9, For: 20e9, Peers: []int{1}})
		for i := range 61 {
			s.Faults = append(s.Faults, scenario.Fault{Kind: scenario.Loss, At: scenario.Duration(100e9 + 1e9*int64(i)), For: 5e8, Peers: []int{5}, Loss: 0.01})
		}
		s.Faults = append(s.Faults, scenario.Fault{Kind: scenario.Cut, At: 1e9, For: 20e9, Peers: []int{2}})
	})
	for _, ev := range w.plan.Events {
		if ev.Kind == scenario.CutOff {
			w.happen(ev)
		}
	}
	if w.reachable(w.peers[1], w.peers[2]) {
		t.Error("peers 1 and 2 are cut off by different faults, and reach each other")
	}
}
