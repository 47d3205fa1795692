package txs

import (
	"testing"
	"time"
)

// use lets in what is let in, from second to second.
func use(a *Throttle, from, to int) {
	for s := from; s < to; s++ {
		a.Take(at(1000*s), int(a.Rate()), 0)
	}
}

func TestThrottleHalvesAndRecovers(t *testing.T) {
	a := NewThrottle(start)
	use(a, 0, 2)
	a.Overflowed(at(2000))
	a.Overflowed(at(2500)) // the same overflow
	if got := a.Rate(); got < throttleMost/2 || got > throttleMost/2+throttleStep {
		t.Fatalf("rate after one overflow is %.0f, want half of %d", got, throttleMost)
	}
	for i := 3; i < 43; i++ {
		use(a, i, i+1)
		a.Overflowed(at(1000*i + 900))
	}
	if got := a.Rate(); got < throttleLeast || got > 3*throttleStep {
		t.Fatalf("rate after forty seconds of overflow is %.0f", got)
	}
	low := a.Rate()
	a.Take(at(53_000), 0, 0)
	if a.Rate() < 2*low {
		t.Errorf("in ten seconds the rate grew from %.0f to %.0f", low, a.Rate())
	}
	a.Take(at(10_000_000), 0, 0)
	if a.Rate() != throttleMost {
		t.Errorf("the rate grew to %.0f, want %d", a.Rate(), throttleMost)
	}
}

// Half of what was let in is let in, not of what might have been.
func TestThrottleHalvesWhatIsUsed(t *testing.T) {
	a := NewThrottle(start)
	for s := range 3 {
		a.Take(at(1000*s), 1<<20, 0)
	}
	a.Overflowed(at(3000))
	if got := a.Rate(); got < 1<<18 || got > 1<<20 {
		t.Errorf("after a megabyte a second was too much %.0f bytes a second are let in", got)
	}
}

// While others are too far behind, less is let in by as much, and the rate grows again
// only when they are not.
func TestThrottleFollowsThoseBehind(t *testing.T) {
	a := NewThrottle(start)
	use(a, 0, 2)
	a.Behind(at(2000), throttleLag)
	if a.Rate() != throttleMost {
		t.Fatalf("with others no further behind than they may be, the rate is %.0f", a.Rate())
	}
	a.Behind(at(2500), 4*throttleLag)
	if got := a.Rate(); got > throttleMost/8 {
		t.Fatalf("with others far behind, the rate is %.0f", got)
	}
	full := a.Rate() * 4
	a.Behind(at(5000), 2*throttleLag) // less than before
	if got := a.Rate() * 2; got != full {
		t.Errorf("while they catch up, half and half again became %.0f and %.0f", full, got)
	}
	a.Behind(at(8000), 0)
	if got := a.Rate(); got != full {
		t.Errorf("when they have caught up the rate is %.0f, want to begin with %.0f", got, full)
	}
	a.Behind(at(9000), 0)
	if a.Rate() <= full {
		t.Error("and it does not grow")
	}
}

// However low the rate, nothing waits for ever.
func TestThrottleLetsInWhatIsLarge(t *testing.T) {
	a := NewThrottle(start)
	for s := range 100 {
		a.Behind(at(1000*s), time.Duration(s)*time.Second)
	}
	if wait, ok := a.Take(at(1_000_000), 8<<20, 0); !ok {
		t.Fatalf("eight megabytes wait %v after a pause at %.0f bytes a second", wait, a.Rate())
	}
	if wait, ok := a.Take(at(1_000_000), 1000, time.Minute); ok {
		t.Errorf("what comes after them waits %v", wait)
	}
}

func TestThrottleMakesSubmittersWait(t *testing.T) {
	a := NewThrottle(start)
	if wait, ok := a.Take(at(0), throttleMost, time.Second); wait != 0 || !ok {
		t.Fatalf("a burst of a second's worth waits %v, %v", wait, ok)
	}
	if wait, ok := a.Take(at(0), throttleMost/2, time.Second); wait != 500*time.Millisecond || !ok {
		t.Fatalf("half a second's worth more waits %v, %v", wait, ok)
	}
	wait, ok := a.Take(at(0), throttleMost, time.Second)
	if ok || wait != 1500*time.Millisecond {
		t.Fatalf("what would wait longer than it may: %v, %v", wait, ok)
	}
	if wait, ok := a.Take(at(0), throttleMost/4, time.Second); wait != 750*time.Millisecond || !ok {
		t.Errorf("what was turned away was counted all the same: the next waits %v, %v", wait, ok)
	}
	if wait, _ := a.Take(at(750), 0, 0); wait != 0 {
		t.Errorf("after the wait there is still %v to wait", wait)
	}
}
