package fresh

import (
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// cold announces a block of four transactions that nobody has but complete senders.
func cold(n byte, body bool) Announcement {
	return Announcement{
		Block: blockID(n), Height: uint64(n), Parent: blockID(n - 1), Txs: 4,
		Missing: []uint32{0, 1, 2, 3}, Complete: true, Body: body,
	}
}

// nextFetch ticks until a request is sent, and returns it and how long that took.
func nextFetch(t *testing.T, e *Engine, from time.Time) (Fetch, time.Duration) {
	t.Helper()
	for now := from; now.Sub(from) < time.Minute; now = e.Deadline() {
		if now != from {
			e.Tick(now)
		}
		for _, x := range e.Effects() {
			if f, ok := x.(Fetch); ok {
				return f, now.Sub(from)
			}
		}
	}
	t.Fatal("nothing was asked within a minute")
	return Fetch{}, 0
}

// A late answer that was coming, and a source that is left.
func lateAnswer(t *testing.T) (*Engine, Fetch) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	for _, p := range []wire.PeerID{"a", "b", "c"} {
		e.PeerUp(start, p, 0)
	}
	e.Announced(at(0), "a", cold(1, false))
	f, _ := nextFetch(t, e, at(0))
	e.Tick(at(500))
	e.Announced(at(550), "b", cold(1, false))
	g, _ := nextFetch(t, e, at(550))
	e.Arrived(at(2000), "a", f.Number, f.Block, []uint32{0})
	e.Refused(at(2100), "b", g.Number, f.Block)
	e.Announced(at(2150), "c", cold(1, false))
	e.Effects()
	return e, f
}

func TestALateAnswersSenderIsGone(t *testing.T) {
	e, _ := lateAnswer(t)
	e.PeerDown(at(2200), "a")
	if f, took := nextFetch(t, e, at(2200)); took > 0 || f.To != "c" {
		t.Errorf("%q is asked after %v: want c at once", f.To, took)
	}
}

func TestALateAnswerIsCutShort(t *testing.T) {
	e, f := lateAnswer(t)
	e.Refused(at(2200), "a", f.Number, f.Block)
	if f, took := nextFetch(t, e, at(2200)); took > 0 {
		t.Errorf("%q is asked after %v: want another at once", f.To, took)
	}
}

// A body that was to follow its announcement and stopped half way: its sender was not
// asked for it, and may be.
func TestAPushedBodyIsCutShort(t *testing.T) {
	e := New(Config{Fanout: 10, BodyHops: 256, GapDelay: -1}, 1, start, block.Tip{})
	e.PeerUp(start, "a", 0)
	e.Announced(at(0), "a", cold(1, true))
	e.Arrived(at(10), "a", 0, blockID(1), []uint32{0, 1})
	if _, took := nextFetch(t, e, at(10)); took > 2*time.Second {
		t.Errorf("the rest is asked for after %v", took)
	}
}

// A neighbour that announces bodies and never sends them costs one time-out, not one
// for each block.
func TestPromisedBodiesDoNotDefeatShunning(t *testing.T) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	e.PeerUp(start, "evil", 0)
	e.PeerUp(start, "good", 0)
	now := start
	for n := byte(1); n <= 5; n++ {
		e.Announced(now, "evil", cold(n, true))
		e.Announced(now.Add(time.Millisecond), "good", cold(n, false))
		f, took := nextFetch(t, e, now.Add(time.Millisecond))
		if f.To != "good" || n > 1 && took > 200*time.Millisecond {
			t.Errorf("block %d is asked of %q after %v", n, f.To, took)
		}
		now = now.Add(took + 50*time.Millisecond)
		e.Arrived(now, "good", f.Number, blockID(n), []uint32{0, 1, 2, 3})
		e.Checked(now, blockID(n))
		e.Accepted(now, block.Tip{Height: uint64(n), ID: blockID(n)})
		e.Effects()
		now = now.Add(time.Second)
	}
}

// A request is not lost while its connection stands: who owes an answer is not asked
// again for the same block, and whoever announces it later is.
func TestWhoOwesABodyIsNotAskedAgain(t *testing.T) {
	e := New(Config{Fanout: 10}, 1, start, block.Tip{})
	e.PeerUp(start, "a", 0)
	e.PeerUp(start, "b", 0)
	e.Announced(start, "a", cold(1, false))
	nextFetch(t, e, start)
	now := start
	for now.Sub(start) < 5*time.Minute {
		now = e.Deadline()
		e.Tick(now)
		for _, x := range e.Effects() {
			if f, ok := x.(Fetch); ok {
				t.Fatalf("after %v a is sent %+v", now.Sub(start), f)
			}
		}
	}
	e.Announced(now, "b", cold(1, false))
	if f, took := nextFetch(t, e, now); f.To != "b" || took > 0 {
		t.Errorf("%q is asked after %v: want b at once", f.To, took)
	}
	e.PeerDown(now, "a")
	e.PeerUp(now, "a", 0)
	e.Announced(now, "a", cold(1, false))
	if f, _ := nextFetch(t, e, now); f.To != "a" {
		t.Errorf("over a new connection %q is asked, want a", f.To)
	}
}
