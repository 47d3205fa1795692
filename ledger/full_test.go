//go:build linux

package ledger

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapevine/genesis"
)

// fullVariable makes a test process the one in a mount namespace of its own.
const fullVariable = "GRAPEVINE_LEDGER_TEST_FULL"

// alone runs the test again in a process with a mount namespace of its own, in which it
// mounts a small disk, and says whether this is that process, and where the disk is.
func alone(t *testing.T) (dir string, here bool) {
	t.Helper()
	if dir := os.Getenv(fullVariable); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
			t.Fatal(err)
		}
		return dir, true
	}
	if os.Getuid() != 0 {
		t.Skip("mounting a file system takes root")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), fullVariable+"="+t.TempDir())
	if exec.Command("unshare", "-m", "true").Run() != nil {
		t.Skip("no mount namespaces here")
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v:\n%s", err, out)
	}
	return "", false
}

// fill takes all the room that a disk has but so many bytes, as another program would.
func fill(t *testing.T, dir string, but int64) {
	t.Helper()
	free, err := freeSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "another's"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(free)-but); err != nil {
		t.Fatal(err)
	}
}

// Somebody else fills the disk between the look at it and the write: that is an error,
// and no signal that ends the process; closing is none either, nor is opening; and when
// there is room again, all is there.
func TestDiskFilledByAnother(t *testing.T) {
	dir, here := alone(t)
	if !here {
		return
	}
	c := newChain(t, genesis.Limits{})
	l, err := Open(Config{Dir: filepath.Join(dir, "ledger"), Genesis: c.genesis})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Append(c.next(10, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	d := l.db.(*disk)
	d.freeSpace = func(string) (uint64, error) {
		fill(t, dir, 0)
		d.freeSpace = func(string) (uint64, error) { return 1 << 40, nil }
		return 1 << 40, nil
	}
	err = nil
	height := uint64(3)
	for ; err == nil && height < 10; height++ { // what has been claimed takes the first
		err = l.Append(c.next(1000, 4000))
	}
	if height--; !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("appending to a full disk: %v", err)
	}
	d.freeSpace = freeSpace
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("closing on a full disk: %v", err)
	}
	left := *d // its process would have ended
	if err := os.Remove(filepath.Join(dir, "another's")); err != nil {
		t.Fatal(err)
	}
	if err := left.db.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, dir, 1<<20)
	if _, err := Open(Config{Dir: filepath.Join(dir, "ledger"), Genesis: c.genesis}); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("opening on a full disk: %v", err)
	}
	if _, err := Open(Config{Dir: filepath.Join(dir, "another"), Genesis: c.genesis}); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("making one on a full disk: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "another's")); err != nil {
		t.Fatal(err)
	}
	l, err = Open(Config{Dir: filepath.Join(dir, "ledger"), Genesis: c.genesis})
	if err != nil {
		t.Fatal(err)
	}
	if l.Tip().Height != height {
		t.Errorf("the tip is %+v, want height %d", l.Tip(), height)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// What a commit writes has been given room, and no commit claims it anew.
func TestRoomIsClaimedAhead(t *testing.T) {
	c := newChain(t, genesis.Limits{})
	l := c.open(t.TempDir())
	d := l.db.(*disk)
	for range 3 {
		c.append(l, c.next(10, 1000))
		for _, x := range d.claims {
			info, err := os.Stat(x.name)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Sys().(*syscall.Stat_t).Blocks * 512; got < claimStep || x.upto > claimStep+1<<20 || x.next > 1<<20 {
				t.Errorf("%s has %d KiB on the disk, claimed up to %d, of which %d may be used", x.name, got>>10, x.upto, x.next)
			}
		}
	}
}

// The room that is kept follows the network's limits.
func TestWhatMustBeFreeFollowsTheLimits(t *testing.T) {
	small, large := newChain(t, genesis.Limits{}), newChain(t, genesis.Limits{MaxBodyBytes: 32 << 20, MaxBlockTxs: 100_000})
	a, b := needsFree(small.genesis.BlockLimits()), needsFree(large.genesis.BlockLimits())
	if a < minFree || b < 2*(32<<20)+a {
		t.Errorf("%d MiB by default, %d for blocks of 32 MiB", a>>20, b>>20)
	}
}
