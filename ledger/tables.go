package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables refuses tables whose index does not match its checksum, or one of whose
// blocks does not.
//
// Badger, which reads the same bytes next, ends the process over some bad indexes.
// Over a bad block it says nothing: it looks for the key in older tables, and would
// find an older tip, or no transaction where there is one: an orderer that does not
// know what it has committed commits it again, and every other peer refuses that.
//
// A table is a row of blocks and their index. Either is followed by a trailer: its
// checksum (protobuf) and the checksum's length (4); between the index and its
// trailer stands the index's length (4).
func checkTables(dir string, tables []uint64) error {
	for _, id := range tables {
		path := table.NewFilename(id, dir)
		if err := checkTable(path); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	index, err := readIndex(f)
	if err != nil {
		return err
	}
	return checkBlocks(f, index)
}

// lastVersion returns the greatest version of a table's keys.
func lastVersion(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	index, err := readIndex(f)
	if err != nil {
		return 0, err
	}
	return index.MaxVersion(), nil
}

// readIndex reads a table's index, and holds it against its checksum.
func readIndex(f *os.File) (*fb.TableIndex, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("checksum of the index: %w", err)
	}
	index, err := take()
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if err := checkSum(index, sum); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return fb.GetRootAsTableIndex(index, 0), nil
}

// checkBlocks reads the blocks that a good index names.
func checkBlocks(f *os.File, index *fb.TableIndex) error {
	var at fb.BlockOffset
	for i := range index.OffsetsLength() {
		index.Offsets(&at, i)
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
