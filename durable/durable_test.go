package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var errDisk = errors.New("input/output error")

// fault makes one step fail, undone or done after all, and notes all that were begun.
type fault struct {
	at    string
	done  bool
	begun []string
}

func (f *fault) step(step string, do func() error) error {
	f.begun = append(f.begun, step)
	if step != f.at {
		return do()
	}
	if f.done {
		return errors.Join(do(), errDisk)
	}
	return errDisk
}

var steps = []string{StepWrite, StepSync, StepName, StepSyncDir}

// makers are the ways to make a file.
var makers = map[string]func(Steps, string, []byte) error{
	"replace": func(s Steps, path string, b []byte) error { return s.Replace(path, b, 0o640) },
	"create":  func(s Steps, path string, b []byte) error { return s.Create(path, b, 0o640) },
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAFileIsMade(t *testing.T) {
	for name, with := range makers {
		path := filepath.Join(t.TempDir(), "file")
		f := &fault{}
		if err := with(f.step, path, []byte("new")); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.begun, steps) {
			t.Errorf("%s: steps are %q, want %q", name, f.begun, steps)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != "new" || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: the file holds %q, mode %o", name, got, info.Mode().Perm())
		}
		left, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(left) != 1 {
			t.Errorf("%s: the directory holds %v, want the file alone: %v", name, left, err)
		}
	}
}

// At each step that fails, undone or done, the file is the old one or the new one, whole,
// the steps behind it are not begun, and the next attempt succeeds.
func TestCrashMatrix(t *testing.T) {
	for name, with := range makers {
		for i, step := range steps {
			for _, done := range []bool{false, true} {
				path := filepath.Join(t.TempDir(), "file")
				old := ""
				if name == "replace" {
					old = "old, and longer"
					if err := Replace(path, []byte(old), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				f := &fault{at: step, done: done}
				if err := with(f.step, path, []byte("new")); !errors.Is(err, errDisk) {
					t.Fatalf("%s, %s: error is %v", name, step, err)
				}
				if !slices.Equal(f.begun, steps[:i+1]) {
					t.Errorf("%s, %s: steps are %q", name, step, f.begun)
				}
				want := old
				if step == StepSyncDir || step == StepName && done {
					want = "new"
				}
				if got := content(t, path); got != want {
					t.Errorf("%s, %s, done=%v: the file holds %q, want %q", name, step, done, got, want)
				}
				if err := with(nil, path, []byte("new")); err != nil && !(name == "create" && want == "new" && errors.Is(err, fs.ErrExist)) {
					t.Errorf("%s, %s, done=%v: then %v", name, step, done, err)
				}
				if got := content(t, path); got != "new" {
					t.Errorf("%s, %s, done=%v: then the file holds %q", name, step, done, got)
				}
			}
		}
	}
}

func TestCreateLeavesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	made := make(chan error)
	for range 8 {
		go func() { made <- Create(path, []byte("one"), 0o600) }()
	}
	n := 0
	for range 8 {
		if err := <-made; err == nil {
			n++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if n != 1 || content(t, path) != "one" {
		t.Errorf("%d of 8 made the file, which holds %q", n, content(t, path))
	}
}

func TestOpenGoesOnAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := Steps(nil).Open(path, []byte("begin"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(", end"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "begin, end" {
		t.Errorf("the file holds %q", got)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := &fault{}
	if err := Steps(f.step).MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The directory above the two, in case that it is new; then each of the two.
	if want := []string{StepSyncDir, StepMakeDir, StepSyncDir, StepMakeDir, StepSyncDir}; !slices.Equal(f.begun, want) {
		t.Errorf("steps are %q, want %q", f.begun, want)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v", info, err)
	}
	f = &fault{} // its name may not be on the disk yet
	if err := Steps(f.step).MkdirAll(dir, 0o700); err != nil || !slices.Equal(f.begun, []string{StepSyncDir}) {
		t.Errorf("where it is there already: %v, steps are %q", err, f.begun)
	}
	for _, step := range []string{StepMakeDir, StepSyncDir} {
		f = &fault{at: step}
		if err := Steps(f.step).MkdirAll(filepath.Join(dir, "c", step), 0o700); !errors.Is(err, errDisk) {
			t.Errorf("%s fails: %v", step, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := Create(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(file, 0o700); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestRename(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	f := &fault{}
	if err := Steps(f.step).Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.begun, []string{StepName, StepSyncDir}) {
		t.Errorf("steps are %q", f.begun)
	}
	if err := Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renaming what is not there: %v", err)
	}
	if err := SyncDir(from); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("syncing what is not there: %v", err)
	}
}
