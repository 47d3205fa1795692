package txs

import (
	"math"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func TestOneSideOfAConnectionComparesAtOnce(t *testing.T) {
	r := NewReconciler(Config{Self: "m"}, 1, start)
	r.PeerUp(at(0), "z")
	r.PeerUp(at(0), "a")
	got := compared(r)
	if len(got) != 1 || got[0].With != "z" || got[0].Low != 0 {
		t.Fatalf("compares %+v: want z, from 0; a begins itself", got)
	}
}

// compared drains the comparisons, and leaves out requests.
func compared(r *Reconciler) (list []Compare) {
	for _, x := range r.Effects() {
		if c, ok := x.(Compare); ok {
			list = append(list, c)
		}
	}
	return list
}

func TestLongPoolsAreComparedRangeByRange(t *testing.T) {
	r := NewReconciler(Config{Self: "a"}, 1, start)
	r.PeerUp(at(0), "b")
	x := compared(r)[0]
	r.Sent("b", 1000)
	r.Named(at(5), "b", block.SipKey{K0: 1}, true, nil) // of another exchange
	if got := r.Effects(); len(got) > 0 {
		t.Fatalf("a stale reply went on with %+v", got)
	}
	r.Named(at(10), "b", x.Salt, true, nil)
	got := compared(r)
	if len(got) != 1 || got[0].Low != 1001 || got[0].Salt != x.Salt {
		t.Fatalf("goes on with %+v: want from 1001 under the same salt", got)
	}
	r.Sent("b", math.MaxUint64)
	r.Named(at(20), "b", x.Salt, true, nil)
	if got := r.Effects(); len(got) > 0 || len(r.running) > 0 {
		t.Fatalf("a comparison that covered all goes on: %+v", got)
	}
}

// What a neighbour lacks nobody is asked for twice at once, and a comparison goes on when
// it has come: with the same range, where the answer was cut short.
func TestRequestsFollowOneAnother(t *testing.T) {
	r := NewReconciler(Config{Self: "a"}, 1, start)
	for _, p := range []wire.PeerID{"b", "c"} {
		r.PeerUp(at(0), p)
		r.Useful(p)
	}
	list := compared(r)
	x, y := list[0], list[1]
	r.Sent("b", 1000)
	r.Sent("c", math.MaxUint64)
	r.Named(at(10), "b", x.Salt, true, []uint64{1, 2, 3})
	if got := r.Effects(); len(got) != 1 || got[0].(Ask).Of != "b" || len(got[0].(Ask).Hashes) != 3 {
		t.Fatalf("asks %+v, want b for three", got)
	}
	r.Named(at(20), "c", y.Salt, true, []uint64{4, 5})
	if got := r.Effects(); len(got) > 0 {
		t.Fatalf("asks %+v though b has not answered", got)
	}
	r.Came(at(30), "b", WantBytes-50, 1, 100)
	r.Came(at(40), "b", 0, 0, 100)
	if got := compared(r); len(got) != 1 || got[0].Low != 0 || got[0].Salt != x.Salt {
		t.Fatalf("after an answer that was cut short compares %+v, want the same range", got)
	}
	r.Named(at(50), "b", x.Salt, true, []uint64{3})
	r.Effects()
	r.Came(at(60), "b", 50, 1, 100)
	r.Came(at(70), "b", 0, 0, 100)
	if got := compared(r); len(got) != 1 || got[0].Low != 1001 {
		t.Fatalf("after a whole answer compares %+v, want the next range", got)
	}
	if r.Stats().Lacked != 6 {
		t.Errorf("lacked %d, want 6", r.Stats().Lacked)
	}
}

// An answer that is cut short is followed at once by another comparison, also when the
// neighbour had begun the last.
func TestAnswerCutShortIsFollowedByAComparison(t *testing.T) {
	r := NewReconciler(Config{Self: "z"}, 1, start)
	r.PeerUp(at(0), "b")
	r.Named(at(10), "b", block.SipKey{K0: 9}, false, []uint64{1, 2})
	r.Effects()
	r.Came(at(20), "b", WantBytes, 1, 100)
	r.Came(at(20), "b", 0, 0, 100)
	got := compared(r)
	if len(got) != 1 || got[0].With != "b" || got[0].First {
		t.Fatalf("compares %+v, want with b", got)
	}
	r.Sent("b", math.MaxUint64)
	r.Named(at(30), "b", got[0].Salt, true, []uint64{1, 2})
	r.Effects()
	r.Came(at(40), "b", WantBytes, 0, 100) // the pool is full
	r.Came(at(40), "b", 0, 0, 100)
	if got := r.Effects(); len(got) > 0 {
		t.Errorf("after an answer that was of no use goes on with %+v", got)
	}
}

// Who does not answer is waited for the longer the more often that happens; others than
// useful neighbours hold up only one another.
func TestUnansweredRequestsMakeRoom(t *testing.T) {
	r := NewReconciler(Config{Self: "z"}, 1, start)
	for _, p := range []wire.PeerID{"b", "c", "d", "useful"} {
		r.PeerUp(at(0), p)
	}
	r.Useful("useful")
	ask := func(ms int, p wire.PeerID) bool { return r.Ask(at(ms), p, block.SipKey{}, []uint64{1}) }
	if !ask(0, "b") || ask(1999, "c") || !ask(1999, "useful") {
		t.Fatal("want b asked, c not meanwhile, and the useful one all the same")
	}
	if !ask(2000, "c") || ask(5999, "d") || !ask(6000, "d") {
		t.Error("want c asked after two seconds of silence, and d after four more")
	}
	r.PeerDown("d")
	if !ask(18_000, "b") {
		t.Error("who is gone is waited for")
	}
	r.Came(at(18_100), "b", 10, 1, 100)
	r.Came(at(18_100), "b", 0, 0, 100)
	if !ask(18_200, "b") || ask(20_199, "b") {
		t.Error("an answer does not bring the first time-out back")
	}
}

// A neighbour that names what it does not bring, again and again, leaves most of the time
// to others; nor does it help it to bring what is known, drop by drop.
func TestVainAnswersLeaveTimeToOthers(t *testing.T) {
	for name, trickle := range map[string]bool{"nothing comes": false, "what is known comes in drops": true} {
		t.Run(name, func(t *testing.T) {
			r := NewReconciler(Config{Self: "z"}, 1, start)
			for _, p := range []wire.PeerID{"liar", "honest"} {
				r.PeerUp(start, p)
				r.Useful(p)
			}
			right := 0
			for ms := 0; ms < 600_000; ms += 50 {
				r.Named(at(ms), "liar", block.SipKey{K0: 1}, false, []uint64{1, 2, 3})
				if trickle {
					r.Came(at(ms), "liar", 100, 0, 100)
				}
				if ms%1500 == 0 && r.Ask(at(ms), "honest", block.SipKey{}, []uint64{7}) {
					right++
					r.Came(at(ms+10), "honest", 100, 1, 100)
					r.Came(at(ms+10), "honest", 0, 0, 100)
				}
			}
			if right < 300 {
				t.Errorf("of 400 requests to an honest neighbour %d found their place free", right)
			}
		})
	}
}

// One whose answer came too late is asked again.
func TestLateAnswersAreForgiven(t *testing.T) {
	r := NewReconciler(Config{Self: "z"}, 1, start)
	r.PeerUp(start, "slow")
	r.PeerUp(start, "other")
	r.Ask(at(0), "slow", block.SipKey{}, []uint64{1})
	r.Ask(at(2500), "other", block.SipKey{}, []uint64{1})
	r.Came(at(2600), "other", 10, 1, 100)
	r.Came(at(2600), "other", 0, 0, 100)
	if r.Ask(at(2700), "slow", block.SipKey{}, []uint64{1}) {
		t.Error("it is asked again at once")
	}
	r.Came(at(2800), "slow", 10, 1, 100)
	if !r.Ask(at(2900), "slow", block.SipKey{}, []uint64{1}) {
		t.Error("it is not asked again after its answer has come")
	}
}

func TestExchangesAreJitteredAndEndWithoutAnAnswer(t *testing.T) {
	r := NewReconciler(Config{Self: "z"}, 1, start)
	for _, p := range []wire.PeerID{"a", "b", "c"} {
		r.PeerUp(start, p)
	}
	now, salts, peers := start, map[block.SipKey]bool{}, map[wire.PeerID]bool{}
	for range 200 {
		next := r.Deadline()
		if next.Before(now) || next.Sub(now) > 2*time.Second {
			t.Fatalf("next deadline is %v away", next.Sub(now))
		}
		now = next
		r.Tick(now)
		for _, x := range compared(r) {
			salts[x.Salt], peers[x.With] = true, true
		}
	}
	s := r.Stats()
	if len(salts) != int(s.Exchanges) || len(peers) != 3 {
		t.Errorf("%d salts in %d exchanges with %d peers: want a fresh salt each, and all three peers", len(salts), s.Exchanges, len(peers))
	}
	if s.Timeouts < s.Exchanges-3 || s.Timeouts == 0 {
		t.Errorf("%d of %d exchanges without an answer ended", s.Timeouts, s.Exchanges)
	}
}

func tx(size int) *block.Tx {
	return block.TxFields{Expiry: 1, Payload: make([]byte, size-block.TxOverhead)}.Seal(block.Signature{})
}

func TestBatcher(t *testing.T) {
	var b Batcher
	if !b.Deadline().IsZero() || b.Peek(at(0)) != nil {
		t.Fatal("an empty batcher has something due")
	}
	b.Add(tx(200))
	if got := b.Peek(at(0)); len(got) != 1 {
		t.Fatalf("the first transaction after a pause waits: %d due", len(got))
	}
	b.Took(at(0), 1)
	b.Add(tx(200), tx(200))
	if b.Peek(at(49)) != nil {
		t.Error("a small batch went out 49 ms after the last")
	}
	if got := b.Peek(at(50)); len(got) != 2 || !b.Deadline().Equal(at(50)) {
		t.Errorf("%d due at 50 ms, deadline %v", len(got), b.Deadline().Sub(start))
	}
	b.Took(at(50), 2)
	for range 200 {
		b.Add(tx(1000))
	}
	for n := 200; n > 0; {
		got := b.Peek(at(51)) // full batches do not wait
		if n >= 33 && len(got) != 32 {
			t.Fatalf("%d transactions of 1 kB in a batch, want 32 within %d bytes", len(got), BatchBytes)
		}
		if len(got) == 0 {
			got = b.Peek(at(101))
		}
		b.Took(at(51), len(got))
		n -= len(got)
	}
	b.Add(tx(60_000))
	if got := b.Peek(at(200)); len(got) != 1 {
		t.Errorf("a transaction larger than a batch: %d due, want it alone", len(got))
	}
}
