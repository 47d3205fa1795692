package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"grapevine/dissemination/fresh"
	"grapevine/node"
)

// The last block, which push leaves most peers without, the comparison of heights
// finds although there is no pull: the members' records tell how far others are.
func TestLastBlockIsFoundWithoutAPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5, func(_ int, c *node.Config) { c.Protocol.Fresh = fresh.Config{Mode: fresh.PushOnly, Fanout: 1} })
		defer w.stop()
		w.submit(0, w.tx("the only one"))
		w.until(5*time.Second, "the block is made", func() bool { return w.nodes[0].Tip().Height == 1 })
		time.Sleep(time.Second) // virtual: push is over
		if w.everywhere(nil) {
			t.Fatal("push reached everybody: the test shows nothing")
		}
		took := w.until(time.Minute, "the block stands everywhere", func() bool { return w.everywhere(nil) })
		t.Logf("found after %v", took)
	})
}
