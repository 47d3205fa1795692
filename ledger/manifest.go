package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkManifest returns the numbers of the tables that the manifest lists, and refuses a
// manifest that has lost some. Badger would not: it takes a missing one for a new
// database and a shortened one for a crash, and removes the tables that are not listed.
//
// After a crash there may be tables that are not listed yet, of which Badger still has
// the contents elsewhere: in a write-ahead log, when a memtable was being written out, or
// in listed tables, when some were being merged. And the last record may be cut off.
func checkManifest(dir string, logs []logScan) ([]uint64, error) {
	name := badger.ManifestFilename
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkNew(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	m, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("list of tables %s: %w", name, err)
	}
	if rest := raw[min(int(end), len(raw)):]; len(rest) > 0 && (len(logs) == 0 || hasRecord(rest)) {
		return nil, fmt.Errorf("list of tables %s: the record at byte %d is damaged, and the %d bytes from there on were in use", name, end, len(rest))
	}
	var listed, others []uint64
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	for id := range m.Tables {
		listed = append(listed, id)
	}
	slices.Sort(listed)
	for _, path := range paths {
		if id, ok := table.ParseFileID(filepath.Base(path)); ok && !slices.Contains(listed, id) {
			others = append(others, id)
		}
	}
	return listed, checkOthers(dir, listed, others, logs)
}

// checkNew refuses a directory without a manifest that is not new.
func checkNew(dir string) error {
	for _, pattern := range []string{"*.sst", "*.vlog", "*.mem"} {
		paths, err := written(dir, pattern)
		if err != nil {
			return err
		}
		if len(paths) > 0 {
			return fmt.Errorf("the list of tables %s is missing, and %s is there", badger.ManifestFilename, filepath.Base(paths[0]))
		}
	}
	return nil
}

// checkOthers refuses tables that are not listed, and whose contents are nowhere else.
func checkOthers(dir string, listed, others []uint64, logs []logScan) error {
	var merged uint64 // the last version in the listed tables
	for _, id := range listed {
		path := table.NewFilename(id, dir)
		last, err := lastVersion(path)
		if err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(path), err)
		}
		merged = max(merged, last)
	}
	for _, id := range others {
		path := table.NewFilename(id, dir)
		last, err := lastVersion(path)
		if err != nil {
			continue // half written when the process was killed
		}
		inLog := slices.ContainsFunc(logs, func(s logScan) bool { return s.first <= last && last <= s.last })
		if last > merged && !inLog {
			return fmt.Errorf("list of tables %s: %s is not in it, and what that table holds is nowhere else", badger.ManifestFilename, filepath.Base(path))
		}
	}
	return nil
}

// hasRecord says whether a whole record of a manifest stands in some bytes: its length
// (4), its CRC-32C (4), and so many bytes.
func hasRecord(b []byte) bool {
	for at := 1; at+8 < len(b); at++ {
		n := binary.BigEndian.Uint32(b[at:])
		if n == 0 || uint64(n) > uint64(len(b)-at-8) {
			continue
		}
		if crc32.Checksum(b[at+8:at+8+int(n)], castagnoli) == binary.BigEndian.Uint32(b[at+4:]) {
			return true
		}
	}
	return false
}
