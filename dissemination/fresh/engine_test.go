package fresh

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
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

// txBytes is the size of every transaction.
const txBytes = 100

// news is an announcement, and what its receiver's pool lacks.
type news struct {
	message.Announce
	missing []uint32
}

// ann announces a block of four transactions.
func ann(n byte, height uint64, missing ...uint32) news {
	return news{message.Announce{Block: message.Block{ID: blockID(n), Height: height, Parent: blockID(n - 1), Txs: 4, Bytes: 4 * txBytes}}, missing}
}

// hear tells the engine of an announcement.
func hear(e *Engine, now time.Time, from wire.PeerID, a news) {
	e.Announced(now, from, &a.Announce, lacking(a.missing...))
}

// lacking is a pool that holds all but some of a block.
func lacking(places ...uint32) Held {
	return func(place uint32) int {
		if slices.Contains(places, place) {
			return 0
		}
		return txBytes
	}
}

// bring tells the engine of transactions that came.
func bring(e *Engine, now time.Time, from wire.PeerID, number uint32, id block.ID, at ...uint32) {
	e.Came(now, from, &message.Part{Number: number, Block: id, At: at, Sizes: slices.Repeat([]int{txBytes}, len(at))}, nil)
}

// refuse tells the engine of a refusal.
func refuse(e *Engine, now time.Time, from wire.PeerID, number uint32, id block.ID) {
	e.Came(now, from, message.Refusal(number, id), nil)
}

func send(to wire.PeerID, m message.Message) effect.Effect {
	return effect.Send{To: []wire.PeerID{to}, Msg: m}
}

func fetched(to wire.PeerID, n byte, number uint32, wait time.Duration, at ...uint32) effect.Effect {
	return send(to, &message.Fetch{Number: number, Block: blockID(n), At: at, Wait: wait})
}

func refusedTo(to wire.PeerID, n byte, number uint32) effect.Effect {
	return send(to, message.Refusal(number, blockID(n)))
}

func served(to wire.PeerID, n byte, number uint32, at ...uint32) effect.Effect {
	return effect.Serve{To: to, Block: blockID(n), Number: number, At: at}
}

// told is a message of one kind and its receivers.
type told[M message.Message] struct {
	To  []wire.PeerID
	Msg M
}

// tells returns the messages of a kind among effects.
func tells[M message.Message](list []effect.Effect) (out []told[M]) {
	for _, x := range list {
		if s, ok := x.(effect.Send); ok {
			if m, ok := s.Msg.(M); ok {
				out = append(out, told[M]{s.To, m})
			}
		}
	}
	return out
}

func want(t *testing.T, e *Engine, effects ...effect.Effect) {
	t.Helper()
	got := e.Effects()
	if len(got) == 0 && len(effects) == 0 {
		return
	}
	if !reflect.DeepEqual(got, effects) {
		t.Errorf("effects are\n%s\nwant\n%s", show(got), show(effects))
	}
}

func show(list []effect.Effect) (s string) {
	for _, x := range list {
		s += fmt.Sprintf("  %T%+v\n", x, x)
	}
	return s
}

// only returns the one message of a kind that the engine sends.
func only[M message.Message](t *testing.T, e *Engine) told[M] {
	t.Helper()
	found := tells[M](e.Effects())
	if len(found) != 1 {
		t.Fatalf("%d messages of type %T, want one", len(found), *new(M))
	}
	return found[0]
}

func TestAnnouncementIsPassedOnOnceBeforeTheBody(t *testing.T) {
	e := engine("a", "b", "c")
	hear(e, at(0), "a", ann(1, 1, 2))
	x := e.Effects()
	relays := tells[*message.Announce](x[:1])
	if len(relays) != 1 || !slices.Equal(slices.Sorted(slices.Values(relays[0].To)), []wire.PeerID{"b", "c"}) || relays[0].Msg.Hop != 1 || relays[0].Msg.Complete {
		t.Errorf("first effect is %+v: want an announcement to b and c, hop 1, incomplete", x[0])
	}
	if !reflect.DeepEqual(x[1], fetched("a", 1, 1, 500*time.Millisecond, 2)) {
		t.Errorf("second effect is %+v: want a fetch of place 2 from a", x[1])
	}
	hear(e, at(1), "b", ann(1, 1, 2))
	want(t, e)
	if s := e.Stats(); s.Duplicates != 1 || s.Relayed != 2 {
		t.Errorf("stats are %+v: want one duplicate and two relayed", s)
	}
}

func TestSecondBlockAtAHeightIsNotPassedOn(t *testing.T) {
	e := engine("a", "b")
	hear(e, at(0), "a", ann(1, 1))
	e.Effects()
	hear(e, at(1), "b", ann(9, 1))
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
		hear(e, at(1), "a", ann(77, h))
		if len(tells[*message.Announce](e.Effects())) > 0 {
			t.Errorf("height %d with tip 10 was passed on", h)
		}
	}
	if e.Stats().Ignored != 3 {
		t.Errorf("ignored %d, want 3", e.Stats().Ignored)
	}
}

func TestFetchFailsOverToTheNextSource(t *testing.T) {
	e := engine("a", "b", "c")
	hear(e, at(0), "a", ann(1, 1, 0, 3))
	hear(e, at(1), "b", ann(1, 1))
	complete := ann(1, 1)
	complete.Complete = true
	hear(e, at(2), "c", complete)
	first := fetched("a", 1, 1, 500*time.Millisecond, 0, 3)
	if got := e.Effects(); !reflect.DeepEqual(got[len(got)-1], first) {
		t.Fatalf("last effect is %+v, want %+v", got[len(got)-1], first)
	}
	e.Tick(at(499))
	want(t, e)
	bring(e, at(499), "a", 1, blockID(1), 0) // progress moves the deadline on, by three times what it took
	e.Tick(at(499 + 1496))
	want(t, e)
	e.Tick(at(499 + 1497)) // c is complete and goes before b
	want(t, e, fetched("c", 1, 2, 1497*time.Millisecond, 3))
	refuse(e, at(2000), "c", 2, blockID(1))
	want(t, e, fetched("b", 1, 3, 1497*time.Millisecond, 3))
	e.PeerDown(at(2001), "b") // nobody is left in this round
	want(t, e)
	e.Tick(at(2501))
	if f := only[*message.Fetch](t, e); f.Msg.Number != 4 || f.To[0] != "c" {
		t.Errorf("the new round begins with %+v, want c", f)
	}
	bring(e, at(2502), "a", 1, blockID(1), 3) // late, and welcome all the same
	want(t, e, effect.Assemble{Block: blockID(1)})
}

func TestEveryRequestIsAnswered(t *testing.T) {
	e := engine("a", "b", "c", "d")
	e.Asked(at(0), "d", &message.Fetch{Number: 7, Block: blockID(1), At: []uint32{0}, Wait: time.Second})
	want(t, e, refusedTo("d", 1, 7)) // unknown
	hear(e, at(0), "a", ann(1, 1, 2, 3))
	e.Effects()
	e.Asked(at(10), "b", &message.Fetch{Number: 8, Block: blockID(1), At: []uint32{0, 1}, Wait: 500 * time.Millisecond})
	want(t, e, served("b", 1, 8, 0, 1)) // here already
	e.Asked(at(20), "b", &message.Fetch{Number: 9, Block: blockID(1), At: []uint32{2}, Wait: 500 * time.Millisecond})
	e.Asked(at(20), "c", &message.Fetch{Number: 10, Block: blockID(1), At: []uint32{2, 3}, Wait: 400 * time.Millisecond})
	e.Asked(at(20), "d", &message.Fetch{Number: 11, Block: blockID(1), At: nil, Wait: time.Hour})
	want(t, e) // kept
	bring(e, at(30), "a", 1, blockID(1), 2)
	want(t, e, served("b", 1, 9, 2))
	e.Tick(at(219))
	want(t, e)
	e.Tick(at(220)) // half of c's 400 ms
	want(t, e, refusedTo("c", 1, 10))
	bring(e, at(221), "a", 1, blockID(1), 3)
	want(t, e, effect.Assemble{Block: blockID(1)})
	e.Checked(blockID(1))
	want(t, e, served("d", 1, 11))
}

func TestCollisionLeadsToFullIDsThenToTheBody(t *testing.T) {
	e := engine("a")
	hear(e, at(0), "a", ann(1, 1))
	want(t, e, effect.Assemble{Block: blockID(1)})
	e.Mismatched(at(1), blockID(1))
	want(t, e, fetched("a", 1, 1, 500*time.Millisecond))
	e.Asked(at(2), "a", &message.Fetch{Number: 5, Block: blockID(1), At: []uint32{0}, Wait: 100 * time.Millisecond})
	want(t, e) // nothing is served from a wrong body
	e.Listed(at(3), blockID(1), lacking(2))
	want(t, e, fetched("a", 1, 2, 500*time.Millisecond, 2))
	bring(e, at(4), "a", 2, blockID(1), 2)
	want(t, e, served("a", 1, 5, 0), effect.Assemble{Block: blockID(1)})
}

func TestGapIsPulledAtOnce(t *testing.T) {
	e := engine("a", "b")
	hear(e, at(0), "a", ann(2, 2)) // a child without its parent
	e.Effects()
	e.Tick(at(99))
	want(t, e)
	e.Tick(at(100))
	p := only[*message.Pull](t, e)
	if p.Msg.Tip != 0 || p.Msg.Upto != Window || !slices.Equal(p.Msg.Have, []block.ID{blockID(2)}) {
		t.Errorf("pull is %+v: want tip 0, up to %d, having block 2", p, Window)
	}
	parent := ann(1, 1)
	parent.Complete, parent.Pulled = true, true
	hear(e, at(150), p.To[0], parent)
	want(t, e, effect.Assemble{Block: blockID(1)}) // and it is not pushed on
	e.Tick(at(400))
	want(t, e)
}

func TestPullIsAnsweredWithWhatTheOtherLacks(t *testing.T) {
	e := engine("a", "b")
	for n := byte(1); n <= 3; n++ {
		hear(e, at(int(n)), "a", ann(n, uint64(n)))
		e.Checked(blockID(n))
	}
	e.Accepted(at(4), block.Tip{Height: 2, ID: blockID(2)})
	e.Effects()
	e.Pulled(at(100), "b", &message.Pull{Tip: 1, Upto: Window, Have: []block.ID{blockID(3)}})
	want(t, e, send("b", &message.Announce{Block: ann(2, 2).Block, Hop: 1, Complete: true, Pulled: true, Listed: true}))
	e.Pulled(at(105), "b", &message.Pull{Tip: 1, Upto: Window, Have: nil}) // too soon after the last
	want(t, e)
	e.Pulled(at(200), "b", &message.Pull{Tip: 3, Upto: Window, Have: nil})
	want(t, e, send("b", &message.Tip{Height: 2}))
}

// A neighbour that announces first and never answers costs a time-out now and then,
// not with every block.
func TestSilentSourceIsShunned(t *testing.T) {
	e := engine("evil", "good")
	first := ann(1, 1, 0)
	first.Complete = true
	hear(e, at(0), "evil", first)
	hear(e, at(1), "good", ann(1, 1))
	e.Effects()
	e.Tick(at(500))
	want(t, e, fetched("good", 1, 2, 500*time.Millisecond, 0))
	second := ann(2, 2, 0)
	second.Complete = true
	hear(e, at(600), "evil", second)
	if f := tells[*message.Fetch](e.Effects()); len(f) > 0 {
		t.Fatalf("asked %+v at once", f)
	}
	hear(e, at(650), "good", ann(2, 2))
	want(t, e, fetched("good", 2, 3, 500*time.Millisecond, 0))
	third := ann(3, 3, 0)
	hear(e, at(700), "evil", third)
	e.Effects()
	e.Tick(at(800)) // nobody else announces it
	if f := only[*message.Fetch](t, e); f.To[0] != "evil" || f.Msg.Block != blockID(3) {
		t.Errorf("asked %+v: want the only one who announced block 3", f)
	}
}

// When nobody who announced a block is left, others are asked whether they have it.
func TestStrandedBlockIsPulled(t *testing.T) {
	e := engine("a", "b")
	hear(e, at(0), "a", ann(1, 1, 0))
	e.PeerDown(at(10), "a")
	e.Effects()
	e.Tick(at(110))
	if p := only[*message.Pull](t, e); p.To[0] != "b" || len(p.Msg.Have) > 0 {
		t.Fatalf("pull is %+v: want one of b that has nothing", p)
	}
	answer := ann(1, 1)
	answer.Complete, answer.Pulled = true, true
	hear(e, at(150), "b", answer)
	if f := only[*message.Fetch](t, e); f.To[0] != "b" {
		t.Errorf("asked %+v: want b", f)
	}
}

// Who claims that an announcement answers a pull cannot keep it from being passed on.
func TestBlockThatWasPulledIsPassedOnWhenPushed(t *testing.T) {
	e := engine("a", "b", "c")
	pulled := ann(1, 1)
	pulled.Pulled = true
	hear(e, at(0), "a", pulled)
	want(t, e, effect.Assemble{Block: blockID(1)})
	hear(e, at(1), "b", ann(1, 1))
	if x := only[*message.Announce](t, e); len(x.To) != 2 {
		t.Errorf("passed on to %v: want a and c", x.To)
	}
	hear(e, at(2), "c", ann(1, 1))
	want(t, e)
}

func TestNeighbourHasOneRequestPerBlockWaiting(t *testing.T) {
	e := engine("a", "b")
	hear(e, at(0), "a", ann(1, 1, 2))
	e.Effects()
	e.Asked(at(1), "b", &message.Fetch{Number: 1, Block: blockID(1), At: []uint32{2}, Wait: time.Second})
	e.Asked(at(2), "b", &message.Fetch{Number: 2, Block: blockID(1), At: []uint32{2}, Wait: time.Second})
	want(t, e, refusedTo("b", 1, 1))
}

// A neighbour that claims a great height does not keep a gap below a signed
// header from being pulled.
func TestLyingTipDoesNotHideAGap(t *testing.T) {
	e := New(Config{Fanout: 10, CatchupGap: 8}, 1, start, block.Tip{})
	e.PeerUp(start, "evil", 1<<40)
	e.PeerUp(start, "b", 0)
	hear(e, at(0), "b", ann(2, 2))
	e.Effects()
	e.Tick(at(100))
	only[*message.Pull](t, e)
}

func TestMemoryIsBounded(t *testing.T) {
	e := engine("a")
	for n := uint64(1); n <= 3*keep; n++ {
		var id block.ID
		id[0], id[1] = byte(n), byte(n>>8)
		hear(e, start, "a", news{message.Announce{Block: message.Block{ID: id, Height: n, Txs: 1}}, nil})
		e.Checked(id)
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
		hear(e, at(i), p, first)
	}
	var waits []time.Duration
	for ms := 4; ms < 3200; ms++ {
		for _, f := range tells[*message.Fetch](e.Effects()) {
			waits = append(waits, f.Msg.Wait)
		}
		e.Tick(at(ms))
	}
	if want := []time.Duration{500 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("requests waited for %v: want %v", waits, want)
	}
	bring(e, at(3200), "a", 1, blockID(1), 0) // late by 2.7 s
	e.Tick(at(4500))                          // the last request would be over by now
	if list := e.Effects(); len(list) > 0 {
		t.Errorf("while an answer is coming the engine wants %+v", list)
	}
	bring(e, at(5000), "a", 1, blockID(1), 1, 2)
	want(t, e, effect.Assemble{Block: blockID(1)})
}
