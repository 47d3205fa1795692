package traffic

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"grapevine/block"
)

// Log is a file to which the IDs of acknowledged transactions are added, one a
// line in hexadecimal. Each call is one write, which ends before the call returns:
// a process that is killed has written down all that it was told.
type Log struct{ f *os.File }

// OpenLog opens the file for adding to it.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("recording what was acknowledged: %w", err)
	}
	return &Log{f}, nil
}

// Add writes IDs down.
func (l *Log) Add(ids []block.ID) error {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(id.String())
		b.WriteByte('\n')
	}
	_, err := l.f.WriteString(b.String())
	return err
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

// ReadLog returns the IDs in the file, none when there is no file.
func ReadLog(path string) ([]block.ID, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was acknowledged: %w", err)
	}
	defer f.Close()
	var ids []block.ID
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		id, err := block.ParseID(in.Text())
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		ids = append(ids, id)
	}
	return ids, in.Err()
}
