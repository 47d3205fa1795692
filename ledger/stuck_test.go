package ledger

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"

	"grapevine/genesis"
)

// Badger tries for ever to write what it cannot write. Close gives up after a while, and
// says what Badger could not do: here no file can be made, for the directory is gone.
func TestCloseGivesUpOnADeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
		dir := filepath.Join(t.TempDir(), "ledger")
		l := c.open(dir)
		c.append(l, c.next(3, 100))
		if err := os.Rename(dir, dir+"-gone"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := l.Close()
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "no such file") || took > 2*patience {
			t.Errorf("closing took %v: %v; want an error of the missing directory, within %v", took, err, 2*patience)
		}
		if err := os.Rename(dir+"-gone", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * patience) // virtual: Badger tries again, and comes to its end
	})
}

// A commit that Badger logs an error of, and does not come back from, fails.
func TestAppendGivesUpOnADeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, genesis.Limits{MaxBlockTxs: 10})
		var log bytes.Buffer
		l, err := Open(Config{Dir: t.TempDir(), Genesis: c.genesis, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		healed := make(chan struct{})
		d := l.db.(*disk)
		d.commitTxn = func(txn *badger.Txn) error {
			for tick := time.Tick(time.Second); ; {
				select {
				case <-healed:
					return txn.Commit()
				case <-tick:
					d.log.Errorf("error flushing memtable to disk: %v, retrying", errDisk)
				}
			}
		}
		begun := time.Now()
		err = l.Append(c.next(3, 100))
		if took := time.Since(begun); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), errDisk.Error()) || took != time.Second+patience {
			t.Errorf("it took %v: %v; want ErrFailed and the reason, %v after the first error", took, err, patience)
		}
		close(healed)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An error that Badger gets over is none.
func TestCloseTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBadgerLog(slog.New(slog.DiscardHandler))
		begun := time.Now()
		err := b.bounded(func() error {
			time.Sleep(time.Hour) // virtual: much to write
			b.Errorf("not now")
			time.Sleep(patience - 1)
			return nil
		})
		if took := time.Since(begun); err != nil || took != time.Hour+patience-1 {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
