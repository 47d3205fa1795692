package catchup

import (
	"fmt"
	"testing"
	"time"

	"grapevine/p2p/wire"
)

// A block arrives while 127 neighbours are caught up with, of which as many as may be
// are asked and the others have nothing left to give.
func BenchmarkBlockWhileCatchingUp(b *testing.B) {
	start := time.Unix(1e9, 0)
	for b.Loop() {
		b.StopTimer()
		e := New(1, 0)
		for i := range 127 {
			e.PeerUp(start, wire.PeerID(fmt.Sprintf("%03d", i)), 200, 1)
		}
		e.Effects()
		b.StartTimer()
		for h := uint64(1); h <= 20; h++ {
			e.Accepted(start, h)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(20*b.N), "µs/block")
}
