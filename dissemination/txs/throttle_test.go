package txs

import (
	"testing"
	"time"
)

func TestThrottleHalvesAndRecovers(t *testing.T) {
	a := NewThrottle(start)
	a.Overflowed(at(0))
	a.Overflowed(at(500)) // the same overflow
	if got := a.Rate(); got < throttleMost/2 || got > throttleMost/2+throttleStep {
		t.Fatalf("rate after one overflow is %.0f, want half of %d", got, throttleMost)
	}
	for i := range 40 {
		a.Overflowed(at(1000 * (i + 2)))
	}
	if got := a.Rate(); got < throttleLeast || got > 3*throttleStep {
		t.Fatalf("rate after forty seconds of overflow is %.0f", got)
	}
	low := a.Rate()
	a.Take(at(52_000), 0, 0)
	if got := a.Rate() - low; got < 9*throttleStep || got > 11*throttleStep {
		t.Errorf("the rate grew by %.0f in ten seconds, want ten steps of %d", got, throttleStep)
	}
	a.Take(at(10_000_000), 0, 0)
	if a.Rate() != throttleMost {
		t.Errorf("the rate grew to %.0f, want %d", a.Rate(), throttleMost)
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
