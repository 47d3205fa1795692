package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"grapevine/genesis"
)

// The environment that makes the test binary the process to kill: the ledger's
// directory, and the seed of its blocks' sizes.
const (
	envKillDir  = "GRAPEVINE_LEDGER_KILL_DIR"
	envKillSeed = "GRAPEVINE_LEDGER_KILL_SEED"
)

// Small blocks need a small memtable, which is then flushed every few thousand
// transactions, so that kills meet flushes and compactions as well.
var killLimits = genesis.Limits{MaxBlockTxs: 200, MaxBodyBytes: 2 << 20}

// TestKillChild is the process to kill. It appends blocks and writes "height ID" to
// the pipe after each Append has returned.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(envKillDir)
	if dir == "" {
		t.Skip("run by TestKill")
	}
	seed, err := strconv.ParseUint(os.Getenv(envKillSeed), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	report := os.NewFile(3, "report")
	rng := rand.New(rand.NewPCG(seed, 0))
	c := newChain(t, killLimits)
	l := c.open(dir)
	c.tip = l.Tip()
	c.nonce = seed << 32 // other transactions than in the runs before
	for {
		n, payload := 1+rng.IntN(200), 100
		if rng.IntN(10) == 0 { // a body of several parts
			n, payload = 1+rng.IntN(30), 60<<10
		}
		b := c.next(n, payload)
		c.blocks = nil
		c.append(l, b)
		if _, err := fmt.Fprintln(report, b.Height, b.ID()); err != nil {
			t.Fatal(err)
		}
	}
}

// A process that appends is killed with SIGKILL at random moments. Nothing that it
// reported is lost, and the ledger is whole. GRAPEVINE_SOAK=1 kills 200 times.
//
// It does not run beside other tests: between fork and exec the child holds the locks of
// all ledgers that are open here, and one that is closed and opened again in that moment
// is held by another process.
func TestKill(t *testing.T) {
	kills := 20
	if os.Getenv("GRAPEVINE_SOAK") != "" {
		kills = 200
	}
	seed := uint64(time.Now().UnixNano()) & 0xffffff
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	reported := map[uint64]string{}
	var replayed, dropped int
	for i := range kills {
		m := moment{after: time.Duration(rng.IntN(100_000)) * time.Microsecond}
		if rng.IntN(4) == 0 {
			m = moment{opening: true, after: 20*time.Millisecond + m.after/20}
		}
		height := runAndKill(t, dir, seed<<8+uint64(i), m, reported)
		if i%10 == 9 { // not always: it takes longer with every block
			c := newChain(t, killLimits)
			if _, err := Verify(dir, c.genesis, nil); err != nil {
				t.Fatalf("kill %d: %v", i, err)
			}
		}
		tip, r := checkReported(t, dir, reported)
		if tip != height && tip != height+1 {
			t.Errorf("kill %d: the tip is %d, the last height reported %d", i, tip, height)
		}
		replayed += r.Replayed
		if r.Dropped > 0 {
			dropped++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d blocks, %d write-ahead logs replayed, %d unfinished writes cut off", kills, len(reported), replayed, dropped)
}

// moment is when a child is killed: some time after its first report, so that on every
// machine it has blocks to lose, or after its start, when it opens the ledger.
type moment struct {
	opening bool
	after   time.Duration
}

// runAndKill runs the child until its moment, adds what it reports, and returns the
// highest height reported by any child.
func runAndKill(t *testing.T, dir string, seed uint64, m moment, reported map[uint64]string) uint64 {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	child.Env = append(os.Environ(), envKillDir+"="+dir, envKillSeed+"="+strconv.FormatUint(seed, 10))
	child.ExtraFiles = []*os.File{w}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	err = child.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { time.AfterFunc(m.after, func() { child.Process.Kill() }) })
	if m.opening {
		kill()
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		kill()
		var height uint64
		var id string
		if _, err := fmt.Sscan(lines.Text(), &height, &id); err != nil {
			t.Fatalf("the child reports %q: %v", lines.Text(), err)
		}
		if had, ok := reported[height]; ok {
			t.Errorf("height %d was reported as %s and is now %s", height, had, id)
		}
		reported[height] = id
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child was to be killed, not to end: %v", err)
	}
	return uint64(len(reported))
}

// checkReported opens the ledger and looks for every block that was reported.
func checkReported(t *testing.T, dir string, reported map[uint64]string) (tip uint64, r Recovery) {
	t.Helper()
	l := newChain(t, killLimits).open(dir)
	defer l.Close()
	for height, id := range reported {
		if h, err := l.Header(height); err != nil || h.ID().String() != id {
			t.Errorf("height %d: was reported as %s, is %s: %v", height, id, h.ID(), err)
		}
	}
	end := l.Tip()
	if end.Height > 0 && reported[end.Height] == "" { // the kill came between Append and its report
		reported[end.Height] = end.ID.String()
	}
	return end.Height, l.db.(*disk).recovery
}
