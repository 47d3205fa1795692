package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"grapevine/genesis"
)

// contents returns a hash of each file's bytes.
func contents(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	for name, size := range files(t, dir) {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		err = eachPage(f, 0, func(at int64, page []byte) error {
			binary.Write(h, binary.BigEndian, at)
			h.Write(page)
			return nil
		})
		if f.Close(); err != nil {
			t.Fatal(err)
		}
		binary.Write(h, binary.BigEndian, size)
		out[name] = [32]byte(h.Sum(nil))
	}
	return out
}

// Verify says what there is, and what opening will do about the leavings of a crash; it
// does none of it.
func TestVerifyChangesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := newChain(t, genesis.Limits{MaxBlockTxs: 20})
	closed := t.TempDir()
	for range 3 { // three tables, three files of the value log
		l := c.open(closed)
		c.append(l, c.next(5, 400), c.next(5, 400))
		l.Close()
	}
	l := c.open(closed)
	c.append(l, c.next(5, 400), c.next(5, 400))
	killed := c.snapshot(l)
	l.Close()
	torn := t.TempDir()
	copyDir(t, killed, torn)
	s := scanned(t, torn, "*.mem")
	overwrite(t, one(t, torn, "*.mem"), s.valid, []byte{0x40, 1, 2, 3})
	half := t.TempDir()
	copyDir(t, killed, half)
	for _, name := range []string{"00099.mem", "000099.vlog"} { // killed before they had a size
		if err := os.WriteFile(filepath.Join(half, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	twice := t.TempDir() // a table that was being made of the log
	copyDir(t, killed, twice)
	if err := os.WriteFile(filepath.Join(twice, "000099.sst"), []byte("half a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"closed": closed, "killed": killed, "torn": torn, "half-made files": half, "a half-made table": twice} {
		before := contents(t, dir)
		r := c.verify(dir, 8)
		if after := contents(t, dir); !maps.Equal(before, after) {
			t.Errorf("%s: there were %d files, and are %d, or one has changed", name, len(before), len(after))
		}
		if name == "torn" && r.Recovery.Dropped != 4 {
			t.Errorf("%s: %v, want 4 bytes cut off", name, r.Recovery)
		}
		if left := files(t, os.Getenv("TMPDIR")); len(left) > 0 {
			t.Errorf("%s: it leaves %v behind", name, left)
		}
	}
}

// A ledger that is verified may be verified by others too, and not be opened.
func TestVerifyWhileAnotherVerifies(t *testing.T) {
	c := newChain(t, genesis.Limits{MaxBlockTxs: 20})
	dir := t.TempDir()
	l := c.open(dir)
	c.append(l, c.next(5, 400))
	l.Close()
	if _, err := Verify(dir, c.genesis, func(_, _ uint64) {
		c.verify(dir, 1)
		if l, err := Open(Config{Dir: dir, Genesis: c.genesis}); !errors.Is(err, ErrHeld) {
			t.Errorf("opened while it is verified: %v, %v; want ErrHeld", l, err)
		}
	}); err != nil {
		t.Error(err)
	}
}
