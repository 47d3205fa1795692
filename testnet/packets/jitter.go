package packets

import (
	"math/rand/v2"
	"time"

	"grapevine/testnet/scenario"
)

// jitter makes packets take longer by chance. Each is delayed on its own, evenly up to
// what the link of its receiver says, but none overtakes another of the same two peers:
// QUIC would take it for a loss. So where packets follow each other more closely than
// the jitter, most take nearly all of it.
type jitter struct {
	plan *scenario.Plan
	rng  *rand.Rand
	last [][]time.Time // when the last packet arrives, by sender and receiver; nil: there is no jitter
}

func newJitter(plan *scenario.Plan) *jitter {
	j := &jitter{plan: plan, rng: plan.Random("jitter", 0)}
	for _, p := range plan.PeerPlans {
		if p.Jitter > 0 && j.last == nil {
			j.last = make([][]time.Time, plan.Peers)
		}
	}
	return j
}

// delay returns how long a packet takes that would take fixed without jitter.
func (j *jitter) delay(now time.Time, from, to int, fixed time.Duration) time.Duration {
	if j.last == nil {
		return fixed
	}
	if j.last[from] == nil {
		j.last[from] = make([]time.Time, j.plan.Peers)
	}
	at := now.Add(fixed)
	if most := int64(j.plan.PeerPlans[to].Jitter); most > 0 {
		at = at.Add(time.Duration(j.rng.Int64N(most)))
	}
	if last := j.last[from][to]; last.After(at) {
		at = last
	}
	j.last[from][to] = at
	return at.Sub(now)
}
