package packets

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

// What comes while no block is under way is idle: from a second after everybody who lives has
// the last until the next is made.
func TestBookTellsIdleTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(3)
		var received atomic.Int64
		b.tally = func() tally { return tally{{received: received.Load()}, {received: 2 * received.Load()}, {}} }
		b.alive = func(i int) bool { return i != 2 }
		b.begin("grapevine", 1)
		b.stands(time.Now())
		say := func(peer int, height uint64, via arrival.Via) {
			b.accept(peer, accepted{height: height, id: block.ID{byte(height)}, made: time.Now(), via: via})
		}
		say(0, 1, arrival.Own)
		received.Store(1000)
		time.Sleep(1500 * time.Millisecond) // a second after the last acceptance, and not everybody has it
		say(1, 1, arrival.Shards)
		received.Store(3000)
		time.Sleep(3 * time.Second)
		received.Store(3200)
		say(0, 2, arrival.Own)
		received.Store(9000)
		say(1, 2, arrival.Shards)
		time.Sleep(500 * time.Millisecond)
		say(0, 3, arrival.Own) // before it is quiet
		out := b.close()
		time.Sleep(2 * time.Second)
		if out.Quiet != 2*time.Second || out.Peers[0].Idle != 200 || out.Peers[1].Idle != 400 {
			t.Errorf("quiet for %v, with %d and %d bytes: want 2 s, 200 and 400", out.Quiet, out.Peers[0].Idle, out.Peers[1].Idle)
		}
	})
}
