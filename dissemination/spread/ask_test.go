package spread

import (
	"slices"
	"testing"
	"time"

	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// ticked lets time go on until something is sent, at most so long.
func ticked(t *testing.T, s *Spreader, from time.Time, most time.Duration) (time.Time, []sent) {
	t.Helper()
	for now := from; !now.After(from.Add(most)); now = now.Add(time.Millisecond) {
		if d := s.Deadline(); !d.IsZero() && !d.After(now) {
			s.Tick(now)
		}
		if list, _ := drained(s); len(list) > 0 {
			return now, list
		}
	}
	t.Fatalf("nothing is sent in %v", most)
	return from, nil
}

// What does not come is asked for after a silence, of the producer; of others when it does not
// answer.
func TestAsksAfterASilence(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	data := d.BodyCode.DataLeaves()
	s.Begin(start, producer, d, data+20, true)
	for leaf := range data - 10 {
		s.Shards(at(100+leaf/2), "p01", shardsOf(d, leaf, 1, false))
	}
	drained(s)
	last := at(100 + (data-11)/2)
	now, list := ticked(t, s, last, time.Second)
	asks, to := only[*message.Ask](list)
	if now.Sub(last) < leastSilence || len(asks) != 1 || to[0] != producer || len(asks[0].Leaves) != 1 || asks[0].Leaves[0] != (message.Run{First: data - 10, Count: 10}) {
		t.Fatalf("after %v it asks %v for %+v", now.Sub(last), to, asks)
	}
	asked := map[wire.PeerID]int{}
	for range 7 {
		var list []sent
		now, list = ticked(t, s, now.Add(time.Millisecond), time.Minute)
		_, to := only[*message.Ask](list)
		for _, p := range to {
			asked[p]++
		}
	}
	if asked[producer] < 3 || len(asked) < 4 {
		t.Errorf("it asks %v: the producer some times, and then all others", asked)
	}
	// An answer ends it, whoever it comes from.
	for leaf := data - 10; leaf < data; leaf++ {
		s.Shards(now, "p03", shardsOf(d, leaf, 1, false))
	}
	if _, others := drained(s); len(others) != 1 || len(s.entry(d.ID).asks) > 0 {
		t.Errorf("it wants %v, and %d questions are open", others, len(s.entry(d.ID).asks))
	}
}

// Nothing comes unasked of a block that was pulled: its list first, from who has it.
func TestPulledBlocksAreAskedForAtOnce(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	s.Begin(start, "p02", d, 0, true)
	list, _ := drained(s)
	asks, to := only[*message.Ask](list)
	if len(asks) != 1 || to[0] != "p02" || asks[0].Body {
		t.Fatalf("it asks %v for %+v", to, asks)
	}
	s.Listed(at(100), d.ID, func(int) bool { return false })
	list, _ = drained(s)
	leaves := 0
	asks, _ = only[*message.Ask](list)
	for _, m := range asks {
		for _, r := range m.Leaves {
			leaves += r.Count
		}
	}
	if leaves != d.BodyCode.DataLeaves() {
		t.Errorf("it asks for %d leaves of %d: %+v", leaves, d.BodyCode.DataLeaves(), asks)
	}
	// Who has not got it says so, and another is asked.
	s.Begin(at(110), "p03", d, 0, true)
	s.Shards(at(120), "p02", &message.Shards{Ref: d.Ref(), Body: true})
	list, _ = drained(s)
	if _, to = only[*message.Ask](list); !slices.Contains(to, "p03") || slices.Contains(to, "p02") {
		t.Errorf("after a refusal it asks %v", to)
	}
}

func TestAnswersWhatIsHereAndKeepsTheRest(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	s.Begin(start, producer, d, 220, true)
	s.Shards(at(1), "p01", shardsOf(d, 4, 2, false))
	drained(s)
	s.Asked(at(2), "p02", &message.Ask{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: 4, Count: 1}, {First: 8, Count: 1}, {First: 40, Count: 1}}, Wait: 400 * time.Millisecond})
	list, _ := drained(s)
	if m, to := only[*message.Shards](list); len(m) != 1 || to[0] != "p02" || m[0].Span.First != 4 || m[0].Span.Leaves != 1 {
		t.Fatalf("it answers %v", list)
	}
	s.Shards(at(50), "p01", shardsOf(d, 8, 2, false))
	list, _ = drained(s)
	if m, to := only[*message.Shards](list); len(m) != 1 || to[0] != "p02" || m[0].Span.First != 8 || m[0].Span.Leaves != 1 {
		t.Errorf("when it has come it sends %v", list)
	}
	for now := at(51); ; {
		now, list = ticked(t, s, now, 200*time.Millisecond)
		if m, to := only[*message.Shards](list); len(m) > 0 {
			if len(m) != 1 || to[0] != "p02" || m[0].Bytes != 0 {
				t.Errorf("of what does not come it says %v", list)
			}
			break
		}
	}
	for name, m := range map[string]*message.Ask{
		"an unknown block":  {Ref: 77, Leaves: []message.Run{{First: 0, Count: 1}}},
		"leaves beyond all": {Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: 5000, Count: 1}}},
	} {
		s.Asked(at(300), "p02", m)
		if list, _ = drained(s); len(list) != 1 || list[0].msg.(*message.Shards).Bytes != 0 {
			t.Errorf("asked for %s it says %v", name, list)
		}
	}
	s.Asked(at(400), "stranger", &message.Ask{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: 4, Count: 1}}})
	if list, _ = drained(s); len(list) > 0 {
		t.Errorf("who is no neighbour gets %v", list)
	}
}

// What many ask the producer for goes to one of them, who passes it on; what one asks for, to
// that one; and what is on its way to nobody.
func TestProducerGathersQuestions(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	drained(s)
	ask := func(now time.Time, p wire.PeerID, first, n int) {
		s.Asked(now, p, &message.Ask{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: first, Count: n}}, Wait: time.Second})
	}
	for _, p := range names(10) {
		ask(at(5), p, 0, 4)
	}
	s.Tick(at(5).Add(gather))
	list, _ := drained(s)
	for _, m := range list {
		if m := m.msg.(*message.Shards); m.Span.First < 4 && !m.Pass {
			t.Errorf("what is on its way goes out again: %+v", m)
		}
	}
	dealt(s, 0, 100*time.Millisecond)
	for _, p := range names(10) {
		ask(at(9000), p, 0, 4)
	}
	ask(at(9000), "p07", 100, 2)
	s.Tick(at(9000).Add(gather))
	list, _ = drained(s)
	leaves := map[int]int{}
	for _, x := range list {
		m := x.msg.(*message.Shards)
		for i := range m.Span.Leaves {
			leaves[m.Span.First+i]++
		}
		if m.Pass != (m.Span.First < 4) || !m.Pass && x.to != "p07" {
			t.Errorf("%s gets %+v", x.to, m)
		}
	}
	if len(leaves) != 6 || leaves[0] != 1 || leaves[3] != 1 || leaves[100] != 1 {
		t.Errorf("leaves go out so often: %v", leaves)
	}
	if !s.entry(d.ID).own.short {
		t.Error("it does not know that too little was sent")
	}
	before := s.model.lost
	s.Proposed(at(9500), described(t, 2, 200_000), Lacking{Surely: d.BodyCode.Data})
	if s.model.lost != 2*before {
		t.Errorf("parity goes from %v to %v", before, s.model.lost)
	}
}

// Where nobody passes anything on, who asks gets it.
func TestProducerServesWhoeverAsksInTheEnd(t *testing.T) {
	s, d := open(producer, 4), described(t, 1, 20_000)
	s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	dealt(s, 0, 100*time.Millisecond, names(4)...)
	for _, p := range names(4) {
		s.Asked(at(9000), p, &message.Ask{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: 0, Count: 20}}, Wait: time.Second})
	}
	s.Tick(at(9000).Add(gather))
	list, _ := drained(s)
	leaves := map[wire.PeerID]int{}
	for _, x := range list {
		if m := x.msg.(*message.Shards); !m.Pass {
			leaves[x.to] += m.Span.Leaves
		}
	}
	for _, p := range names(4) {
		if leaves[p] != 20 {
			t.Errorf("%s gets %d leaves of 20", p, leaves[p])
		}
	}
}

func TestRateIsThatOfTheLink(t *testing.T) {
	p := &pacer{rate: firstRate, before: firstRate}
	const link = 10e6
	for i := range 28 {
		ahead := i * 2300
		wait := 100*time.Millisecond + time.Duration(float64(ahead)/link*float64(time.Second))
		if i%5 == 2 {
			wait += 150 * time.Millisecond // lost, and sent again
		}
		p.rate = p.speed(ahead, wait)
	}
	if p.rate < 0.9*link || p.rate > 1.1*link {
		t.Errorf("the rate is %.0f, the link's %.0f", p.rate, link)
	}
	far := &pacer{rate: firstRate, before: firstRate} // at all distances, which nobody knows
	for i := range 28 {
		far.rate = far.speed(i*2300, time.Duration(20+(i*73)%200)*time.Millisecond)
	}
	if far.rate != firstRate {
		t.Errorf("from nonsense the rate becomes %.0f", far.rate)
	}
}

// Where all relays went away in the middle, whoever comes back and asks is served; and no
// relay owes what another got.
func TestNothingIsOwedWhenRelaysGo(t *testing.T) {
	s, d := open(producer, 4), described(t, 1, 500_000) // more than the first window
	s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	drained(s)
	if len(s.pacer.queue) == 0 {
		t.Fatal("all went at once")
	}
	for _, p := range names(4) {
		s.PeerDown(at(10), p)
	}
	for range 3 { // what was on its way is given up, and there is nobody
		s.Tick(s.Deadline())
	}
	if s.pacer.bytes != 0 || len(s.pacer.queue) > 0 {
		t.Errorf("%d bytes are on their way, %d parcels wait", s.pacer.bytes, len(s.pacer.queue))
	}
	s.PeerUp(start, "p00")
	last := d.BodyCode.DataLeaves() - 1
	s.Asked(at(9000), "p00", &message.Ask{Ref: d.Ref(), Body: true, Leaves: []message.Run{{First: last, Count: 1}}, Wait: time.Second})
	s.Tick(at(9000).Add(gather))
	list, _ := drained(s)
	if m, to := only[*message.Shards](list); len(m) != 1 || to[0] != "p00" || m[0].Bytes == 0 {
		t.Errorf("who asks gets %v", list)
	}
	if owed := s.byID["p00"].relay.flying; owed != 0 {
		t.Errorf("it is to get %d bytes", owed)
	}
}

// A link that has taken a second for a half may take one for the rest, before anybody is asked for
// what is on its way.
func TestSlowIsNotSilent(t *testing.T) {
	s, d := open("x", 5), described(t, 1, 200_000)
	data := d.BodyCode.DataLeaves()
	s.Begin(at(0), producer, d, data, false)
	for i := range data / 2 {
		s.Shards(at(5*i), "p00", shardsOf(d, i, 1, false))
	}
	last := 5 * (data/2 - 1)
	if asks, _ := only[*message.Ask](run(s, last, last+last*9/10)); len(asks) > 0 {
		t.Errorf("%d are asked after nothing has come for less than the half took", len(asks))
	}
	if asks, _ := only[*message.Ask](run(s, last+last*9/10, 2*last+100)); len(asks) == 0 {
		t.Error("nobody is asked when it took longer")
	}
}

// A relay that says that it has leaves, for which most ask all the same, keeps them: what it had goes
// to one who asks, as whatever many lack does, and it is no relay for some blocks.
func TestWhoKeepsWhatItShouldPassOnIsNoRelay(t *testing.T) {
	for _, tc := range []struct {
		asking int
		kept   bool
	}{{9, true}, {6, false}, {1, false}} {
		s, d := open(producer, 16), described(t, 1, 200_000)
		s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
		dealt(s, 0, 50*time.Millisecond)
		b := s.blocks[d.Ref()]
		thief := b.own.relay[0]
		var theirs []message.Run
		for leaf := range d.BodyCode.Leaves() {
			if b.own.relay[leaf] == thief {
				theirs = appendRun(theirs, leaf)
			}
		}
		var asking []wire.PeerID
		for _, p := range names(16) {
			if p != thief && len(asking) < tc.asking {
				asking = append(asking, p)
				s.Asked(at(6000), p, &message.Ask{Ref: d.Ref(), Body: true, Leaves: theirs, Wait: time.Second})
			}
		}
		shards, to := only[*message.Shards](run(s, 6000, 6100))
		again := map[int]bool{}
		for i, m := range shards {
			if to[i] == thief || !slices.Contains(asking, to[i]) {
				t.Errorf("leaves %d go to %s, who has not asked", m.Span.First, to[i])
			}
			if m.Pass != (tc.asking > 1) {
				t.Errorf("%d ask for leaf %d: it goes out to be passed on: %v", tc.asking, m.Span.First, m.Pass)
			}
			for k := range m.Span.Leaves {
				if again[m.Span.First+k] {
					t.Errorf("leaf %d goes out twice", m.Span.First+k)
				}
				again[m.Span.First+k] = true
			}
		}
		for _, r := range theirs {
			if !again[r.First] {
				t.Errorf("%d ask for leaf %d, and nobody gets it", tc.asking, r.First)
			}
		}
		if poor := s.byID[thief].poorTill > d.Height; poor != tc.kept {
			t.Errorf("%d ask for what %s had: it is passed over: %v", tc.asking, thief, poor)
		}
	}
}
