package membership

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

func newCore(key byte) *Core {
	return New(start, Config{Self: block.PublicKey{key, 9}, Sign: noSign, Incarnation: 1}, [32]byte{key})
}

// fill puts n members that have been met into a core's table.
func (c *Core) fill(n int, version uint64) {
	for i := range n {
		r := &Record{Version: version, Info: Info{Addrs: []string{fmt.Sprintf("/ip4/10.%d.0.1/tcp/1", i%200)}}}
		binary.BigEndian.PutUint64(r.Owner[:], uint64(i)*0x9e3779b97f4a7c15+1)
		m := &member{state: Alive, met: true, heard: start, since: start}
		m.replace(r)
		c.view.add(m)
	}
}

func (c *Core) blamed() (reasons []string) {
	for _, e := range c.Effects() {
		if b, ok := e.(Blame); ok {
			reasons = append(reasons, b.Reason)
		}
	}
	return reasons
}

// Views that do not fit into a message are reconciled piece by piece, each message
// within its budget.
func TestLargeViewsAreReconciledWithinBudgets(t *testing.T) {
	const size = 3000
	a, b := newCore(1), newCore(2)
	a.fill(size, 2)
	b.fill(size, 1)
	now := start
	link := func(from, to *Core) {
		to.PeerUp(now, from.cfg.Self)
		to.take(now, from.cfg.Self, from.self.Record)
	}
	link(a, b)
	link(b, a)
	a.Effects()
	b.Effects()
	cores := map[block.PublicKey]*Core{a.cfg.Self: a, b.cfg.Self: b}
	rounds := 0
	for ; rounds < 200; rounds++ {
		now = now.Add(time.Second)
		a.check(now, b.cfg.Self)
		for again := true; again; {
			again = false
			for _, c := range []*Core{a, b} {
				for _, e := range c.Effects() {
					s, ok := e.(Send)
					if !ok {
						continue
					}
					if raw := Encode(s.Message); len(raw) > wire.MaxControl-16 {
						t.Fatalf("%T of %d bytes", s.Message, len(raw))
					} else if _, err := Decode(raw); err != nil {
						t.Fatal(err)
					}
					cores[s.To].Receive(now, c.cfg.Self, s.Message)
					again = true
				}
			}
		}
		sa, _ := a.view.sum(now)
		if sb, _ := b.view.sum(now); sa == sb {
			break
		}
	}
	t.Logf("%d records in %d rounds", size, rounds)
	if rounds > 60 {
		t.Errorf("after %d rounds the views differ", rounds)
	}
}

func TestThoseFurthestBehindComeFirst(t *testing.T) {
	c := newCore(1)
	list := []missing{{gap: 1}, {gap: 7}, {gap: 3}, {gap: 7}}
	for i := range list {
		list[i].owner[0] = byte(i)
	}
	firsts := make(map[byte]bool)
	for range 50 {
		c.deepestFirst(list)
		if list[0].gap != 7 || list[1].gap != 7 || list[2].gap != 3 || list[3].gap != 1 {
			t.Fatalf("order %v", list)
		}
		firsts[list[0].owner[0]] = true
	}
	if len(firsts) != 2 {
		t.Error("of equals always the same one comes first")
	}
}

func TestForgedHeartbeatsAreBlamed(t *testing.T) {
	c := newCore(1)
	peer := newCore(2)
	from := peer.cfg.Self
	c.PeerUp(start, from)
	c.Receive(start, from, &Delta{Records: []*Record{peer.self.Record}})
	c.Effects()
	beatOf := func(i int, l link) *Check { return &Check{Beats: []Beat{{peer.self.entry, uint32(i), l}}} }
	c.Receive(start, from, beatOf(3, peer.chain[3]))
	if m := c.view.get(from); m.beat.index != 3 || len(c.blamed()) != 0 {
		t.Errorf("a heartbeat is not taken: %d", m.beat.index)
	}
	c.Receive(start, from, beatOf(5, peer.chain[4]))
	if m := c.view.get(from); m.beat.index != 3 {
		t.Error("a forged heartbeat is taken")
	}
	if got := c.blamed(); len(got) != 1 {
		t.Errorf("blamed for %v", got)
	}
	c.Receive(start, from, beatOf(2, peer.chain[4])) // old: not even looked at
	if got := c.blamed(); len(got) != 0 {
		t.Errorf("blamed for %v", got)
	}
}

// Whoever passes on heartbeats that fit no record is not blamed, since he may have been
// shown another record; but he is listened to no further, since each costs hashes.
func TestWrongHeartbeatsOfOthersAreNotListenedTo(t *testing.T) {
	c, owner, relay := newCore(1), newCore(2), block.PublicKey{3}
	c.PeerUp(start, relay)
	c.PeerUp(start, owner.cfg.Self)
	c.Receive(start, relay, &Delta{Records: []*Record{owner.self.Record}})
	now := start
	say := func(index int, l link) uint32 {
		c.Receive(now, relay, &Check{Reply: true, Beats: []Beat{{owner.self.entry, uint32(index), l}}})
		return c.view.get(owner.cfg.Self).beat.index
	}
	if got := say(1, owner.chain[1]); got != 1 {
		t.Fatal("a heartbeat is not taken")
	}
	for i := range wrongBeats {
		say(5+i, link{})
	}
	if got := say(2, owner.chain[2]); got != 1 || len(c.blamed()) != 0 {
		t.Errorf("after %d wrong ones: heartbeat %d, blamed for %v", wrongBeats, got, c.blamed())
	}
	now = now.Add(time.Second)
	if got := say(3, owner.chain[3]); got != 3 {
		t.Error("never listened to again")
	}
}

// Hearsay is bounded in all and per address group, and takes no room from the met.
func TestHearsayIsBounded(t *testing.T) {
	c := newCore(1)
	from := block.PublicKey{2}
	c.PeerUp(start, from)
	hear := func(i int, addr string) {
		r := &Record{Version: 1, Info: Info{Addrs: []string{addr}}}
		binary.BigEndian.PutUint32(r.Owner[:], uint32(i)+100)
		c.take(start, from, r)
	}
	for i := range 2 * maxPerGroup {
		hear(i, "/ip4/10.1.0.1/tcp/1")
	}
	if got := len(c.view.order) - 1; got != maxPerGroup {
		t.Errorf("%d of one group, want %d", got, maxPerGroup)
	}
	for i := range 2 * maxTentative {
		hear(1000+i, fmt.Sprintf("/ip4/%d.%d.0.1/tcp/1", 20+i/256, i%256))
	}
	if got := len(c.view.order) - 1; got != maxTentative {
		t.Errorf("%d in all, want %d", got, maxTentative)
	}
	if c.Size() != 1 {
		t.Errorf("%d members are counted", c.Size())
	}
	connects := 0
	c.choose(start)
	for _, e := range c.Effects() {
		if _, ok := e.(Connect); ok {
			connects++
		}
	}
	if connects != tentativeDials {
		t.Errorf("%d are dialled at once, want %d", connects, tentativeDials)
	}
	peer := newCore(3) // one that is linked has room
	c.PeerUp(start, peer.cfg.Self)
	c.take(start, from, peer.self.Record)
	if m := c.view.get(peer.cfg.Self); m == nil || !m.met {
		t.Error("no room for a neighbour")
	}
}

func TestTableIsBounded(t *testing.T) {
	c := New(start, Config{Self: block.PublicKey{1, 9}, Sign: noSign, Incarnation: 1, MaxMembers: 10}, [32]byte{1})
	c.fill(9, 1)
	peer := newCore(3)
	c.PeerUp(start, peer.cfg.Self)
	c.take(start, peer.cfg.Self, peer.self.Record)
	if c.view.get(peer.cfg.Self) != nil || c.Stats().TableFull != 1 {
		t.Error("more members than the bound")
	}
	dead := c.view.order[3]
	c.enter(start, dead, Dead)
	c.take(start, peer.cfg.Self, peer.self.Record)
	if c.view.get(peer.cfg.Self) == nil || c.view.get(dead.Owner) != nil {
		t.Error("the dead do not make room")
	}
}

// Neighbours are drawn over address groups: a group of many has no more of them.
func TestNeighboursAreDrawnOverGroups(t *testing.T) {
	c := New(start, Config{Self: block.PublicKey{1, 9}, Sign: noSign, Incarnation: 1, Full: 10, Active: 20}, [32]byte{1})
	crowd := func(first, n int, addr string) {
		for i := range n {
			r := &Record{Version: 1, Info: Info{Addrs: []string{addr}}}
			binary.BigEndian.PutUint32(r.Owner[:], uint32(first+i))
			m := &member{state: Alive, met: true, heard: start, since: start}
			m.replace(r)
			c.view.add(m)
		}
	}
	crowd(1<<24, 500, "/ip4/10.1.0.1/tcp/1")
	for g := range 10 {
		crowd(1<<25+g*100, 10, fmt.Sprintf("/ip4/10.%d.0.1/tcp/1", 2+g))
	}
	c.choose(start)
	total, crowded := 0, 0
	for _, e := range c.Effects() {
		if e, ok := e.(Connect); ok {
			total++
			if bytes.HasPrefix(e.Key[:], []byte{1}) {
				crowded++
			}
		}
	}
	if total != 20 || crowded > 8 {
		t.Errorf("of %d drawn %d are of the crowd", total, crowded)
	}
}

// The own record says what is so, but not with every change.
func TestOwnRecordChangesNowAndThen(t *testing.T) {
	c := newCore(1)
	now := start
	for i := range 600 { // a minute of a block every 100 ms
		now = now.Add(100 * time.Millisecond)
		c.Update(now, Info{Height: uint64(i)})
		c.Tick(now)
	}
	if v := c.self.Version; v < 10 || v > 14 {
		t.Errorf("version %d after a minute", v)
	}
	for range 20 { // without news: when the chain of heartbeats is used up
		now = now.Add(time.Minute)
		for !c.Deadline().After(now) {
			c.Tick(c.Deadline())
		}
	}
	if v := c.self.Version; v < 11 || v > 16 {
		t.Errorf("version %d after twenty more", v)
	}
}
