package mempool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"grapevine/block"
	"grapevine/durable"
)

// journal is a directory of segment files that transactions are appended to. The
// callers do its work themselves: the first to enter a batch leads it, waits for
// the batch before to be synced while others enter, and then writes and syncs
// for all of them.
type journal struct {
	dir          string
	genesis      block.ID
	segmentBytes int64
	log          *slog.Logger
	steps        durable.Steps // tests have one fail

	io   sync.Mutex // held by whoever writes, over the disk's time
	file *os.File   // the last segment's, under io; nil once closed
	used uint64     // the highest number that a segment got, or one that was not finished, under io

	mu       sync.Mutex // never held over IO; taken after Pool.mu and after io
	next     *batch     // collects what is to be written next
	segments []*segment // oldest first; the last is being written to
	err      error      // the first failure; nothing is written after it, until it is mended
}

// segment is one file of a journal.
type segment struct {
	number uint64
	size   int64 // bytes written, under journal.mu
	live   int64 // bytes of the records whose transaction is in the pool, under journal.mu
}

// batch is what one sync makes durable.
type batch struct {
	buf  []byte // collected under journal.mu
	last int    // where the last record in buf begins, under journal.mu
	led  bool
	done chan struct{} // closed when the two below are final

	segment *segment
	err     error
}

// ticket is one caller's part in a batch.
type ticket struct {
	batch *batch
	lead  bool // this caller writes it
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (j *journal) path(number uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%016d.journal", number))
}

// join enters entries in the next batch. It does no IO; the caller goes on to commit.
func (j *journal) join(entries []*entry) ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.next
	for _, e := range entries {
		b.last = len(b.buf)
		b.buf = appendRecord(b.buf, e.tx, e.at)
	}
	lead := !b.led
	b.led = true
	return ticket{batch: b, lead: lead}
}

// commit returns once the ticket's batch is synced or has failed.
func (j *journal) commit(t ticket) {
	if t.lead {
		j.flush(t.batch)
	}
	<-t.batch.done
}

// flush writes a batch, which from here on takes no more entries. After the first failure
// nothing is written to this segment: after a failed sync the kernel may call the lost
// pages clean, and a later sync would succeed without them. See Pool.mend.
func (j *journal) flush(b *batch) {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	j.next = newBatch()
	b.err = j.err
	j.mu.Unlock()
	if b.err == nil {
		b.segment, b.err = j.write(b)
	}
	if b.err != nil {
		b.err = j.fail(b.err)
	}
	close(b.done)
}

// fail notes the first failure and returns it.
func (j *journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil { // else it failed before, or is closed
		j.err = fmt.Errorf("%w: %w; nothing is acknowledged until a new segment can be written, which is tried again and again", ErrJournal, err)
		j.log.Error("journal failed", "dir", j.dir, "err", err)
	}
	return j.err
}

// failed returns the first failure.
func (j *journal) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// write appends a batch to the last segment, or to a new one when that is full.
// The caller holds io.
func (j *journal) write(b *batch) (*segment, error) {
	s, size := j.last()
	if size >= j.segmentBytes {
		if err := j.rotate(j.used + 1); err != nil {
			return nil, err
		}
		s, _ = j.last()
	}
	// Counted before it is written: a segment is not deleted over a transaction
	// that its submitter has not been told of yet.
	j.mu.Lock()
	s.size += int64(len(b.buf))
	s.live += int64(len(b.buf))
	j.mu.Unlock()
	endBatch(b.buf, b.last)
	if err := j.steps.Do("append", func() error { _, err := j.file.Write(b.buf); return err }); err != nil {
		return nil, fmt.Errorf("appending to %s: %w", j.path(s.number), bare(err))
	}
	if err := j.steps.Do("sync appended", j.file.Sync); err != nil {
		return nil, fmt.Errorf("syncing %s: %w", j.path(s.number), bare(err))
	}
	b.buf = nil
	return s, nil
}

// bare is an error of a file without its path: that of a segment is the one it had before
// it was finished.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// last returns the segment that is being written to, and its size.
func (j *journal) last() (*segment, int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.segments[len(j.segments)-1]
	return s, s.size
}

// rotate goes on in a new segment. The caller holds io.
func (j *journal) rotate(number uint64) error {
	file, size, err := j.create(head{genesis: j.genesis, number: number}, func(func(*entry) bool) {})
	if err != nil {
		return err
	}
	old := j.file
	j.file = file
	j.mu.Lock()
	j.segments = append(j.segments, &segment{number: number, size: size})
	j.mu.Unlock()
	return old.Close() // synced before
}

// create makes a segment with records of these entries in it, each of which counts as a
// batch of its own: all have been synced when the file gets its name, so that a segment
// never has a torn head, and a record that is not whole proves damage if another follows.
func (j *journal) create(h head, entries iter.Seq[*entry]) (file *os.File, size int64, err error) {
	path := j.path(h.number)
	j.used = h.number // not again, whatever becomes of it: its name may be on the disk or not
	fill := func(to io.Writer) error {
		w := bufio.NewWriterSize(to, 1<<20)
		buf := h.bytes()
		w.Write(buf) // Flush returns the first error
		size = int64(len(buf))
		for e := range entries {
			buf = appendRecord(buf[:0], e.tx, e.at)
			endBatch(buf, 0)
			w.Write(buf)
			size += int64(len(buf))
		}
		return w.Flush()
	}
	if file, err = j.steps.OpenFilled(path, fill, 0o666); err != nil {
		return nil, 0, fmt.Errorf("creating %s: %w", path, err)
	}
	return file, size, nil
}

// close waits for the write under way. Later ones fail.
func (j *journal) close() error {
	j.io.Lock()
	defer j.io.Unlock()
	if j.file == nil {
		return nil
	}
	j.mu.Lock()
	if j.err == nil {
		j.err = fmt.Errorf("%w: it is closed", ErrJournal)
	}
	j.mu.Unlock()
	file := j.file
	j.file = nil
	return file.Close()
}
