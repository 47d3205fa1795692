package fresh

import (
	"fmt"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// cold announces a block of four transactions that nobody has but complete senders.
func cold(n byte) news {
	a := ann(n, uint64(n), 0, 1, 2, 3)
	a.Complete = true
	return a
}

// nextFetch ticks until a request is sent, and returns it and how long that took.
func nextFetch(t *testing.T, e *Engine, from time.Time) (told[*message.Fetch], time.Duration) {
	t.Helper()
	for now := from; now.Sub(from) < time.Minute; now = e.Deadline() {
		if now != from {
			e.Tick(now)
		}
		if f := tells[*message.Fetch](e.Effects()); len(f) > 0 {
			return f[0], now.Sub(from)
		}
	}
	t.Fatal("nothing was asked within a minute")
	return told[*message.Fetch]{}, 0
}

// A late answer that was coming, and a source that is left.
func lateAnswer(t *testing.T) (*Engine, *message.Fetch) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	for _, p := range []wire.PeerID{"a", "b", "c"} {
		e.PeerUp(start, p, 0)
	}
	hear(e, at(0), "a", cold(1))
	f, _ := nextFetch(t, e, at(0))
	e.Tick(at(500))
	hear(e, at(550), "b", cold(1))
	g, _ := nextFetch(t, e, at(550))
	bring(e, at(2000), "a", f.Msg.Number, f.Msg.Block, 0)
	refuse(e, at(2100), "b", g.Msg.Number, f.Msg.Block)
	hear(e, at(2150), "c", cold(1))
	e.Effects()
	return e, f.Msg
}

func TestALateAnswersSenderIsGone(t *testing.T) {
	e, _ := lateAnswer(t)
	e.PeerDown(at(2200), "a")
	if f, took := nextFetch(t, e, at(2200)); took > 0 || f.To[0] != "c" {
		t.Errorf("%q is asked after %v: want c at once", f.To, took)
	}
}

func TestALateAnswerIsCutShort(t *testing.T) {
	e, f := lateAnswer(t)
	refuse(e, at(2200), "a", f.Number, f.Block)
	if f, took := nextFetch(t, e, at(2200)); took > 0 {
		t.Errorf("%q is asked after %v: want another at once", f.To, took)
	}
}

// A request is not lost while its connection stands: who owes an answer is not asked
// again for the same block, and whoever announces it later is.
func TestWhoOwesABodyIsNotAskedAgain(t *testing.T) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	e.PeerUp(start, "a", 0)
	e.PeerUp(start, "b", 0)
	hear(e, start, "a", cold(1))
	nextFetch(t, e, start)
	now := start
	for now.Sub(start) < 5*time.Minute {
		now = e.Deadline()
		e.Tick(now)
		if f := tells[*message.Fetch](e.Effects()); len(f) > 0 {
			t.Fatalf("after %v a is sent %+v", now.Sub(start), f)
		}
	}
	hear(e, now, "b", cold(1))
	if f, took := nextFetch(t, e, now); f.To[0] != "b" || took > 0 {
		t.Errorf("%q is asked after %v: want b at once", f.To, took)
	}
	e.PeerDown(now, "a")
	e.PeerUp(now, "a", 0)
	hear(e, now, "a", cold(1))
	if f, _ := nextFetch(t, e, now); f.To[0] != "a" {
		t.Errorf("over a new connection %q is asked, want a", f.To)
	}
}

// requests ticks for a while, announcing what again says at its time, and returns what
// is asked of whom. A request to somebody of refusing is refused at once.
func requests(e *Engine, from, upto int, refusing wire.PeerID, again func(ms int) (news, bool)) (asked []told[*message.Fetch], when []int) {
	for ms := from; ms < upto; ms += 10 {
		if a, ok := again(ms); ok {
			e.Announced(at(ms), "hostile", &a.Announce, nil)
		}
		if d := e.Deadline(); !d.IsZero() && !d.After(at(ms)) {
			e.Tick(at(ms))
		}
		for _, f := range tells[*message.Fetch](e.Effects()) {
			asked, when = append(asked, f), append(when, ms)
			if f.To[0] == refusing {
				refuse(e, at(ms), refusing, f.Msg.Number, f.Msg.Block)
			}
		}
	}
	return asked, when
}

// Whoever announces a block again and again does not put the next round of asking off.
func TestAnnouncementsDoNotPutTheNextRoundOff(t *testing.T) {
	e := New(Config{Fanout: 10, Mode: PushOnly}, 1, start, block.Tip{})
	e.PeerUp(start, "honest", 0)
	e.PeerUp(start, "hostile", 0)
	hear(e, at(0), "honest", cold(1))
	f, _ := nextFetch(t, e, at(0))
	refuse(e, at(1), "honest", f.Msg.Number, f.Msg.Block) // its queue was full
	asked, when := requests(e, 10, 2000, "hostile", func(ms int) (news, bool) { return cold(1), ms%400 == 0 })
	for i, f := range asked {
		if f.To[0] == "honest" {
			if when[i] > 1000 { // a time-out after the one that announced it last was asked
				t.Errorf("the peer that has the block is asked again after %d ms, want 900", when[i])
			}
			return
		}
	}
	t.Error("the peer that has the block is not asked again")
}

// Transactions that come along with announcements do not give more time to a silent peer
// that was asked.
func TestPrefillGivesASilentPeerNoTime(t *testing.T) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	for _, p := range []wire.PeerID{"silent", "honest", "hostile"} {
		e.PeerUp(start, p, 0)
	}
	a := cold(1)
	a.Block.Txs = 200
	e.Announced(at(0), "silent", &a.Announce, nil)
	e.Announced(at(1), "honest", &a.Announce, nil)
	asked, when := requests(e, 10, 5000, "", func(ms int) (news, bool) {
		again := a
		again.At, again.Sizes = []uint32{uint32(ms / 400)}, []int{txBytes}
		return again, ms%400 == 0
	})
	if len(asked) < 2 || asked[1].To[0] != "honest" || when[1] > 510 {
		t.Errorf("asked are %+v at %v ms: want the silent peer, and the honest one 500 ms later", asked, when)
	}
}

// An answer that comes after ten minutes tells little of what the next ones take.
func TestOneVeryLateAnswer(t *testing.T) {
	e := engine("a")
	e.learn(10 * time.Minute)
	for range 15 {
		e.learn(10 * time.Millisecond)
	}
	if e.patience > DefaultFetchTimeout {
		t.Errorf("after 15 answers within 10 ms the time-out is %v", e.patience)
	}
}

// Answers to no pull do not put off the pull for a gap.
func TestUnaskedAnswersDoNotPutAPullOff(t *testing.T) {
	for name, say := range map[string]func(e *Engine, now time.Time){
		"tips": func(e *Engine, now time.Time) { e.TipTold(now, "hostile", &message.Tip{Height: 1}) },
		"announcements": func(e *Engine, now time.Time) {
			a := cold(3)
			a.Pulled = true
			hear(e, now, "hostile", a)
		},
	} {
		e := New(Config{Fanout: 10, PullEvery: time.Hour}, 1, start, block.Tip{})
		e.PeerUp(start, "honest", 0)
		e.PeerUp(start, "hostile", 0)
		e.Effects()
		hear(e, at(0), "honest", cold(3)) // 1 and 2 are lacking
		pulled := false
		for ms := 0; ms < 5000 && !pulled; ms += 10 {
			if ms%50 == 0 {
				say(e, at(ms))
			}
			if !e.Deadline().After(at(ms)) {
				e.Tick(at(ms))
			}
			for _, p := range tells[*message.Pull](e.Effects()) {
				pulled = pulled || p.To[0] == "honest"
			}
		}
		if !pulled {
			t.Errorf("%s: the honest peer is not asked for the gap", name)
		}
	}
}

// Those who announce a block first and do not deliver leave room for who comes later.
func TestWhoFailsMakesRoomForOtherSources(t *testing.T) {
	e := New(Config{Fanout: 10, Mode: PushOnly}, 1, start, block.Tip{})
	for i := range sourcesMax + 1 {
		e.PeerUp(start, wire.PeerID(fmt.Sprintf("liar %02d", i)), 0)
	}
	e.PeerUp(start, "honest", 0)
	for i := range sourcesMax + 1 {
		hear(e, at(0), wire.PeerID(fmt.Sprintf("liar %02d", i)), cold(1))
	}
	asked := map[wire.PeerID]bool{}
	for ms := 0; ms < 10_000; ms += 50 {
		if ms == 1000 {
			hear(e, at(ms), "honest", cold(1))
		}
		e.Tick(at(ms))
		for _, f := range tells[*message.Fetch](e.Effects()) {
			asked[f.To[0]] = true
			if f.To[0] != "honest" {
				refuse(e, at(ms), f.To[0], f.Msg.Number, f.Msg.Block)
			}
		}
	}
	if !asked["honest"] {
		t.Errorf("of %d that were asked none is honest", len(asked))
	}
}

// An answer that trickles is left for another source, though it goes on.
func TestTrickleIsLeft(t *testing.T) {
	e := New(Config{Fanout: 10, Mode: PushOnly}, 1, start, block.Tip{})
	e.PeerUp(start, "slow", 0)
	e.PeerUp(start, "honest", 0)
	places := make([]uint32, 100)
	for i := range places {
		places[i] = uint32(i)
	}
	n := ann(1, 1, places...)
	n.Complete, n.Block.Txs, n.Block.Bytes = true, len(places), len(places)*txBytes
	hear(e, at(0), "slow", n)
	hear(e, at(1), "honest", n)
	f := tells[*message.Fetch](e.Effects())[0]
	for i := range 50 {
		now := at(400 * (i + 1))
		bring(e, now, "slow", f.Msg.Number, f.Msg.Block, uint32(i))
		e.Tick(now)
		for _, g := range tells[*message.Fetch](e.Effects()) {
			if g.To[0] == "honest" {
				if i > 6 {
					t.Errorf("another is asked after %d ms", 400*(i+1))
				}
				return
			}
		}
	}
	t.Error("nobody else is asked")
}
