package spread

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/coding"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

const producer = wire.PeerID("o")

// names are n neighbours that are not the producer.
func names(n int) (out []wire.PeerID) {
	for i := range n {
		out = append(out, wire.PeerID(fmt.Sprintf("p%02d", i)))
	}
	return out
}

// described is a block of so many bytes at a height.
func described(t *testing.T, height uint64, bytes int) message.Block {
	t.Helper()
	list, err := coding.Plain(max(bytes/40, 10))
	if err != nil {
		t.Fatal(err)
	}
	body, err := coding.Plain(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return message.Block{ID: block.ID{byte(height), 9}, Height: height, Txs: 1, Bytes: bytes, ListCode: list, BodyCode: body}
}

// open makes a spreader with n neighbours, and the producer if it is another.
func open(self wire.PeerID, n int) *Spreader {
	s := New(Config{Self: self, Producer: producer}, 1)
	for _, p := range names(n) {
		s.PeerUp(start, p)
	}
	if self != producer {
		s.PeerUp(start, producer)
	}
	return s
}

// sent is a message to one peer.
type sent struct {
	to  wire.PeerID
	msg message.Message
}

// drained returns what is sent, and what else is wanted.
func drained(s *Spreader) (list []sent, others []effect.Effect) {
	for _, x := range s.Effects() {
		if m, ok := x.(effect.Send); ok {
			for _, to := range m.To {
				list = append(list, sent{to, m.Msg})
			}
			continue
		}
		others = append(others, x)
	}
	return list, others
}

// only returns the messages of one kind.
func only[M message.Message](list []sent) (out []M, to []wire.PeerID) {
	for _, x := range list {
		if m, ok := x.msg.(M); ok {
			out, to = append(out, m), append(to, x.to)
		}
	}
	return out, to
}

// dealt lets the producer send all that it wants to, each relay saying after took that it has
// what it got, and returns the leaves of the body by relay, and how often each was sent.
func dealt(s *Spreader, begin, took time.Duration, silent ...wire.PeerID) (by map[wire.PeerID]int, leaves map[int]int, shards []*message.Shards) {
	by, leaves = map[wire.PeerID]int{}, map[int]int{}
	type due struct {
		at time.Time
		sent
	}
	var flying []due
	for now := start.Add(begin); now.Before(start.Add(begin + 5*time.Second)); now = now.Add(time.Millisecond) {
		for len(flying) > 0 && !flying[0].at.After(now) {
			m := flying[0].msg.(*message.Shards)
			s.Got(now, flying[0].to, &message.Got{Ref: m.Ref, Body: m.Body, First: m.Span.First})
			flying = flying[1:]
		}
		if d := s.Deadline(); !d.IsZero() && !d.After(now) {
			s.Tick(now)
		}
		list, _ := drained(s)
		for _, x := range list {
			m, ok := x.msg.(*message.Shards)
			if !ok || !m.Pass {
				continue
			}
			shards = append(shards, m)
			if m.Body {
				by[x.to] += m.Span.Leaves
				for i := range m.Span.Leaves {
					leaves[m.Span.First+i]++
				}
			}
			if !slices.Contains(silent, x.to) {
				flying = append(flying, due{now.Add(took), x})
			}
		}
	}
	return by, leaves, shards
}

func TestProducerDealsColdBlocksEvenly(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	coming := s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	data := d.BodyCode.DataLeaves()
	if want := data + (data+7)/8; coming != want {
		t.Fatalf("%d leaves are coming, want %d of data and an eighth more", coming, want)
	}
	by, leaves, shards := dealt(s, 0, 100*time.Millisecond)
	for leaf := range coming {
		if leaves[leaf] != 1 {
			t.Errorf("leaf %d went out %d times", leaf, leaves[leaf])
		}
	}
	least, most := coming, 0
	for _, p := range names(10) {
		least, most = min(least, by[p]), max(most, by[p])
	}
	if len(leaves) != coming || most-least > 8 {
		t.Errorf("%d leaves, of %d; relays get %d to %d", len(leaves), coming, least, most)
	}
	short := 0
	for _, m := range shards {
		if !m.Body {
			t.Error("the list goes along with all of the data")
		}
		if m.Hashes < d.BodyCode.ProofLen(m.Span) {
			short++
		}
	}
	if short < len(shards)/3 {
		t.Errorf("of %d proofs %d are short", len(shards), short)
	}
}

func TestProducerSendsListAndParityOfWarmBlocks(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	coming := s.Proposed(start, d, Lacking{Runs: 800})
	data := d.BodyCode.DataLeaves()
	// A twentieth, four standard deviations and an eighth more, in leaves of eight symbols.
	if coming < data/20 || coming > data/8 {
		t.Errorf("%d leaves are coming, of %d of data", coming, data)
	}
	_, leaves, shards := dealt(s, 0, 100*time.Millisecond)
	list := 0
	for _, m := range shards {
		if !m.Body {
			list += m.Span.Leaves
		}
	}
	if list != listLeaves(d.ListCode) || len(leaves) != coming || leaves[data] != 1 || leaves[data+coming-1] != 1 {
		t.Errorf("%d leaves of the list, %v of the body", list, leaves)
	}
}

// What a relay says nothing of goes to others.
func TestSilentRelaysAreReplaced(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	coming := s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	dead := names(10)[:3]
	by, leaves, _ := dealt(s, 0, 100*time.Millisecond, dead...)
	once := 0
	for leaf := range coming {
		if leaves[leaf] == 0 {
			t.Errorf("leaf %d did not go out", leaf)
		}
		if leaves[leaf] == 1 {
			once++
		}
	}
	for _, p := range dead {
		if by[p] == 0 {
			t.Errorf("%s got nothing: it was not known to be silent", p)
		}
	}
	if once == coming {
		t.Error("nothing went out again")
	}
	s.Proposed(at(6000), described(t, 2, 200_000), Lacking{Surely: d.BodyCode.Data})
	if by, _, _ = dealt(s, 6*time.Second, 100*time.Millisecond, dead...); by[dead[0]]+by[dead[1]]+by[dead[2]] > 0 {
		t.Errorf("they get %v of the next block", by)
	}
}

// Relays whose shards are late everywhere get none of the blocks that follow.
func TestSlowRelaysArePassedOver(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	s.Proposed(start, d, Lacking{Surely: d.BodyCode.Data})
	dealt(s, 0, 100*time.Millisecond)
	slow := names(10)[4]
	var absent []message.Run
	own := s.entry(d.ID).own
	for leaf := range d.BodyCode.Leaves() {
		if own.relay[leaf] == slow {
			absent = appendRun(absent, leaf)
		}
	}
	for _, p := range names(10) {
		s.Enough(at(300), p, &message.Enough{Ref: d.Ref(), Lacked: d.BodyCode.Data, Absent: absent})
	}
	for height := uint64(2); height < 1+leastPause; height++ {
		now := time.Duration(height) * 6 * time.Second
		s.Proposed(start.Add(now), described(t, height, 200_000), Lacking{Surely: d.BodyCode.Data})
		if by, _, _ := dealt(s, now, 100*time.Millisecond); by[slow] > 0 || len(by) != 9 {
			t.Fatalf("at height %d it passes on %d leaves of %v", height, by[slow], by)
		}
		for _, p := range names(10) {
			s.Enough(start.Add(now), p, &message.Enough{Ref: message.Ref(described(t, height, 200_000).ID)})
		}
	}
}

// shardsOf is leaves of a body, as the producer sends them to be passed on.
func shardsOf(d message.Block, first, leaves int, pass bool) *message.Shards {
	return &message.Shards{
		Ref: d.Ref(), Body: true, Span: coding.Span{First: first, Leaves: leaves}, Pass: pass,
		Bytes: leaves * d.BodyCode.LeafBytes(), Data: []byte("as they came"),
	}
}

func TestRelayPassesShardsOnOnce(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	s.Begin(start, producer, d, 220, true)
	drained(s)
	if !s.Shards(at(1), producer, shardsOf(d, 4, 2, true)) {
		t.Error("they are not new")
	}
	list, _ := drained(s)
	got, to := only[*message.Got](list)
	if len(got) != 1 || to[0] != producer || got[0].First != 4 {
		t.Errorf("the producer is told %v", got)
	}
	passed, to := only[*message.Shards](list)
	slices.Sort(to)
	if !slices.Equal(to, names(5)) || passed[0].Pass || string(passed[0].Data) != "as they came" {
		t.Errorf("they are passed on to %v as %+v", to, passed)
	}
	if s.Shards(at(2), producer, shardsOf(d, 4, 2, true)) {
		t.Error("they are new twice")
	}
	list, _ = drained(s)
	if got, _ = only[*message.Got](list); len(got) != 1 || len(list) != 1 {
		t.Errorf("the second time it says %v", list)
	}
	// Another's wish is nothing to go by, and what came from another is for nobody else.
	s.Shards(at(3), "p01", shardsOf(d, 8, 2, true))
	s.Shards(at(3), "p01", shardsOf(d, 10, 2, false))
	if list, _ = drained(s); len(list) > 0 {
		t.Errorf("it passes on %v", list)
	}
}

func TestRebuildsAsSoonAsEnoughIsHere(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	data := d.BodyCode.DataLeaves()
	s.Begin(start, producer, d, data+20, true)
	for leaf := 10; leaf < data+10; leaf++ {
		if _, others := drained(s); len(others) > 0 {
			t.Fatalf("with %d leaves it wants %v", leaf-10, others)
		}
		s.Shards(at(leaf), "p01", shardsOf(d, leaf, 1, false))
	}
	if _, others := drained(s); len(others) != 1 || others[0] != (effect.Rebuild{Block: d.ID, Body: true}) {
		t.Fatalf("with %d leaves it wants %v", data, others)
	}
	s.Whole(at(500), d.ID)
	list, _ := drained(s)
	if said, to := only[*message.Enough](list); len(said) != 1 || to[0] != producer || said[0].Lacked != d.BodyCode.Data || fmt.Sprint(said[0].Absent) != fmt.Sprint([]message.Run{{First: 0, Count: 10}, {First: data + 10, Count: 10}}) {
		t.Errorf("it says %+v", said)
	}
	if shards, peers, vain := s.Facts(d.ID); shards != data || peers != 1 || vain != 0 {
		t.Errorf("%d shards of %d peers, %d bytes in vain", shards, peers, vain)
	}
}

// Symbols of the pool count, and parity stands in for what it lacks.
func TestWarmBlocksAreRebuiltFromThePool(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	data := d.BodyCode.DataLeaves()
	s.Begin(start, producer, d, 12, true)
	s.Shards(at(1), "p01", shardsOf(d, data, 4, false)) // 32 symbols
	s.Listed(at(2), d.ID, func(symbol int) bool { return symbol%20 != 0 })
	lacks := (d.BodyCode.Data + 19) / 20
	for leaf := data + 4; 8*(leaf-data) < lacks; leaf++ {
		if _, others := drained(s); len(others) > 0 {
			t.Fatalf("with %d leaves it wants %v", leaf-data, others)
		}
		s.Shards(at(leaf), "p01", shardsOf(d, leaf, 1, false))
	}
	if _, others := drained(s); len(others) != 1 {
		t.Fatalf("it wants %v", others)
	}
	// Short IDs took something for what it is not: from now on shards alone count.
	s.Mismatched(at(400), d.ID)
	if c := s.entry(d.ID).body; c.count != 0 {
		t.Errorf("%d symbols are left", c.count)
	}
	s.Shards(at(401), "p01", shardsOf(d, data, 4, false))
	if c := s.entry(d.ID).body; c.count != 32 {
		t.Errorf("of shards that come again %d symbols count", c.count)
	}
}

func TestEarlyShards(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	for i := range 100 { // no more of one peer than its share
		s.Shards(start, "p01", shardsOf(d, 2*i, 2, false))
	}
	s.Begin(at(10), producer, d, 220, true)
	_, others := drained(s)
	if len(others) != earlyEach/2048 || others[0].(effect.Recheck).From != "p01" || s.kept != 0 || s.byID["p01"].early != 0 {
		t.Errorf("%d are looked at, %d bytes are kept", len(others), s.kept)
	}
	other := described(t, 2, 200_000)
	s.Shards(at(20), "p01", shardsOf(other, 0, 2, false))
	s.PeerDown(at(21), "p01")
	s.Shards(at(22), "p02", shardsOf(other, 2, 2, false))
	s.Shards(at(22).Add(2*earlyFor), "p03", shardsOf(other, 4, 2, false))
	if s.Begin(at(30_000), producer, other, 220, true); len(s.early) != 0 {
		t.Errorf("%d are left", len(s.early))
	}
	if _, others = drained(s); len(others) != 1 || others[0].(effect.Recheck).From != "p03" {
		t.Errorf("of peers that are gone, or of long ago: %v", others)
	}
}

// Where much more was sent than most needed, half of all shards are late for somebody: no
// relay is slow for that.
func TestNobodyIsSlowWhereMuchIsSpare(t *testing.T) {
	s, d := open(producer, 10), described(t, 1, 200_000)
	coming := s.Proposed(start, d, Lacking{Runs: 800})
	dealt(s, 0, 100*time.Millisecond)
	data := d.BodyCode.DataLeaves()
	for _, p := range names(10) {
		s.Enough(at(300), p, &message.Enough{Ref: d.Ref(), Lacked: 50, Absent: []message.Run{{First: data + coming/2, Count: coming - coming/2}}})
	}
	if s.Proposed(at(6000), described(t, 2, 200_000), Lacking{Runs: 800}); len(s.entry(described(t, 2, 200_000).ID).own.turns) != 10 {
		t.Errorf("of ten relays %d are left", len(s.entry(described(t, 2, 200_000).ID).own.turns))
	}
}

// What the producer wants passed on is, though it came by another before; once.
func TestWhatIsHereIsPassedOnWhenTheProducerAsks(t *testing.T) {
	s, d := open("p99", 5), described(t, 1, 200_000)
	s.Begin(start, producer, d, d.BodyCode.DataLeaves(), false)
	s.Shards(at(1), "p01", shardsOf(d, 7, 1, false))
	drained(s)
	for i, want := range []int{5, 0} {
		m := shardsOf(d, 7, 1, true)
		m.Striped = true
		s.Shards(at(2), producer, m)
		list, _ := drained(s)
		if shards, to := only[*message.Shards](list); len(shards) != want {
			t.Errorf("at the time %d it goes to %v, want %d", i, to, want)
		}
	}
}
