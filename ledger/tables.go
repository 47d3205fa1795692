package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables refuses a directory with a table whose index does not match its
// checksum, or one of whose blocks does not: any block when whole is set, otherwise
// one that may hold the metadata or the tip.
//
// Badger, which reads the same bytes next, ends the process over some bad indexes.
// Over a bad block it says nothing: it looks for the key in older tables, and would
// find an older tip. Other keys that go missing so are missed, except those of the
// transaction index, which only Verify looks for.
//
// A table is a row of blocks and their index. Either is followed by a trailer: its
// checksum (protobuf) and the checksum's length (4); between the index and its
// trailer stands the index's length (4).
func checkTables(dir string, whole bool) error {
	tables, err := listTables(dir)
	if err != nil {
		return err
	}
	for _, id := range tables {
		path := table.NewFilename(id, dir)
		if err := checkTable(path, whole); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// listTables returns the numbers of the tables that belong to the database. Others
// may lie around after a crash, half written; Badger removes them.
func listTables(dir string) ([]uint64, error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // Badger is going to make it
	}
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("list of tables %s: %w", badger.ManifestFilename, err)
	}
	return slices.Sorted(maps.Keys(m.Tables)), nil
}

func checkTable(path string, whole bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	take := func() ([]byte, error) { // the length before end, and as many bytes before it
		var n [4]byte
		if end < int64(len(n)) {
			return nil, errors.New("the file is cut off")
		}
		if _, err := f.ReadAt(n[:], end-int64(len(n))); err != nil {
			return nil, err
		}
		size := int64(binary.BigEndian.Uint32(n[:]))
		if end -= int64(len(n)) + size; end < 0 {
			return nil, fmt.Errorf("%d bytes are more than the file has", size)
		}
		b := make([]byte, size)
		_, err := f.ReadAt(b, end)
		return b, err
	}
	sum, err := take()
	if err != nil {
		return fmt.Errorf("checksum of the index: %w", err)
	}
	index, err := take()
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := checkSum(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return checkBlocks(f, fb.GetRootAsTableIndex(index, 0), whole)
}

// checkBlocks reads the blocks that a good index names, or some of them.
func checkBlocks(f *os.File, index *fb.TableIndex, whole bool) error {
	var at, next fb.BlockOffset
	n := index.OffsetsLength()
	for i := range n {
		index.Offsets(&at, i)
		if !whole && string(y.ParseKey(at.KeyBytes())) > keyTip {
			return nil // blocks are in order of their first keys
		}
		if !whole && i+1 < n && index.Offsets(&next, i+1) && string(y.ParseKey(next.KeyBytes())) < keyMeta {
			continue
		}
		if err := checkBlock(f, int64(at.Offset()), int(at.Len())); err != nil {
			return fmt.Errorf("block %d at byte %d: %w", i, at.Offset(), err)
		}
	}
	return nil
}

func checkBlock(f *os.File, at int64, size int) error {
	b := make([]byte, size)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	n := size - 4
	if n < 0 || uint64(binary.BigEndian.Uint32(b[n:])) > uint64(n) {
		return errors.New("its checksum has no place in it")
	}
	start := n - int(binary.BigEndian.Uint32(b[n:]))
	return checkSum(b[:start], b[start:n])
}

// checkSum compares data with a checksum as Badger writes it.
func checkSum(data, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	if want.Algo != pb.Checksum_CRC32C { // the only one that Badger writes
		return fmt.Errorf("checksum of kind %d", want.Algo)
	}
	if got := y.CalculateChecksum(data, want.Algo); got != want.Sum {
		return fmt.Errorf("checksum is %08x, the table says %08x", got, want.Sum)
	}
	return nil
}
