package ledger

import (
	"errors"
	"math"
	"os"
	"syscall"
)

// nextData returns where the next bytes of a file are, from an offset on, that are not a
// hole: the value log of a process that was killed has 128 MiB of which a few are written.
// Behind the last it is beyond any file's end. Where the file system does not tell, all
// are data.
func nextData(f *os.File, from int64) int64 {
	const seekData = 3
	at, err := f.Seek(from, seekData)
	if errors.Is(err, syscall.ENXIO) {
		return math.MaxInt64 >> 1
	}
	if err != nil {
		return from
	}
	return at
}
