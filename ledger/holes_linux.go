package ledger

import (
	"errors"
	"io"
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

// nextHole returns where the first bytes of a file are that no room on the disk was given
// to. Where the file system does not tell, that is the end.
func nextHole(f *os.File) int64 {
	const seekHole = 4
	at, err := f.Seek(0, seekHole)
	if err != nil {
		at, _ = f.Seek(0, io.SeekEnd)
	}
	return at
}

// allocate has the disk give room to a part of a file, which stays as long as it is.
func allocate(f *os.File, from, bytes int64) error {
	const keepSize = 1
	err := syscall.Fallocate(int(f.Fd()), keepSize, from, bytes)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil // it is found out the hard way
	}
	return err
}
