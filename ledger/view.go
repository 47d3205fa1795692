package ledger

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"grapevine/block"
)

// openView opens a database to be looked at, and changes nothing in its directory.
//
// Badger cannot: after a crash it opens for writing alone, cuts the logs, moves what is in
// them to tables, and removes tables that are not listed; and even for reading it writes a
// file of statistics. So it is given a directory of its own, in which the files that it
// writes to are copies, the logs of the last run among them, a value log file at most
// and two memtables; and those that never change, the tables and older files of the value
// log, are symbolic links, for a chain may be larger than the room that is left. Where
// there is nothing to recover all files are opened for reading; else nothing is compacted,
// since Badger empties a table before it removes it, through a link too.
func openView(dir string, l block.Limits, logger *slog.Logger) (_ *disk, err error) {
	unlock, err := hold(dir, true)
	if err != nil {
		return nil, err
	}
	release := unlock
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	recovery, err := survey(dir)
	if err != nil {
		return nil, err
	}
	view, err := os.MkdirTemp("", "grapevine-verify-*")
	if err != nil {
		return nil, fmt.Errorf("making a directory for copies: %w", err)
	}
	release = func() error { return errors.Join(os.RemoveAll(view), unlock()) }
	if err := fillView(dir, view); err != nil {
		return nil, fmt.Errorf("copying logs of ledger %s to %s, to leave them as they are: %w: make room there, or name another place with TMPDIR", dir, view, err)
	}
	s := &disk{dir: view, recovery: recovery, log: newBadgerLog(logger), release: release, needs: needsFree(l), freeSpace: freeSpace}
	if err := s.checkSpace(); err != nil && !recovery.Closed() { // Badger writes what it recovers
		return nil, fmt.Errorf("looking at ledger %s by copies of its logs: %w, or name another place with TMPDIR", dir, err)
	}
	o := badgerOptions(view, l, s.log)
	o.ReadOnly = recovery.Closed()
	o.NumCompactors = 0
	o.NumLevelZeroTablesStall = math.MaxInt // or it would wait for a compaction
	if s.db, err = badger.Open(o); err == nil {
		if err = s.log.takeFault(); err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}
	if err != nil { // Badger keeps no chain of errors, just their words
		return nil, openError(dir, errors.New(strings.ReplaceAll(err.Error(), view, dir)))
	}
	return s, nil
}

// fillView puts into a new directory what Badger needs of another one.
func fillView(dir, view string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	logs, err := written(dir, "*.vlog")
	if err != nil {
		return err
	}
	last := ""
	if len(logs) > 0 {
		last = logs[len(logs)-1]
	}
	all, err := written(dir, "*")
	if err != nil {
		return err
	}
	for _, from := range all {
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		to, kind := filepath.Join(view, filepath.Base(from)), filepath.Ext(from)
		switch {
		case !info.Mode().IsRegular():
		case kind == ".sst", kind == ".vlog" && from != last && info.Size() > logHeaderSize: // smaller ones are removed
			err = os.Symlink(from, to)
		default:
			err = copyPages(from, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyPages copies a file, zeros as holes.
func copyPages(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = eachPage(in, 0, func(at int64, page []byte) error {
		_, err := out.WriteAt(page, at)
		return err
	})
	size, serr := in.Seek(0, io.SeekEnd)
	return errors.Join(err, serr, out.Truncate(size), out.Close())
}
