package ordering

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRollcall(t *testing.T) {
	here := func(name string, height uint64) Member { return Member{Name: name, Answer: true, Height: height} }
	gone := func(name string, height uint64) Member { return Member{Name: name, Height: height} }
	slow := func(name string) Member { return Member{Name: name, Answer: true, Height: 5, Ahead: -2 * time.Hour} }
	type look struct {
		after      time.Duration // since the start
		tip, known uint64
		others     []Member
		why        string // the error's; empty: it may sign
	}
	for name, c := range map[string]struct {
		roll  Rollcall
		looks []look
	}{
		"alone":  {Rollcall{Alone: true}, []look{{0, 5, 0, nil, ""}}},
		"nobody": {Rollcall{}, []look{{time.Hour, 5, 0, nil, "--alone"}}},
		"known and silent": {Rollcall{}, []look{
			{time.Hour, 5, 0, []Member{gone("a", 5)}, "--alone"}}},
		"all answer": {Rollcall{}, []look{
			{0, 5, 0, []Member{here("a", 5), here("b", 4)}, "just answered"},
			{2 * time.Second, 5, 0, []Member{here("a", 5), here("b", 4)}, ""}}},
		"one does not": {Rollcall{}, []look{
			{time.Second, 5, 0, []Member{here("a", 5), gone("b", 4)}, "just answered"},
			{9 * time.Second, 5, 0, []Member{here("a", 5), gone("b", 4)}, "waits for b"},
			{11 * time.Second, 5, 0, []Member{here("a", 5), gone("b", 4)}, ""}}},
		"an old copy": {Rollcall{}, []look{
			{0, 5, 0, []Member{here("a", 9)}, "height 9"},
			{20 * time.Second, 5, 0, []Member{here("a", 9)}, "height 9"},
			{40 * time.Second, 7, 0, []Member{here("a", 9)}, "height 9"}, // it grows
			{60 * time.Second, 9, 0, []Member{here("a", 9)}, ""}}},
		"an old copy, says the record of one that is away": {Rollcall{}, []look{
			{0, 5, 0, []Member{here("a", 5), gone("b", 9)}, "b says that its chain goes to height 9"}}},
		"a lie": {Rollcall{}, []look{
			{0, 5, 0, []Member{here("a", 5), here("liar", 1<<40)}, "liar"},
			{29 * time.Second, 5, 0, []Member{here("a", 5), here("liar", 1<<40)}, "liar"},
			{30 * time.Second, 5, 0, []Member{here("a", 5), here("liar", 1<<40)}, ""}}},
		"a header of its own": {Rollcall{}, []look{
			{time.Hour, 5, 6, []Member{here("a", 5)}, "with its signature"},
			{2 * time.Hour, 5, 6, []Member{here("a", 5)}, "with its signature"},
			{3 * time.Hour, 6, 6, []Member{here("a", 6)}, ""}}},
		"a list": {Rollcall{Listed: 4}, []look{
			{0, 5, 0, []Member{here("a", 5)}, "2 of the 4"},
			{time.Hour, 5, 0, []Member{here("a", 5), gone("b", 5)}, "missing are b"},
			{2 * time.Hour, 5, 0, []Member{here("a", 5), here("b", 5)}, ""}}},
		"a clock far ahead": {Rollcall{}, []look{
			{0, 5, 0, []Member{slow("a"), slow("b"), here("c", 5)}, "ahead of those of 2 of 3 peers, by 2h"},
			{time.Hour, 5, 0, []Member{slow("a"), slow("b"), here("c", 5)}, "ahead"},
			{2 * time.Hour, 5, 0, []Member{here("a", 5), slow("b"), here("c", 5)}, ""}}},
		"clocks of strangers": {Rollcall{}, []look{
			{0, 5, 0, []Member{slow("a"), slow("b"), {Name: "c", Answer: true, Height: 5, Named: true}}, "just answered"},
			{2 * time.Second, 5, 0, []Member{slow("a"), slow("b"), {Name: "c", Answer: true, Height: 5, Named: true}}, ""}}},
		"once is enough": {Rollcall{}, []look{
			{0, 5, 0, []Member{here("a", 5)}, "just"},
			{2 * time.Second, 5, 0, []Member{here("a", 5)}, ""},
			{3 * time.Second, 5, 9, []Member{gone("a", 99)}, ""}}},
	} {
		r := c.roll
		for i, l := range c.looks {
			err := r.Wait(time.Unix(1e9, 0).Add(l.after), l.tip, l.known, l.others)
			switch {
			case l.why == "" && err != nil, l.why != "" && (err == nil || !strings.Contains(err.Error(), l.why)):
				t.Errorf("%s, look %d: %v, want %q", name, i, err, l.why)
			}
			if r.Over() != (err == nil) {
				t.Errorf("%s, look %d: over %v, error %v", name, i, r.Over(), err)
			}
		}
	}
}

// An orderer that has to hear others first signs nothing, whatever its lock says, nor is
// its lock reset; and says why, once for each reason.
func TestSoloWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var why atomic.Pointer[error]
		say := func(err error) { why.Store(&err) }
		say(errors.New("nobody has answered"))
		b.cfg.Wait = func(time.Time, uint64) error { return *why.Load() }
		b.cfg.Reset = true
		one := b.net.on(b.net.start(), 1)
		if err := b.chain.append(one); err != nil {
			t.Fatal(err)
		}
		stop := b.run(t)
		b.offer(t, 5)
		wait(time.Minute)
		if got := b.solo.Ready(); len(b.all()) > 0 || mustOpenLock(t, b.path).Height() != 0 || got == nil || !strings.Contains(got.Error(), "nobody has answered") {
			t.Fatalf("blocks are %q, the lock is at %d, ready: %v", b.blocks(), mustOpenLock(t, b.path).Height(), got)
		}
		say(errors.New("another reason"))
		wait(time.Minute)
		say(nil)
		wait(time.Second)
		wantStop(t, stop())
		if b.blocks() != "2:1" || b.solo.Ready() != nil {
			t.Errorf("blocks are %q, ready: %v", b.blocks(), b.solo.Ready())
		}
		if log := b.log.String(); strings.Count(log, "signs nothing yet") != 2 || strings.Count(log, "another reason") != 1 {
			t.Errorf("the log says %q", log)
		}
	})
}

// A lost lock is written by the first block, or when it is reset.
func TestLostLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if err := os.Remove(b.path); err != nil {
			t.Fatal(err)
		}
		b.cfg.Lock, b.cfg.Reset = LostLock(b.path, b.net.ID()), true
		one := b.net.on(b.net.start(), 1)
		if err := b.chain.append(one); err != nil {
			t.Fatal(err)
		}
		stop := b.run(t)
		wait(time.Second)
		wantStop(t, stop())
		if l := mustOpenLock(t, b.path); l.Height() != 1 || l.ID() != one.ID() {
			t.Errorf("the lock is at %d, %s, want 1, %s", l.Height(), l.ID(), one.ID())
		}
	})
}
