package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"grapevine/genesis"
)

// files returns the names and sizes of what is in a directory.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = info.Size()
	}
	return out
}

// A manifest that is missing, shortened or damaged is refused by Open and by Verify, which
// name it, and nothing of the chain is removed: Badger would make a new database of it, or
// take the tables that are not listed for the leavings of a crash.
func TestLargeDamagedManifestIsRefused(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		c := newChain(t, genesis.Limits{MaxBlockTxs: 20})
		whole := t.TempDir()
		for range 3 {
			l := c.open(whole)
			for range 3 {
				c.append(l, c.next(10, 200))
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if killed { // a write-ahead log is left
			l := c.open(whole)
			c.append(l, c.next(10, 200))
			whole = c.snapshot(l)
			l.Close()
		}
		manifest, err := os.ReadFile(filepath.Join(whole, badger.ManifestFilename))
		if err != nil {
			t.Fatal(err)
		}
		height := uint64(len(c.blocks))
		try := func(what string, damage func(path string) error) {
			t.Helper()
			dir := t.TempDir()
			copyDir(t, whole, dir)
			if err := damage(filepath.Join(dir, badger.ManifestFilename)); err != nil {
				t.Fatal(err)
			}
			before := files(t, dir)
			for name, do := range map[string]func() (uint64, error){
				"Verify": func() (uint64, error) { r, err := Verify(dir, c.genesis, nil); return r.Tip.Height, err },
				"Open": func() (uint64, error) {
					l, err := Open(Config{Dir: dir, Genesis: c.genesis})
					if err != nil {
						return 0, err
					}
					defer l.Close()
					return l.Tip().Height, nil
				},
			} {
				got, err := do()
				switch {
				case err == nil && got != height:
					t.Fatalf("killed %v, %s, %s: height %d of %d, and no error", killed, what, name, got, height)
				case err == nil: // nothing was lost: what was cut off is elsewhere
					return
				case name == "Verify" && strings.Contains(err.Error(), "there is no ledger"):
				case !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), badger.ManifestFilename):
					t.Errorf("killed %v, %s, %s: %v, want ErrCorrupt and the file's name", killed, what, name, err)
				}
			}
			for name, size := range files(t, dir) {
				if before[name] != size {
					t.Errorf("killed %v, %s: %s had %d bytes, and has %d", killed, what, name, before[name], size)
				}
			}
			if len(files(t, dir)) != len(before) {
				t.Errorf("killed %v, %s: files were removed", killed, what)
			}
		}
		try("missing", os.Remove)
		for size := int64(0); size < int64(len(manifest)); size += 17 {
			try("shortened", func(path string) error { return os.Truncate(path, size) })
		}
		for at := int64(0); at < int64(len(manifest)); at += 19 {
			try("flipped", func(path string) error { flip(t, path, at); return nil })
		}
	}
}

// A byte of the write-ahead log that goes bad is found, unless it is in the last block: that
// may be one that was being written, and was never acknowledged.
func TestLargeFlippedWriteAheadLog(t *testing.T) {
	t.Parallel()
	c := newChain(t, genesis.Limits{MaxBlockTxs: 20})
	l := c.open(t.TempDir())
	var lastBegins int64
	for i := range 6 {
		if i == 5 {
			s, err := scanLog(one(t, l.name, "*.mem"))
			if err != nil {
				t.Fatal(err)
			}
			lastBegins = s.valid
		}
		c.append(l, c.next(3, 50))
	}
	whole := c.snapshot(l)
	l.Close()
	end, err := scanLog(one(t, whole, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(logHeaderSize); at < end.valid; at += 151 {
		dir := t.TempDir()
		copyDir(t, whole, dir)
		flip(t, one(t, dir, "*.mem"), at)
		r, err := Verify(dir, c.genesis, nil)
		switch last := at >= lastBegins; {
		case last && (err != nil || r.Tip.Height != 5):
			t.Errorf("at byte %d, in the last block: height %d, %v; want 5", at, r.Tip.Height, err)
		case !last && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), ".mem")):
			t.Errorf("at byte %d of %d: height %d, %v; want ErrCorrupt, and the file's name", at, lastBegins, r.Tip.Height, err)
		}
	}
}
