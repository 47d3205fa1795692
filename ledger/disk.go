package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/skl"

	"grapevine/block"
	"grapevine/durable"
)

const (
	// valueThreshold keeps headers (286 bytes) in the LSM tree, where catch-up reads
	// them in order, and bodies out of it, so that compaction does not rewrite them.
	valueThreshold = 1 << 10
	// valueLogFileSize bounds a file of the value log, of which Badger maps twice as
	// much into memory and keeps it open: 1 TiB of chain takes 16,000 files. Opening
	// reads the last one twice.
	valueLogFileSize = 64 << 20
	// minFree is what must be free on the disk at least, before it is opened and before a
	// commit; a guess.
	minFree = 64 << 20
)

// needsFree is what must be free on the disk before a commit. Badger writes to mapped files,
// and a write that finds no room there kills the process. Room for the block itself is
// claimed; this is for what Badger does beside it, when it likes: a new file of each kind, a
// memtable's flush, and a compaction of the five tables that its lowest level gathers.
func needsFree(l block.Limits) uint64 {
	return max(minFree, uint64(2*int64(l.MaxBodyBytes)+8*memTableSize(l)))
}

// disk is a store on Badger, with what Badger leaves undone: it syncs the
// directory, and makes errors of what Badger only logs.
type disk struct {
	db       *badger.DB
	dir      string
	log      *badgerLog
	recovery Recovery     // what opening did
	release  func() error // what else there is to do at the end; nil: nothing

	claims claims // the writer's
	needs  uint64 // what must be free for a commit

	closing uint64 // and for the end in order

	seen time.Time // modification time of dir when last synced, zero when it must be synced; the writer's

	// The two steps that make a commit durable, (*badger.Txn).Commit and durable.SyncDir, and
	// freeSpace before them. The crash tests fail here.
	commitTxn func(*badger.Txn) error
	syncDir   func(dir string) error
	freeSpace func(dir string) (uint64, error)
}

// openDisk opens or makes the database of a network with these limits, after a look
// at its files.
func openDisk(dir string, l block.Limits, logger *slog.Logger) (*disk, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making ledger directory: %w", err)
	}
	release, err := hold(dir, false)
	if err != nil {
		return nil, err
	}
	recovery, err := survey(dir)
	if err == nil {
		err = removeEmptyLogs(dir)
	}
	if err = errors.Join(err, release()); err != nil { // Badger takes the lock itself
		return nil, err
	}
	if !recovery.Closed() {
		level := slog.LevelInfo
		if recovery.Dropped > 0 { // should there have been no crash, the last block is lost
			level = slog.LevelWarn
		}
		logger.Log(context.Background(), level, "opening ledger", "dir", dir, "recovery", recovery.String())
	}
	s := &disk{dir: dir, recovery: recovery, log: newBadgerLog(logger),
		needs: needsFree(l), closing: uint64(2 * memTableSize(l)),
		commitTxn: (*badger.Txn).Commit, syncDir: durable.SyncDir, freeSpace: freeSpace}
	if err := s.checkSpace(); err != nil {
		return nil, fmt.Errorf("opening ledger: %w", err)
	}
	if s.db, err = badger.Open(badgerOptions(dir, l, s.log)); err != nil {
		return nil, openError(dir, err)
	}
	if err := s.log.takeFault(); err != nil {
		return nil, errors.Join(damaged(dir, err), s.db.Close())
	}
	if err := errors.Join(s.fits(l), s.syncNames()); err != nil {
		return nil, errors.Join(fmt.Errorf("opening ledger %s: %w", dir, err), s.db.Close())
	}
	return s, nil
}

// survey looks at the files before Badger touches them.
func survey(dir string) (Recovery, error) {
	r, logs, err := checkLogs(dir)
	if err != nil {
		return Recovery{}, damaged(dir, err)
	}
	tables, err := checkManifest(dir, logs)
	if err == nil {
		err = checkTables(dir, tables)
	}
	if err != nil {
		return Recovery{}, damaged(dir, err)
	}
	return r, nil
}

// badgerOptions trades Badger's throughput, which a chain of blocks does not need,
// for memory: no caches (reads go to the mapped files, uncompressed, and the
// ledger caches recent blocks itself), one memtable waiting besides the one in use,
// the fewest compactors that Badger accepts.
func badgerOptions(dir string, l block.Limits, log badger.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.Logger = log
	o.SyncWrites = true
	o.DetectConflicts = false // one writer
	o.MetricsEnabled = false  // they are global variables
	o.Compression = options.None
	o.BlockCacheSize = 0
	o.ChecksumVerificationMode = options.OnBlockRead
	o.VerifyValueChecksum = true
	o.MemTableSize = memTableSize(l)
	o.NumMemtables = 1
	o.NumCompactors = 2
	o.ValueThreshold = valueThreshold
	o.ValueLogFileSize = valueLogFileSize
	return o
}

// largestBatch returns how many keys and bytes Badger counts of the transaction
// that appends the largest legal block. Of bytes these are key, value or 12 for a
// pointer into the value log, 2 of metadata and 10 of version.
func largestBatch(l block.Limits) (count, size int64) {
	const each = 2 + 10
	n := parts(l.MaxBodyBytes)
	count = int64(l.MaxBlockTxs + n + 4) // header, block ID, tip, Badger's end mark
	size = int64(l.MaxBlockTxs)*(idKeySize+entrySize+each) +
		int64(n)*(bodyKeySize+valueThreshold+each) +
		2<<10 // those four, rounded up
	return count, size
}

// memTableSize returns the smallest memtable, in whole MiB, whose transactions hold
// the largest legal block: Badger allows a transaction 15 % of a memtable, in bytes
// and in nodes of the largest size, and wants strictly less. It follows from the
// genesis alone, so a write-ahead log is always replayed into a memtable as large as
// the one it was written with.
func memTableSize(l block.Limits) int64 {
	const unit = 1 << 20
	count, size := largestBatch(l)
	need := max(size, count*int64(skl.MaxNodeSize)) + int64(skl.MaxNodeSize)
	return (need*100/15 + unit) / unit * unit
}

// fits refuses a database whose transactions cannot hold the largest legal block.
func (s *disk) fits(l block.Limits) error {
	count, size := largestBatch(l)
	if s.db.MaxBatchCount() <= count || s.db.MaxBatchSize() <= size {
		return fmt.Errorf("a Badger transaction holds %d keys and %d bytes, the largest legal block takes %d and %d",
			s.db.MaxBatchCount(), s.db.MaxBatchSize(), count, size)
	}
	if n := parts(l.MaxBodyBytes); n > math.MaxUint16+1 {
		return fmt.Errorf("bodies of %d bytes have %d parts, more than a key can number", l.MaxBodyBytes, n)
	}
	return nil
}

func (s *disk) view(fn func(reader) error) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return fn(func(key []byte, use func([]byte) error) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return errNoKey
		}
		if err != nil {
			return err
		}
		return item.Value(use)
	})
}

func (s *disk) keys(prefix []byte, fn func([]byte) bool) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if !fn(it.Item().Key()) {
			return nil
		}
	}
	return nil
}

// commit is one Badger transaction. Badger syncs the value log before it writes the
// keys to its write-ahead log, and syncs that before it returns; but it only logs
// that it could not sync the value log, and the names of new files are left to us; and what
// it cannot write it tries to for ever.
func (s *disk) commit(writes []write) error {
	if err := s.checkSpace(); err != nil {
		return err
	}
	if err := s.claims.make(s.dir, writes); err != nil {
		return err
	}
	txn := s.db.NewTransaction(true) // Commit discards it
	for _, w := range writes {
		if err := txn.Set(w.key, w.value); err != nil {
			txn.Discard()
			return err
		}
	}
	s.log.takeFault() // of a read, say: what counts is what goes wrong from here on
	err := s.log.bounded(func() error { return s.commitTxn(txn) })
	return errors.Join(err, s.log.takeFault(), s.syncNames())
}

func (s *disk) checkSpace() error {
	free, err := s.freeSpace(s.dir)
	if err != nil {
		return fmt.Errorf("looking for free space below %s: %w", s.dir, err)
	}
	if free < s.needs {
		return fmt.Errorf("%d MiB are free below %s, and writing needs %d: make room and start again", free>>20, s.dir, s.needs>>20)
	}
	return nil
}

// syncNames syncs the directory when files were made or removed in it since the
// last time.
func (s *disk) syncNames() error {
	info, err := os.Stat(s.dir)
	if err != nil {
		return fmt.Errorf("syncing ledger directory: %w", err)
	}
	changed := info.ModTime()
	if changed.Equal(s.seen) {
		return nil
	}
	if err := s.syncDir(s.dir); err != nil {
		return err
	}
	// File times are coarse: a second change within one tick would not show, so a
	// fresh time is not relied on.
	if s.seen = changed; time.Since(changed) < time.Second {
		s.seen = time.Time{}
	}
	return nil
}

// close ends Badger, which writes what it has in memory to a table, through memory: where
// there is no room for that, it is left as a kill would leave it, and the next start
// recovers it from the logs.
func (s *disk) close() error {
	s.log.takeFault()
	var err error
	if free, ferr := s.freeSpace(s.dir); ferr == nil && free < s.closing {
		err = fmt.Errorf("%d MiB are free below %s, and closing in order needs %d: make room; the next start recovers what is in the logs", free>>20, s.dir, s.closing>>20)
	} else {
		err = s.log.bounded(s.db.Close)
	}
	if s.release != nil {
		err = errors.Join(err, s.release())
	}
	return err
}

// openError says what Badger's error means. Badger does not keep the chain of
// errors, so those to tell apart are known by their words (tests hold on to them).
func openError(dir string, err error) error {
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return held(dir)
	}
	if strings.Contains(err.Error(), badger.ErrEncryptionKeyMismatch.Error()) { // nothing is encrypted
		err = fmt.Errorf("%s: %w", badger.KeyRegistryFileName, err)
	}
	return damaged(dir, err)
}

// ofSystem returns what to do about an error that is the operating system's, and says
// nothing about the data; "" for others. Badger does not keep the chain of errors, so its
// words count too.
func ofSystem(err error) string {
	for _, e := range []struct {
		errno  syscall.Errno
		remedy string
	}{
		{syscall.EACCES, "let this process's user read and write the directory"},
		{syscall.EPERM, "let this process's user read and write the directory"},
		{syscall.EROFS, "mount the file system for writing; after an error of the disk look at the system's log first"},
		{syscall.EMFILE, "raise the limit of open files (ulimit -n)"},
		{syscall.ENFILE, "raise the system's limit of open files"},
		{syscall.ENOSPC, "make room on the disk"},
		{syscall.EDQUOT, "make room in the quota"},
		{syscall.ENOMEM, "give the process more memory, or more mappings (vm.max_map_count)"},
		{syscall.EIO, "look at the system's log: the disk cannot be read; a copy of the directory from a good disk may do"},
	} {
		if errors.Is(err, e.errno) || strings.Contains(err.Error(), e.errno.Error()) {
			return e.remedy
		}
	}
	return ""
}

func held(dir string) error {
	return fmt.Errorf("ledger %s is %w: stop that process, or give this node another directory", dir, ErrHeld)
}

func damaged(where string, err error) error {
	if remedy := ofSystem(err); remedy != "" {
		return fmt.Errorf("ledger %s: %w: that is no damage: %s", where, err, remedy)
	}
	return fmt.Errorf("ledger %s is %w: %w: move the directory away and start again with an empty one, which the node fills from its peers", where, ErrCorrupt, err)
}
