package fresh

import (
	"slices"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// advance moves a block on: to Complete when nothing is lacking, else to a request
// when none is in flight.
func (e *Engine) advance(now time.Time, b *entry) {
	switch {
	case b.checked || b.checking || b.fetch != nil:
	case b.lacking == 0 && !b.needIDs:
		b.checking = true
		e.do(Complete{b.id})
	default:
		e.ask(now, b)
	}
}

// ask sends a request to the best source that has not failed in this round. When
// all have failed, a new round begins after a time-out, and others are pulled from
// meanwhile. One that is shunned is not asked while others may yet announce.
func (e *Engine) ask(now time.Time, b *entry) {
	if !e.release(now, b) {
		return
	}
	best, shunned := e.best(now, b)
	more := b.facts.FirstSeen.Add(e.cfg.GapDelay)
	switch {
	case best < 0:
		b.retryAt = now.Add(e.cfg.FetchTimeout)
		e.watchGap(now)
		return
	case shunned && now.Before(more):
		b.retryAt = more
		return
	case now.Before(b.lateTill):
		b.retryAt = b.lateTill
		return
	}
	e.number++
	e.stats.Fetches++
	b.retryAt = time.Time{}
	b.fetch = &fetch{to: b.sources[best].peer, number: e.number, sent: now, wait: e.patience, deadline: now.Add(e.patience)}
	f := Fetch{To: b.fetch.to, Block: b.id, Number: e.number, Wait: e.patience}
	if !b.needIDs {
		f.At = b.missing()
	}
	e.do(f)
}

// release says whether a block may be fetched. When the wait for answers to a pull is
// over, they count alike, whichever came first.
func (e *Engine) release(now time.Time, b *entry) bool {
	if now.Before(b.holdTill) {
		b.retryAt = b.holdTill
		return false
	}
	if !b.holdTill.IsZero() {
		b.holdTill = time.Time{}
		e.rng.Shuffle(len(b.sources), func(i, j int) { b.sources[i], b.sources[j] = b.sources[j], b.sources[i] })
	}
	return true
}

// best returns the source to ask: one that is not shunned before one that is, then
// one that is complete before one that is not, and among equals the earliest. It is
// -1 when none is left.
func (e *Engine) best(now time.Time, b *entry) (best int, shunned bool) {
	best, lowest := -1, 4
	for i, s := range b.sources {
		rank := 0
		if n := e.peer(s.peer); n != nil && n.shunUntil.After(now) {
			rank += 2
		}
		if !s.complete {
			rank++
		}
		if rank < lowest && !s.tried && !b.owes(now, s.peer) {
			best, lowest = i, rank
		}
	}
	return best, lowest >= 2
}

func (e *Engine) shun(now time.Time, p wire.PeerID) {
	if n := e.peer(p); n != nil {
		n.shunUntil = now.Add(shunTime)
	}
}

// failed ends the request in flight: its peer is not asked again in this round.
func (e *Engine) failed(now time.Time, b *entry) {
	for i := range b.sources {
		if b.sources[i].peer == b.fetch.to {
			b.sources[i].tried = true
		}
	}
	b.fetch = nil
	e.advance(now, b)
}

// Arrived tells that transactions of a block have come, each right for its place,
// with the number of the request that they answer or 0.
func (e *Engine) Arrived(now time.Time, from wire.PeerID, number uint32, id block.ID, at []uint32) {
	b := e.blocks[id]
	if b == nil || b.checked {
		return
	}
	e.timeAnswer(now, b, from, number)
	if b.needIDs || !b.fill(at) {
		return
	}
	e.progressed(now, b, number)
	e.serveWaiters(b)
	if b.lacking == 0 {
		b.fetch = nil
		e.advance(now, b)
	}
}

// progressed gives more time to whatever is to bring the rest of a block, of which a
// part has come. If it answers a request that had timed out, that one is coming after
// all: to ask others for the same would only keep it back.
func (e *Engine) progressed(now time.Time, b *entry, number uint32) {
	if b.fetch != nil {
		b.fetch.deadline = now.Add(e.patience)
	}
	if slices.ContainsFunc(b.late, func(f *fetch) bool { return f.number == number }) {
		b.lateTill = now.Add(e.patience)
	}
}

// timeAnswer samples how long the first piece of an answer took. That a body comes
// right behind its announcement says nothing.
func (e *Engine) timeAnswer(now time.Time, b *entry, from wire.PeerID, number uint32) {
	for _, f := range slices.Concat(b.late, []*fetch{b.fetch}) {
		if f != nil && f.to == from && f.number == number && f.asked() && !f.answered {
			f.answered = true
			e.learn(now.Sub(f.sent))
		}
	}
}

// Refused tells that a peer has not got what it was asked for.
func (e *Engine) Refused(now time.Time, from wire.PeerID, number uint32, id block.ID) {
	b := e.blocks[id]
	if b == nil {
		return
	}
	if b.endLate(func(f *fetch) bool { return f.to == from && f.number == number }) {
		e.advance(now, b)
	}
	if b.fetch == nil || b.fetch.to != from || b.fetch.number != number {
		return
	}
	e.stats.FetchRefusals++
	e.failed(now, b)
}

// Mismatched tells that the body that short IDs rebuilt is not the one the header
// commits to: a collision. The full IDs settle which.
func (e *Engine) Mismatched(now time.Time, id block.ID) {
	b := e.blocks[id]
	if b == nil || b.checked || b.needIDs {
		return
	}
	e.stats.Mismatches++
	b.checking, b.needIDs, b.fetch, b.late = false, true, nil, nil
	e.advance(now, b)
}

// Listed tells that a block's full IDs have come and are right, asked for or not,
// and which places nothing fills now that they are known.
func (e *Engine) Listed(now time.Time, id block.ID, missing []uint32) {
	b := e.blocks[id]
	if b == nil || b.checked {
		return
	}
	b.needIDs, b.fetch, b.late = false, nil, nil
	b.setMissing(missing)
	b.facts.Missing += len(missing)
	b.untry()
	e.named(now, b)
	e.advance(now, b)
}

// Wanted tells that a peer asks for transactions of a block (at no places: for its
// ID list), and how long it waits.
func (e *Engine) Wanted(now time.Time, from wire.PeerID, number uint32, id block.ID, at []uint32, wait time.Duration) {
	b := e.blocks[id]
	switch {
	case b == nil || e.peer(from) == nil:
		e.refuse(from, number, id)
	case b.canServe(at):
		e.serve(b, from, number, at)
	default:
		b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
			if w.peer == from { // it has given up the last one
				e.refuse(from, w.number, id)
			}
			return w.peer == from
		})
		// Half of what the asker waits, so that the refusal is there before it
		// gives up.
		wait = min(wait, maxPatience*e.cfg.FetchTimeout) / 2
		b.waiters = append(b.waiters, waiter{peer: from, number: number, at: at, deadline: now.Add(wait)})
	}
}

// canServe says whether this peer holds all of the places, or with none the list.
// What came before the body was whole can be served too: the asker holds each
// transaction against the header's commitment, as this peer did.
func (b *entry) canServe(at []uint32) bool {
	if b.checked {
		return true
	}
	if len(at) == 0 || b.needIDs || b.bare {
		return false
	}
	return !slices.ContainsFunc(at, func(i uint32) bool { return int(i) >= len(b.lacks) || b.lacks[i] })
}

func (e *Engine) serve(b *entry, to wire.PeerID, number uint32, at []uint32) {
	e.stats.Served++
	e.do(Serve{To: to, Block: b.id, Number: number, At: at})
}

func (e *Engine) refuse(to wire.PeerID, number uint32, id block.ID) {
	e.stats.Refused++
	e.do(Refuse{To: to, Block: id, Number: number})
}

// serveWaiters answers the requests that can be answered by now.
func (e *Engine) serveWaiters(b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
		if !b.canServe(w.at) {
			return false
		}
		e.serve(b, w.peer, w.number, w.at)
		return true
	})
}

func (e *Engine) refuseWaiters(b *entry) {
	for _, w := range b.waiters {
		e.refuse(w.peer, w.number, b.id)
	}
	b.waiters = nil
}

// timedOut ends the wait for the request in flight, and doubles the time-out for what
// is left unanswered (RFC 6298 §5.5), but not for the first in a row: that may have been
// one peer's fault, two are the network's.
func (e *Engine) timedOut(now time.Time, b *entry) {
	f := b.fetch
	e.stats.FetchTimeouts++
	e.shun(now, f.to)
	b.late = append(slices.DeleteFunc(b.late, func(l *fetch) bool { return l.to == f.to && l.asked() == f.asked() }), f)
	if f.asked() && !f.answered {
		if e.silence++; e.silence > 1 {
			e.patience = min(max(e.patience, 2*f.wait), e.longest())
		}
	}
	e.failed(now, b)
}

// tickBlock does what is due for one block.
func (e *Engine) tickBlock(now time.Time, b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
		if due(w.deadline, now) {
			e.refuse(w.peer, w.number, b.id)
			return true
		}
		return false
	})
	if b.fetch != nil && due(b.fetch.deadline, now) {
		e.timedOut(now, b)
	}
	if due(b.retryAt, now) {
		b.retryAt = time.Time{}
		b.untry()
		e.advance(now, b)
	}
}
