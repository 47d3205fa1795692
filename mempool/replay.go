package mempool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapevine/block"
	"grapevine/durable"
)

// Open makes a pool and puts on offer again what the journal has and no block does.
func Open(cfg Config) (*Pool, error) { return open(cfg, nil) }

func open(cfg Config, steps durable.Steps) (*Pool, error) {
	cfg = cfg.withDefaults()
	p := &Pool{
		cfg:    cfg,
		shelf:  newShelf(cfg),
		recent: newIDSet(maxRecent),
		wanted: newIDSet(cfg.MaxWanted),
		spent:  make(map[*segment]int64),
	}
	if cfg.Journal == "" {
		return p, nil
	}
	p.journal = &journal{
		dir: cfg.Journal, genesis: cfg.Genesis, segmentBytes: int64(cfg.SegmentBytes),
		log: cfg.Logger, steps: steps, next: newBatch(),
	}
	if err := p.replay(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", cfg.Journal, err)
	}
	return p, nil
}

// Close closes the journal; a Submit after it is refused. The pool's other methods
// go on working.
func (p *Pool) Close() error {
	if p.journal == nil {
		return nil
	}
	if err := p.journal.close(); err != nil {
		return fmt.Errorf("closing journal %s: %w", p.cfg.Journal, err)
	}
	return nil
}

// replay fills the new pool from the journal, and begins a segment that holds just
// what is still to be kept. So whatever the last run's failed writes left behind
// is written anew and synced before it is acknowledged a second time, and the
// journal that was read can go. Limits do not count here: all of it was
// acknowledged. Just what is kept is in memory, once.
func (p *Pool) replay() error {
	j := p.journal
	if err := j.steps.MkdirAll(j.dir, 0o700); err != nil { // its name too must survive
		return err
	}
	found, err := j.find()
	if err != nil {
		return err
	}
	var kept []record
	if err := j.read(&found, func(r record) error {
		ok, err := p.wants(r.tx)
		if ok {
			kept = append(kept, r)
		}
		return err
	}); err != nil {
		return err
	}
	// Some may have been moved to later segments.
	slices.SortStableFunc(kept, func(a, b record) int { return a.at.Compare(b.at) })
	for _, r := range kept {
		p.take(r)
	}
	s := &segment{number: found.next}
	if j.file, s.size, err = j.create(head{genesis: j.genesis, number: s.number, base: s.number}, p.shelf.all()); err != nil {
		return err
	}
	s.live = s.size - headSize
	for _, o := range p.shelf.offers {
		o.segment = s
	}
	j.segments = []*segment{s}
	found.delete(j)
	if found.Transactions > 0 {
		j.log.Info("journal replayed", "dir", j.dir, "transactions", found.Transactions, "still_pending", len(p.shelf.offers))
	}
	return nil
}

// wants says whether a replayed transaction is neither committed nor expired.
func (p *Pool) wants(t *block.Tx) (bool, error) {
	if t.Expiry <= p.shelf.height {
		return false, nil
	}
	committed, err := p.cfg.Committed(t.ID())
	if err != nil {
		return false, fmt.Errorf("asking the ledger for transaction %s: %w", t.ID().Short(), err)
	}
	return !committed, nil
}

// take puts a replayed transaction on offer unless it is there.
func (p *Pool) take(r record) {
	if p.shelf.entries[r.tx.ID()] == nil {
		e := p.shelf.hold(r.tx, r.at, "")
		e.local = true
		p.shelf.show(e)
	}
}

// Contents are what Verify found in a journal.
type Contents struct {
	// Segments counts the files that count, Transactions the records in them, committed
	// ones among them.
	Segments, Transactions int
	// Dropped are the bytes of a write at the end that a crash interrupted, in the file
	// Torn, which the next start leaves out. It was never acknowledged.
	Dropped int64
	Torn    string
}

// Verify reads a network's journal as Open does, and changes nothing. Where there is no
// directory there is no journal, which is no error.
func Verify(dir string, genesis block.ID) (Contents, error) {
	j := &journal{dir: dir, genesis: genesis, log: slog.New(slog.DiscardHandler)}
	found, err := j.find()
	if errors.Is(err, fs.ErrNotExist) {
		return Contents{}, nil
	}
	if err == nil {
		err = j.read(&found, func(record) error { return nil })
	}
	if err != nil {
		return found.Contents, fmt.Errorf("journal %s: %w", dir, err)
	}
	return found.Contents, nil
}

// findings are what a directory held when it was opened.
type findings struct {
	Contents
	paths []string // all of its files
	next  uint64   // the number of the next segment
	heads []head   // of the segments that count
}

// find finds the segments that count.
func (j *journal) find() (findings, error) {
	f := findings{next: 1}
	files, err := os.ReadDir(j.dir) // sorted by name, and so by number
	if err != nil {
		return f, err
	}
	base := uint64(0)
	for _, file := range files {
		path := filepath.Join(j.dir, file.Name())
		whole := strings.HasSuffix(path, ".journal")
		if whole || strings.HasSuffix(path, ".journal"+durable.Unfinished) {
			f.paths = append(f.paths, path)
		}
		if !whole {
			continue // a crash came before it counted
		}
		h, err := j.readHead(path)
		if err != nil {
			return f, err
		}
		f.heads = append(f.heads, h)
		base = max(base, h.base)
		f.next = h.number + 1
	}
	f.heads = slices.DeleteFunc(f.heads, func(h head) bool { return h.number < base }) // superseded
	f.Segments = len(f.heads)
	return f, nil
}

// read calls fn with the records of the segments that count.
func (j *journal) read(f *findings, fn func(record) error) error {
	for i, h := range f.heads {
		if err := j.readSegment(f, h, i == len(f.heads)-1, fn); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) readHead(path string) (head, error) {
	file, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer file.Close()
	h, err := readHead(file)
	switch {
	case err != nil:
		return head{}, damaged(path, 0, err)
	case h.genesis != j.genesis:
		return head{}, fmt.Errorf("%s belongs to network %s, not %s: give this network a directory of its own, or move the file away", path, h.genesis, j.genesis)
	case j.path(h.number) != path:
		return head{}, fmt.Errorf("%s is segment %d, which is called %s: rename it back, or move it away", path, h.number, j.path(h.number))
	}
	return h, nil
}

// readSegment calls fn with a segment's records. In the last one a torn end is a write that
// was under way when the process died, if no later write follows it.
func (j *journal) readSegment(f *findings, h head, last bool, fn func(record) error) error {
	path := j.path(h.number)
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	at := int64(headSize)
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return err
	}
	for r := bufio.NewReaderSize(file, 1<<20); ; {
		rec, n, err := readRecord(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTorn) && last:
			f.Torn = path
			f.Dropped, err = j.dropTorn(h, file, at)
			return err
		case err != nil:
			return damaged(path, at, err)
		}
		if err := fn(rec); err != nil {
			return err
		}
		f.Transactions++
		at += int64(n)
	}
}

// dropTorn says that the rest of the file is left out, and how many bytes that is. The
// segment that replay begins does without it.
func (j *journal) dropTorn(h head, file *os.File, at int64) (int64, error) {
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	tail, err := io.ReadAll(file)
	if err != nil {
		return 0, err
	}
	if !h.unmarked && acknowledged(tail) {
		return 0, damaged(file.Name(), at, fmt.Errorf("%w, and later writes follow it, so that it had been acknowledged", errTorn))
	}
	j.log.Warn("journal ends in a torn write, which was never acknowledged: dropped", "path", file.Name(), "offset", at, "bytes", len(tail))
	return int64(len(tail)), nil
}

func damaged(path string, at int64, err error) error {
	return fmt.Errorf("%s, offset %d: %w: move the file away to start without the acknowledged transactions in it", path, at, err)
}

// delete removes the files that a new segment has superseded. One that stays does
// no harm: it does not count any more.
func (f findings) delete(j *journal) {
	for _, path := range f.paths {
		if err := j.steps.Do("delete segment", func() error { return os.Remove(path) }); err != nil {
			j.log.Warn("journal segment not deleted, the next start does", "path", path, "err", err)
		}
	}
}
