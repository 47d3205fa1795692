package mempool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
// acknowledged.
func (p *Pool) replay() error {
	j := p.journal
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	found, err := j.read()
	if err != nil {
		return err
	}
	for _, r := range found.records {
		if err := p.take(r); err != nil {
			return err
		}
	}
	var buf []byte
	last := 0
	for el := p.shelf.arrival.Front(); el != nil; el = el.Next() {
		e := el.Value.(*entry)
		last = len(buf)
		buf = appendRecord(buf, e.tx, e.at)
	}
	if len(buf) > 0 {
		endBatch(buf, last)
	}
	s := &segment{number: found.next, live: int64(len(buf))}
	if j.file, s.size, err = j.create(head{genesis: j.genesis, number: s.number, base: s.number}, buf); err != nil {
		return err
	}
	for _, o := range p.shelf.offers {
		o.segment = s
	}
	j.segments = []*segment{s}
	found.delete(j)
	if len(found.records) > 0 {
		j.log.Info("journal replayed", "dir", j.dir, "transactions", len(found.records), "still_pending", len(p.shelf.offers))
	}
	return nil
}

// take puts a replayed transaction on offer unless it is there, committed or expired.
func (p *Pool) take(r record) error {
	if p.shelf.entries[r.tx.ID()] != nil || r.tx.Expiry <= p.shelf.height {
		return nil
	}
	committed, err := p.cfg.Committed(r.tx.ID())
	if err != nil {
		return fmt.Errorf("asking the ledger for transaction %s: %w", r.tx.ID().Short(), err)
	}
	if !committed {
		e := p.shelf.hold(r.tx, r.at)
		e.local = true
		p.shelf.show(e)
	}
	return nil
}

// findings are what a directory held when it was opened.
type findings struct {
	paths   []string // all of its files
	next    uint64   // the number of the next segment
	records []record // of the segments that count, by time of arrival
}

// read finds the records of the segments that count. They are sorted because some
// may have been moved to later segments.
func (j *journal) read() (findings, error) {
	f := findings{next: 1}
	var heads []head
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
		heads = append(heads, h)
		base = max(base, h.base)
		f.next = h.number + 1
	}
	for i, h := range heads {
		if h.number < base {
			continue // superseded
		}
		records, err := j.readSegment(h, i == len(heads)-1)
		if err != nil {
			return f, err
		}
		f.records = append(f.records, records...)
	}
	slices.SortStableFunc(f.records, func(a, b record) int { return a.at.Compare(b.at) })
	return f, nil
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

// readSegment reads a segment's records. In the last one a torn end is a write that
// was under way when the process died, if no later write follows it.
func (j *journal) readSegment(h head, last bool) ([]record, error) {
	path := j.path(h.number)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	at := int64(headSize)
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	var records []record
	for r := bufio.NewReaderSize(file, 1<<20); ; {
		rec, n, err := readRecord(r)
		switch {
		case errors.Is(err, io.EOF):
			return records, nil
		case errors.Is(err, errTorn) && last:
			return records, j.dropTorn(h, file, at)
		case err != nil:
			return nil, damaged(path, at, err)
		}
		records = append(records, rec)
		at += int64(n)
	}
}

// dropTorn says that the rest of the file is left out. The segment that replay
// begins does without it.
func (j *journal) dropTorn(h head, file *os.File, at int64) error {
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return err
	}
	tail, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if !h.unmarked && acknowledged(tail) {
		return damaged(file.Name(), at, fmt.Errorf("%w, and later writes follow it, so that it had been acknowledged", errTorn))
	}
	j.log.Warn("journal ends in a torn write, which was never acknowledged: dropped", "path", file.Name(), "offset", at, "bytes", len(tail))
	return nil
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
