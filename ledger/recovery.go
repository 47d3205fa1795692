package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/y"
)

// Recovery is what a directory's logs look like before Badger opens it, and so what
// Badger does about them.
type Recovery struct {
	// Replayed counts the write-ahead logs. A process that closes the ledger leaves
	// none behind.
	Replayed int
	// Transactions counts the whole ones in the logs, one a block.
	Transactions int
	// Dropped are the bytes of unfinished writes at the logs' ends, which Badger cuts
	// off, and Torn the files that they are in. No Append had returned for them, unless
	// the disk is at fault: of the last write nothing tells.
	Dropped int64
	Torn    []string
}

// drop notes that the end of a log is cut off.
func (r *Recovery) drop(path string, bytes int64) {
	if bytes > 0 {
		r.Dropped += bytes
		r.Torn = append(r.Torn, filepath.Base(path))
	}
}

// Closed says whether the ledger was closed in order.
func (r Recovery) Closed() bool { return r.Replayed == 0 }

func (r Recovery) String() string {
	if r.Closed() {
		return "the ledger had been closed in order"
	}
	text := fmt.Sprintf("the ledger had not been closed: %d transactions to replay from %d write-ahead logs, %d bytes of unfinished writes to cut off",
		r.Transactions, r.Replayed, r.Dropped)
	if len(r.Torn) > 0 {
		text += " from " + strings.Join(r.Torn, " and ")
	}
	return text
}

// The layout of Badger's logs: a header of 20 bytes, then entries of meta (1), user
// meta (1), length of key, length of value, expiry (varints), key, value, CRC-32C (4).
// Entries of a transaction bear its version as the last 8 bytes of their keys, and
// an entry of its own ends it. The value log has no transactions.
const (
	logHeaderSize   = 20
	maxEntryHeader  = 22
	maxLogKey       = 1 << 16
	metaPointer     = 1 << 1
	metaTxn         = 1 << 6
	metaEnd         = 1 << 7
	valuePointerLen = 12
	// pageSize is how much of a log is read at once where only zeros may stand: a guess.
	pageSize = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkLogs reads the logs that Badger is going to read when it opens dir. Badger
// takes whatever it cannot read for the end of the log and cuts it off. That is
// right for what a crash left unfinished, but it would let one bad byte take all
// that was written after it. So a value log that ends before the entries that are
// known to be in it is an error.
func checkLogs(dir string) (r Recovery, logs []logScan, err error) {
	wals, err := written(dir, "*.mem")
	if err != nil {
		return r, nil, err
	}
	reach := map[uint32]int64{} // how far into each value log file the write-ahead logs point
	for _, path := range wals {
		s, err := scanLog(path)
		if err != nil {
			return r, nil, err
		}
		if s.lost {
			return r, nil, fmt.Errorf("write-ahead log %s: the entry at byte %d%s does not match its checksum, and whole transactions follow it",
				filepath.Base(path), s.valid, s.badKey)
		}
		logs = append(logs, s)
		r.Replayed++
		r.Transactions += s.txns
		r.drop(path, s.rest)
		for file, end := range s.reach {
			reach[file] = max(reach[file], end)
		}
	}
	return r, logs, r.checkValueLog(dir, reach)
}

// written lists a directory's files of that pattern that have bytes, in the order of their
// names. Logs without any are left by a process that is killed between making a file and
// giving it its size.
func written(dir, pattern string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, pattern)) // sorted
	if err != nil {
		return nil, fmt.Errorf("listing files: %w", err)
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() == 0
	}), nil
}

// removeEmptyLogs removes logs without a byte. Badger takes one for a file that it has
// just made, and refuses to open the directory ever again.
func removeEmptyLogs(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		all, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("listing logs: %w", err)
		}
		keep, err := written(dir, pattern)
		if err != nil {
			return err
		}
		for _, path := range all {
			if slices.Contains(keep, path) {
				continue
			}
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("removing an empty log: %w", err)
			}
		}
	}
	return nil
}

// checkValueLog reads the last file of the value log, the only one that Badger cuts.
func (r *Recovery) checkValueLog(dir string, reach map[uint32]int64) error {
	files, err := written(dir, "*.vlog")
	if err != nil || len(files) == 0 {
		return err
	}
	path := files[len(files)-1] // the names are numbers of six digits
	s, err := scanLog(path)
	if err != nil {
		return err
	}
	var number uint32
	if _, err := fmt.Sscanf(filepath.Base(path), "%d.vlog", &number); err != nil {
		return fmt.Errorf("value log %s: %w", filepath.Base(path), err)
	}
	want := reach[number]
	if r.Closed() {
		want = s.size
	}
	if s.valid < want {
		return fmt.Errorf("value log %s: the entry at byte %d%s does not match its checksum, and %d bytes from there on are in use",
			filepath.Base(path), s.valid, s.badKey, want-s.valid)
	}
	r.drop(path, s.rest)
	return nil
}

// logScan is what scanLog finds.
type logScan struct {
	size   int64            // of the file
	valid  int64            // where the last whole entry or transaction ends
	rest   int64            // bytes after valid up to the last that is not zero
	txns   int              // whole transactions
	reach  map[uint32]int64 // ends of the value log entries that they point at, the highest per file
	badKey string           // whose entry it is at valid, where that can be told

	first, last uint64 // versions of the whole transactions, a block each
	lost        bool   // transactions follow that were synced after what ends the log
}

// scanLog reads a log as far as it makes sense, as Badger does.
func scanLog(path string) (logScan, error) {
	f, err := os.Open(path)
	if err != nil {
		return logScan{}, fmt.Errorf("reading log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return logScan{}, fmt.Errorf("reading log: %w", err)
	}
	s := logScan{size: info.Size(), valid: min(logHeaderSize, info.Size()), reach: map[uint32]int64{}}
	if _, err := f.Seek(s.valid, io.SeekStart); err != nil {
		return s, fmt.Errorf("reading log: %w", err)
	}
	if err := s.entries(bufio.NewReaderSize(f, partSize)); err != nil {
		return s, fmt.Errorf("reading %s: %w", filepath.Base(path), err)
	}
	if s.rest, err = lastNonZero(f, s.valid); err != nil || s.rest == 0 || s.last == 0 && filepath.Ext(path) != ".mem" {
		return s, err
	}
	tail := make([]byte, s.rest)
	if _, err := f.ReadAt(tail, s.valid); err != nil {
		return s, fmt.Errorf("reading log: %w", err)
	}
	s.lost = later(tail, s.last)
	return s, nil
}

// later says whether whole entries follow in a log's tail that can only have been written
// when what is not whole had been synced: those of a transaction after the one that the
// log ends in, of which pieces may be there, in whatever order the disk wrote them. Last
// is the version of the last whole transaction before; zero: there is none.
func later(tail []byte, last uint64) bool {
	first := last + 1
	for at := range tail {
		key, ok := entryAt(tail[at:])
		if !ok {
			continue
		}
		version := y.ParseTs(key)
		if last == 0 {
			first, last = version, version
		}
		if version > first {
			return true
		}
	}
	return false
}

// entryAt returns the key of an entry of a transaction of ours, if one begins here.
func entryAt(b []byte) (key []byte, ok bool) {
	if len(b) < maxEntryHeader || b[0]&metaTxn == 0 || !ownKey(int(b[2])-8) {
		return nil, false // the keys' lengths are below 128: one byte
	}
	e, err := readEntry(bufio.NewReader(bytes.NewReader(b)), int64(len(b)))
	return e.key, err == nil
}

// ownKey says whether a key of the ledger has so many bytes.
func ownKey(n int) bool {
	switch n {
	case len(keyMeta), len(keyTip), headerKeySize, bodyKeySize, idKeySize:
		return true
	}
	return false
}

// logEntry is one entry of a log.
type logEntry struct {
	meta       byte
	key, value []byte
	size       int64
}

// errBadEntry ends a log: zeros follow, or something that is no entry.
var errBadEntry = errors.New("no entry")

// entries moves s.valid over all that is whole.
func (s *logScan) entries(r *bufio.Reader) error {
	at := s.valid
	var version []byte // of the transaction that has begun
	pending := map[uint32]int64{}
	for {
		e, err := readEntry(r, s.size-at)
		if errors.Is(err, errBadEntry) {
			s.badKey = keyName(e.key)
			return nil
		}
		if err != nil {
			return err
		}
		at += e.size
		switch {
		case e.meta&metaTxn != 0:
			if version != nil && string(version) != string(e.key[len(e.key)-8:]) {
				return nil
			}
			version = e.key[len(e.key)-8:]
			if e.meta&metaPointer != 0 && len(e.value) == valuePointerLen {
				file, end := pointer(e.value)
				pending[file] = max(pending[file], end)
			}
		case e.meta&metaEnd != 0:
			if s.last = y.ParseTs(e.key); s.txns == 0 {
				s.first = s.last
			}
			s.valid, version = at, nil
			s.txns++
			for file, end := range pending {
				s.reach[file] = max(s.reach[file], end)
			}
		case version != nil:
			return nil
		default:
			s.valid = at
		}
	}
}

// pointer reads a pointer into the value log, which Badger writes as a struct of
// three 32-bit numbers in the machine's byte order: file, length, offset.
func pointer(v []byte) (file uint32, end int64) {
	n := binary.NativeEndian
	return n.Uint32(v), int64(n.Uint32(v[4:])) + int64(n.Uint32(v[8:]))
}

// readEntry reads an entry of at most left bytes. With errBadEntry it still returns
// the key, when the entry looked like one but for its checksum.
func readEntry(r *bufio.Reader, left int64) (logEntry, error) {
	head, err := r.Peek(maxEntryHeader)
	if err != nil && !errors.Is(err, io.EOF) {
		return logEntry{}, err
	}
	if len(head) < 2 {
		return logEntry{}, errBadEntry
	}
	n := 2
	var lens [3]uint64 // key, value, expiry
	for i := range lens {
		v, k := binary.Uvarint(head[n:])
		if k <= 0 {
			return logEntry{}, errBadEntry
		}
		lens[i], n = v, n+k
	}
	if lens[0] < 8 || lens[0] > maxLogKey || lens[1] > uint64(left) || int64(n)+int64(lens[0]+lens[1])+crc32.Size > left {
		return logEntry{}, errBadEntry
	}
	raw := make([]byte, n+int(lens[0]+lens[1])+crc32.Size)
	if _, err := io.ReadFull(r, raw); err != nil {
		return logEntry{}, err
	}
	key, end := raw[n:n+int(lens[0])], len(raw)-crc32.Size
	e := logEntry{meta: raw[0], key: key, value: raw[n+len(key) : end], size: int64(len(raw))}
	if crc32.Checksum(raw[:end], castagnoli) != binary.BigEndian.Uint32(raw[end:]) {
		return e, errBadEntry
	}
	return e, nil
}

// keyName says whose body a key of the value log belongs to, " (…)" or "".
func keyName(key []byte) string {
	if len(key) != bodyKeySize+8 || key[0] != prefixBody {
		return ""
	}
	return fmt.Sprintf(" (part %d of the body at height %d)", binary.BigEndian.Uint16(key[9:]), binary.BigEndian.Uint64(key[1:]))
}

// lastNonZero returns how many bytes after from there are up to the last that is
// not zero: Badger makes its logs larger than what is in them.
func lastNonZero(f *os.File, from int64) (last int64, err error) {
	err = eachPage(f, from, func(at int64, page []byte) error {
		last = at + int64(len(bytes.TrimRight(page, "\x00"))) - from
		return nil
	})
	return last, err
}

// eachPage calls fn with the pages of a file, from an offset on, that are not all zeros.
// A page is good until fn returns.
func eachPage(f *os.File, from int64, fn func(at int64, page []byte) error) error {
	buf, zero := make([]byte, pageSize), make([]byte, pageSize)
	for at := nextData(f, from); ; at = nextData(f, at) {
		n, err := f.ReadAt(buf, at)
		if page := buf[:n]; !bytes.Equal(page, zero[:n]) {
			if err := fn(at, page); err != nil {
				return err
			}
		}
		if at += int64(n); errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", filepath.Base(f.Name()), err)
		}
	}
}
