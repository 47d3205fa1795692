package fresh

import (
	"slices"
	"time"

	"grapevine/dissemination/message"
)

const (
	// heardMost is of how many heights it is known when they were first heard of: at the
	// usual rate five minutes of blocks. Who is further behind counts as so far.
	heardMost = 1024
	// pollMost is how many neighbours are asked at once how far they are: as many as a
	// block is pushed to in a small network. Of random ones that is enough for a median.
	pollMost = 8
	// lagAge is for how long a neighbour's word of how far it is counts: some rounds of
	// asking, of which each asks only some.
	lagAge = 5 * time.Second
	// abreast is how far behind one may be who keeps up: a block's way, cold, on usual links
	// (a guess). Who has not kept up once since it came is catching up, and says nothing
	// about what the network takes.
	abreast = 2 * time.Second
)

// heard is when this peer first heard of each height, from its orderer's signature.
type heard struct {
	base uint64 // the height of at[0]
	at   []time.Time
}

// note tells of a height; those below it are heard of, too.
func (h *heard) note(now time.Time, height uint64) {
	if next := h.base + uint64(len(h.at)); len(h.at) == 0 || height >= next+heardMost {
		h.base, h.at = height, h.at[:0]
	}
	for h.base+uint64(len(h.at)) <= height {
		h.at = append(h.at, now)
	}
	if over := len(h.at) - heardMost; over > 0 {
		h.base, h.at = h.base+uint64(over), slices.Delete(h.at, 0, over)
	}
}

// behind returns for how long a peer has not had what there was, whose chain ends at tip.
func (h *heard) behind(now time.Time, tip uint64) time.Duration {
	next := tip + 1
	switch {
	case next >= h.base+uint64(len(h.at)):
		return 0
	case next < h.base:
		next = h.base
	}
	return now.Sub(h.at[next-h.base])
}

// told notes how far a neighbour is, by its own account of this moment.
func (e *Engine) told(now time.Time, n *neighbour, tip uint64) {
	n.lag, n.lagAt = e.heard.behind(now, tip), now
	n.keptUp = n.keptUp || n.lag <= abreast
}

// Poll asks some neighbours how far they are, so that Lag can tell. (A pull of nothing is
// answered by a height.)
func (e *Engine) Poll(now time.Time) {
	for _, n := range e.sample(pollMost, func(n *neighbour) bool { return !n.pullUntil.After(now) }) {
		e.effects.Send(n.id, &message.Pull{Tip: e.tip.Height, Upto: e.tip.Height})
	}
}

// Lag returns how far behind the orderer this peer is, or most of the neighbours that
// said so lately are, whichever is more: for how long the block that comes next there has
// been signed. Only who has kept up once counts, and where some of these are useful only
// they, and less than half of those that count cannot make it longer: no crowd that came by
// itself can, nor one that joins.
func (e *Engine) Lag(now time.Time) time.Duration {
	var lags []time.Duration
	for _, n := range e.peers {
		if now.Sub(n.lagAt) <= lagAge && n.keptUp && (n.useful || e.useful == 0) {
			lags = append(lags, n.lag)
		}
	}
	own := time.Duration(0)
	if e.keptUp {
		own = e.heard.behind(now, e.tip.Height)
	}
	if len(lags) == 0 {
		return own
	}
	slices.Sort(lags)
	return max(own, lags[(len(lags)-1)/2])
}
