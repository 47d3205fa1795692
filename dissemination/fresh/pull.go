package fresh

import (
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// schedulePull sets the next periodic pull, between half and one and a half of the
// mean, so that peers that started together do not stay in step.
func (e *Engine) schedulePull(now time.Time) {
	if e.cfg.Mode == PushOnly {
		return
	}
	half := int64(e.cfg.PullEvery / 2)
	e.pullAt = now.Add(time.Duration(half + e.rng.Int64N(2*half+1)))
}

// contiguous returns the height up to which every block is known and on its way.
func (e *Engine) contiguous(now time.Time) uint64 {
	h := e.tip.Height
	for _, b := range e.above {
		if b.block.Height != h+1 || b.stranded() && !b.awaited(now) {
			break
		}
		h++
	}
	return h
}

// highest returns the greatest height that a neighbour or an announcement shows.
func (e *Engine) highest() uint64 {
	h := e.tip.Height
	for _, n := range e.peers {
		h = max(h, n.tip)
	}
	if len(e.above) > 0 {
		h = max(h, e.above[len(e.above)-1].block.Height)
	}
	return h
}

// watchGap sets or clears the time at which the gap between what is known here and
// what others show is pulled.
func (e *Engine) watchGap(now time.Time) {
	known, shown := e.contiguous(now), e.highest()
	if n := len(e.above); n > 0 && e.above[n-1].block.Height > known {
		shown = e.above[n-1].block.Height // the orderer signed it; what neighbours say may be a lie
	}
	far := e.cfg.CatchupGap > 0 && shown > e.tip.Height+e.cfg.CatchupGap
	if e.cfg.Mode == PushOnly || shown <= known || far {
		e.gapAt = time.Time{}
	} else if e.gapAt.IsZero() {
		e.gapAt = now.Add(gapDelay)
	}
}

// pullGap asks a random neighbour that holds the next unknown block for it; one
// that has been asked and has not answered in time is passed over.
func (e *Engine) pullGap(now time.Time) {
	e.gapAt = now.Add(e.cfg.FetchTimeout) // unless it is answered before
	next := e.contiguous(now) + 1
	ask := e.sample(1, func(n *neighbour) bool { return n.tip >= next && !n.pullUntil.After(now) })
	if len(ask) == 0 { // a child was announced by peers that hold it no more than we do
		ask = e.sample(1, func(n *neighbour) bool { return !n.pullUntil.After(now) })
	}
	for _, n := range ask {
		e.pullFrom(now, n)
	}
}

// pullAnswered ends a pull, if it can be one that is answered: what it left open is a new
// gap.
func (e *Engine) pullAnswered(n *neighbour) {
	if n.pullOwed == 0 {
		return
	}
	n.pullOwed--
	n.pullUntil, n.pullWait = time.Time{}, 0
	e.gapAt = time.Time{}
}

// pullPeriodic asks a random neighbour, whatever it is known to hold.
func (e *Engine) pullPeriodic(now time.Time) {
	e.schedulePull(now)
	for _, n := range e.sample(1, func(n *neighbour) bool { return !n.pullUntil.After(now) }) {
		e.pullFrom(now, n)
	}
}

func (e *Engine) pullFrom(now time.Time, n *neighbour) {
	have := make([]block.ID, 0, len(e.above))
	for _, b := range e.above {
		if !b.stranded() {
			have = append(have, b.block.ID)
		}
	}
	wait := max(n.pullWait, e.cfg.FetchTimeout)
	n.pullUntil, n.pullWait, n.pullOwed = now.Add(wait), min(2*wait, e.longest()), pullSpan
	e.stats.Pulls++
	e.effects.Send(n.id, &message.Pull{Tip: e.tip.Height, Upto: e.tip.Height + Window, Have: have, Headers: e.cfg.PullHeaders})
}

// Pulled tells that a peer asks for announcements of blocks above its tip, other
// than those it has, up to a height.
func (e *Engine) Pulled(now time.Time, from wire.PeerID, m *message.Pull) {
	n := e.peer(from)
	if n == nil {
		return
	}
	n.tip = max(n.tip, m.Tip)
	e.told(now, n, m.Tip)
	defer e.watchGap(now)
	if now.Sub(n.servedAt) < pullSpacing {
		e.stats.PullsIgnored++
		return
	}
	n.servedAt = now
	known := make(map[block.ID]bool, len(m.Have))
	for _, id := range m.Have {
		known[id] = true
	}
	sent := 0
	for _, list := range [][]*entry{e.kept, e.above} {
		for _, b := range list {
			if h := b.block.Height; h > m.Tip && h <= m.Upto && sent < pullSpan && !known[b.block.ID] && (b.whole() || m.Headers && b.stage != Refused) {
				a := b.announcement()
				a.Pulled = true
				e.effects.Send(from, a)
				sent++
			}
		}
	}
	if sent > 0 {
		e.stats.PullsAnswered++
		return
	}
	e.effects.Send(from, &message.Tip{Height: e.tip.Height})
}

// TipTold tells that a peer answered a pull with its height: it has nothing that
// this peer lacks and could use.
func (e *Engine) TipTold(now time.Time, from wire.PeerID, m *message.Tip) {
	n := e.peer(from)
	if n == nil {
		return
	}
	e.pullAnswered(n)
	n.pullOwed = 0 // there is nothing to announce
	n.tip = m.Height
	e.told(now, n, m.Height)
	e.watchGap(now)
}
