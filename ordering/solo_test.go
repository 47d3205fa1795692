package ordering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/mempool"
)

func TestSoloCutsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.cfg.Cutter = CutterConfig{MaxTxs: 4, Timeout: time.Second, Settle: -1}
		stop := b.run(t)
		wait(5 * time.Second)
		b.offer(t, 1)
		wait(600 * time.Millisecond)
		b.offer(t, 2)
		wait(time.Minute) // the first waited a second: block 1 at 6 s
		b.offer(t, 3, 4, 5, 6, 7, 8, 9)
		synctest.Wait() // block 2 at once, and the rest waits its second
		wait(time.Minute)
		wantStop(t, stop())
		if got := b.blocks(); got != "1:2 2:4 3:3" {
			t.Fatalf("blocks are %q", got)
		}
		at := 5*time.Second + 600*time.Millisecond + time.Minute
		if want := []time.Duration{6 * time.Second, at, at + time.Second}; !slices.Equal(b.times(), want) {
			t.Errorf("proposed at %v, want %v", b.times(), want)
		}
		for _, bl := range b.all() {
			if got, want := bl.Time(), b.began.Add(b.times()[bl.Height-1]); !got.Equal(want) {
				t.Errorf("block %d has time %v, want %v", bl.Height, got, want)
			}
		}
		if b.log.Len() > 0 {
			t.Errorf("the log says %q", b.log.String())
		}
	})
}

// What has not settled is left to the next block, in which it waits no longer than
// it would have.
func TestSoloLeavesOutWhatHasNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.cfg.Cutter = CutterConfig{MaxTxs: 4, Timeout: time.Second, Settle: 500 * time.Millisecond}
		stop := b.run(t)
		b.offer(t, 1)
		wait(500 * time.Millisecond)
		b.offer(t, 2) // 500 ms old at the cut: settled
		wait(100 * time.Millisecond)
		b.offer(t, 3, 4, 5, 6, 7) // enough for a block, and 400 ms old at the cut
		wait(time.Minute)
		wantStop(t, stop())
		if got := b.blocks(); got != "1:2 2:4 3:1" {
			t.Fatalf("blocks are %q", got)
		}
		if want := []time.Duration{time.Second, 1600 * time.Millisecond, 1600 * time.Millisecond}; !slices.Equal(b.times(), want) {
			t.Errorf("proposed at %v, want %v", b.times(), want)
		}
	})
}

// A signature leaves only after the lock file has the block.
func TestSoloLocksBeforeItProposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		link := b.append
		b.append = func(bl *block.Block) error {
			if l := mustOpenLock(t, b.path); l.ID() != bl.ID() || !bytes.Equal(l.Block().Bytes(), bl.Bytes()) {
				t.Errorf("block %d is proposed, the lock is at %d", bl.Height, l.Height())
			}
			return link(bl)
		}
		stop := b.run(t)
		for n := range uint64(3) {
			b.offer(t, n)
			wait(time.Second)
		}
		wantStop(t, stop())
		if got := b.blocks(); got != "1:1 2:1 3:1" {
			t.Fatalf("blocks are %q", got)
		}
	})
}

// The next block waits until the ledger ends with the last one, and until the pool
// has been told of it.
func TestSoloWaitsForTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.append = func(*block.Block) error { return nil }
		stop := b.run(t)
		b.offer(t, 1, 2)
		wait(time.Second)
		b.offer(t, 3)
		wait(time.Minute)
		if got := b.blocks(); got != "1:2" {
			t.Fatalf("blocks are %q, and the ledger has none", got)
		}
		if err := b.link(b.all()[0]); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		if got := b.blocks(); got != "1:2" {
			t.Fatalf("blocks are %q, and the pool does not know of the first", got)
		}
		b.pool.Committed(time.Now(), 1, b.all()[0].Txs)
		synctest.Wait()
		if got := b.blocks(); got != "1:2 2:1" {
			t.Fatalf("blocks are %q", got)
		}
		wantStop(t, stop())
	})
}

// However the clock goes, time in the chain goes forward.
func TestSoloTimeGoesForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ahead := block.New(b.net.key.SignHeader(block.Draft(b.net.ID(), block.Limits{}, b.net.start(), time.Now().Add(time.Hour).UnixNano(), b.net.key.Public(), []*block.Tx{b.net.tx(7)})), []*block.Tx{b.net.tx(7)})
		if err := errors.Join(b.cfg.Lock.advance(ahead), b.chain.append(ahead)); err != nil {
			t.Fatal(err)
		}
		stop := b.run(t)
		b.offer(t, 1)
		wait(time.Second)
		wantStop(t, stop())
		if b.blocks() != "2:1" || b.all()[0].TimeNano != ahead.TimeNano+1 {
			t.Fatalf("blocks are %q", b.blocks())
		}
	})
}

// The orderer dies at every step of writing its lock, and with a block that has
// left but is not in its ledger. No two blocks that it ever proposed stand at one
// height, though the pool has other transactions each time.
func TestSoloCrashMatrix(t *testing.T) {
	const opening, writes = 4, 4
	for step := range 3 * writes {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d, done=%v", step, done), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { soloCrash(t, &fault{n: opening + step + 1, done: done}, 0) })
			})
		}
	}
	for height := uint64(1); height <= 3; height++ {
		t.Run(fmt.Sprintf("block %d has left", height), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { soloCrash(t, &fault{}, height) })
		})
	}
}

// soloCrash makes three blocks, with a fault in the lock, or in the ledger at the
// height of left.
func soloCrash(t *testing.T, f *fault, left uint64) {
	b := newBench(t)
	var err error
	if b.cfg.Lock, err = openLock(b.path, f.durable); err != nil {
		t.Fatal(err)
	}
	link := b.append
	b.append = func(bl *block.Block) error {
		if bl.Height == left {
			left = 0
			return errDisk
		}
		return link(bl)
	}
	crashes := 0
	for nonce := uint64(0); b.Tip().Height < 3 && nonce < 30; nonce++ {
		b.offer(t, nonce)
		stop := b.run(t)
		wait(time.Second)
		if err := stop(); !errors.Is(err, errStop) {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			crashes++
			b.restart(t)
		}
	}
	if b.Tip().Height < 3 || crashes != 1 {
		t.Fatalf("the chain is at %d after %d crashes", b.Tip().Height, crashes)
	}
	at := make(map[uint64]block.ID)
	for _, bl := range b.all() {
		if id, ok := at[bl.Height]; ok && id != bl.ID() {
			t.Fatalf("two blocks at height %d: %s", bl.Height, b.blocks())
		}
		at[bl.Height] = bl.ID()
	}
}

func TestSoloProposesTheLockedBlockAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		one := b.net.on(b.net.start(), 1)
		if err := b.cfg.Lock.advance(one); err != nil {
			t.Fatal(err)
		}
		b.restart(t)
		b.offer(t, 2, 3)
		stop := b.run(t)
		if b.blocks() != "1:1" || b.all()[0].ID() != one.ID() || !bytes.Equal(b.all()[0].Bytes(), one.Bytes()) {
			t.Fatalf("blocks are %q, want the locked one at once", b.blocks())
		}
		wait(time.Second)
		wantStop(t, stop())
		if b.blocks() != "1:1 2:2" || b.Tip().Height != 2 {
			t.Errorf("blocks are %q", b.blocks())
		}
		if got := strings.Count(b.log.String(), "proposing the locked block again"); got != 1 {
			t.Errorf("the log says %q", b.log.String())
		}
	})
}

func TestSoloWaitsForCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var blocks []*block.Block
		for tip, n := b.net.start(), uint64(1); n <= 3; n++ {
			bl := b.net.on(tip, n)
			if err := b.cfg.Lock.advance(bl); err != nil {
				t.Fatal(err)
			}
			blocks, tip = append(blocks, bl), bl.Tip()
		}
		b.restart(t)
		b.offer(t, 9)
		stop := b.run(t)
		wait(time.Minute)
		if err := b.chain.append(blocks[0]); err != nil { // catch-up brings the first
			t.Fatal(err)
		}
		wait(time.Minute)
		if len(b.all()) > 0 {
			t.Fatalf("blocks are %q, and the lock is two ahead", b.blocks())
		}
		if log := b.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "lock is ahead of the ledger") || !strings.Contains(log, "lock_height=3") || !strings.Contains(log, "caught up from peers") {
			t.Errorf("the log says %q, want one line with the remedy", log)
		}
		if err := b.solo.Ready(); err == nil || !strings.Contains(err.Error(), "catch up") {
			t.Errorf("ready is %v while it waits", err)
		}
		if err := b.link(blocks[1]); err != nil { // the pool is told later
			t.Fatal(err)
		}
		synctest.Wait()
		if err := b.solo.Ready(); err != nil {
			t.Errorf("ready is %v when it signs again", err)
		}
		if b.blocks() != "3:1 4:1" {
			t.Errorf("blocks are %q, want the locked one and then the next at once", b.blocks())
		}
		wait(time.Minute)
		wantStop(t, stop())
		if b.blocks() != "3:1 4:1" || b.all()[0].ID() != blocks[2].ID() {
			t.Errorf("blocks are %q, want the locked one and then the next", b.blocks())
		}
	})
}

// What peers had of the locked block comes back through catch-up: then it is not
// proposed again.
func TestSoloGoesOnWhenCatchUpBringsTheLockedBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		one := b.net.on(b.net.start(), 1)
		two := b.net.on(one.Tip(), 2)
		if err := errors.Join(b.cfg.Lock.advance(one), b.cfg.Lock.advance(two)); err != nil {
			t.Fatal(err)
		}
		b.restart(t)
		b.offer(t, 9)
		stop := b.run(t)
		b.leap(one, two)
		b.pool.Committed(time.Now(), 2, slices.Concat(one.Txs, two.Txs))
		wait(time.Minute)
		wantStop(t, stop())
		if b.blocks() != "3:1" {
			t.Errorf("blocks are %q", b.blocks())
		}
	})
}

// leap puts blocks in the chain at once, as it may look to the orderer.
func (c *chain) leap(blocks ...*block.Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range blocks {
		c.blocks, c.tip = append(c.blocks, b), b.Tip()
	}
	close(c.advanced)
	c.advanced = make(chan struct{})
}

// Locks that do not fit the ledger, and that catch-up does not mend.
func TestSoloSignsNothing(t *testing.T) {
	n := newNetwork()
	one, other := n.on(n.start(), 1), n.on(n.start(), 2)
	two := n.on(one.Tip(), 3)
	tests := []struct {
		name   string
		locked []*block.Block
		ledger []*block.Block
		want   string
	}{
		{"an old lock", nil, []*block.Block{one}, "blocks that its lock does not know of"},
		{"an old lock, not that of the start", []*block.Block{one}, []*block.Block{one, two}, "--reset-lock"},
		{"another block at the lock's height", []*block.Block{other}, []*block.Block{one}, "different blocks at one height"},
		{"another block below the lock's", []*block.Block{one, two}, []*block.Block{other}, "two nodes have this key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				for _, bl := range tt.locked {
					if err := b.cfg.Lock.advance(bl); err != nil {
						t.Fatal(err)
					}
				}
				for _, bl := range tt.ledger {
					if err := b.chain.append(bl); err != nil {
						t.Fatal(err)
					}
				}
				b.restart(t)
				stop := b.run(t)
				for nonce := range uint64(5) {
					b.offer(t, 10+nonce)
					wait(time.Second)
				}
				if b.solo.Ready() == nil {
					t.Error("it is ready, and signs nothing")
				}
				wantStop(t, stop())
				if len(b.all()) > 0 {
					t.Fatalf("blocks are %q", b.blocks())
				}
				if log := b.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, tt.want) {
					t.Errorf("the log says %q, want one line with %q", log, tt.want)
				}
				if last := len(tt.ledger) - 1; !strings.Contains(tt.name, "old") || tt.ledger[last].ID() == b.cfg.Lock.ID() {
					return
				}
				b.cfg.Reset = true // the operator's word
				b.restart(t)
				stop = b.run(t)
				wait(time.Second)
				wantStop(t, stop())
				if len(b.all()) != 1 || b.all()[0].Height != b.Tip().Height {
					t.Errorf("after the reset, blocks are %q", b.blocks())
				}
			})
		})
	}
}

// A lock that was reset, and whose ledger is lost, has no block to propose again.
func TestSoloResetAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		one := b.net.on(b.net.start(), 1)
		if err := b.cfg.Lock.reset(one.Tip()); err != nil {
			t.Fatal(err)
		}
		b.restart(t)
		b.offer(t, 5)
		stop := b.run(t)
		wait(time.Minute)
		if len(b.all()) > 0 {
			t.Fatalf("blocks are %q", b.blocks())
		}
		if err := b.chain.append(one); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		wantStop(t, stop())
		if b.blocks() != "2:1" {
			t.Fatalf("blocks are %q", b.blocks())
		}
	})
}

// A draft that a peer would refuse is not signed, and the orderer says why.
func TestSoloChecksItsDrafts(t *testing.T) {
	t.Run("by the ledger", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.cfg.Check = func(bl *block.Block) error {
				return fmt.Errorf("transaction %s is in block 1", bl.Txs[0].ID().Short())
			}
			testBadDraft(t, b, "is in block 1")
		})
	})
	t.Run("by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			bad := sig.NewKey([32]byte{9}).SignTx(b.net.ID(), block.TxFields{Kind: block.KindConfig, Expiry: 10})
			if v := b.pool.Offer(time.Now(), []*block.Tx{bad}); v[0].Status != mempool.Accepted {
				t.Fatal(v)
			}
			testBadDraft(t, b, "configuration transactions")
		})
	})
}

func testBadDraft(t *testing.T, b *bench, want string) {
	t.Helper()
	b.offer(t, 1)
	stop := b.run(t)
	wait(time.Second)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "draft of block 1, which is not signed") || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v", err)
	}
	if len(b.all()) > 0 || mustOpenLock(t, b.path).Height() != 0 {
		t.Error("it was signed")
	}
}

func TestSoloStopsWhenProposingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.append = func(*block.Block) error { return errDisk }
		b.offer(t, 1)
		stop := b.run(t)
		wait(time.Second)
		if err := stop(); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "proposing block 1, ") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestSoloStopsWhileItProposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s, err := NewSolo(b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.offer(t, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errStop) })
		wantStop(t, s.Run(ctx, func(ctx context.Context, _ *block.Block) error {
			<-ctx.Done()
			return ctx.Err()
		}))
	})
}

func TestNewSoloRefuses(t *testing.T) {
	n := newNetwork()
	good := SoloConfig{Key: n.key, Genesis: n.Genesis, Lock: MemoryLock(n.ID())}
	key, lock, cutter := good, good, good
	key.Key = sig.NewKey([32]byte{2})
	lock.Lock = MemoryLock(block.ID{3})
	cutter.Cutter.MaxTxs = 1_000_000
	for want, cfg := range map[string]SoloConfig{"is not the orderer's": key, "belongs to network 03": lock, "1000000 transactions a block": cutter} {
		if _, err := NewSolo(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
	if _, err := NewSolo(good); err != nil {
		t.Error(err)
	}
}
