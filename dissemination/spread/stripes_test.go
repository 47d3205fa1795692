package spread

import (
	"slices"
	"testing"
	"time"

	"grapevine/coding"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// wide is a peer of a network in which not all are neighbours, with n neighbours that are not
// the producer.
func wide(n int) *Spreader {
	s := New(Config{Self: "x", Producer: producer}, 1)
	s.Members(1000)
	for _, p := range names(n) {
		s.PeerUp(start, p)
		s.Distance(p, 20*time.Millisecond)
	}
	return s
}

// claims is ages of which all are the same.
func claims(age uint8) *message.Stripes {
	m := &message.Stripes{}
	for i := range m.Ages {
		m.Ages[i] = age
	}
	return m
}

// claim is ages of which one is not none.
func claim(stripe int, age uint8) *message.Stripes {
	m := &message.Stripes{Ages: none()}
	m.Ages[stripe] = age
	return m
}

// run lets time pass, and returns what was sent.
func run(s *Spreader, from, upto int) (list []sent) {
	for ms := from; ms <= upto; ms++ {
		if d := s.Deadline(); !d.IsZero() && !d.After(at(ms)) {
			s.Tick(at(ms))
		}
		more, _ := drained(s)
		list = append(list, more...)
	}
	return list
}

// grafted returns who was asked for a stripe, and who was told that it is not wanted, in order.
func grafted(list []sent, stripe int) (grafts, prunes []wire.PeerID) {
	ms, to := only[*message.Graft](list)
	for i, m := range ms {
		if m.Stripes>>stripe&1 != 0 {
			grafts = append(grafts, to[i])
		}
		if m.Prune>>stripe&1 != 0 {
			prunes = append(prunes, to[i])
		}
	}
	return grafts, prunes
}

func TestParentsAreNearTheProducer(t *testing.T) {
	s := wide(3)
	for i, p := range names(3) {
		s.Stripes(start, p, claim(5, uint8(50-20*i)))
	}
	grafts, _ := grafted(run(s, 0, 200), 5)
	if !slices.Equal(grafts, names(3)[2:]) {
		t.Fatalf("it is to come from %v, want from p02, which is the nearest", grafts)
	}
	// It hears of no more: the others are told, and the next is not one that may get it from here.
	s.Graft(at(201), "p01", &message.Graft{Stripes: 1 << 5})
	s.Stripes(at(210), "p02", claim(6, 1))
	list := run(s, 210, 300)
	grafts, prunes := grafted(list, 5)
	if !slices.Equal(prunes, names(3)[2:]) || len(grafts) > 0 {
		t.Fatalf("it is to come from %v, and not from %v any more: want not from p02, and from nobody who is farther away than this peer was", grafts, prunes)
	}
	told, _ := only[*message.Stripes](list)
	if len(told) == 0 || told[len(told)-1].Ages[5] != message.NoAge {
		t.Error("those that may be below this peer do not hear of it")
	}
	if grafts, _ = grafted(run(s, 301, 1000), 5); !slices.Equal(grafts, names(1)) {
		t.Errorf("later it is to come from %v, want from p00: p01 gets it from here", grafts)
	}
}

func TestRefusalsLeadToOthers(t *testing.T) {
	s := wide(2)
	s.Stripes(start, "p00", claim(5, 10))
	s.Stripes(start, "p01", claim(5, 30))
	run(s, 0, 30)
	s.Graft(at(31), "p00", &message.Graft{Prune: 1 << 5})
	if grafts, _ := grafted(run(s, 31, 100), 5); !slices.Equal(grafts, names(2)[1:]) {
		t.Errorf("p00 has refused; it is to come from %v, want from p01", grafts)
	}
}

// A peer gives what it has, to so many, and to nobody more than a share.
func TestChildrenAreBounded(t *testing.T) {
	s := wide(40)
	s.Graft(start, "p01", &message.Graft{Stripes: 1})
	if _, prunes := grafted(run(s, 0, 0), 0); !slices.Equal(prunes, names(2)[1:]) {
		t.Fatalf("%v are refused, want p01: nothing comes here", prunes)
	}
	givers, takers := names(40)[:stripes/mostOfOne], names(40)[stripes/mostOfOne:]
	for _, p := range givers {
		s.Stripes(start, p, claims(3))
	}
	run(s, 0, 100)
	took := func() (n int) {
		for i := range s.trees.of {
			n += len(s.trees.of[i].children)
		}
		return n
	}
	s.Graft(at(101), takers[0], &message.Graft{Stripes: 1<<mostOfOne<<1 - 1})
	if n := took(); n != mostOfOne {
		t.Errorf("one neighbour gets %d stripes, want %d", n, mostOfOne)
	}
	for _, p := range takers {
		s.Graft(at(102), p, &message.Graft{Stripes: 0xff})
	}
	if n := took(); n != s.trees.load || n > loadMost {
		t.Errorf("%d receivers of all stripes, counted as %d, want %d at most", n, s.trees.load, loadMost)
	}
	s.Graft(at(103), "p39", &message.Graft{Stripes: 0xff, Urgent: true})
	if n := took(); n <= loadMost || n > loadUrgent {
		t.Errorf("%d receivers with one that has lost several, want more than %d", n, loadMost)
	}
	for _, p := range takers {
		s.PeerDown(at(104), p)
	}
	if n := took(); n != 0 || s.trees.load != 0 {
		t.Errorf("%d receivers are left, counted as %d", n, s.trees.load)
	}
}

// begun is a peer whose stripes come from p00, and a block of which it has heard.
func begun(t *testing.T, n int) (*Spreader, message.Block) {
	t.Helper()
	s, d := wide(n), described(t, 1, 200_000)
	for _, p := range names(n) {
		s.Stripes(start, p, claims(3))
	}
	run(s, 0, 200)
	data := d.BodyCode.DataLeaves()
	s.Begin(at(1000), "p00", d, data+data/8, false)
	run(s, 1000, 1000)
	return s, d
}

// leaf is the message that brings one.
func leaf(d message.Block, i int) *message.Shards {
	return &message.Shards{Ref: d.Ref(), Body: true, Span: coding.Span{First: i, Leaves: 1}, Striped: true, Bytes: d.BodyCode.LeafBytes(), Hashes: 9}
}

func TestShardsGoAlongTheirStripe(t *testing.T) {
	s, d := begun(t, 9)
	b := s.blocks[d.Ref()]
	stripe := b.stripeOf(true, 7)
	s.Graft(at(1000), "p03", &message.Graft{Stripes: 1 << stripe})
	s.Graft(at(1000), "p04", &message.Graft{Stripes: 1 << stripe})
	s.Graft(at(1000), "p05", &message.Graft{Stripes: 1 << ((stripe + 1) % stripes)})
	s.Enough(at(1000), "p04", &message.Enough{Ref: d.Ref()})
	run(s, 1000, 1000)
	if !s.Shards(at(1001), "p00", leaf(d, 7)) {
		t.Fatal("the shard is no news")
	}
	shards, to := only[*message.Shards](run(s, 1001, 1001))
	if !slices.Equal(to, []wire.PeerID{"p03"}) || !shards[0].Striped || shards[0].Pass {
		t.Errorf("it goes to %v, want to p03 alone: p04 has all, and p05 gets another stripe", to)
	}
	s.Shards(at(1002), "p06", leaf(d, 7))
	if shards, to := only[*message.Shards](run(s, 1002, 1002)); len(shards) > 0 {
		t.Errorf("what was here goes to %v again", to)
	}
}

// A stripe of which nothing comes is looked for, and comes from who has it from then on.
func TestWhatDoesNotComeIsNeeded(t *testing.T) {
	s, d := begun(t, 9)
	b := s.blocks[d.Ref()]
	dead := 11
	var lacks []int
	now := 1010
	for i := range b.sent(true) {
		if d := b.stripeOf(true, i); d == dead || d == dead+1 || d > 50 { // more than parity makes up for
			lacks = append(lacks, i)
			continue
		}
		s.Shards(at(now+i/20), "p00", leaf(d, i))
	}
	list := run(s, now, now+300)
	needs, to := only[*message.Need](list)
	if len(needs) == 0 || len(to) < 9 {
		t.Fatalf("%d of %d leaves do not come, and %d are told", len(lacks), b.coming, len(to))
	}
	for _, r := range needs[0].Leaves {
		for i := r.First; i < r.First+r.Count; i++ {
			if !slices.Contains(lacks, i) {
				t.Errorf("leaf %d is needed, and has come", i)
			}
		}
	}
	now += 301
	s.Have(at(now), "p05", &message.Have{Ref: d.Ref(), Body: true, Leaves: needs[0].Leaves})
	s.Have(at(now), "p06", &message.Have{Ref: d.Ref(), Body: true, Leaves: needs[0].Leaves})
	list = run(s, now, now+offerGapMs)
	asks, of := only[*message.Ask](list)
	if len(asks) != 2 || of[0] == of[1] {
		t.Errorf("%v are asked, want both that have it", of)
	}
	_, grafts := only[*message.Graft](list)
	if !slices.Contains(grafts, wire.PeerID("p05")) || !slices.Contains(grafts, wire.PeerID("p06")) {
		t.Errorf("%v hear of stripes: want those that have what did not come", grafts)
	}
}

const offerGapMs = int(offerGap/time.Millisecond) + 1

// Who needs what is not here hears of it when it comes.
func TestNeedsAreRemembered(t *testing.T) {
	s, d := begun(t, 9)
	s.Shards(at(1001), "p00", leaf(d, 3))
	run(s, 1001, 1001)
	s.Need(at(1002), "p04", &message.Need{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: 3, Count: 1}, {First: 9, Count: 2}}})
	if have, _ := only[*message.Have](run(s, 1002, 1002)); len(have) != 1 || have[0].Leaves[0] != (message.Run{First: 3, Count: 1}) {
		t.Errorf("the answer is %v, want leaf 3", have)
	}
	s.Shards(at(1003), "p00", leaf(d, 10))
	have, to := only[*message.Have](run(s, 1003, 1030))
	if len(have) != 1 || to[0] != "p04" || len(have[0].Leaves) != 1 || have[0].Leaves[0] != (message.Run{First: 10, Count: 1}) {
		t.Errorf("%v hear of %v, want p04 of leaf 10", to, have)
	}
}

// Who claims a stripe and gives nothing is left, and passed over for some blocks.
func TestClaimsAreHeldAgainstDeliveries(t *testing.T) {
	s, d := begun(t, 9)
	for i := range s.blocks[d.Ref()].sent(true) {
		s.Shards(at(1010+i), "p07", leaf(d, i)) // not from p00, from which it should
	}
	s.Whole(at(2000), d.ID)
	list := run(s, 2000, 2100)
	if s.byID["p00"].branch.gives != 0 || s.byID["p00"].branch.barred != 1+barredFor {
		t.Errorf("p00 still gives %x; it is passed over until %d", s.byID["p00"].branch.gives, s.byID["p00"].branch.barred)
	}
	grafts, prunes := grafted(list, 5)
	if !slices.Contains(prunes, wire.PeerID("p00")) || slices.Contains(grafts, wire.PeerID("p00")) {
		t.Errorf("stripe 5 is to come from %v, and from %v no more", grafts, prunes)
	}
}

// The producer gives each stripe to one neighbour, and a silent one's to another.
func TestProducerPlantsStripes(t *testing.T) {
	s := New(Config{Self: producer, Producer: producer}, 1)
	s.Members(1000)
	for _, p := range names(70) {
		s.PeerUp(start, p)
	}
	told, to := only[*message.Stripes](run(s, 0, 200))
	roots := map[int]wire.PeerID{}
	for i, m := range told {
		for stripe, age := range m.Ages {
			if age == 0 {
				roots[stripe] = to[i]
			}
		}
	}
	if len(roots) != stripes || len(told) != stripes {
		t.Fatalf("%d stripes are given to %d neighbours, want one to each of %d", len(roots), len(told), stripes)
	}
	d := described(t, 1, 400_000)
	coming := s.Proposed(at(300), d, Lacking{Surely: d.BodyCode.Data})
	b, silent := s.blocks[d.Ref()], roots[b0(s, d)]
	sentTo := map[int][]wire.PeerID{}
	s.byID[silent].relay.base = 40 * time.Millisecond
	for ms := 300; ms < 3000; ms++ {
		if at := s.Deadline(); !at.IsZero() && !at.After(start.Add(time.Duration(ms)*time.Millisecond)) {
			s.Tick(start.Add(time.Duration(ms) * time.Millisecond))
		}
		for _, x := range s.Effects() {
			m, ok := x.(effect.Send)
			if !ok {
				continue
			}
			sh, ok := m.Msg.(*message.Shards)
			if !ok {
				continue
			}
			for i := range sh.Span.Leaves {
				sentTo[sh.Span.First+i] = append(sentTo[sh.Span.First+i], m.To[0])
			}
			if m.To[0] != silent {
				s.Got(at(ms+1), m.To[0], &message.Got{Ref: sh.Ref, Body: sh.Body, First: sh.Span.First})
			}
		}
	}
	for i := range coming {
		root := roots[b.stripeOf(true, i)]
		if len(sentTo[i]) == 0 || root != silent && sentTo[i][0] != root || root == silent && sentTo[i][len(sentTo[i])-1] == silent {
			t.Fatalf("leaf %d went to %v; its stripe's is %s, and %s says nothing", i, sentTo[i], root, silent)
		}
	}
}

// b0 is the stripe of a body's first leaf.
func b0(s *Spreader, d message.Block) int { return s.blocks[d.Ref()].stripeOf(true, 0) }
