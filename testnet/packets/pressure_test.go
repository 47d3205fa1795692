package packets

import (
	"testing"
	"time"

	"grapevine/testnet/scenario"
)

// Users submit more than the links take. What is let in keeps to what those who are
// behind can follow: without a look at them the last was 37 s behind, at the
// end, and the more the longer it lasted; it is 6 to 13 s now.
func TestLargeLoadFollowsThoseBehind(t *testing.T) {
	t.Parallel()
	p := planned(t, func(s *scenario.Scenario) {
		s.World = scenario.Packets
		s.Peers = 5
		s.Link.Up, s.Link.Down = 4e6, 4e6
		s.Load.TxSize, s.Load.TxRate = 1000, 400
		s.Load.Blocks, s.Load.Every = 30, seconds(1)
	})
	o := playing(t, p, grapevine)
	made := map[uint64]time.Duration{}
	for _, a := range o.Arrivals {
		if a.Peer == 0 {
			made[a.Height] = a.At
		}
	}
	var worst time.Duration
	for _, a := range o.Arrivals {
		worst = max(worst, a.At-made[a.Height])
	}
	if t.Logf("the last was %v behind", worst); worst > 25*time.Second {
		t.Errorf("the last was %v behind", worst)
	}
}
