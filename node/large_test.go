package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
)

// 20,000 transactions of 1 kB at once into one peer of ten: GossipSub as it comes
// delivers 0.45 % of such a burst and says nothing.
func TestLargeBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10, nil)
		defer w.stop()
		const n, each = 20_000, 500
		payload := make([]byte, 1000)
		all := make([]*block.Tx, 0, n)
		for range n {
			copy(payload, fmt.Sprint(len(all)))
			all = append(all, w.tx(string(payload)))
		}
		for i := 0; i < n; i += each {
			w.submit(3, all[i:i+each]...)
		}
		took := w.until(3*time.Minute, "every transaction stands everywhere", func() bool {
			for _, nd := range w.nodes {
				if count, _ := nd.Pending(); count > 0 {
					return false
				}
			}
			return w.everywhere(all)
		})
		w.logMetrics("grapevine_message_bytes_total", "grapevine_p2p_pubsub_messages_total", "grapevine_p2p_pubsub_bytes_total", "grapevine_p2p_drops_total", "grapevine_protocol_events_total")
		t.Logf("%d transactions of 1 kB stood on all ten peers after %v", n, took)
	})
}
