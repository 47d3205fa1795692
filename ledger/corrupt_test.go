package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"grapevine/genesis"
)

// A byte of a table or of the value log goes bad after the ledger was closed in
// order. Verify says so and names the file or the height; whatever Open still gives
// out is right, or an error.
func TestLargeFlippedBytes(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) & 0xffffff
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := newChain(t, genesis.Limits{MaxBlockTxs: 200})
	whole := t.TempDir()
	for range 3 { // three value log files, three tables or what they were compacted to
		l := c.open(whole)
		for range 5 {
			c.append(l, c.next(100, 200))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var paths []string
	for _, pattern := range []string{"*.sst", "*.vlog"} {
		found, err := filepath.Glob(filepath.Join(whole, pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() <= logHeaderSize {
			continue
		}
		offsets := []int64{logHeaderSize, info.Size() - 1, info.Size() - 5}
		for range 7 {
			offsets = append(offsets, logHeaderSize+rng.Int64N(info.Size()-logHeaderSize))
		}
		for _, at := range offsets {
			name := filepath.Base(path)
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				c.checkFlipped(t, whole, name, at)
			})
		}
	}
}

func (c *chain) checkFlipped(t *testing.T, whole, name string, at int64) {
	t.Helper()
	dir := t.TempDir()
	copyDir(t, whole, dir)
	flip(t, filepath.Join(dir, name), at)
	_, err := Verify(dir, c.genesis, nil)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatalf("Verify: %v, want ErrCorrupt", err)
	}
	var f *Fault
	if !strings.Contains(err.Error(), name) && !(errors.As(err, &f) && f.Height > 0) {
		t.Errorf("Verify names neither file nor height: %v", err)
	}
	l, err := Open(Config{Dir: dir, Genesis: c.genesis})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "move the directory away") {
			t.Errorf("Open: %v", err)
		}
		return
	}
	defer l.Close()
	for _, want := range c.blocks {
		got, err := l.Block(want.Height)
		switch {
		case err == nil && string(got.Bytes()) != string(want.Bytes()):
			t.Errorf("height %d is another block", want.Height)
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Errorf("height %d: %v", want.Height, err)
		}
	}
}

// Somebody reads a damaged old body while a block is being appended: the reader gets an
// error, and the block is appended. What Badger logs of a read is no failure of a write.
func TestDamagedBodyIsTheReadersAlone(t *testing.T) {
	c := newChain(t, genesis.Limits{MaxBlockTxs: 20})
	dir := t.TempDir()
	l := c.open(dir)
	c.append(l, c.next(5, 2000), c.next(5, 2000))
	l.Close()
	l = c.open(dir) // another value log file, so that the first is looked at no more
	c.append(l, c.next(5, 2000))
	l.Close()
	flip(t, filepath.Join(dir, "000001.vlog"), logHeaderSize+500)
	l = c.open(dir)
	defer l.Close()
	d := l.db.(*disk)
	read := 0
	d.commitTxn = func(txn *badger.Txn) error {
		if _, err := l.Block(1); err != nil {
			read++
		}
		return txn.Commit()
	}
	c.append(l, c.next(5, 2000))
	if read != 1 {
		t.Errorf("the damaged body was read %d times in vain, want once", read)
	}
}
