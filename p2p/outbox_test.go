package p2p

import (
	"testing"
)

func TestOutboxIsBoundedInBytes(t *testing.T) {
	spent := 0
	total := &budget{limit: 100, spent: func() { spent++ }}
	a, b := newOutbox(60, total), newOutbox(60, total)
	check := func(o *outbox, n int, want bool) {
		t.Helper()
		if got := o.put(make([]byte, n)); got != want {
			t.Errorf("put of %d bytes: %v, want %v", n, got, want)
		}
	}
	check(a, 40, true)
	check(a, 21, false) // its own bound
	check(a, 20, true)
	check(b, 41, false) // the bound of all
	check(b, 40, true)
	msgs, closed := a.take()
	if len(msgs) != 2 || closed {
		t.Errorf("took %d messages, closed %v", len(msgs), closed)
	}
	check(a, 1, false) // what is being written still counts
	a.release(40)
	check(a, 30, true)
	b.drop()
	check(b, 1, false)
	if got := total.used.Load(); got != 50 {
		t.Errorf("%d bytes in all, want 50", got)
	}
	a.drop()
	a.release(20)
	if got := total.used.Load(); got != 0 {
		t.Errorf("%d bytes at the end", got)
	}
	if spent != 1 {
		t.Errorf("told %d times that the bound is reached", spent)
	}
}
