//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// hold takes the lock that Badger takes of a directory that it opens, shared or not, and
// refuses one that another process has open.
func hold(dir string, shared bool) (release func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening ledger directory: %w", err)
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	switch err := syscall.Flock(int(d.Fd()), how|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(held(dir), d.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("locking ledger directory %s: %w", dir, err), d.Close())
	}
	return d.Close, nil // which unlocks
}
