package fresh

import (
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
