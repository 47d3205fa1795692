package mempool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
)

// TestFullDiskIsLeftBehind: a journal whose disk is full for a while refuses for that
// while, and goes on by itself. Both are said once.
func TestFullDiskIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var full atomic.Bool
		dir := t.TempDir()
		cfg := Config{Journal: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		p, err := open(cfg, func(step string, do func() error) error {
			if full.Load() && (step == "append" || step == "write") {
				return syscall.ENOSPC
			}
			return do()
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Tend(ctx) }()

		txs := run('a', 4)
		mustSubmit(t, p, t0, txs[:2]...)
		full.Store(true)
		if v, err := p.Submit(t0, txs[2:3]); !errors.Is(err, syscall.ENOSPC) || v[0].Status != Refused {
			t.Fatalf("on a full disk: %v, %v", v, err)
		}
		time.Sleep(10 * time.Minute)
		if v, err := p.Submit(t0, txs[2:3]); !errors.Is(err, syscall.ENOSPC) || v[0].Status != Refused || !errors.Is(p.Failed(), syscall.ENOSPC) {
			t.Fatalf("still on a full disk: %v, %v", v, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(left) > 0 {
			t.Errorf("what could not be finished takes up room: %v", left)
		}
		full.Store(false)
		time.Sleep(mendMost)
		if err := p.Failed(); err != nil {
			t.Fatalf("there is room again: %v", err)
		}
		mustSubmit(t, p, t0, txs[2:]...)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		for _, line := range []string{"journal failed", "journal goes on in a new segment"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("the log says %q %d times", line, n)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if q := mustOpen(t, Config{Journal: dir}); len(q.Journalled()) != 4 {
			t.Errorf("%d transactions are in the journal, want all 4", len(q.Journalled()))
		}
	})
}

// TestMendMatrix fails each step of half a node's life in turn, mends, with each step of
// that failing in turn, lives on or not, and dies. What was acknowledged is there after it.
func TestMendMatrix(t *testing.T) {
	for first, steps := 1, 1; first <= steps; first++ {
		for second := range 7 { // 0: mending succeeds at once
			for mode := range 8 {
				done, doneAgain, dead := mode&1 > 0, mode&2 > 0, mode&4 > 0
				d := newDisk(t.TempDir())
				s := newStory(d.dir)
				p, err := open(s.cfg, d.durable)
				if err != nil {
					t.Fatal(err)
				}
				opened := len(d.steps)
				d.fail, d.done = opened+first, done
				s.first(p)
				steps = max(steps, len(d.steps)-opened)
				failed := p.Failed() != nil // not if it was a deletion
				d.fail, d.done, d.dead = 0, doneAgain, dead && second > 0
				if second > 0 {
					d.fail = len(d.steps) + second
				}
				if err := p.mend(); failed && second == 0 && (err != nil || p.Failed() != nil) {
					t.Fatalf("%v, %v", err, p.Failed())
				}
				if !d.dead {
					if err := p.mend(); err != nil || p.Failed() != nil {
						t.Fatalf("the disk works again: %v, %v", err, p.Failed())
					}
				}
				s.second(p)
				p.Close()
				d.crash(t)
				s.crashAgain(t)
				s.check(t)
				if t.Failed() {
					t.Fatalf("step %d failed, done %v, then %d of mending, done %v, dead %v; steps %q", first, done, second, doneAgain, dead, d.steps)
				}
			}
		}
	}
}

// first and second are the halves of a life: after the first some transactions are
// acknowledged, some committed, and one came by gossip.
func (s *story) first(p *Pool) {
	a := run('a', 4)
	p.Offer(t0, run('b', 1))
	s.submit(p, a[0], a[1])
	s.submit(p, run('b', 2)...)
	s.commit(p, 1, a[0])
	s.submit(p, a[2], a[1])
}

func (s *story) second(p *Pool) {
	c := run('c', 3)
	s.submit(p, c...)
	s.commit(p, 2, run('b', 1)...)
	s.submit(p, run('a', 4)...)
	s.commit(p, 3, c[0])
}

// TestMendWhileAnswersAreDue mends while a submitter whose write has succeeded has not
// been answered yet: what it is told then must be true.
func TestMendWhileAnswersAreDue(t *testing.T) {
	d := newDisk(t.TempDir())
	p, err := open(Config{Journal: d.dir}, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	txs := run('a', 3)
	verdicts := make([]Verdict, 1)
	claims, own := p.reserve(t0, txs[:1], verdicts)
	p.journal.commit(own)
	d.fail = len(d.steps) + 2
	if _, err := p.Submit(t0, txs[1:2]); err == nil {
		t.Fatal("the sync has not failed")
	}
	if err := p.mend(); err != nil {
		t.Fatal(err)
	}
	p.grant(claims, verdicts)
	if verdicts[0].Status != Accepted {
		t.Fatalf("%v", verdicts)
	}
	s := p.journal.segments[0]
	if want := int64(recordOverhead + block.TxOverhead); len(p.journal.segments) != 1 || s.live != want || p.shelf.entries[txs[0].ID()].segment != s {
		t.Errorf("segment %d keeps %d bytes, want %d", s.number, s.live, want)
	}
	if err := errors.Join(p.Close(), p.mend()); err != nil || !errors.Is(p.Failed(), ErrJournal) {
		t.Errorf("closed: %v, %v", err, p.Failed())
	}
	d.crash(t)
	if p = mustOpen(t, Config{Journal: d.dir}); !p.Has(txs[0].ID()) || len(p.Journalled()) != 1 {
		t.Errorf("the journal has %d transactions, want the one that was acknowledged", len(p.Journalled()))
	}
	// What is committed after mending leaves nothing behind.
	d = newDisk(t.TempDir())
	if p, err = open(Config{Journal: d.dir}, d.durable); err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, p, t0, txs[0])
	d.fail = len(d.steps) + 1
	p.Submit(t0, txs[1:2])
	if err := p.mend(); err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, p, t0, txs[2])
	p.Committed(t0, 1, txs)
	if s := p.journal.segments[0]; s.live != 0 {
		t.Errorf("the segment keeps %d bytes of what is committed", s.live)
	}
}
