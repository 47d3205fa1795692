package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables refuses a directory with a table whose index does not match its
// checksum. Badger, which reads the same bytes next, ends the process over some of
// them and drops the table over others.
//
// A table ends in its index, the index's length (4), a checksum (protobuf), and the
// checksum's length (4).
func checkTables(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return fmt.Errorf("listing tables: %w", err)
	}
	for _, path := range paths {
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
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	take := func() ([]byte, error) { // the length before end, and the bytes before it
		var n [4]byte
		if end < int64(len(n)) {
			return nil, errors.New("it is cut off")
		}
		if _, err := f.ReadAt(n[:], end-int64(len(n))); err != nil {
			return nil, err
		}
		size := int64(binary.BigEndian.Uint32(n[:]))
		if end -= int64(len(n)) + size; end < 0 {
			return nil, fmt.Errorf("a part of %d bytes is longer than the file", size)
		}
		b := make([]byte, size)
		_, err := f.ReadAt(b, end)
		return b, err
	}
	sum, err := take()
	if err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return fmt.Errorf("checksum: %w", err)
	}
	index, err := take()
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return y.VerifyChecksum(index, &want)
}
