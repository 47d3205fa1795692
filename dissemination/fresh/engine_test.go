package fresh

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func blockID(n byte) block.ID { return block.ID{n} }

// engine has neighbours a … of tip 0, and a fan-out that reaches all of them.
func engine(neighbours ...wire.PeerID) *Engine {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	for _, p := range neighbours {
		e.PeerUp(start, p, 0)
	}
	e.Effects()
	return e
}

// ann announces a block of four transactions.
func ann(n byte, height uint64, missing ...uint32) Announcement {
	return Announcement{Block: blockID(n), Height: height, Parent: blockID(n - 1), Txs: 4, Missing: missing}
}

func want(t *testing.T, e *Engine, effects ...Effect) {
	t.Helper()
	got := e.Effects()
	if len(got) == 0 && len(effects) == 0 {
		return
	}
	if !reflect.DeepEqual(got, effects) {
		t.Errorf("effects are\n%s\nwant\n%s", show(got), show(effects))
	}
}

func show(list []Effect) (s string) {
	for _, x := range list {
		s += fmt.Sprintf("  %T%+v\n", x, x)
	}
	return s
}

func only[T Effect](t *testing.T, e *Engine) T {
	t.Helper()
	var found []T
	for _, x := range e.Effects() {
		if v, ok := x.(T); ok {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d effects of type %T, want one", len(found), *new(T))
	}
	return found[0]
}

func TestAnnouncementIsPassedOnOnceBeforeTheBody(t *testing.T) {
	e := engine("a", "b", "c")
	e.Announced(at(0), "a", ann(1, 1, 2))
	x := e.Effects()
	relay, ok := x[0].(Announce)
	slices.Sort(relay.To)
	if !ok || !slices.Equal(relay.To, []wire.PeerID{"b", "c"}) || relay.Hop != 1 || relay.Complete {
		t.Errorf("first effect is %+v: want an announcement to b and c, hop 1, incomplete", x[0])
	}
	if f, ok := x[1].(Fetch); !ok || f.To != "a" || !slices.Equal(f.At, []uint32{2}) {
		t.Errorf("second effect is %+v: want a fetch of place 2 from a", x[1])
	}
	e.Announced(at(1), "b", ann(1, 1, 2))
	want(t, e)
	if s := e.Stats(); s.Duplicates != 1 || s.Relayed != 2 {
		t.Errorf("stats are %+v: want one duplicate and two relayed", s)
	}
}

func TestSecondBlockAtAHeightIsNotPassedOn(t *testing.T) {
	e := engine("a", "b")
	e.Announced(at(0), "a", ann(1, 1))
	e.Effects()
	e.Announced(at(1), "b", ann(9, 1))
	want(t, e)
	if e.Stats().Ignored != 1 {
		t.Errorf("ignored %d, want 1", e.Stats().Ignored)
	}
}

func TestAnnouncementsOutsideTheWindowAreIgnored(t *testing.T) {
	e := engine("a", "b")
	e.Accepted(at(0), block.Tip{Height: 10, ID: blockID(10)})
	e.Effects()
	for _, h := range []uint64{1, 10, 11 + Window} {
		e.Announced(at(1), "a", ann(77, h))
		for _, x := range e.Effects() {
			if _, ok := x.(Announce); ok {
				t.Errorf("height %d with tip 10 was passed on", h)
			}
		}
	}
	if e.Stats().Ignored != 3 {
		t.Errorf("ignored %d, want 3", e.Stats().Ignored)
	}
}

func TestFetchFailsOverToTheNextSource(t *testing.T) {
	e := engine("a", "b", "c")
	e.Announced(at(0), "a", ann(1, 1, 0, 3))
	e.Announced(at(1), "b", ann(1, 1))
	complete := ann(1, 1)
	complete.Complete = true
	e.Announced(at(2), "c", complete)
	first := Fetch{To: "a", Block: blockID(1), Number: 1, At: []uint32{0, 3}, Wait: 500 * time.Millisecond}
	if got := e.Effects(); !reflect.DeepEqual(got[len(got)-1], first) {
		t.Fatalf("last effect is %+v, want %+v", got[len(got)-1], first)
	}
	e.Tick(at(499))
	want(t, e)
	e.Arrived(at(499), "a", 1, blockID(1), []uint32{0}) // progress moves the deadline on, by three times what it took
	e.Tick(at(499 + 1496))
	want(t, e)
	e.Tick(at(499 + 1497)) // c is complete and goes before b
	want(t, e, Fetch{To: "c", Block: blockID(1), Number: 2, At: []uint32{3}, Wait: 1497 * time.Millisecond})
	e.Refused(at(2000), "c", 2, blockID(1))
	want(t, e, Fetch{To: "b", Block: blockID(1), Number: 3, At: []uint32{3}, Wait: 1497 * time.Millisecond})
	e.PeerDown(at(2001), "b") // nobody is left in this round
	want(t, e)
	e.Tick(at(2501))
	if f := only[Fetch](t, e); f.Number != 4 || f.To != "c" {
		t.Errorf("the new round begins with %+v, want c", f)
	}
	e.Arrived(at(2502), "a", 1, blockID(1), []uint32{3}) // late, and welcome all the same
	want(t, e, Complete{blockID(1)})
}

func TestEveryRequestIsAnswered(t *testing.T) {
	e := engine("a", "b", "c", "d")
	e.Wanted(at(0), "d", 7, blockID(1), []uint32{0}, time.Second)
	want(t, e, Refuse{To: "d", Block: blockID(1), Number: 7}) // unknown
	e.Announced(at(0), "a", ann(1, 1, 2, 3))
	e.Effects()
	e.Wanted(at(10), "b", 8, blockID(1), []uint32{0, 1}, 500*time.Millisecond)
	want(t, e, Serve{To: "b", Block: blockID(1), Number: 8, At: []uint32{0, 1}}) // here already
	e.Wanted(at(20), "b", 9, blockID(1), []uint32{2}, 500*time.Millisecond)
	e.Wanted(at(20), "c", 10, blockID(1), []uint32{2, 3}, 400*time.Millisecond)
	e.Wanted(at(20), "d", 11, blockID(1), nil, time.Hour)
	want(t, e) // kept
	e.Arrived(at(30), "a", 1, blockID(1), []uint32{2})
	want(t, e, Serve{To: "b", Block: blockID(1), Number: 9, At: []uint32{2}})
	e.Tick(at(219))
	want(t, e)
	e.Tick(at(220)) // half of c's 400 ms
	want(t, e, Refuse{To: "c", Block: blockID(1), Number: 10})
	e.Arrived(at(221), "a", 1, blockID(1), []uint32{3})
	want(t, e, Complete{blockID(1)})
	e.Checked(at(222), blockID(1))
	want(t, e, Serve{To: "d", Block: blockID(1), Number: 11})
}

func TestCollisionLeadsToFullIDsThenToTheBody(t *testing.T) {
	e := engine("a")
	e.Announced(at(0), "a", ann(1, 1))
	want(t, e, Complete{blockID(1)})
	e.Mismatched(at(1), blockID(1))
	want(t, e, Fetch{To: "a", Block: blockID(1), Number: 1, Wait: 500 * time.Millisecond})
	e.Wanted(at(2), "a", 5, blockID(1), []uint32{0}, 100*time.Millisecond)
	want(t, e) // nothing is served from a wrong body
	e.Listed(at(3), blockID(1), []uint32{2})
	want(t, e, Fetch{To: "a", Block: blockID(1), Number: 2, At: []uint32{2}, Wait: 500 * time.Millisecond})
	e.Arrived(at(4), "a", 2, blockID(1), []uint32{2})
	want(t, e, Serve{To: "a", Block: blockID(1), Number: 5, At: []uint32{0}}, Complete{blockID(1)})
}

func TestGapIsPulledAtOnce(t *testing.T) {
	e := engine("a", "b")
	e.Announced(at(0), "a", ann(2, 2)) // a child without its parent
	e.Effects()
	e.Tick(at(99))
	want(t, e)
	e.Tick(at(100))
	p := only[Pull](t, e)
	if p.Tip != 0 || p.Upto != Window || !slices.Equal(p.Have, []block.ID{blockID(2)}) {
		t.Errorf("pull is %+v: want tip 0, up to %d, having block 2", p, Window)
	}
	parent := ann(1, 1)
	parent.Complete, parent.Pulled = true, true
	e.Announced(at(150), p.To, parent)
	want(t, e, Complete{blockID(1)}) // and it is not pushed on
	e.Tick(at(400))
	want(t, e)
}

func TestPullIsAnsweredWithWhatTheOtherLacks(t *testing.T) {
	e := engine("a", "b")
	for n := byte(1); n <= 3; n++ {
		e.Announced(at(int(n)), "a", ann(n, uint64(n)))
		e.Checked(at(int(n)), blockID(n))
	}
	e.Accepted(at(4), block.Tip{Height: 2, ID: blockID(2)})
	e.Effects()
	e.Pulled(at(100), "b", 1, Window, []block.ID{blockID(3)})
	want(t, e, Announce{To: []wire.PeerID{"b"}, Block: blockID(2), Hop: 1, Complete: true, Pulled: true})
	e.Pulled(at(105), "b", 1, Window, nil) // too soon after the last
	want(t, e)
	e.Pulled(at(200), "b", 3, Window, nil)
	want(t, e, Tip{To: "b", Height: 2})
}

// A neighbour that announces first and never answers costs a time-out now and then,
// not with every block.
func TestSilentSourceIsShunned(t *testing.T) {
	e := engine("evil", "good")
	first := ann(1, 1, 0)
	first.Complete = true
	e.Announced(at(0), "evil", first)
	e.Announced(at(1), "good", ann(1, 1))
	e.Effects()
	e.Tick(at(500))
	want(t, e, Fetch{To: "good", Block: blockID(1), Number: 2, At: []uint32{0}, Wait: 500 * time.Millisecond})
	second := ann(2, 2, 0)
	second.Complete = true
	e.Announced(at(600), "evil", second)
	for _, x := range e.Effects() {
		if f, ok := x.(Fetch); ok {
			t.Fatalf("asked %+v at once", f)
		}
	}
	e.Announced(at(650), "good", ann(2, 2))
	want(t, e, Fetch{To: "good", Block: blockID(2), Number: 3, At: []uint32{0}, Wait: 500 * time.Millisecond})
	third := ann(3, 3, 0)
	e.Announced(at(700), "evil", third)
	e.Effects()
	e.Tick(at(800)) // nobody else announces it
	if f := only[Fetch](t, e); f.To != "evil" || f.Block != blockID(3) {
		t.Errorf("asked %+v: want the only one who announced block 3", f)
	}
}

// When nobody who announced a block is left, others are asked whether they have it.
func TestStrandedBlockIsPulled(t *testing.T) {
	e := engine("a", "b")
	e.Announced(at(0), "a", ann(1, 1, 0))
	e.PeerDown(at(10), "a")
	e.Effects()
	e.Tick(at(110))
	if p := only[Pull](t, e); p.To != "b" || len(p.Have) > 0 {
		t.Fatalf("pull is %+v: want one of b that has nothing", p)
	}
	answer := ann(1, 1)
	answer.Complete, answer.Pulled = true, true
	e.Announced(at(150), "b", answer)
	if f := only[Fetch](t, e); f.To != "b" {
		t.Errorf("asked %+v: want b", f)
	}
}

// Who claims that an announcement answers a pull cannot keep it from being passed on.
func TestBlockThatWasPulledIsPassedOnWhenPushed(t *testing.T) {
	e := engine("a", "b", "c")
	pulled := ann(1, 1)
	pulled.Pulled = true
	e.Announced(at(0), "a", pulled)
	want(t, e, Complete{blockID(1)})
	e.Announced(at(1), "b", ann(1, 1))
	if x := only[Announce](t, e); len(x.To) != 2 {
		t.Errorf("passed on to %v: want a and c", x.To)
	}
	e.Announced(at(2), "c", ann(1, 1))
	want(t, e)
}

func TestNeighbourHasOneRequestPerBlockWaiting(t *testing.T) {
	e := engine("a", "b")
	e.Announced(at(0), "a", ann(1, 1, 2))
	e.Effects()
	e.Wanted(at(1), "b", 1, blockID(1), []uint32{2}, time.Second)
	e.Wanted(at(2), "b", 2, blockID(1), []uint32{2}, time.Second)
	want(t, e, Refuse{To: "b", Block: blockID(1), Number: 1})
}

// A neighbour that claims a great height does not keep a gap below a signed
// header from being pulled.
func TestLyingTipDoesNotHideAGap(t *testing.T) {
	e := New(Config{Fanout: 10, CatchupGap: 8}, 1, start, block.Tip{})
	e.PeerUp(start, "evil", 1<<40)
	e.PeerUp(start, "b", 0)
	e.Announced(at(0), "b", ann(2, 2))
	e.Effects()
	e.Tick(at(100))
	only[Pull](t, e)
}

func TestMemoryIsBounded(t *testing.T) {
	e := engine("a")
	for n := uint64(1); n <= 3*keep; n++ {
		var id block.ID
		id[0], id[1] = byte(n), byte(n>>8)
		e.Announced(start, "a", Announcement{Block: id, Height: n, Txs: 1})
		e.Checked(start, id)
		e.Accepted(start, block.Tip{Height: n, ID: id})
		e.Effects()
	}
	if len(e.kept) > keep || len(e.blocks) > keep || len(e.above) > 0 {
		t.Errorf("after %d blocks %d are kept and %d known: want at most %d", 3*keep, len(e.kept), len(e.blocks), keep)
	}
}

// On a slow link answers come after the time-out. The first time-out may be one peer's
// fault; from the second on each waits twice as long, until an answer says how long
// they take; and while one is coming nobody else is asked for the same.
func TestSlowAnswersAreWaitedFor(t *testing.T) {
	e := engine("a", "b", "c", "d")
	first := ann(1, 1, 0, 1, 2)
	for i, p := range []wire.PeerID{"a", "b", "c", "d"} {
		e.Announced(at(i), p, first)
	}
	var waits []time.Duration
	for ms := 4; ms < 3200; ms++ {
		for _, x := range e.Effects() {
			if f, ok := x.(Fetch); ok {
				waits = append(waits, f.Wait)
			}
		}
		e.Tick(at(ms))
	}
	if want := []time.Duration{500 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("requests waited for %v: want %v", waits, want)
	}
	e.Arrived(at(3200), "a", 1, blockID(1), []uint32{0}) // late by 2.7 s
	e.Tick(at(4500))                                     // the last request would be over by now
	if list := e.Effects(); len(list) > 0 {
		t.Errorf("while an answer is coming the engine wants %+v", list)
	}
	e.Arrived(at(5000), "a", 1, blockID(1), []uint32{1, 2})
	want(t, e, Complete{blockID(1)})
}
