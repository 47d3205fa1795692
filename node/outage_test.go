package node_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/node"
)

// What was submitted while the orderer was away, and all others hold, comes to it as fast as
// links take, and not a megabyte with every comparison of pools.
func TestPoolsAreFilledAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		defer w.stop()
		w.halt(0)
		var txs []*block.Tx
		payload := strings.Repeat("x", 60_000)
		for range 120 {
			txs = append(txs, w.tx(payload))
			w.submit(1, txs[len(txs)-1])
		}
		time.Sleep(20 * time.Second) // all who are there have them
		w.again(0, func(*node.Config) {})
		w.until(time.Minute, "the orderer has a neighbour", func() bool { return len(w.nodes[0].Neighbours()) > 0 })
		took := w.until(2*time.Minute, "all stand in every ledger", func() bool { return w.everywhere(txs) })
		if t.Logf("7 MiB took %v", took); took > 3500*time.Millisecond {
			t.Errorf("7 MiB took %v", took)
		}
	})
}
