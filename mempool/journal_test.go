package mempool

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"grapevine/block"
)

// segments returns the names of a journal's files.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		out = append(out, strings.TrimLeft(f.Name(), "0"))
	}
	return out
}

func TestReplay(t *testing.T) {
	cfg := Config{Journal: t.TempDir(), MaxPerSender: 5}
	p := mustOpen(t, cfg)
	txs := parse(t, "a0 b0@3 c0 a1@4 d0 a2")
	for i, tx := range txs {
		mustSubmit(t, p, t0.Add(time.Duration(i)*time.Second), tx)
	}
	p.Offer(t0, parse(t, "e0")) // gossip is not journalled

	cfg.Height, cfg.MaxTxs = 3, 1 // limits do not count for what was acknowledged
	cfg.Committed = func(id block.ID) (bool, error) { return id == txs[2].ID(), nil }
	p = mustOpen(t, cfg)
	if got := names(p.Journalled()); got != "a0 a1 d0 a2" {
		t.Fatalf("on offer again: %q", got)
	}
	if at, local, ok := p.Arrived(txs[4].ID()); !at.Equal(t0.Add(4*time.Second)) || !local || !ok {
		t.Errorf("d0 arrived %v, local %v, %v", at, local, ok)
	}
	if _, _, oldest := p.Pending(); !oldest.Equal(t0) {
		t.Errorf("the oldest is of %v", oldest)
	}
	if got := segments(t, cfg.Journal); !slices.Equal(got, []string{"2.journal"}) {
		t.Errorf("files are %q", got)
	}
}

func TestLedgerFailsWhileReplaying(t *testing.T) {
	cfg := Config{Journal: t.TempDir()}
	mustSubmit(t, mustOpen(t, cfg), t0, run(1, 1)...)
	cfg.Committed = func(block.ID) (bool, error) { return false, errDisk }
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "asking the ledger") {
		t.Fatalf("error is %v", err)
	}
}

// A journal that ends anywhere, or whose end is overwritten, gives back the records
// before that, says so, and can be written to.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	p := mustOpen(t, Config{Journal: dir})
	mustSubmit(t, p, t0, run('a', 2)...)
	whole, err := os.ReadFile(filepath.Join(dir, "0000000000000001.journal"))
	if err != nil {
		t.Fatal(err)
	}
	record := recordOverhead + block.TxOverhead
	try := func(name string, content []byte, want int, torn bool) {
		t.Helper()
		var log bytes.Buffer
		cfg := Config{Journal: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		if err := os.WriteFile(filepath.Join(cfg.Journal, "0000000000000001.journal"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		p := quickly(t, cfg)
		if got := len(p.Journalled()); got != want {
			t.Errorf("%s: %d transactions, want %d", name, got, want)
		}
		said := fmt.Sprintf("offset=%d bytes=%d", headSize+want*record, len(content)-headSize-want*record)
		if strings.Contains(log.String(), said) != torn {
			t.Errorf("%s: the log says %q", name, log.String())
		}
		mustSubmit(t, p, t0, newTx('z', 0, 100, 0))
		if got := len(quickly(t, cfg).Journalled()); got != want+1 {
			t.Errorf("%s: %d transactions after another start, want %d", name, got, want+1)
		}
	}
	for end := headSize; end <= len(whole); end++ {
		try(fmt.Sprintf("cut at %d", end), whole[:end], (end-headSize)/record, (end-headSize)%record > 0)
	}
	try("zeros follow", append(slices.Clone(whole), make([]byte, 4096)...), 2, true)
	for _, at := range []int{headSize + record, headSize + record + 3, headSize + record + 5, headSize + record + 9, headSize + 2*record - 1} {
		broken := slices.Clone(whole)
		broken[at] ^= 0x20
		try(fmt.Sprintf("bit turned at %d", at), broken, 1, true)
	}
}

func TestOpenRefuses(t *testing.T) {
	fill := func(t *testing.T) Config {
		cfg := Config{Genesis: block.ID{7}, Journal: t.TempDir(), SegmentBytes: 1}
		p := mustOpen(t, cfg)
		for _, tx := range run(1, 3) {
			mustSubmit(t, p, t0, tx)
		}
		return cfg
	}
	tests := []struct {
		name  string
		spoil func(cfg *Config, second string) error
		want  []string
	}{
		{"another network", func(cfg *Config, _ string) error { cfg.Genesis = block.ID{8}; return nil }, []string{"belongs to network 07", "not 08", "directory of its own"}},
		{"a damaged record in the middle", func(_ *Config, second string) error { return flip(second, headSize+20) }, []string{"2.journal, offset 56", "damaged", "move the file away"}},
		{"a damaged head", func(_ *Config, second string) error { return flip(second, 40) }, []string{"2.journal, offset 0", "damaged", "move the file away"}},
		{"a cut in the middle", func(_ *Config, second string) error { return os.Truncate(second, headSize+50) }, []string{"2.journal, offset 56", "cut off"}},
		{"a renamed segment", func(_ *Config, second string) error { return os.Rename(second, second[:len(second)-9]+"7.journal") }, []string{"is segment 2", "rename it back"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := fill(t)
			if err := tt.spoil(&cfg, filepath.Join(cfg.Journal, "0000000000000002.journal")); err != nil {
				t.Fatal(err)
			}
			before := segments(t, cfg.Journal)
			_, err := Open(cfg)
			if err == nil {
				t.Fatal("it was opened")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if after := segments(t, cfg.Journal); !slices.Equal(before, after) {
				t.Errorf("files were %q, are %q", before, after)
			}
		})
	}
}

func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func TestSegmentsGoWhenTheyAreDoneWith(t *testing.T) {
	cfg := Config{Journal: t.TempDir(), SegmentBytes: headSize + 2*(recordOverhead+block.TxOverhead)}
	p := mustOpen(t, cfg)
	txs := run('a', 8)
	for _, tx := range txs { // two a segment
		mustSubmit(t, p, t0, tx)
	}
	want := func(names ...string) {
		t.Helper()
		if got := segments(t, cfg.Journal); !slices.Equal(got, names) {
			t.Fatalf("files are %q, want %q", got, names)
		}
	}
	want("1.journal", "2.journal", "3.journal", "4.journal")
	p.Committed(t0, 1, []*block.Tx{txs[0], txs[2], txs[3], txs[6]})
	want("1.journal", "3.journal", "4.journal")
	p.Committed(t0, 2, []*block.Tx{txs[1], txs[7]})
	want("3.journal", "4.journal") // the last stays
	mustSubmit(t, p, t0, newTx('b', 0, 7, 0))
	p.Committed(t0, 3, nil)
	want("3.journal", "5.journal")
	p.Committed(t0, 100, nil) // everything has expired
	want("5.journal")
	cfg.Height = 100
	if got := mustOpen(t, cfg).Journalled(); len(got) != 0 {
		t.Errorf("on offer: %q", names(got))
	}
}

// One transaction in every segment that stays does not keep all the segments.
func TestJournalStaysSmall(t *testing.T) {
	const perSegment = 10
	cfg := Config{Journal: t.TempDir(), SegmentBytes: headSize + perSegment*(recordOverhead+block.TxOverhead)}
	ledger := make(map[block.ID]bool)
	cfg.Committed = func(id block.ID) (bool, error) { return ledger[id], nil }
	p := quickly(t, cfg)
	var stay []*block.Tx
	height := uint64(0)
	for i := range 200 {
		var gone []*block.Tx
		for n := range perSegment - 1 {
			gone = append(gone, newTx('a', uint64(i*perSegment+n), 1_000_000, 0))
		}
		long := newTx('b', uint64(i), 1_000_000, 0)
		stay = append(stay, long)
		mustSubmit(t, p, t0.Add(time.Duration(i)), append(gone, long)...)
		height++
		p.Committed(t0, height, gone)
		for _, tx := range gone {
			ledger[tx.ID()] = true
		}

		var size, needed int64
		p.journal.mu.Lock()
		for _, s := range p.journal.segments {
			size += s.size
			needed += s.live
		}
		p.journal.mu.Unlock()
		if want := int64(len(stay) * (recordOverhead + block.TxOverhead)); needed != want {
			t.Fatalf("after %d segments %d bytes are held to be needed, want %d", i+1, needed, want)
		}
		if bound := 2*needed + 6*int64(cfg.SegmentBytes); size > bound {
			t.Fatalf("after %d segments the journal has %d bytes for %d, want at most %d", i+1, size, needed, bound)
		}
	}
	p = mustOpen(t, cfg)
	if got := names(p.Journalled()); got != names(stay) {
		t.Fatalf("on offer again are %q, want those that stayed, in order", got)
	}
}

// 64 submitters at once: while the first syncs the others gather, and one more sync
// serves them all.
func TestSubmittersShareSyncs(t *testing.T) {
	const others = 63
	d := newDisk(t.TempDir())
	var p *Pool
	held := make(chan struct{})
	first := true
	p, err := open(Config{Journal: d.dir}, func(step string, do func() error) error {
		if step == "sync appended" && first {
			first = false
			close(held)
			for gathered := 0; gathered < others*(recordOverhead+block.TxOverhead); runtime.Gosched() {
				p.journal.mu.Lock()
				gathered = len(p.journal.next.buf)
				p.journal.mu.Unlock()
			}
		}
		return d.durable(step, do)
	})
	if err != nil {
		t.Fatal(err)
	}
	syncs := d.syncs
	txs := run(1, 1+others)
	var all sync.WaitGroup
	submit := func(tx *block.Tx) {
		verdicts, err := p.Submit(t0, []*block.Tx{tx})
		if err != nil || verdicts[0].Status != Accepted {
			t.Errorf("%v, %v", verdicts, err)
		}
	}
	all.Go(func() { submit(txs[0]) })
	<-held
	if p.Has(txs[0].ID()) {
		t.Error("on offer before its sync")
	}
	for _, tx := range txs[1:] {
		all.Go(func() { submit(tx) })
	}
	all.Wait()
	if d.syncs-syncs != 2 {
		t.Errorf("%d syncs, want 2", d.syncs-syncs)
	}
	if count, _, _ := p.Pending(); count != 1+others {
		t.Errorf("%d on offer", count)
	}
}

// during opens a pool and runs f while the first Submit's sync is under way; it
// returns what that Submit was told, whose sync fails with err.
func during(t *testing.T, tx *block.Tx, fail error, f func(p *Pool)) (*Pool, Verdict) {
	t.Helper()
	inSync, goOn := make(chan struct{}), make(chan struct{})
	p, err := open(Config{Journal: t.TempDir()}, func(step string, do func() error) error {
		if step != "sync appended" {
			return do()
		}
		close(inSync)
		<-goOn
		return fail
	})
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []Verdict
	var all sync.WaitGroup
	all.Go(func() { verdicts, _ = p.Submit(t0, []*block.Tx{tx}) })
	<-inSync
	f(p)
	close(goOn)
	all.Wait()
	return p, verdicts[0]
}

func TestWhileItIsJournalled(t *testing.T) {
	tx := newTx(1, 0, 7, 0)
	t.Run("it is not on offer", func(t *testing.T) {
		p, v := during(t, tx, nil, func(p *Pool) {
			if count, bytes, _ := p.Pending(); count != 0 || bytes != 0 || p.Has(tx.ID()) || len(p.Journalled()) != 0 || len(p.Select(time.Time{}, 1, 10, 1000, 1000)) != 0 {
				t.Error("on offer before it is journalled")
			}
			want1(t, p.Offer(t0, []*block.Tx{tx}), Duplicate, nil)
		})
		if v.Status != Accepted || !p.Has(tx.ID()) {
			t.Errorf("%v", v)
		}
	})
	t.Run("a block has it", func(t *testing.T) {
		p, v := during(t, tx, nil, func(p *Pool) { p.Committed(t0, 1, []*block.Tx{tx}) })
		if v.Status != Committed || p.Has(tx.ID()) || len(p.shelf.senders) != 0 {
			t.Errorf("%v", v)
		}
	})
	t.Run("it expires", func(t *testing.T) {
		p, v := during(t, tx, nil, func(p *Pool) { p.Committed(t0, 7, nil) })
		if v.Status != Refused || p.Has(tx.ID()) || p.shelf.bytes != 0 {
			t.Errorf("%v", v)
		}
		p.Committed(t0, 8, nil)
		if live := p.journal.segments[0].live; live != 0 {
			t.Errorf("the journal keeps %d bytes for it", live)
		}
	})
	for _, fail := range []error{nil, errDisk} {
		t.Run(fmt.Sprintf("another submits it, sync: %v", fail), func(t *testing.T) {
			var all sync.WaitGroup
			var second []Verdict
			var err error
			_, v := during(t, tx, fail, func(p *Pool) {
				entered := make(chan struct{})
				all.Go(func() {
					claims, own := p.reserve(t0, []*block.Tx{tx}, make([]Verdict, 1))
					if own.batch != nil || len(claims) != 1 || claims[0].batch == nil {
						t.Error("the second submitter does not wait for the first's write")
					}
					close(entered)
					second, err = p.Submit(t0, []*block.Tx{tx})
				})
				<-entered
			})
			all.Wait()
			if fail == nil && (v.Status != Accepted || second[0].Status != Duplicate || err != nil) {
				t.Errorf("%v, then %v, %v", v, second, err)
			}
			if fail != nil && (v.Status != Refused || second[0].Status != Refused || err == nil) {
				t.Errorf("%v, then %v, %v", v, second, err)
			}
		})
	}
}

// A byte of the last segment that goes bad is found, unless it is in the last write: that
// may be one that a crash interrupted. Nothing acknowledged before it is lost without a
// word, and the file stays as it is.
func TestFlippedByteInTheLastSegment(t *testing.T) {
	dir := t.TempDir()
	p := mustOpen(t, Config{Journal: dir})
	name := filepath.Join(dir, "0000000000000001.journal")
	var ends []int // of the writes
	for _, txs := range [][]*block.Tx{run('a', 3), run('b', 1), run('c', 2), run('d', 2)} {
		mustSubmit(t, p, t0, txs...)
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(info.Size()))
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	record := recordOverhead + block.TxOverhead
	for at := headSize; at < len(whole); at++ {
		broken := slices.Clone(whole)
		broken[at] ^= 1 << (at % 8)
		cfg := Config{Journal: t.TempDir()}
		path := filepath.Join(cfg.Journal, filepath.Base(name))
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := Open(cfg)
		if at >= ends[2] { // the last write is dropped from the bad place on
			if want := 6 + (at-ends[2])/record; err != nil || len(q.Journalled()) != want {
				t.Errorf("at byte %d, in the last write: %v, want %d transactions", at, err, want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "later writes follow") {
			t.Fatalf("at byte %d of %d: %v, want an error that names the file", at, len(whole), err)
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, broken) {
			t.Errorf("at byte %d: the file was changed: %v", at, err)
		}
	}
}

// A journal of the version before is read, and what ends it is taken for a torn write.
func TestJournalOfTheVersionBefore(t *testing.T) {
	old := head{number: 1, base: 1, unmarked: true}.bytes()
	for _, tx := range run('a', 3) {
		old = appendRecord(old, tx, t0)
	}
	old[len(old)-1] ^= 1
	cfg := Config{Journal: t.TempDir()}
	if err := os.WriteFile(filepath.Join(cfg.Journal, "0000000000000001.journal"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Open(cfg)
	if err != nil || len(p.Journalled()) != 2 {
		t.Fatalf("%v, want 2 transactions", err)
	}
}
