package ordering

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"grapevine/block"
)

func newLock(t testing.TB, n network) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orderer.lock")
	if err := CreateLock(path, n.ID()); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpenLock(t testing.TB, path string) *Lock {
	t.Helper()
	l, err := OpenLock(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLock(t *testing.T) {
	n := newNetwork()
	path := newLock(t, n)
	l := mustOpenLock(t, path)
	if l.Height() != 0 || l.ID() != n.ID() || l.Block() != nil {
		t.Fatalf("a new lock is at %d, %s", l.Height(), l.ID())
	}
	if err := CreateLock(path, n.ID()); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("created twice: %v", err)
	}
	one := n.on(n.start(), 1)
	two := n.on(one.Tip(), 2)
	for _, b := range []*block.Block{one, two} {
		if err := l.advance(b); err != nil {
			t.Fatal(err)
		}
		l = mustOpenLock(t, path)
		if l.Height() != b.Height || l.ID() != b.ID() || !bytes.Equal(l.Block().Bytes(), b.Bytes()) {
			t.Fatalf("opened again, the lock is at %d, %s, want %d, %s and the block", l.Height(), l.ID(), b.Height, b.ID())
		}
	}
	if err := CreateLock(path, n.ID()); !errors.Is(err, fs.ErrExist) || mustOpenLock(t, path).Height() != 2 {
		t.Fatalf("a lock was made new: %v", err)
	}
	if err := l.reset(one.Tip()); err != nil {
		t.Fatal(err)
	}
	if l = mustOpenLock(t, path); l.Height() != 1 || l.ID() != one.ID() || l.Block() != nil {
		t.Fatalf("reset, the lock is at %d, %s", l.Height(), l.ID())
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("files are %v, %v", files, err)
	}
}

func TestLockRefusesAnotherBlock(t *testing.T) {
	n := newNetwork()
	path := newLock(t, n)
	l := mustOpenLock(t, path)
	one := n.on(n.start(), 1)
	if err := l.advance(one); err != nil {
		t.Fatal(err)
	}
	elsewhere := n.on(block.Tip{Height: 1, ID: block.ID{9}}, 2)
	foreign := n.on(one.Tip(), 3)
	foreign.Genesis = block.ID{8}
	for name, b := range map[string]*block.Block{
		"the same height again": n.on(n.start(), 2), "the same block again": one, "a gap": n.on(n.on(one.Tip(), 3).Tip(), 4),
		"a gap on the right parent": n.on(block.Tip{Height: 2, ID: one.ID()}, 5), "another parent": elsewhere, "another network": foreign,
	} {
		if err := l.advance(b); err == nil || !strings.Contains(err.Error(), "does not stand on it") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if l.ID() != one.ID() || mustOpenLock(t, path).ID() != one.ID() {
		t.Error("the lock has moved")
	}
}

func TestMemoryLock(t *testing.T) {
	n := newNetwork()
	l := MemoryLock(n.ID())
	one := n.on(n.start(), 1)
	if err := l.advance(one); err != nil || l.ID() != one.ID() {
		t.Fatal(err)
	}
	if err := l.advance(n.on(n.start(), 2)); err == nil {
		t.Fatal("two blocks at one height")
	}
}

func TestNoLockSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orderer.lock")
	_, err := OpenLock(path)
	if !errors.Is(err, ErrNoLock) {
		t.Fatalf("error is %v", err)
	}
	for _, part := range []string{path, "signs nothing", "peer start --new-chain", "--reset-lock"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// reseal puts the right checksum under a content.
func reseal(content []byte) []byte {
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

func TestLockDecoding(t *testing.T) {
	n := newNetwork()
	one := n.on(n.start(), 1)
	good := lockState{genesis: n.ID(), height: 1, id: one.ID(), block: one}.bytes()
	edit := func(f func(b []byte) []byte) []byte { return reseal(f(slices.Clone(good[:len(good)-32]))) }
	tests := []struct {
		name string
		raw  []byte
		want string
	}{
		{"nothing", nil, "0 bytes, want at least 112"},
		{"cut", good[:len(good)-1], "checksum"},
		{"longer", append(slices.Clone(good), 0), "checksum"},
		{"another version", edit(func(b []byte) []byte { b[3] = 2; return b }), "this software reads"},
		{"more than the block", edit(func(b []byte) []byte { return append(b, 0) }), "a block of "},
		{"a block cut short", edit(func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[76:], uint32(len(b)-81))
			return b[:len(b)-1]
		}), "malformed"},
		{"another height", edit(func(b []byte) []byte { b[43] = 2; return b }), "it names height 2"},
		{"another ID", edit(func(b []byte) []byte { b[50] ^= 1; return b }), "it names height 1, block "},
		{"another network", edit(func(b []byte) []byte { b[5] ^= 1; return b }), "it names height 1, block "},
		{"at height 0 not the genesis", lockState{genesis: n.ID(), id: block.ID{1}}.bytes(), "not the genesis"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "orderer.lock")
		if err := os.WriteFile(path, tt.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenLock(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "put a good copy") {
			t.Errorf("%s: error is %v, want %q in it, the path and what to do", tt.name, err, tt.want)
		}
	}
	for i := range good {
		broken := slices.Clone(good)
		broken[i] ^= 1
		if _, err := decodeLock(broken); err == nil {
			t.Fatalf("a bit turned at %d goes unseen", i)
		}
	}
}

// fault makes the n-th durable step fail, undone or done after all.
type fault struct {
	n     int
	done  bool
	steps []string
}

func (f *fault) durable(step string, do func() error) error {
	f.steps = append(f.steps, step)
	if len(f.steps) != f.n {
		return do()
	}
	if f.done {
		if err := do(); err != nil {
			return err
		}
	}
	return errDisk
}

// Each step of writing the lock fails. The file is then the old one or the new one,
// whole, and this process signs nothing more, for it does not know which.
func TestLockCrashMatrix(t *testing.T) {
	n := newNetwork()
	one := n.on(n.start(), 1)
	two, other := n.on(one.Tip(), 2), n.on(one.Tip(), 3)
	steps := []string{"write", "sync", "name", "sync directory"}
	for i, step := range steps {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, done=%v", step, done), func(t *testing.T) {
				path := newLock(t, n)
				f := &fault{n: 2*len(steps) + i + 1, done: done} // after opening and one write
				l, err := openLock(path, f.durable)
				if err != nil {
					t.Fatal(err)
				}
				if err := l.advance(one); err != nil {
					t.Fatal(err)
				}
				err = l.advance(two)
				if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "nothing more is signed") {
					t.Fatalf("error is %v", err)
				}
				if !slices.Equal(f.steps, slices.Concat(steps, steps, steps[:i+1])) {
					t.Fatalf("steps are %q", f.steps)
				}
				if l.ID() != one.ID() {
					t.Error("the lock claims what may not be on the disk")
				}
				if err := l.advance(other); !errors.Is(err, errDisk) {
					t.Fatalf("another block after a failed write: %v", err)
				}
				want, err := one, error(nil)
				if step == "sync directory" || step == "name" && done {
					want = two
				}
				l = mustOpenLock(t, path)
				if l.ID() != want.ID() || !bytes.Equal(l.Block().Bytes(), want.Bytes()) {
					t.Fatalf("the file has height %d, %s, want %d, %s", l.Height(), l.ID(), want.Height, want.ID())
				}
				if want == one {
					err = l.advance(two)
				}
				if err != nil || mustOpenLock(t, path).Height() < want.Height {
					t.Errorf("opened again, it cannot go on: %v", err)
				}
			})
		}
	}
}

// Opening writes the file anew, so that what it says is on the disk before anybody
// acts on it: the last process may have died between the new name and the sync of
// the directory.
func TestOpenLockCrashMatrix(t *testing.T) {
	n := newNetwork()
	one := n.on(n.start(), 1)
	path := newLock(t, n)
	if err := mustOpenLock(t, path).advance(one); err != nil {
		t.Fatal(err)
	}
	for i, step := range []string{"write", "sync", "name", "sync directory"} {
		for _, done := range []bool{false, true} {
			f := &fault{n: i + 1, done: done}
			if _, err := openLock(path, f.durable); !errors.Is(err, errDisk) || len(f.steps) != i+1 || f.steps[i] != step {
				t.Fatalf("%s: %v after steps %q", step, err, f.steps)
			}
			if l := mustOpenLock(t, path); l.ID() != one.ID() {
				t.Fatalf("%s, done=%v: the lock is at %d", step, done, l.Height())
			}
		}
	}
}

func TestCreateLockCrashMatrix(t *testing.T) {
	n := newNetwork()
	for i := range 4 {
		for _, done := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "orderer.lock")
			f := &fault{n: i + 1, done: done}
			if err := createLock(path, n.ID(), f.durable); !errors.Is(err, errDisk) {
				t.Fatalf("step %d: %v", i, err)
			}
			if err := CreateLock(path, n.ID()); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Errorf("step %q, done=%v: then %v", f.steps[i], done, err)
			}
			if l := mustOpenLock(t, path); l.Height() != 0 || l.ID() != n.ID() {
				t.Errorf("step %q, done=%v: the lock is at %d, %s", f.steps[i], done, l.Height(), l.ID())
			}
		}
	}
}

func FuzzLock(f *testing.F) {
	n := newNetwork()
	one := n.on(n.start(), 1)
	for _, s := range []lockState{{genesis: n.ID(), id: n.ID()}, {genesis: n.ID(), height: 1, id: one.ID(), block: one}, {genesis: n.ID(), height: 7, id: one.ID()}} {
		b := s.bytes()
		f.Add(b[:len(b)-32])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		raw := reseal(bytes.Clone(content)) // else only the checksum is fuzzed
		s, err := decodeLock(raw)
		if err == nil && !bytes.Equal(s.bytes(), raw) {
			t.Fatalf("read %x, which is written %x", raw, s.bytes())
		}
	})
}
