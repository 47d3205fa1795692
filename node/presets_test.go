package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/dissemination/preset"
	"grapevine/node"
)

// Whole nodes imitate other systems' gossip: all transactions stand everywhere, and
// blocks travel as those systems have it.
func TestPresets(t *testing.T) {
	for _, name := range []string{preset.Fabric, preset.FabricEnhanced} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 7, func(_ int, c *node.Config) { c.Preset = name })
				defer w.stop()
				var all []*block.Tx
				for i := range 100 {
					x := w.tx(fmt.Sprint("payload ", i))
					w.submit(i%7, x)
					all = append(all, x)
					time.Sleep(20 * time.Millisecond)
				}
				took := w.until(30*time.Second, "every transaction stands everywhere", func() bool { return w.everywhere(all) })
				t.Logf("everything stood everywhere %v after the last transaction, at height %d", took, w.nodes[0].Tip().Height)
				count := func(event string) float64 { return w.counters()["grapevine_protocol_events_total fresh "+event] }
				blocks := float64(w.nodes[0].Tip().Height)
				relayed, bodies, pulls := count("relayed"), count("body"), count("pull")
				if name == preset.Fabric && (relayed != bodies || bodies < 10*blocks || bodies > 21*blocks || pulls == 0) {
					t.Errorf("%.0f blocks were announced %.0f times, %.0f with bodies, and pulled for %.0f times: want 2 or 3 bodies a peer that it reached, and pulls", blocks, relayed, bodies, pulls)
				}
				if name == preset.FabricEnhanced && (bodies < 12*blocks || bodies > 21*blocks || relayed < 100*blocks || pulls > 0) {
					t.Errorf("%.0f blocks were announced %.0f times, %.0f with bodies, and pulled for %.0f times: want up to 1, 4 and 16 bodies, less who is drawn though the block came from it, digests for seven hops, and no pull", blocks, relayed, bodies, pulls)
				}
			})
		})
	}
}

// The last block, which push leaves most peers without, the comparison of heights
// finds although there is no pull: the members' records tell how far others are.
func TestLastBlockIsFoundWithoutAPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5, func(_ int, c *node.Config) { c.Preset, c.Mode, c.Fanout = preset.Fabric, "push", 1 })
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
