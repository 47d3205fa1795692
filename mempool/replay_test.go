package mempool

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"grapevine/block"
)

// What a start has written anew is synced before it counts, so none of it is a torn write,
// however much of it there is: a bad byte in one transaction does not cost the others.
func TestFlippedByteInWhatAStartHasWritten(t *testing.T) {
	first := Config{Journal: t.TempDir()}
	mustSubmit(t, mustOpen(t, first), t0, run('a', 5)...)
	if err := mustOpen(t, first).Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(first.Journal, "0000000000000002.journal")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	record := recordOverhead + block.TxOverhead
	for at := headSize; at < headSize+4*record; at++ { // the last may be torn off all the same
		broken := bytes.Clone(whole)
		broken[at] ^= 1 << (at % 8)
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Journal: dir}); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("at byte %d of %d: %v, want an error that names the file", at, len(whole), err)
		}
	}
}

// A start has in memory what waits, once: neither what was read beside it, nor what is
// written.
func TestLargeReplayTakesWhatThePoolTakes(t *testing.T) {
	const count, payload = 2_000, 32<<10 - 200 // 64 MiB; records fill a size of the allocator
	cfg := Config{Journal: t.TempDir(), MaxTxs: 2 * count, MaxBytes: 256 << 20, Limits: block.Limits{MaxTxBytes: 64 << 10, MaxLifetime: 1000}}
	p := mustOpen(t, cfg)
	for i := range uint64(2 * count) {
		mustSubmit(t, p, t0, newTx('a', i, 100, payload))
	}
	_, pooled, _ := p.Pending()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = nil
	turn := false // every second one is in the ledger by now
	cfg.Committed = func(block.ID) (bool, error) { turn = !turn; return turn, nil }
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	q := mustOpen(t, cfg)
	runtime.ReadMemStats(&after)
	if _, kept, _ := q.Pending(); kept != pooled/2 {
		t.Fatalf("%d bytes wait after the start, want %d", kept, pooled/2)
	}
	// All that was allocated, garbage too: each transaction as it was read, and some MiB.
	if all := after.TotalAlloc - before.TotalAlloc; all > uint64(pooled)*5/4 {
		t.Errorf("a start with %d bytes in the journal has allocated %d", pooled, all)
	}
	if held := after.HeapInuse - before.HeapInuse; held > uint64(pooled)*5/4 {
		t.Errorf("a start with %d bytes in the journal holds %d", pooled, held)
	}
}

// The journal's directory has a name that survives before anything is acknowledged in it.
func TestTheJournalsNameIsSynced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home", "journal")
	d := newDisk(dir)
	p, err := open(Config{Journal: dir}, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	made := -1
	for i, step := range d.steps {
		if step == "make directory" {
			made = i
		}
	}
	if made < 0 || d.steps[made+1] != "sync directory" || d.steps[made+2] != "write" {
		t.Errorf("steps are %q", d.steps)
	}
}

// Verify says what Open would find, and changes nothing.
func TestVerify(t *testing.T) {
	cfg := Config{Journal: t.TempDir()}
	if c, err := Verify(filepath.Join(cfg.Journal, "none"), block.ID{}); err != nil || c != (Contents{}) {
		t.Errorf("no journal: %+v, %v", c, err)
	}
	mustSubmit(t, mustOpen(t, cfg), t0, run('a', 3)...)
	path := filepath.Join(cfg.Journal, "0000000000000001.journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, content []byte, want Contents, says string) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Verify(cfg.Journal, block.ID{})
		if c != want || (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v; want %+v, %q", what, c, err, want, says)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) || len(segments(t, cfg.Journal)) != 1 {
			t.Errorf("%s: it was changed (%v)", what, err)
		}
	}
	try("whole", whole, Contents{Segments: 1, Transactions: 3}, "")
	try("torn", append(bytes.Clone(whole), 1, 2), Contents{Segments: 1, Transactions: 3, Dropped: 2, Torn: path}, "")
	broken := append(bytes.Clone(whole), whole[headSize:]...)
	broken[headSize+20] ^= 1
	try("damaged", broken, Contents{Segments: 1, Torn: path}, "later writes follow")
	try("another network's", head{genesis: block.ID{9}, number: 1}.bytes(), Contents{}, "belongs to network")
}
