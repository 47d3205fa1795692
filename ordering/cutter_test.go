package ordering

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"grapevine/block"
)

var t0 = time.Unix(1_700_000_000, 0)

func TestCutter(t *testing.T) {
	cfg := CutterConfig{MaxTxs: 10, PreferredBytes: 1000, AbsoluteBytes: 5000, Timeout: time.Second}
	tests := []struct {
		name         string
		count, bytes int
		oldest, now  time.Duration // since t0
		want         bool
	}{
		{"nothing", 0, 0, 0, 0, false},
		{"nothing for long", 0, 0, 0, time.Hour, false},
		{"little", 9, 999, 0, 0, false},
		{"little, not yet", 9, 999, 0, time.Second - 1, false},
		{"little, long enough", 9, 999, 0, time.Second, true},
		{"one, for longer", 1, 100, 0, time.Hour, true},
		{"enough of them", 10, 999, 0, 0, true},
		{"more than enough", 11, 999, 0, 0, true},
		{"enough bytes", 9, 1000, 0, 0, true},
		{"the clock was set back", 1, 100, time.Hour, 0, true},
	}
	for _, tt := range tests {
		c := NewCutter(cfg)
		oldest := t0.Add(tt.oldest)
		if tt.count == 0 {
			oldest = time.Time{}
		}
		c.Pending(oldest, tt.count, tt.bytes)
		if got := c.Cut(t0.Add(tt.now)); got != tt.want {
			t.Errorf("%s: cut is %v", tt.name, got)
		}
		if d := c.Deadline(); tt.count == 0 && !d.IsZero() || tt.count > 0 && !d.Equal(t0.Add(tt.oldest+time.Second)) {
			t.Errorf("%s: deadline is %v", tt.name, d)
		}
	}
}

// What comes later does not put the deadline off, and what is gone takes it along.
func TestCutterCountsFromTheFirst(t *testing.T) {
	c := NewCutter(CutterConfig{})
	for n := 1; n < 5; n++ {
		c.Pending(t0, n, n*200)
		if got := c.Deadline().Sub(t0); got != 300*time.Millisecond {
			t.Errorf("with %d pending the deadline is %v after the first", n, got)
		}
	}
	c.Pending(t0.Add(time.Second), 1, 200)
	if got := c.Deadline().Sub(t0); got != 1300*time.Millisecond {
		t.Errorf("the first has gone and the deadline is %v", got)
	}
	c.Pending(time.Time{}, 0, 0)
	if !c.Deadline().IsZero() || c.Cut(t0.Add(time.Hour)) {
		t.Error("nothing is pending and something is due")
	}
}

func TestCutterConfig(t *testing.T) {
	small := block.Limits{MaxTxBytes: 500, MaxBodyBytes: 3000, MaxBlockTxs: 7}
	got := CutterConfig{}.withDefaults(small)
	if want := (CutterConfig{MaxTxs: 7, PreferredBytes: 3000, AbsoluteBytes: 3000, Timeout: 300 * time.Millisecond, Settle: 100 * time.Millisecond}); got != want || got.validate(small) != nil {
		t.Errorf("defaults within small limits: %+v, %v", got, got.validate(small))
	}
	if got, want := NewCutter(CutterConfig{}).cfg, (CutterConfig{MaxTxs: 2000, PreferredBytes: 1 << 20, AbsoluteBytes: 4 << 20, Timeout: 300 * time.Millisecond, Settle: 100 * time.Millisecond}); got != want {
		t.Errorf("defaults: %+v, want %+v", got, want)
	}
	for _, tt := range []struct {
		cfg  CutterConfig
		want string
	}{
		{CutterConfig{MaxTxs: 8}, "8 transactions a block: the network's limit allows 1 to 7"},
		{CutterConfig{MaxTxs: -1}, "-1 transactions"},
		{CutterConfig{AbsoluteBytes: 3001}, "absolute size 3001"},
		{CutterConfig{AbsoluteBytes: 499}, "want room for one transaction, 500"},
		{CutterConfig{AbsoluteBytes: 1000, PreferredBytes: 1001}, "preferred size 1001: want 1 to the absolute size, 1000"},
		{CutterConfig{Timeout: -1}, "timeout -1ns"},
	} {
		if err := tt.cfg.withDefaults(small).validate(small); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error is %v, want %q in it", tt.cfg, err, tt.want)
		}
	}
}

func ExampleCutter() {
	start := time.Unix(0, 0)
	c := NewCutter(CutterConfig{MaxTxs: 3, Timeout: time.Second})
	c.Pending(start, 1, 250)
	fmt.Println(c.Cut(start), c.Deadline().Sub(start))
	c.Pending(start, 3, 750)
	fmt.Println(c.Cut(start))
	// Output:
	// false 1s
	// true
}
