package mempool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"grapevine/block"
)

var errDisk = errors.New("input/output error")

// disk stands between a journal and the file system, and makes one step fail.
type disk struct {
	dir    string
	mu     sync.Mutex // a step at a time: segments are deleted while others are written
	fail   int        // the number of the step that fails, from 1; 0: none
	done   bool       // it takes effect all the same
	dead   bool       // nothing after it takes effect, as after a crash
	synced map[string]int64
	lost   map[string]int64 // files whose bytes from there on a failed sync lost
	named  string           // the file that got its name last
	undone string           // the file whose name a failed sync of the directory lost
	steps  []string
	syncs  int
}

func newDisk(dir string) *disk {
	return &disk{dir: dir, synced: make(map[string]int64), lost: make(map[string]int64)}
}

// quickly opens a pool whose syncs are not real.
func quickly(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p, err := open(cfg, newDisk(cfg.Journal).durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (d *disk) durable(step string, do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = append(d.steps, step)
	failing := d.fail > 0 && len(d.steps) == d.fail
	if d.fail > 0 && d.dead && len(d.steps) > d.fail || failing && !d.done {
		d.lose(step)
		return errDisk
	}
	switch step {
	case "sync appended", "sync":
		d.sync() // instead of a real one, which the test's files do not need
	case "sync directory":
	default:
		if err := do(); err != nil {
			return err
		}
	}
	if step == "name" {
		d.named = d.newest()
		d.synced[d.named] = d.synced[d.named+".new"] // it is the same file
	}
	if failing {
		return errDisk
	}
	return nil
}

func (d *disk) files() []string {
	names, err := filepath.Glob(filepath.Join(d.dir, "*"))
	if err != nil {
		panic(err)
	}
	return names
}

func (d *disk) newest() string {
	newest := ""
	for _, f := range d.files() {
		if strings.HasSuffix(f, ".journal") {
			newest = f // they are sorted
		}
	}
	return newest
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		panic(err)
	}
	return info.Size()
}

// sync notes that what the files hold is on the disk.
func (d *disk) sync() {
	d.syncs++
	for _, f := range d.files() {
		d.synced[f] = size(f)
	}
}

// lose notes that what was written since the last sync of this kind is not on the
// disk, and will not be by any later sync.
func (d *disk) lose(step string) {
	if step == "sync directory" {
		d.undone = d.named
	}
	if step != "sync appended" && step != "sync" {
		return
	}
	for _, f := range d.files() {
		if _, already := d.lost[f]; !already && d.synced[f] < size(f) {
			d.lost[f] = d.synced[f]
		}
	}
}

// crash leaves of the files what the disk has. Of what a sync lost, part is
// there: a torn write.
func (d *disk) crash(t *testing.T) {
	t.Helper()
	for f, from := range d.lost {
		if _, err := os.Stat(f); err != nil {
			continue // renamed or deleted
		}
		if err := os.Truncate(f, from+(size(f)-from)/3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(d.undone); err == nil {
		if err := os.Rename(d.undone, d.undone+".new"); err != nil {
			t.Fatal(err)
		}
	}
}

// story is a node's life with its journal, and what it told its submitters.
type story struct {
	cfg       Config
	submitted map[block.ID]bool
	acked     map[block.ID]*block.Tx
	committed map[block.ID]bool
}

func newStory(dir string) *story {
	s := &story{submitted: make(map[block.ID]bool), acked: make(map[block.ID]*block.Tx), committed: make(map[block.ID]bool)}
	s.cfg = Config{Journal: dir, SegmentBytes: headSize + 1, Committed: func(id block.ID) (bool, error) { return s.committed[id], nil }}
	return s
}

func (s *story) submit(p *Pool, txs ...*block.Tx) error {
	for _, tx := range txs {
		s.submitted[tx.ID()] = true
	}
	verdicts, err := p.Submit(t0, txs)
	for i, v := range verdicts {
		if v.Status == Accepted || v.Status == Duplicate {
			s.acked[txs[i].ID()] = txs[i]
		}
	}
	return err
}

func (s *story) commit(p *Pool, height uint64, txs ...*block.Tx) {
	for _, tx := range txs { // the ledger first
		s.committed[tx.ID()] = true
	}
	s.cfg.Height = height
	p.Committed(t0, height, txs)
}

// live plays the whole story, until opening fails. Every batch has a segment of its
// own, and one is deleted on the way.
func (s *story) live(d *disk) {
	p, err := open(s.cfg, d.durable)
	if err != nil {
		return
	}
	defer p.Close()
	a, b, c := run('a', 4), run('b', 2), run('c', 3)
	p.Offer(t0, b[:1])
	s.submit(p, a[0], a[1])
	s.submit(p, b[0], b[1]) // the first of them came from gossip
	s.commit(p, 1, a[0])
	s.submit(p, a[2], a[1]) // the second is a duplicate
	s.commit(p, 2, a[1])    // the first segment can go
	s.submit(p, c...)
	s.submit(p, a[3])
}

// check opens the journal again and compares.
func (s *story) check(t *testing.T) {
	t.Helper()
	p := quickly(t, s.cfg)
	for id, tx := range s.acked {
		if _, local, ok := p.Arrived(id); !s.committed[id] && (!ok || !local) {
			t.Errorf("%s was acknowledged and is gone", names([]*block.Tx{tx}))
		}
	}
	for _, tx := range p.Select(time.Time{}, s.cfg.Height+1, 100, 1<<20, 1<<20) {
		if !s.submitted[tx.ID()] || s.committed[tx.ID()] {
			t.Errorf("%s is on offer", names([]*block.Tx{tx}))
		}
	}
	s.cfg.SegmentBytes++ // so that this one goes into the segment of the reopening
	if err := s.submit(p, newTx('z', uint64(s.cfg.SegmentBytes), 100, 0)); err != nil {
		t.Errorf("the journal opened again takes nothing: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Every durable step of a node's life fails, undone or done after all, and the
// process dies or lives on. Whatever it acknowledged is there when it starts again.
func TestCrashMatrix(t *testing.T) {
	d := newDisk(t.TempDir())
	s := newStory(d.dir)
	s.live(d)
	s.check(t)
	if len(s.acked) != 10 {
		t.Fatalf("undisturbed, %d transactions are acknowledged, want all 9 and one more", len(s.acked))
	}
	t.Logf("%d steps: %q", len(d.steps), d.steps)
	for _, want := range []string{"write", "sync", "name", "sync directory", "append", "sync appended", "delete segment"} {
		if !strings.Contains(fmt.Sprintf("%q", d.steps), fmt.Sprintf("%q", want)) {
			t.Errorf("the story has no step %q", want)
		}
	}
	for fail := 1; fail <= len(d.steps); fail++ {
		for mode := range 4 {
			name := fmt.Sprintf("%02d %s, done=%v, dead=%v", fail, d.steps[fail-1], mode&1 > 0, mode&2 > 0)
			t.Run(name, func(t *testing.T) {
				d := newDisk(t.TempDir())
				d.fail, d.done, d.dead = fail, mode&1 > 0, mode&2 > 0
				s := newStory(d.dir)
				s.live(d)
				d.crash(t)
				s.crashAgain(t)
				s.check(t)
				s.check(t)
			})
		}
	}
}

// crashAgain opens the journal, and dies at each step of that.
func (s *story) crashAgain(t *testing.T) {
	t.Helper()
	for fail := 1; ; fail++ {
		d := newDisk(s.cfg.Journal)
		d.sync()
		d.fail, d.done, d.dead = fail, fail%2 == 0, true
		p, err := open(s.cfg, d.durable)
		if err == nil {
			p.Close()
		}
		d.crash(t)
		if len(d.steps) < fail {
			return
		}
	}
}

// After one failed sync nothing is acknowledged, though every later sync succeeds.
func TestFailedSyncPoisons(t *testing.T) {
	d := newDisk(t.TempDir())
	p, err := open(Config{Journal: d.dir}, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	txs := run(1, 3)
	mustSubmit(t, p, t0, txs[0])
	p.Offer(t0, txs[1:2])
	d.fail = len(d.steps) + 2 // append, sync
	verdicts, err := p.Submit(t0, txs)
	if got := p.Failed(); !errors.Is(got, ErrJournal) || !errors.Is(got, errDisk) {
		t.Errorf("the pool says that its journal failed with %v", got)
	}
	if !errors.Is(err, ErrJournal) || !errors.Is(err, errDisk) {
		t.Fatalf("error is %v", err)
	}
	for _, part := range []string{"syncing ", ".journal", errDisk.Error(), "until a new segment can be written"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	want1(t, verdicts[:1], Duplicate, nil) // it was acknowledged before
	want1(t, verdicts[1:2], Refused, errDisk)
	want1(t, verdicts[2:], Refused, errDisk)
	if !p.Has(txs[1].ID()) || p.Has(txs[2].ID()) {
		t.Error("want what gossip brought on offer, and what the journal failed not")
	}
	if _, local, _ := p.Arrived(txs[1].ID()); local {
		t.Error("local though not acknowledged")
	}
	steps := len(d.steps)
	for range 3 {
		verdicts, err = p.Submit(t0, txs[1:])
		if !errors.Is(err, errDisk) || verdicts[0].Status != Refused || verdicts[1].Status != Refused {
			t.Fatalf("after a failed sync: %v, %v", verdicts, err)
		}
	}
	if len(d.steps) != steps {
		t.Errorf("the disk was touched after the failure: %q", d.steps[steps:])
	}
	wantAll(t, p.Offer(t0, txs[2:]), Accepted) // gossip needs no journal
	if p.shelf.bytes != 3*block.TxOverhead {
		t.Errorf("%d bytes are taken up, want those of 3 transactions", p.shelf.bytes)
	}
}

func TestSubmitAfterCloseIsRefused(t *testing.T) {
	p := mustOpen(t, Config{Journal: t.TempDir()})
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Submit(t0, run(1, 1)); !errors.Is(err, ErrJournal) {
		t.Fatalf("error is %v", err)
	}
}

// movable opens a pool whose journal's first segment is a single transaction that
// stays, about to be moved by the next Committed.
func movable(t *testing.T) (d *disk, p *Pool, stays *block.Tx, height uint64) {
	t.Helper()
	d = newDisk(t.TempDir())
	const perSegment = 4
	p, err := open(Config{Journal: d.dir, SegmentBytes: headSize + perSegment*(recordOverhead+block.TxOverhead)}, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	stays = newTx('z', 0, 100, 0)
	txs := append(run('a', 8*perSegment-1), stays)
	slices.Reverse(txs)
	for _, tx := range txs {
		mustSubmit(t, p, t0, tx)
	}
	for i := 1; i < len(txs); i++ {
		if i < perSegment || i%perSegment > 0 { // one of each segment is left, so none goes by itself
			p.journal.release(p.commit(t0, 1, txs[i:i+1]))
		}
	}
	if s := p.journal.sparsest(); s != p.journal.segments[0] {
		t.Fatalf("segment %v is the sparsest, want the first", s)
	}
	return d, p, stays, 1
}

func TestMoveFails(t *testing.T) {
	d, p, stays, height := movable(t)
	d.fail = len(d.steps) + 6 // new segment, append, sync
	p.Committed(t0, height, nil)
	if len(d.steps) != d.fail || d.steps[d.fail-1] != "sync appended" {
		t.Fatalf("the last steps are %q", d.steps[len(d.steps)-3:])
	}
	d.crash(t)
	if p = mustOpen(t, Config{Journal: d.dir}); !p.Has(stays.ID()) {
		t.Fatal("gone with a segment that could not be moved")
	}
}

func TestCommittedWhileItIsMoved(t *testing.T) {
	d, p, stays, height := movable(t)
	before := p.journal.segments[0]
	p.journal.steps = func(step string, do func() error) error {
		if step == "sync appended" {
			p.journal.release(p.commit(t0, height+1, []*block.Tx{stays}))
		}
		return d.durable(step, do)
	}
	p.Committed(t0, height, nil)
	p.journal.steps = d.durable
	p.Committed(t0, height+2, nil)
	if slices.Contains(p.journal.segments, before) {
		t.Error("the moved segment is still there")
	}
	for _, s := range p.journal.segments {
		needed := int64(0)
		for _, o := range p.shelf.offers {
			if o.segment == s {
				needed += recordOverhead + block.TxOverhead
			}
		}
		if s.live != needed {
			t.Errorf("segment %d keeps %d bytes, %d are needed", s.number, s.live, needed)
		}
	}
}
