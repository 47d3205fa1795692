package fresh

import (
	"fmt"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Of a crowd that came by itself and does nothing half of every draw is at most: the other
// half is of neighbours that were chosen, or have brought something. Where all are alike,
// and where the useful do not suffice, as many are drawn as ever.
func TestHalfOfADrawIsUseful(t *testing.T) {
	for name, c := range map[string]struct{ useful, crowd, least, most int }{
		"a crowd":             {10, 90, 5, 7},
		"few are useful":      {2, 98, 2, 2},
		"all are useful":      {40, 0, 12, 12},
		"none is known to be": {0, 40, 0, 0},
		"few are not":         {40, 2, 10, 10},
	} {
		e := New(Config{}, 1, start, block.Tip{})
		for i := range c.useful + c.crowd {
			p := wire.PeerID(fmt.Sprintf("%03d", i))
			e.PeerUp(start, p, 0)
			if i < c.useful {
				e.Useful(p)
				e.Useful(p) // once is enough
			}
		}
		drawn := map[wire.PeerID]int{}
		for range 200 {
			useful, all := 0, e.sample(12, func(*neighbour) bool { return true })
			for _, n := range all {
				drawn[n.id]++
				if n.useful {
					useful++
				}
			}
			if len(all) != 12 || useful < c.least || useful > c.most {
				t.Fatalf("%s: %d of %d drawn are useful, want %d to %d of 12", name, useful, len(all), c.least, c.most)
			}
		}
		if len(drawn) != c.useful+c.crowd {
			t.Errorf("%s: %d of %d are ever drawn", name, len(drawn), c.useful+c.crowd)
		}
		for i := range c.useful {
			e.PeerDown(start.Add(time.Second), wire.PeerID(fmt.Sprintf("%03d", i)))
		}
		if e.useful != 0 {
			t.Errorf("%s: %d useful ones are left", name, e.useful)
		}
	}
}
