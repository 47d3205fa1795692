package ledger

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// claimStep is how much room is claimed in a file at once, so that most commits claim none
// (a guess).
const claimStep = 4 << 20

// claim is how far a file that commits write to has been given room on the disk. Badger
// writes through memory, to files that are mostly holes: where a hole finds no room,
// because somebody else has filled the disk, the process is ended by SIGBUS. What has been
// given before is there.
type claim struct {
	name string
	next int64 // no write has gone further
	upto int64 // to here there is room
}

// claims are those of the newest file of each kind: of the value log, and of the logs of
// what is in memory.
type claims [2]claim

var claimed = [2]string{"*.vlog", "*.mem"}

// make claims room for what the next commit writes, or says that there is none.
func (c *claims) make(dir string, writes []write) error {
	bytes := batchBytes(writes)
	for i, kind := range claimed {
		name, err := newest(dir, kind)
		if err == nil && name != "" {
			err = c[i].extend(name, bytes[i])
		}
		if err != nil {
			return fmt.Errorf("claiming %d KiB on the disk for a block in %s: %w: make room and start again", bytes[i]>>10, dir, err)
		}
	}
	return nil
}

// extend claims room for so many bytes more.
func (c *claim) extend(name string, bytes int64) error {
	known := c.name == name
	if known && c.next+bytes <= c.upto {
		c.next += bytes
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if !known {
		at := nextHole(f)
		*c = claim{name, at, at}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if upto := min(c.next+max(bytes, claimStep), size); upto > c.upto {
		if err := allocate(f, c.upto, upto-c.upto); err != nil {
			return err
		}
		c.upto = upto
	}
	c.next += bytes
	return nil
}

// newest returns the file of a kind with the highest number, or "".
func newest(dir, kind string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, kind))
	if err != nil || len(files) == 0 {
		return "", err
	}
	return slices.Max(files), nil // numbers have leading zeros
}

// batchBytes is how many bytes a commit writes to each of the files at most, record headers
// and checksums included: large values go to the value log, and a pointer to the other.
func batchBytes(writes []write) (bytes [2]int64) {
	const each = 64
	bytes = [2]int64{each, each}
	for _, w := range writes {
		if len(w.value) >= valueThreshold {
			bytes[0] += int64(len(w.key)+len(w.value)) + each
		}
		bytes[1] += int64(len(w.key)+min(len(w.value), valueThreshold)) + each
	}
	return bytes
}
