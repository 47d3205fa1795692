package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dgraph-io/badger/v4"

	"grapevine/block"
	"grapevine/genesis"
)

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// both runs a test on disk and in memory.
func both(t *testing.T, test func(t *testing.T, dir string)) {
	t.Run("disk", func(t *testing.T) { test(t, t.TempDir()) })
	t.Run("memory", func(t *testing.T) { test(t, "") })
}

func TestAppendAndRead(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		c := newChain(t, genesis.Limits{})
		l := c.open(dir)
		c.check(l, 0)
		for i, n := range []int{1, 3, 700} { // 700 KB take three parts
			c.append(l, c.next(n, 1000))
			c.check(l, i+1)
			if l.Recent(uint64(i+1)) == nil {
				t.Errorf("height %d is not kept", i+1)
			}
		}
		l.recent = recent{}
		c.check(l, 3)
		if dir != "" {
			l = reopen(c, l, dir)
			c.check(l, 3)
			c.append(l, c.next(2, 10))
			c.check(l, 4)
		}
	})
}

// A Memory stands in for the directory of a simulated peer that comes back.
func TestMemoryOutlivesTheLedger(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	cfg := Config{Genesis: c.genesis, Memory: NewMemory()}
	for range 3 {
		l, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.check(l, len(c.blocks))
		c.append(l, c.next(3, 1000))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.check(c.open(""), 0) // one without it begins anew
	other := newChain(t, genesis.Limits{MaxBlockTxs: 7})
	if _, err := Open(Config{Genesis: other.genesis, Memory: cfg.Memory}); !errors.Is(err, ErrWrongNetwork) {
		t.Errorf("another network's: error is %v, want %v", err, ErrWrongNetwork)
	}
}

func TestAppendRefusals(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		c := newChain(t, genesis.Limits{MaxBlockTxs: 5})
		l := c.open(dir)
		c.append(l, c.next(2, 10), c.next(2, 10))
		one, two := c.blocks[0], c.blocks[1]
		third := func(change func(h *block.Header), txs ...*block.Tx) *block.Block {
			if txs == nil {
				txs = c.txs(1, 10)
			}
			b := c.seal(two.Tip(), txs)
			if change != nil {
				change(&b.Header)
			}
			return block.New(c.orderer.SignHeader(b.Header), b.Txs)
		}
		short := third(nil, c.txs(2, 10)...)
		short.Txs = short.Txs[:1]
		for _, tc := range []struct {
			name  string
			b     *block.Block
			want  error
			words string
			check bool // whether Check refuses it as well
		}{
			{"another network", third(func(h *block.Header) { h.Genesis = block.ID{1} }), ErrInvalid, "belongs to network 01000000", true},
			{"height 0", third(func(h *block.Header) { h.Height = 0 }), ErrInvalid, "first height is 1", true},
			{"two ahead", third(func(h *block.Header) { h.Height = 4 }), ErrGap, "ends at height 2", true},
			{"another parent", third(func(h *block.Header) { h.Parent = block.ID{1} }), ErrFork, "stands on 01000000", true},
			{"another block at the tip", c.seal(one.Tip(), c.txs(1, 10)), ErrFork, "the ledger holds " + two.ID().Short(), true},
			{"another block below the tip", c.seal(block.Tip{ID: c.genesis.ID()}, c.txs(1, 10)), ErrFork, "the ledger holds " + one.ID().Short(), true},
			{"the parent's time", third(func(h *block.Header) { h.TimeNano = two.TimeNano }), ErrInvalid, "not after its parent's", true},
			{"a transaction of the chain", third(nil, append(c.txs(2, 10), one.Txs[1])...), ErrInvalid, one.Txs[1].ID().String() + " stands in the chain already, at height 1", true},
			{"fewer transactions than its header says", short, ErrInvalid, "1 transactions", false},
			{"more transactions than the network allows", third(nil, c.txs(6, 10)...), ErrInvalid, "limits are 5", false},
		} {
			t.Run(tc.name, func(t *testing.T) {
				err := l.Append(tc.b)
				if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.words) {
					t.Errorf("Append: %v; want %v and %q in it", err, tc.want, tc.words)
				}
				for _, other := range []error{ErrInvalid, ErrGap, ErrFork, ErrFailed} {
					if other != tc.want && errors.Is(err, other) {
						t.Errorf("Append: %v is %v as well", err, other)
					}
				}
				if err := l.Check(tc.b); tc.check != errors.Is(err, tc.want) {
					t.Errorf("Check: %v", err)
				}
			})
		}
		c.check(l, 2)
		for _, b := range c.blocks { // the same again
			if err := errors.Join(l.Check(b), l.Append(b)); err != nil {
				t.Errorf("height %d again: %v", b.Height, err)
			}
		}
		c.append(l, third(nil))
	})
}

func TestReadRefusals(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		c := newChain(t, genesis.Limits{})
		l := c.open(dir)
		c.append(l, c.next(2, 10))
		for _, height := range []uint64{0, 2, block.MaxHeight} {
			if _, err := l.Header(height); !isNotFound(err) {
				t.Errorf("Header(%d): %v", height, err)
			}
			if _, err := l.Block(height); !isNotFound(err) {
				t.Errorf("Block(%d): %v", height, err)
			}
			if _, err := l.Range(height, height, 1<<20); !isNotFound(err) {
				t.Errorf("Range(%d): %v", height, err)
			}
		}
		unknown := block.ID{7}
		if _, err := l.HeightOf(unknown); !isNotFound(err) {
			t.Errorf("HeightOf: %v", err)
		}
		if _, err := l.FindTx(unknown); !isNotFound(err) || !strings.Contains(err.Error(), unknown.String()) {
			t.Errorf("FindTx: %v", err)
		}
		if _, _, err := l.Tx(unknown); !isNotFound(err) {
			t.Errorf("Tx: %v", err)
		}
		if has, err := l.HasTx(unknown); has || err != nil {
			t.Errorf("HasTx: %v, %v", has, err)
		}
	})
}

func TestRange(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	l := c.open("")
	for range 5 {
		c.append(l, c.next(1, 1000))
	}
	size := len(c.blocks[0].Bytes())
	for _, tc := range []struct {
		from, to uint64
		maxBytes int
		want     int
	}{
		{1, 5, 1 << 20, 5},
		{2, 9, 1 << 20, 4},
		{3, 3, 1 << 20, 1},
		{5, 1, 1 << 20, 1},
		{1, 5, 0, 1},
		{1, 5, 3*size - 1, 2},
		{1, 5, 3 * size, 3},
	} {
		got, err := l.Range(tc.from, tc.to, tc.maxBytes)
		if err != nil || len(got) != tc.want {
			t.Errorf("Range(%d, %d, %d): %d blocks, %v; want %d", tc.from, tc.to, tc.maxBytes, len(got), err, tc.want)
			continue
		}
		for i, b := range got {
			if b.ID() != c.blocks[int(tc.from)-1+i].ID() {
				t.Errorf("Range(%d, %d, %d): block %d is another one", tc.from, tc.to, tc.maxBytes, i)
			}
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, genesis.Limits{})
	l := c.open(dir)
	c.append(l, c.next(1, 10))
	open := func(c *chain) error {
		l, err := Open(Config{Dir: dir, Genesis: c.genesis})
		if err == nil {
			l.Close()
		}
		return err
	}
	if err := open(c); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), dir) {
		t.Errorf("held: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	other := newChain(t, genesis.Limits{MaxLifetime: 100})
	err := open(other)
	if !errors.Is(err, ErrWrongNetwork) || !strings.Contains(err.Error(), c.genesis.ID().String()) || !strings.Contains(err.Error(), other.genesis.ID().String()) {
		t.Errorf("another network: %v", err)
	}
	if err := open(c); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
	if _, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "no genesis") {
		t.Errorf("no genesis: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: file, Genesis: c.genesis}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: %v", err)
	}
}

// tamper changes keys behind the ledger's back.
func tamper(c *chain, dir string, w ...write) {
	c.tb.Helper()
	l, err := open(Config{Dir: dir, Genesis: c.genesis}, openDisk)
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := errors.Join(l.db.commit(w), l.Close()); err != nil {
		c.tb.Fatal(err)
	}
}

// Open checks the metadata, the tip and its block.
func TestOpenRefusesContradictions(t *testing.T) {
	for _, tc := range []struct {
		name  string
		w     func(c *chain) write
		words string
	}{
		{"a later format", func(c *chain) write { return write{[]byte(keyMeta), append([]byte{0, 0, 0, 2}, make([]byte, 32)...)} }, "format 2: this software reads format 1"},
		{"cut metadata", func(c *chain) write { return write{[]byte(keyMeta), []byte{0, 0, 0, 1}} }, "metadata has 4 bytes"},
		{"cut tip", func(c *chain) write { return write{[]byte(keyTip), []byte{1}} }, "tip record has 1 bytes"},
		{"tip at height 0", func(c *chain) write { return write{[]byte(keyTip), tipValue(0, block.ID{})} }, "tip record says height 0"},
		{"tip without a block", func(c *chain) write { return write{[]byte(keyTip), tipValue(3, block.ID{})} }, "header at height 3 is missing"},
		{"tip of another ID", func(c *chain) write { return write{[]byte(keyTip), tipValue(2, block.ID{1})} }, "the tip is block 01"},
		{"another header", func(c *chain) write { return write{headerKey(2), c.blocks[0].SignedHeader.Bytes()} }, "says height 1"},
		{"no header", func(c *chain) write { return write{headerKey(2), nil} }, "header: no bytes"},
		{"another body", func(c *chain) write { return write{bodyKey(2, 0), c.blocks[0].Body()} }, "transaction root"},
		{"a cut body", func(c *chain) write { return write{bodyKey(2, 0), c.blocks[1].Body()[1:]} }, "the header says"},
		{"block index", func(c *chain) write { return write{idKey(prefixBlockID, c.tip.ID), headerKey(1)[1:]} }, "at height 1, it is at 2"},
		{"transaction index", func(c *chain) write {
			return write{idKey(prefixTx, c.blocks[1].Txs[1].ID()), entry{Place: Place{2, 0}}.appendTo(nil)}
		}, "the index has transaction"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			c := newChain(t, genesis.Limits{})
			l := c.open(dir)
			c.append(l, c.next(2, 10), c.next(2, 10))
			l.Close()
			tamper(c, dir, tc.w(c))
			_, err := Open(Config{Dir: dir, Genesis: c.genesis})
			if err == nil || !strings.Contains(err.Error(), tc.words) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("error is %v, want %q and the directory in it", err, tc.words)
			}
			if corrupt := tc.name != "a later format"; errors.Is(err, ErrCorrupt) != corrupt {
				t.Errorf("%v: is ErrCorrupt: %v", err, !corrupt)
			}
		})
	}
}

func TestOpenRefusesForeignDatabase(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, genesis.Limits{})
	tamper(c, dir, write{[]byte("somebody"), []byte("else's")})
	if _, err := Open(Config{Dir: dir, Genesis: c.genesis}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "without a ledger's metadata") {
		t.Errorf("no metadata: %v", err)
	}
	dir = t.TempDir()
	tamper(c, dir, write{[]byte(keyMeta), metaValue(c.genesis.ID())}, write{headerKey(1), nil})
	if _, err := Open(Config{Dir: dir, Genesis: c.genesis}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "blocks but no tip") {
		t.Errorf("no tip: %v", err)
	}
}

func TestAdvanced(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	l := c.open("")
	ch := l.Advanced()
	select {
	case <-ch:
		t.Fatal("closed before any append")
	default:
	}
	c.append(l, c.next(1, 10))
	<-ch
	if l.Tip().Height != 1 {
		t.Errorf("the tip is %v when the channel closes", l.Tip())
	}
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, genesis.Limits{})
		l := c.open("")
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := make(chan struct{})
		await := func(height uint64) chan error {
			done := make(chan error, 1)
			go func() { done <- l.Await(ctx, height, stop) }()
			synctest.Wait()
			return done
		}
		second, stopped := await(2), await(9)
		if err := l.Await(ctx, 0, nil); err != nil {
			t.Errorf("the height that it has: %v", err)
		}
		c.append(l, c.next(1, 10))
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("at height 1 the wait for 2 ended: %v", err)
		default:
		}
		c.append(l, c.next(1, 10))
		if err := <-second; err != nil {
			t.Errorf("at height 2: %v", err)
		}
		close(stop)
		if err := <-stopped; !errors.Is(err, errStop) {
			t.Errorf("told to stop: %v", err)
		}
		stop = nil
		ended, why := await(9), errors.New("why")
		cancel(why)
		if err := <-ended; err != why {
			t.Errorf("its context ended: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Readers and Close while the writer writes: run with the race detector.
func TestConcurrentReaders(t *testing.T) {
	both(t, func(t *testing.T, dir string) {
		c := newChain(t, genesis.Limits{})
		l := c.open(dir)
		for range 20 {
			c.next(5, 2000)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					tip := l.Tip()
					for height := uint64(1); height <= tip.Height; height++ {
						b, err := l.Block(height)
						if errors.Is(err, ErrClosed) {
							return
						}
						if err != nil || b.ID() != c.blocks[height-1].ID() {
							t.Errorf("height %d: %v", height, err)
							return
						}
					}
					if _, _, err := l.Tx(c.blocks[19].Txs[0].ID()); err != nil && !isNotFound(err) && !errors.Is(err, ErrClosed) {
						t.Error(err)
					} else if errors.Is(err, ErrClosed) {
						return
					}
				}
			})
		}
		c.append(l, c.blocks...)
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := l.Append(c.next(1, 10)); !errors.Is(err, ErrClosed) {
			t.Errorf("Append after Close: %v", err)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	var r recent
	for range 100 {
		r.add(c.next(10, 60<<10))
		if r.size > recentBytes {
			t.Fatalf("holds %d bytes", r.size)
		}
	}
	if r.get(100).ID() != c.blocks[99].ID() || r.get(101) != nil || r.get(1) != nil || r.get(0) != nil {
		t.Error("does not hold the last block, and only late ones")
	}
	if first := r.blocks[0].Height; r.get(first).ID() != c.blocks[first-1].ID() || r.get(first-1) != nil {
		t.Errorf("the first it holds is %d", first)
	}
}

// A directory that another process holds is not judged by its files, which change.
func TestHeldComesBeforeDamaged(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	l := c.open(t.TempDir())
	c.append(l, c.next(2, 2000))
	flip(t, one(t, l.name, "*.vlog"), 1000)
	if _, err := Open(Config{Dir: l.name, Genesis: c.genesis}); !errors.Is(err, ErrHeld) {
		t.Errorf("error is %v", err)
	}
	// Badger's own refusal, should the process come in between, is known by its words.
	_, err := badger.Open(badgerOptions(l.name, l.limits, nil))
	if err == nil || !errors.Is(openError(l.name, err), ErrHeld) {
		t.Errorf("badger's error is %v", err)
	}
}
