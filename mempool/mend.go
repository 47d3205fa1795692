package mempool

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"grapevine/durable"
)

const (
	// mendEvery is how soon after a journal has failed it is tried again, and mendMost how
	// seldom at last: each try may write all that waits. Guesses: a disk is full for minutes.
	mendEvery = 5 * time.Second
	mendMost  = time.Minute
)

// Tend has the journal go on when it has failed and its disk takes writes again, until ctx
// ends, and returns why that did. Without it a failure is final.
func (p *Pool) Tend(ctx context.Context) error {
	for wait := mendEvery; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		if err := p.mend(); err != nil {
			wait = min(2*wait, mendMost)
			p.journal.log.Warn("journal cannot go on yet", "dir", p.journal.dir, "err", err, "again_in", wait)
		} else {
			wait = mendEvery
		}
	}
}

// mend writes all that was acknowledged to a new segment, which supersedes the others as a
// start's does, and goes on there, if the journal has failed. What the failed writes left
// in the old ones does not matter then, nor what a sync lost of them.
func (p *Pool) mend() error {
	j := p.journal
	if j == nil || j.failed() == nil {
		return nil
	}
	j.io.Lock()
	defer j.io.Unlock()
	if j.file == nil {
		return nil // it is closed
	}
	number := j.used + 1
	kept := p.acknowledged()
	file, size, err := j.create(head{genesis: j.genesis, number: number, base: number}, slices.Values(kept))
	if err != nil {
		for _, path := range []string{j.path(number), j.path(number) + durable.Unfinished} {
			os.Remove(path) // it would take up what room there is
		}
		return err
	}
	j.file.Close() // whatever it says: nothing in it counts any more
	j.file = file
	old := p.goOn(&segment{number: number, size: size}, kept)
	for _, s := range old {
		err := j.steps.Do("delete segment", func() error { return os.Remove(j.path(s.number)) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.log.Warn("journal segment not deleted, the next start does", "path", j.path(s.number), "err", err)
		}
	}
	j.log.Info("journal goes on in a new segment", "path", j.path(number), "transactions", len(kept))
	return nil
}

// acknowledged returns what the journal has to have: what submitters were told of, or will
// be as soon as they look. In order of arrival as far as it is on offer.
func (p *Pool) acknowledged() (kept []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.shelf.all() {
		if e.local || e.batch.written() {
			kept = append(kept, e)
		}
	}
	for _, e := range p.shelf.entries {
		if e.offer < 0 && e.batch.written() {
			kept = append(kept, e)
		}
	}
	return kept
}

// written says whether a batch is on the disk, and its entries therefore acknowledged.
func (b *batch) written() bool {
	if b == nil {
		return false
	}
	select {
	case <-b.done:
		return b.err == nil
	default:
		return false
	}
}

// goOn makes a new segment, which has these entries, the only one, and returns the others.
func (p *Pool) goOn(s *segment, kept []*entry) (old []*segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range kept {
		if e.left.Status == 0 { // else it went meanwhile, and nothing keeps it
			e.segment = s
			s.live += int64(recordOverhead + e.tx.Size())
		}
	}
	j := p.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	old, j.segments, j.err = j.segments, []*segment{s}, nil
	return old
}
