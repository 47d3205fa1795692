package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"grapevine/genesis"
)

var errDisk = errors.New("the disk is gone")

// The durable steps of a commit, each failing. Whether the commit is on disk
// afterwards is what the ledger cannot know.
var failures = []struct {
	name    string
	written bool
	inject  func(d *disk)
}{
	{"badger, not written", false, func(d *disk) {
		d.commitTxn = func(*badger.Txn) error { return errDisk }
	}},
	{"badger, but written after all", true, func(d *disk) {
		d.commitTxn = func(txn *badger.Txn) error { return errors.Join(txn.Commit(), errDisk) }
	}},
	{"value log not synced, which badger only logs", true, func(d *disk) {
		d.commitTxn = func(txn *badger.Txn) error {
			d.log.Errorf("Error while curlf sync: %v\n", errDisk)
			return txn.Commit()
		}
	}},
	{"no space", false, func(d *disk) {
		d.freeSpace = func(string) (uint64, error) { return minFree - 1, errDisk }
	}},
	{"directory not synced", true, func(d *disk) {
		d.seen = d.seen.Add(-1)
		d.syncDir = func(string) error { return errDisk }
	}},
}

// After each failure: nothing moves, retries are refused even when the disk is well
// again, and opening again, after Close or after a kill, finds a whole ledger that
// goes on.
func TestCrashMatrix(t *testing.T) {
	for _, failure := range failures {
		for _, height := range []int{1, 3} {
			for _, killed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, height %d, killed %v", failure.name, height, killed), func(t *testing.T) {
					t.Parallel()
					c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
					for range height + 2 {
						c.next(3, 3000)
					}
					l := c.open(t.TempDir())
					c.append(l, c.blocks[:height-1]...)
					c.failAppend(l, failure.inject, height)
					dir := c.end(l, killed)
					reached := height - 1
					if failure.written {
						reached = height
					}
					l = c.open(dir)
					c.check(l, reached)
					c.append(l, c.blocks[height-1:]...) // the failed one again, and the rest
					c.check(l, height+2)
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					c.verify(dir, height+2)
				})
			}
		}
	}
}

// failAppend appends the block at a height and has it fail.
func (c *chain) failAppend(l *Ledger, inject func(*disk), height int) {
	c.tb.Helper()
	d := l.db.(*disk)
	well := *d
	inject(d)
	refused := func(what string) {
		c.tb.Helper()
		for _, b := range c.blocks[height-1:] {
			err := l.Append(b)
			if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), errDisk.Error()) {
				c.tb.Fatalf("%s, height %d: error is %v, want ErrFailed and the reason", what, b.Height, err)
			}
		}
		c.check(l, height-1)
	}
	refused("failing")
	d.commitTxn, d.syncDir, d.freeSpace = well.commitTxn, well.syncDir, well.freeSpace
	refused("healed, but not opened again")
}

// end ends the ledger's process: it is closed, or killed. What a killed process
// leaves behind is what its files hold at that moment. It returns the directory to
// open next.
func (c *chain) end(l *Ledger, killed bool) string {
	c.tb.Helper()
	dir := l.name
	if killed {
		dir = c.snapshot(l)
	}
	if err := l.Close(); err != nil {
		c.tb.Fatal(err)
	}
	return dir
}

// copyDir copies the files of a directory, holes as holes.
func copyDir(tb testing.TB, from, to string) {
	tb.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			tb.Fatal(err)
		}
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	buf, zero := make([]byte, 1<<20), make([]byte, 1<<20)
	size := int64(0)
	for err == nil {
		var n int
		n, err = in.Read(buf)
		if !bytes.Equal(buf[:n], zero[:n]) {
			if _, werr := out.WriteAt(buf[:n], size); werr != nil {
				return errors.Join(werr, out.Close())
			}
		}
		size += int64(n)
	}
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Truncate(size), out.Close())
}

// The same for the commit that makes a directory a ledger.
func TestLargeCrashAtCreation(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %v", failure.name, killed), func(t *testing.T) {
				c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
				l, err := open(Config{Dir: t.TempDir(), Genesis: c.genesis}, openDisk)
				if err != nil {
					t.Fatal(err)
				}
				failure.inject(l.db.(*disk))
				if err := l.start(); err == nil || !strings.Contains(err.Error(), errDisk.Error()) || !strings.Contains(err.Error(), l.name) {
					t.Errorf("error is %v, want the reason and the directory", err)
				}
				dir := c.end(l, killed)
				l = c.open(dir)
				c.append(l, c.next(1, 10))
				c.check(l, 1)
				l.Close()
				c.verify(dir, 1)
			})
		}
	}
}

// A write-ahead log that ends anywhere in the last transaction, as power loss may
// leave it: the last block is gone, all before it stand, Verify says so.
func TestLargeTornWriteAheadLog(t *testing.T) {
	t.Parallel()
	c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
	l := c.open(t.TempDir())
	c.append(l, c.next(2, 2000), c.next(2, 2000))
	before := c.snapshot(l)
	c.append(l, c.next(3, 2000))
	killed := c.end(l, true)
	start, end := scanned(t, before, "*.mem"), scanned(t, killed, "*.mem")
	if start.txns != 3 || end.txns != 4 || end.rest != 0 { // one made the ledger
		t.Fatalf("the logs have %d and %d transactions, and %d bytes over", start.txns, end.txns, end.rest)
	}
	for _, cut := range []int64{start.valid, start.valid + 1, (start.valid + end.valid) / 2, end.valid - 1} {
		for _, lost := range []int64{20, end.valid} { // a stretch of it, or all from there on
			dir := t.TempDir()
			copyDir(t, killed, dir)
			overwrite(t, one(t, dir, "*.mem"), cut, make([]byte, min(lost, end.valid-cut)))
			r := c.verify(dir, 2)
			if r.Recovery.Closed() || r.Recovery.Transactions != 3 || (r.Recovery.Dropped == 0) != (cut == start.valid && lost > 20) {
				t.Errorf("cut at %d, %d lost: recovery is %+v", cut, lost, r.Recovery)
			}
			l := c.open(dir)
			c.check(l, 2)
			c.append(l, c.blocks[2])
			c.check(l, 3)
			l.Close()
			c.verify(dir, 3)
		}
	}
}

// snapshot copies the directory as a kill would leave it.
func (c *chain) snapshot(l *Ledger) string {
	c.tb.Helper()
	dir := c.tb.TempDir()
	copyDir(c.tb, l.name, dir)
	return dir
}

// A disk that is nearly full stops the ledger before a write to a mapped file would
// kill the process.
func TestFullDisk(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	l := c.open(t.TempDir())
	if free, err := freeSpace(l.name); err != nil || free < needsFree(c.genesis.BlockLimits()) {
		t.Errorf("the disk of the tests has %d bytes free, %v", free, err)
	}
	l.db.(*disk).freeSpace = func(string) (uint64, error) { return minFree - 1, nil }
	err := l.Append(c.next(1, 10))
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "63 MiB are free below "+l.name) {
		t.Errorf("error is %v", err)
	}
}

// What a kill between making a file and filling it leaves behind: an empty log,
// which Badger alone would never open again, and half a table that nothing lists.
func TestHalfMadeFiles(t *testing.T) {
	for _, name := range []string{"00009.mem", "000009.vlog", "000009.sst"} {
		dir := t.TempDir()
		c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
		l := c.open(dir)
		c.append(l, c.next(1, 10))
		l.Close()
		half := []byte("half")
		if name != "000009.sst" {
			half = nil
		}
		if err := os.WriteFile(filepath.Join(dir, name), half, 0o600); err != nil {
			t.Fatal(err)
		}
		l = c.open(dir)
		c.append(l, c.next(1, 2000))
		c.check(l, 2)
		l.Close()
		c.verify(dir, 2)
	}
}

// A value log that lost what the write-ahead log points at, or a byte of what was
// closed in order, is refused before Badger cuts it off there, again and again.
func TestDamagedValueLogIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
			l := c.open(t.TempDir())
			c.append(l, c.next(2, 2000), c.next(2, 2000), c.next(2, 2000))
			dir := c.end(l, killed)
			path := one(t, dir, "*.vlog")
			flip(t, path, 5000) // in the second block's body
			was, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for name, open := range map[string]func() error{
					"Open":   func() error { _, err := Open(Config{Dir: dir, Genesis: c.genesis}); return err },
					"Verify": func() error { _, err := Verify(dir, c.genesis, nil); return err },
				} {
					err := open()
					if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(path)) || !strings.Contains(err.Error(), "body at height 2") {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			if is, err := os.Stat(path); err != nil || is.Size() != was.Size() {
				t.Errorf("the file had %d bytes and has %d: %v", was.Size(), is.Size(), err)
			}
		})
	}
}

// one returns the only file of that kind.
func one(tb testing.TB, dir, pattern string) string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) != 1 {
		tb.Fatalf("%s in %s: %v, %v; want one", pattern, dir, paths, err)
	}
	return paths[0]
}

func scanned(tb testing.TB, dir, pattern string) logScan {
	tb.Helper()
	s, err := scanLog(one(tb, dir, pattern))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func overwrite(tb testing.TB, path string, at int64, with []byte) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.WriteAt(with, at); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func flip(tb testing.TB, path string, at int64) {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	overwrite(tb, path, at, []byte{raw[at] ^ 0x40})
}
