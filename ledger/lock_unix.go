//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkHeld refuses a directory that another process has open: it tries the lock
// that Badger is going to take, and lets go of it again.
func checkHeld(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening ledger directory: %w", err)
	}
	defer d.Close() // which unlocks
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return held(dir)
	}
	if err != nil {
		return fmt.Errorf("locking ledger directory %s: %w", dir, err)
	}
	return nil
}
