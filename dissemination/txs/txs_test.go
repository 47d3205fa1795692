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
	got := r.Effects()
	if len(got) != 1 || got[0].With != "z" || got[0].Low != 0 {
		t.Fatalf("compares %+v: want z, from 0; a begins itself", got)
	}
}

func TestLongPoolsAreComparedRangeByRange(t *testing.T) {
	r := NewReconciler(Config{Self: "a"}, 1, start)
	r.PeerUp(at(0), "b")
	x := r.Effects()[0]
	r.Sent("b", 1000)
	r.Replied(at(5), "b", block.SipKey{K0: 1}, 0) // of another exchange
	if got := r.Effects(); len(got) > 0 {
		t.Fatalf("a stale reply went on with %+v", got)
	}
	r.Replied(at(10), "b", x.Salt, 3)
	got := r.Effects()
	if len(got) != 1 || got[0].Low != 1001 || got[0].Salt != x.Salt {
		t.Fatalf("goes on with %+v: want from 1001 under the same salt", got)
	}
	r.Sent("b", math.MaxUint64)
	r.Replied(at(20), "b", x.Salt, 0)
	if got := r.Effects(); len(got) > 0 || len(r.running) > 0 {
		t.Fatalf("a comparison that covered all goes on: %+v", got)
	}
	if r.Stats().Lacked != 3 {
		t.Errorf("lacked %d, want 3", r.Stats().Lacked)
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
		for _, x := range r.Effects() {
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
