package fresh

import (
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// with is an engine with neighbours of tip 0, whose clock starts at start.
func with(cfg Config, neighbours ...wire.PeerID) *Engine {
	e := New(cfg, 1, start, block.Tip{})
	for _, p := range neighbours {
		e.PeerUp(start, p, 0)
	}
	e.Effects()
	return e
}

// header announces a block of four transactions by its header alone.
func header(n byte, height uint64, hop int) Announcement {
	a := ann(n, height, 0, 1, 2, 3)
	a.Hop, a.Complete, a.Digest = hop, true, true
	return a
}

// pushed announces that the body follows.
func pushed(n byte, height uint64, hop int) Announcement {
	a := header(n, height, hop)
	a.Digest, a.Body = false, true
	return a
}

// announces returns the announcements among the effects.
func announces(e *Engine) (out []Announce) {
	for _, x := range e.Effects() {
		if a, ok := x.(Announce); ok {
			slices.Sort(a.To)
			out = append(out, a)
		}
	}
	return out
}

func TestPushedBodyIsAwaitedLikeAFetch(t *testing.T) {
	e := with(Config{Fanout: 10}, "a", "b", "c")
	e.Announced(at(0), "a", pushed(1, 1, 0))
	e.Announced(at(1), "b", header(1, 1, 0))
	want(t, e) // no request, and nothing to pass on before the transactions are named
	e.Arrived(at(400), "a", 0, blockID(1), []uint32{0})
	if got := e.Deadline(); !got.Equal(at(900)) {
		t.Fatalf("the deadline is %v after the start, want 500 ms after the last piece", got.Sub(start))
	}
	e.Tick(at(900))
	want(t, e, Fetch{To: "b", Block: blockID(1), Number: 1, At: []uint32{1, 2, 3}, Wait: 500 * time.Millisecond})
	if s := e.Stats(); s.FetchTimeouts != 1 {
		t.Errorf("%d time-outs, want one", s.FetchTimeouts)
	}
	e.Arrived(at(901), "a", 0, blockID(1), []uint32{1, 2, 3}) // late, and welcome
	want(t, e, Complete{blockID(1)})
	e.Checked(at(901), blockID(1))
	if x := announces(e); len(x) != 1 || !slices.Equal(x[0].To, []wire.PeerID{"c"}) || x[0].Body || x[0].Digest || !x[0].Complete {
		t.Errorf("passed on %+v: want the compact block to the one that lacks it", x)
	}
}

// A body that is announced to come ends a time of asking nobody, and one that breaks
// off with its sender makes others be asked.
func TestPushedBodyTakesTheFetchsPlace(t *testing.T) {
	e := with(Config{Fanout: 10}, "a", "b", "c", "d")
	e.Announced(at(0), "a", header(1, 1, 0))
	if f := only[Fetch](t, e); f.To != "a" {
		t.Fatalf("asked %+v, want a", f)
	}
	e.Refused(at(1), "a", 1, blockID(1))
	e.Announced(at(2), "b", pushed(1, 1, 0))
	e.Tick(at(501)) // a's second round would begin
	want(t, e)
	e.PeerDown(at(502), "b")
	e.Announced(at(503), "c", header(1, 1, 0))
	if f := only[Fetch](t, e); f.To != "c" {
		t.Errorf("asked %+v, want c", f)
	}
	e.Announced(at(504), "d", pushed(1, 1, 0))
	e.Refused(at(505), "c", 0, blockID(1)) // of what was pushed: the request stands
	want(t, e)
	e.Refused(at(506), "c", 2, blockID(1))
	if f := only[Fetch](t, e); f.To != "d" || f.Number != 3 {
		t.Errorf("asked %+v, want d", f)
	}
	e.Announced(at(507), "b", pushed(2, 2, 0)) // no neighbour
	want(t, e)
	here := pushed(2, 2, 0)
	here.Missing = nil
	e.Announced(at(508), "c", here)
	want(t, e, Complete{blockID(2)})
}

// A body that is not the one its header commits to is told once, whatever is on its
// way; the list of IDs names the transactions.
func TestWrongBodyIsSettledByTheListOfIDs(t *testing.T) {
	e := with(Config{Fanout: 10}, "a", "b")
	e.Announced(at(0), "a", header(1, 1, 0))
	e.Effects()
	e.Arrived(at(1), "a", 1, blockID(1), []uint32{0, 1})
	e.Mismatched(at(2), blockID(1)) // too many bytes
	e.Mismatched(at(3), blockID(1))
	want(t, e, Fetch{To: "a", Block: blockID(1), Number: 2, Wait: 500 * time.Millisecond})
	e.Listed(at(4), blockID(1), []uint32{1, 2, 3})
	want(t, e, Announce{To: []wire.PeerID{"b"}, Block: blockID(1), Hop: 1},
		Fetch{To: "a", Block: blockID(1), Number: 3, At: []uint32{1, 2, 3}, Wait: 500 * time.Millisecond})
	if s := e.Stats(); s.Mismatches != 1 {
		t.Errorf("%d mismatches, want one", s.Mismatches)
	}
}

// When the transactions are named and all are in the pool, nothing is waited for.
func TestNamesOfWhatIsHereEndTheFetch(t *testing.T) {
	e := with(Config{Fanout: 10}, "a", "b")
	e.Announced(at(0), "a", header(1, 1, 0))
	e.Effects()
	e.Announced(at(1), "b", ann(1, 1))
	if x := e.Effects(); len(x) != 2 || x[1] != (Complete{blockID(1)}) {
		t.Errorf("%s: want it passed on, and complete", show(x))
	}
}

func TestBodyIsPassedOnWhenItWasChecked(t *testing.T) {
	e := with(Config{Fanout: 10, BodyHops: 2}, "a", "b")
	e.Announced(at(0), "a", pushed(1, 1, 0))
	e.Arrived(at(1), "a", 0, blockID(1), []uint32{0, 1, 2, 3})
	want(t, e, Complete{blockID(1)})
	e.Checked(at(1), blockID(1))
	want(t, e, Announce{To: []wire.PeerID{"b"}, Block: blockID(1), Hop: 1, Complete: true, Body: true})
	// The next hop would carry no body: a digest goes on at once.
	e.Announced(at(2), "a", pushed(2, 2, 1))
	want(t, e, Announce{To: []wire.PeerID{"b"}, Block: blockID(2), Hop: 2, Digest: true})
	e.Arrived(at(3), "a", 0, blockID(2), []uint32{0, 1, 2, 3})
	e.Checked(at(3), blockID(2))
	want(t, e, Complete{blockID(2)})
	// What is short of a body is one all the same.
	e.Announced(at(4), "a", ann(3, 3))
	e.Checked(at(4), blockID(3))
	want(t, e, Complete{blockID(3)}, Announce{To: []wire.PeerID{"b"}, Block: blockID(3), Hop: 1, Complete: true, Body: true})
	e.Pulled(at(100), "b", 2, Window, nil)
	want(t, e, Announce{To: []wire.PeerID{"b"}, Block: blockID(3), Hop: 1, Complete: true, Pulled: true, Digest: true})
	if s := e.Stats(); s.Relayed != 3 || s.Bodies != 2 {
		t.Errorf("stats are %+v: want three announcements, two with bodies", s)
	}
}

// A block is passed on once for each hop count, up to the bound, also after it was
// accepted, and each time to neighbours drawn anew.
func TestContagionPassesOnOncePerHop(t *testing.T) {
	e := with(Config{Fanout: 10, BodyHops: 1, Contagion: 4, Blind: true}, "a", "b", "c")
	e.Announced(at(0), "a", header(1, 1, 1))
	if x := announces(e); len(x) != 1 || x[0].Hop != 2 || !slices.Equal(x[0].To, []wire.PeerID{"b", "c"}) {
		t.Fatalf("passed on %+v: want hop 2, to b and c", x)
	}
	e.Announced(at(1), "b", header(1, 1, 1))
	want(t, e)
	e.Announced(at(2), "b", header(1, 1, 3))
	if x := announces(e); len(x) != 1 || x[0].Hop != 4 || !slices.Equal(x[0].To, []wire.PeerID{"a", "c"}) {
		t.Errorf("passed on %+v: want hop 4, to a and c", x)
	}
	e.Announced(at(3), "c", header(1, 1, 4)) // the next would be beyond the bound
	want(t, e)
	e.Arrived(at(4), "a", 1, blockID(1), []uint32{0, 1, 2, 3})
	e.Checked(at(4), blockID(1))
	e.Accepted(at(4), block.Tip{Height: 1, ID: blockID(1)})
	e.Effects()
	e.Announced(at(5), "c", header(1, 1, 2))
	if x := announces(e); len(x) != 1 || x[0].Hop != 3 || !x[0].Complete {
		t.Errorf("passed on %+v after it was accepted: want hop 3, complete", x)
	}
}

// The producer sends to as many as it is told to; of the same block that comes back
// to it, it passes on like anybody.
func TestSourceFanout(t *testing.T) {
	e := with(Config{Fanout: 3, SourceFanout: 1, BodyHops: 1, Contagion: 9, Blind: true}, "a", "b", "c", "d")
	e.Proposed(at(0), ann(1, 1), []uint32{2})
	x := announces(e)
	if len(x) != 1 || len(x[0].To) != 1 || x[0].Hop != 0 || !x[0].Body || len(x[0].Prefill) > 0 {
		t.Fatalf("sent %+v: want the body to one, hop 0, nothing prefilled", x)
	}
	back := header(1, 1, 3)
	e.Announced(at(1), "a", back)
	if x := announces(e); len(x) != 1 || len(x[0].To) < 2 || x[0].Hop != 4 || !x[0].Digest {
		t.Errorf("passed on %+v: want a digest to two or three, hop 4", x)
	}
}

// Blind draws neighbours that are known to hold the block too, and then leaves out the
// one that it came from, so that it passes on to one less.
func TestBlindDraw(t *testing.T) {
	less, holders := 0, 0
	for seed := range uint64(100) {
		e := New(Config{Fanout: 2, Blind: true}, seed, start, block.Tip{})
		for _, p := range []wire.PeerID{"a", "b", "c", "d"} {
			e.PeerUp(start, p, 0)
		}
		e.PeerTip(start, "d", 5)
		e.Announced(at(0), "a", ann(1, 1))
		x := announces(e)
		if len(x) != 1 || slices.Contains(x[0].To, "a") || len(x[0].To) > 2 {
			t.Fatalf("passed on %+v", x)
		}
		less += 2 - len(x[0].To)
		if slices.Contains(x[0].To, "d") {
			holders++
		}
	}
	if less < 35 || less > 65 || holders < 35 || holders > 65 {
		t.Errorf("of 100 blocks %d went to one less and %d to one that holds them: want about half each", less, holders)
	}
}

// Blocks go out at the ticks of one cycle, and those of one tick to the same
// neighbours.
func TestBatchGoesOutAtTicks(t *testing.T) {
	cfg := Config{Fanout: 2, Batch: 10 * time.Millisecond, GapDelay: -1}
	e := with(cfg, "a", "b", "c", "d", "e", "f")
	e.Announced(at(20), "a", ann(1, 1))
	e.Announced(at(21), "a", ann(2, 2))
	for _, x := range e.Effects() {
		if _, ok := x.(Complete); !ok {
			t.Fatalf("%+v before the tick", x)
		}
	}
	tick := e.Deadline()
	if tick.Before(at(20)) || tick.After(at(30)) {
		t.Fatalf("the tick is %v after the start, want within 10 ms", tick.Sub(start))
	}
	e.Tick(tick.Add(-1))
	want(t, e)
	e.Tick(tick)
	x := announces(e)
	if len(x) != 2 || len(x[0].To) != 2 || !slices.Equal(x[0].To, x[1].To) {
		t.Fatalf("passed on %+v: want both to the same two", x)
	}
	e.Announced(at(1024), "b", ann(3, 3))
	if next := e.Deadline(); next.Sub(tick)%cfg.Batch != 0 || next.Sub(at(1024)) > cfg.Batch {
		t.Errorf("the next tick is %v after the first: want the same cycle", next.Sub(tick))
	}
	e.Rejected(at(1025), blockID(3))
	e.Effects()
	e.Tick(at(1040))
	if x := announces(e); len(x) > 0 {
		t.Errorf("%+v was passed on, which can stand nowhere", x)
	}
	early, late := false, false
	for seed := range uint64(20) {
		e := New(cfg, seed, start, block.Tip{})
		e.PeerUp(start, "a", 0)
		e.Announced(start, "a", ann(1, 1))
		early, late = early || e.Deadline().Before(at(3)), late || e.Deadline().After(at(7))
	}
	if !early || !late {
		t.Errorf("ticks come early %v and late %v: want a random phase", early, late)
	}
}

// Of two blocks in a tick each is kept from the one that it came from, and from no other.
func TestBatchLeavesOutWhoTold(t *testing.T) {
	e := with(Config{Fanout: 10, Batch: 10 * time.Millisecond, GapDelay: -1}, "a", "b", "c")
	e.Announced(at(20), "a", ann(1, 1))
	e.Announced(at(20), "b", ann(2, 2))
	e.Effects()
	e.Tick(at(40))
	x := announces(e)
	if len(x) != 2 || !slices.Equal(x[0].To, []wire.PeerID{"b", "c"}) || !slices.Equal(x[1].To, []wire.PeerID{"a", "c"}) {
		t.Errorf("passed on %+v: want the first to b and c, the second to a and c", x)
	}
}

// What pulls bring is fetched when the wait is over, of a random one of those that
// answered; what is pushed meanwhile is no answer to a pull.
func TestDigestWait(t *testing.T) {
	cfg := Config{PullEvery: 4 * time.Second, PullFixed: true, PullPeers: 3, DigestWait: time.Second, GapDelay: -1, BodyHops: 9, Fanout: 1, FetchTimeout: 2 * time.Second}
	asked := map[wire.PeerID]int{}
	early, late := false, false
	for seed := range uint64(30) {
		e := New(cfg, seed, start, block.Tip{})
		for _, p := range []wire.PeerID{"a", "b", "c"} {
			e.PeerUp(start, p, 0)
		}
		first := e.Deadline()
		if d := first.Sub(start); d < 0 || d > 4*time.Second {
			t.Fatalf("the first pull is due after %v, want within a period", d)
		} else {
			early, late = early || d < time.Second, late || d > 3*time.Second
		}
		e.Tick(first)
		if x := e.Effects(); len(x) != 3 {
			t.Fatalf("%s: want three pulls", show(x))
		}
		answer := header(1, 1, 3)
		answer.Pulled = true
		second := header(2, 2, 3)
		second.Pulled = true
		for i, p := range []wire.PeerID{"a", "b", "c"} {
			e.Announced(first.Add(time.Duration(i+1)*100*time.Millisecond), p, answer)
			e.Announced(first.Add(time.Duration(i+1)*100*time.Millisecond), p, second)
		}
		want(t, e)
		e.Announced(first.Add(500*time.Millisecond), "b", pushed(2, 2, 4))
		e.Tick(first.Add(999 * time.Millisecond))
		for _, x := range e.Effects() {
			if f, ok := x.(Fetch); ok {
				t.Fatalf("asked %+v during the wait", f)
			}
		}
		if f, _ := e.Facts(blockID(2)); f.Via != ViaPush || f.Hop != 4 || f.From != "b" {
			t.Fatalf("facts are %+v: want block 2 pushed by b", f)
		}
		e.Tick(first.Add(time.Second))
		f := only[Fetch](t, e)
		if f.Block != blockID(1) {
			t.Fatalf("asked %+v, want block 1", f)
		}
		asked[f.To]++
		e.Tick(first.Add(4*time.Second - 1))
		e.Effects()
		e.Tick(first.Add(4 * time.Second))
		only3[Pull](t, e)
	}
	if len(asked) != 3 || !early || !late {
		t.Errorf("asked %v: want all three, at random; first pulls early %v, late %v", asked, early, late)
	}
}

// What waits is known: the next pull does not ask for it again.
func TestWhatWaitsForItsFetchIsNotPulledAgain(t *testing.T) {
	e := with(Config{PullEvery: 500 * time.Millisecond, PullFixed: true, DigestWait: time.Minute, GapDelay: -1}, "a")
	first := e.Deadline()
	e.Tick(first)
	answer := ann(1, 1, 0)
	answer.Pulled = true
	e.Announced(first, "a", answer)
	e.Effects()
	e.Tick(first.Add(500 * time.Millisecond))
	if p := only[Pull](t, e); len(p.Have) != 1 {
		t.Errorf("pull is %+v: want it to name the block", p)
	}
}

func only3[T Effect](t *testing.T, e *Engine) {
	t.Helper()
	n := 0
	for _, x := range e.Effects() {
		if _, ok := x.(T); ok {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d effects of type %T, want 3", n, *new(T))
	}
}

func TestGapsCanBeLeftToThePeriodicPull(t *testing.T) {
	e := with(Config{GapDelay: -1, PullEvery: time.Hour, PullFixed: true}, "a", "b")
	e.Announced(at(0), "a", ann(2, 2))
	e.PeerTip(at(0), "b", 9)
	e.Effects()
	for ms := 100; ms <= 5000; ms += 100 {
		e.Tick(at(ms))
	}
	want(t, e)
}

func TestKeepBoundsWhatPullsAreAnsweredFrom(t *testing.T) {
	e := with(Config{Keep: 10}, "a", "b")
	for n := byte(1); n <= 30; n++ {
		e.Announced(at(int(n)), "a", ann(n, uint64(n)))
		e.Checked(at(int(n)), blockID(n))
		e.Accepted(at(int(n)), block.Tip{Height: uint64(n), ID: blockID(n)})
	}
	e.Effects()
	e.Pulled(at(1000), "b", 0, Window, nil)
	x := announces(e)
	if len(x) != 10 || x[0].Block != blockID(21) {
		t.Errorf("%d blocks answer the pull from %v on, want ten from 21 on", len(x), x[0].Block)
	}
}

// Nothing of a block whose transactions nobody has named is served, since nobody could
// tell whether it is right; once they are named, it is.
func TestUnnamedTransactionsAreNotServed(t *testing.T) {
	e := with(Config{Fanout: 10}, "a", "b", "c")
	e.Announced(at(0), "a", header(1, 1, 0))
	e.Effects()
	e.Arrived(at(1), "a", 1, blockID(1), []uint32{0, 1})
	e.Wanted(at(2), "c", 7, blockID(1), []uint32{0}, time.Minute)
	want(t, e)
	named := ann(1, 1, 1, 3) // 0 was right, 1 was not, 2 is in the pool
	e.Announced(at(3), "b", named)
	if x := announces(e); len(x) != 1 || x[0].Digest || x[0].Body || !slices.Equal(x[0].To, []wire.PeerID{"b", "c"}) {
		t.Errorf("passed on %+v: want the compact block to whom a's did not come from", x)
	}
	e.Arrived(at(4), "a", 1, blockID(1), []uint32{1, 2, 3})
	if x := e.Effects(); len(x) != 2 || x[0].(Serve).To != "c" || x[1] != (Complete{blockID(1)}) {
		t.Errorf("%s: want c served, and the block complete", show(x))
	}
	if f, _ := e.Facts(blockID(1)); f.Missing != 2 {
		t.Errorf("%d transactions were missing, want the two that pool and pieces lacked", f.Missing)
	}
}

// A request never says that it waits longer than others let it say.
func TestPatienceIsAtMostAMinute(t *testing.T) {
	e := with(Config{FetchTimeout: 50 * time.Second}, "a", "b")
	e.Announced(at(0), "a", ann(1, 1, 0))
	e.Effects()
	e.Arrived(at(45_000), "a", 1, blockID(1), []uint32{0})
	e.Announced(at(45_000), "a", ann(2, 2, 0))
	if f := only[Fetch](t, e); f.Wait != time.Minute {
		t.Errorf("the request waits %v, want a minute", f.Wait)
	}
	e = with(Config{FetchTimeout: time.Hour}, "a")
	e.Announced(at(0), "a", ann(1, 1, 0))
	if f := only[Fetch](t, e); f.Wait != time.Minute {
		t.Errorf("the request waits %v, want a minute", f.Wait)
	}
}

func TestPresetsReplay(t *testing.T) {
	for name, cfg := range map[string]Config{"fabric": fabric(), "fabric-enhanced": enhanced()} {
		run := func(seed uint64) uint64 {
			w := newNetwork(seed, 30, 8, cfg)
			w.loss = 0.1
			proposeMany(w, 10, 700*time.Millisecond, 5*time.Second, 10, 0.5)
			return w.trace.Sum64()
		}
		if a, b, c := run(7), run(7), run(8); a != b || a == c {
			t.Errorf("%s: seed 7 gave traces %x and %x, seed 8 %x", name, a, b, c)
		}
	}
}
