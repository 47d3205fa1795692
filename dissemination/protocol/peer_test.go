package protocol

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// txBytes is the size of every transaction.
const txBytes = 100

// blockAt is the block of four transactions at a height.
func blockAt(height uint64) message.Block {
	return message.Block{ID: block.ID{byte(height)}, Height: height, Parent: block.ID{byte(height - 1)}, Txs: 4, Bytes: 4 * txBytes}
}

func tipAt(height uint64) block.Tip { return block.Tip{Height: height, ID: blockAt(height).ID} }

// warm is a pool that holds everything.
func warm(uint32) int { return txBytes }

// open makes a peer with an empty chain and neighbours a, b and c of that height.
func open(cfg Config, tip uint64) *Peer {
	p := New(cfg, 1, start, block.Tip{})
	for _, id := range []wire.PeerID{"a", "b", "c"} {
		p.PeerUp(start, id, tip, 1)
	}
	return p
}

// appended returns the heights that are to be appended, and answers what must be put
// together with Checked.
func appended(p *Peer) (heights []uint64) {
	for list := p.Effects(); len(list) > 0; list = p.Effects() {
		for _, x := range list {
			switch x := x.(type) {
			case effect.Assemble:
				p.Checked(start, x.Block)
			case effect.Append:
				heights = append(heights, x.Height)
			}
		}
	}
	return heights
}

// sent returns the messages of a kind that the peer sends, and to whom the first goes.
func sent[M message.Message](p *Peer) (list []M, first wire.PeerID) {
	for _, x := range p.Effects() {
		if s, ok := x.(effect.Send); ok {
			if m, ok := s.Msg.(M); ok {
				if list = append(list, m); len(list) == 1 {
					first = s.To[0]
				}
			}
		}
	}
	return list, first
}

func TestBlocksEnterTheChainInOrderWhicheverWayTheyCame(t *testing.T) {
	p := open(Config{}, 3*catchup.Gap)
	asked, from := sent[*message.GetRange](p)
	if len(asked) == 0 || asked[0].From != 1 {
		t.Fatalf("far behind it asks %+v: want a range from 1 on", asked)
	}
	p.Receive(at(1), "b", &message.Announce{Block: blockAt(2), Complete: true}, warm)
	p.Receive(at(2), "b", &message.Announce{Block: blockAt(3)}, nil)
	if got := appended(p); len(got) > 0 {
		t.Fatalf("without block 1, %v are to be appended", got)
	}
	if !p.RangeBlock(at(3), from, asked[0].Number, blockAt(1)) {
		t.Fatal("block 1 is not wanted")
	}
	if got := appended(p); !slices.Equal(got, []uint64{1, 2}) {
		t.Fatalf("appended are %v: want 1 from the range, and 2, which was rebuilt", got)
	}
	first := p.Accepted(at(4), tipAt(1))
	if want := (arrival.Facts{Via: arrival.CatchUp, From: from}); first != want {
		t.Errorf("block 1 came so: %+v, want %+v", first, want)
	}
	second := p.Accepted(at(5), tipAt(2))
	if second.Via != arrival.Push || second.From != "b" || second.FirstSeen != at(1) {
		t.Errorf("block 2 came so: %+v, want by push from b", second)
	}
	if p.RangeBlock(at(6), from, asked[0].Number, blockAt(2)) {
		t.Error("block 2 is wanted again")
	}
	if got := p.Stats().Again; got != 4*txBytes {
		t.Errorf("%d bytes came again, want those of block 2", got)
	}
}

func TestAHeightIsFilledOnce(t *testing.T) {
	p := open(Config{}, 0)
	if !p.Propose(at(0), blockAt(1), nil) {
		t.Fatal("block 1 is not taken")
	}
	other := blockAt(1)
	other.ID[9]++
	if p.Propose(at(1), other, nil) {
		t.Error("another block is taken at the same height")
	}
	if got := appended(p); !slices.Equal(got, []uint64{1}) {
		t.Errorf("appended are %v, want 1 once", got)
	}
	if f := p.Accepted(at(2), tipAt(1)); f.Via != arrival.Own || f.From != "" {
		t.Errorf("its own block came so: %+v", f)
	}
}

func TestWhatFindsNoRoomIsAskedOfAnother(t *testing.T) {
	p := open(Config{}, 0)
	p.Receive(at(0), "a", &message.Announce{Block: blockAt(1)}, nil)
	fetches, to := sent[*message.Fetch](p)
	if len(fetches) != 1 || to != "a" {
		t.Fatalf("asked %+v of %q: want a", fetches, to)
	}
	p.Receive(at(1), "b", &message.Announce{Block: blockAt(1)}, nil)
	p.Dropped(at(2), "a", fetches[0])
	if again, to := sent[*message.Fetch](p); len(again) != 1 || to != "b" {
		t.Errorf("then asked %+v of %q: want b", again, to)
	}

	p = open(Config{}, 3*catchup.Gap)
	ranges, first := sent[*message.GetRange](p)
	p.Dropped(at(1), first, ranges[0])
	if s := p.Stats().Catchup; s.Failures != 1 {
		t.Errorf("a request for a range that found no room is %d failures, want 1", s.Failures)
	}
}

// Whatever says how far a neighbour's chain goes is heard by pull and catch-up.
func TestTipsAreHeard(t *testing.T) {
	const far = 3 * catchup.Gap
	complete := blockAt(far)
	for name, tell := range map[string]func(p *Peer){
		"a pull":            func(p *Peer) { p.Receive(at(0), "a", &message.Pull{Tip: far, Upto: 2 * far}, nil) },
		"an answer":         func(p *Peer) { p.Receive(at(0), "a", &message.Tip{Height: far}, nil) },
		"an announcement":   func(p *Peer) { p.Receive(at(0), "a", &message.Announce{Block: complete, Complete: true}, nil) },
		"a member's record": func(p *Peer) { p.PeerTip(at(0), "a", far) },
	} {
		p := open(Config{}, 0)
		p.Effects()
		tell(p)
		if asked, to := sent[*message.GetRange](p); len(asked) == 0 || to != "a" {
			t.Errorf("%s of height %d leads to requests %+v of %q: want one of a", name, far, asked, to)
		}
		p = open(Config{NoCatchup: true}, 0)
		p.Effects()
		tell(p)
		if asked, _ := sent[*message.GetRange](p); len(asked) > 0 {
			t.Errorf("%s: with catch-up off it asks %+v", name, asked)
		}
	}
}

// What the producer's pool got just now goes along, as far as it fits, and what of it
// was new to a peer goes on from there.
func TestYoungTransactionsGoAlong(t *testing.T) {
	p := open(Config{}, 0)
	p.Propose(at(1000), blockAt(1), []fresh.Pooled{
		{Arrived: at(0), Size: txBytes}, {Arrived: at(950), Size: txBytes}, {Size: txBytes}, {Arrived: at(1000), Size: txBytes},
	})
	told, _ := sent[*message.Announce](p)
	if len(told) != 1 || !slices.Equal(told[0].At, []uint32{1, 3}) || !slices.Equal(told[0].Sizes, []int{txBytes, txBytes}) {
		t.Fatalf("announced are %+v: want places 1 and 3 along", told)
	}
	q := open(Config{}, 0)
	q.Receive(at(1100), "a", told[0], func(place uint32) int {
		if place == 3 {
			return 0
		}
		return txBytes
	})
	passed, _ := sent[*message.Announce](q)
	if len(passed) != 1 || !slices.Equal(passed[0].At, []uint32{3}) || passed[0].Hop != 1 {
		t.Errorf("passed on are %+v: want place 3 along, which alone was new", passed)
	}
	if got := q.Stats().Again; got != txBytes {
		t.Errorf("%d bytes came again, want place 1's %d", got, txBytes)
	}
}

// A transaction for which there is no room along does not keep others from going.
func TestPrefillIsBounded(t *testing.T) {
	p := open(Config{}, 0)
	d := blockAt(1)
	p.Propose(at(0), d, []fresh.Pooled{{Arrived: at(0), Size: 10 << 10}, {Arrived: at(0), Size: 10 << 10}, {Arrived: at(0), Size: 1 << 10}, {}})
	if told, _ := sent[*message.Announce](p); len(told) != 1 || !slices.Equal(told[0].At, []uint32{0, 2}) {
		t.Errorf("announced are %+v: want the first and the third along", told)
	}
}

// The driver's messages are taken in silence.
func TestOtherMessagesAreNotThePeers(t *testing.T) {
	p := open(Config{}, 0)
	p.Effects()
	before := p.Stats()
	for _, m := range []message.Message{&message.GetRange{From: 1, Upto: 2}, &message.Evidence{}, &message.Ordering{}, &message.Inventory{}, &message.Want{}, &message.Txs{}} {
		p.Receive(at(0), "a", m, nil)
		p.Dropped(at(0), "a", m)
	}
	if list := p.Effects(); len(list) > 0 || !reflect.DeepEqual(p.Stats(), before) {
		t.Errorf("they lead to %+v", list)
	}
}
