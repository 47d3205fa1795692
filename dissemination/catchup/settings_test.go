package catchup

import (
	"testing"
	"time"

	"grapevine/p2p/wire"
)

// One request of eleven blocks at a time, only when it is time to look, and only up to
// what was seen then.
func TestChecksAreEverySoOften(t *testing.T) {
	cfg := Config{Every: 10 * time.Second, Batch: 11, Parallel: 1}
	early, late := false, false
	for seed := range uint64(20) {
		e := New(cfg, seed, 0)
		for _, p := range []wire.PeerID{"a", "b", "c"} {
			e.PeerUp(at(0), p, 25, 1)
		}
		look := e.Deadline()
		d := look.Sub(start)
		if d <= 0 || d > cfg.Every {
			t.Fatalf("the first check is due after %v, want within %v", d, cfg.Every)
		}
		early, late = early || d < cfg.Every/4, late || d > 3*cfg.Every/4
		e.Tick(look.Add(-1))
		if r := requests(e); len(r) > 0 {
			t.Fatalf("asked %+v before the check", r)
		}
		e.Tick(look)
		e.PeerTip(look, "a", 40) // seen after it looked
		for _, want := range [][2]uint64{{1, 11}, {12, 22}, {23, 25}} {
			r := requests(e)
			if len(r) != 1 || r[0].From != want[0] || r[0].Upto != want[1] {
				t.Fatalf("asked %+v, want %d to %d alone", r, want[0], want[1])
			}
			for h := want[0]; h <= want[1]; h++ {
				e.Arrived(look, r[0].To, r[0].Number, h, 100)
			}
			e.Accepted(look, want[1])
			e.Ended(look, r[0].To, r[0].Number, 25, 1)
		}
		e.PeerTip(look, "a", 40) // an answer said 25
		e.Tick(look.Add(cfg.Every - 1))
		if r := requests(e); len(r) > 0 || e.Active() {
			t.Fatalf("asked %+v before the next check, active %v", r, e.Active())
		}
		if !e.Deadline().Equal(look.Add(cfg.Every)) {
			t.Fatalf("the next check is due %v after the first", e.Deadline().Sub(look))
		}
		e.Tick(look.Add(cfg.Every))
		if r := requests(e); len(r) != 1 || r[0].To != "a" || r[0].From != 26 {
			t.Fatalf("asked %+v, want a from 26 on", r)
		}
	}
	if !early || !late {
		t.Errorf("first checks come early %v and late %v: want a random phase", early, late)
	}
}

// A gap of one is closed too, whatever Gap says.
func TestChecksCloseAnyGap(t *testing.T) {
	e := New(Config{Every: time.Second}, 1, 7)
	e.PeerUp(at(0), "a", 8, 1)
	e.Tick(e.Deadline())
	if r := requests(e); len(r) != 1 || r[0].From != 8 || r[0].Upto != 8 {
		t.Fatalf("asked %+v, want 8", r)
	}
	e.Failed(at(1100), "a", 1) // nobody else has it: not before the penalty ends
	e.Tick(at(2100))
	if r := requests(e); len(r) > 0 {
		t.Errorf("asked %+v during a penalty", r)
	}
}
