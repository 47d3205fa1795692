package node_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/node"
)

// A node whose disk is gone says so before anything else, and ends with that error, though
// Badger tries for ever to write what it has: here the ledger's directory is moved away.
func TestNodeEndsWhenItsDiskDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer // Badger writes on after the node's end
		var dir string
		w := newWorld(t, 1, func(_ int, c *node.Config) {
			home(t, c)
			c.Alone, dir = true, filepath.Join(c.Dir, "ledger")
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		defer w.net.Close()
		w.submit(0, w.tx("before"))
		w.until(5*time.Second, "the first block stands", func() bool { return w.nodes[0].Tip().Height == 1 })
		if err := os.Rename(dir, dir+"-gone"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		w.submit(0, w.tx("after"))
		err := <-w.ended[0]
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "no such file") || took > 15*time.Second {
			t.Errorf("it ended after %v with %v; want the missing directory, within 15 s", took, err)
		}
		said := log.String()
		first, retries, end := strings.Index(said, "node fails, and ends"), strings.Index(said, "retrying"), strings.Index(said, "node stopped")
		if first < 0 || end < first || retries >= 0 && retries < first || !strings.Contains(said[first:], "committing height 2") {
			t.Errorf("it says\n%s\nwant the cause before all that comes of it", said)
		}
		if err := os.Rename(dir+"-gone", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // virtual: Badger tries again, and comes to its end
	})
}

// lockedBuffer is a buffer that one goroutine reads while others write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
