package txs

import (
	"fmt"
	"testing"
	"time"

	"grapevine/p2p/wire"
)

// Every second exchange is with a neighbour that was chosen, or has brought something.
func TestHalfOfTheExchangesAreWithUsefulPeers(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := NewReconciler(Config{Self: "z"}, 1, now)
	for i := range 50 {
		r.PeerUp(now, wire.PeerID(fmt.Sprintf("%02d", i)))
	}
	r.Useful("07")
	r.Useful("07")
	r.Useful("nobody")
	with := 0
	const rounds = 400
	for range rounds {
		now = r.Deadline()
		r.Tick(now)
		for _, x := range compared(r) {
			if x.With == "07" {
				with++
			}
			r.Sent(x.With, ^uint64(0))
			r.Named(now, x.With, x.Salt, true, nil)
		}
	}
	if with < rounds*4/10 || with > rounds*6/10 {
		t.Errorf("%d of %d exchanges are with the one that is useful", with, rounds)
	}
	r.PeerDown("07")
	if len(r.useful) != 0 {
		t.Errorf("useful are %v", r.useful)
	}
}
