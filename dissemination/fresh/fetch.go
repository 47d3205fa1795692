package fresh

import (
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// fetch is a request in flight.
type fetch struct {
	to       wire.PeerID
	number   uint32
	sent     time.Time
	wait     time.Duration // the time-out, when it was sent
	deadline time.Time     // moved on by every part of its answer
	answered bool
	began    time.Time // when the first part came
	bytes    int       // of parts that brought something
}

// trickles says whether an answer comes so slowly that others are to be asked.
func (f *fetch) trickles(now time.Time) bool {
	took := now.Sub(f.began)
	return took > 2*f.wait && float64(f.bytes) < slowest*took.Seconds()
}

// owed says that a request may yet be answered.
func (f *fetch) owed(now time.Time) bool { return now.Before(f.sent.Add(owedFor)) }

// advance moves a block on: to Checking when nothing is lacking, else to a request
// when none is in flight.
func (e *Engine) advance(now time.Time, b *entry) {
	switch {
	case b.stage != Gathering && b.stage != Listing, b.fetch != nil, b.shards:
	case b.stage == Gathering && b.lacks == 0:
		b.become(Checking)
		e.effects.Add(effect.Assemble{Block: b.block.ID})
	default:
		e.ask(now, b)
	}
}

// ask sends a request to the best source that has not failed in this round. When
// all have failed, a new round begins after a time-out, and others are pulled from
// meanwhile. One that is shunned is not asked while others may yet announce.
func (e *Engine) ask(now time.Time, b *entry) {
	best, shunned := e.best(now, b)
	more := b.facts.FirstSeen.Add(gapDelay)
	switch {
	case best < 0:
		if b.retryAt.IsZero() { // who announces it again does not put the next round off
			b.retryAt = now.Add(e.cfg.FetchTimeout)
		}
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
	m := &message.Fetch{Number: e.number, Block: b.block.ID, Wait: e.patience}
	if b.stage == Gathering {
		m.At = b.missing()
	}
	e.effects.Send(b.fetch.to, m)
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

// passOver ends the request in flight: its peer is not asked again in this round.
func (e *Engine) passOver(now time.Time, b *entry) {
	for i := range b.sources {
		if b.sources[i].peer == b.fetch.to {
			b.sources[i].tried = true
		}
	}
	b.fetch = nil
	e.advance(now, b)
}

// Came tells of a piece of an answer to a request: transactions that are each right
// for their place, or full IDs; and which of the transactions the pool holds by now. It
// returns how many bytes of transactions it brought that were not here.
func (e *Engine) Came(now time.Time, from wire.PeerID, m *message.Part, held Held) (came int) {
	b := e.blocks[m.Block]
	switch {
	case b == nil:
		return 0
	case m.Refused:
		e.refused(now, b, from, m.Number)
		return 0
	case len(m.IDs) > 0:
		e.listPiece(now, b, from, m)
		return 0
	}
	if !b.whole() {
		e.timeAnswer(now, b, from, m.Number)
	}
	return e.filled(now, b, m.Number, m.At, m.Sizes, held)
}

// filled puts transactions of a block into their places, with the number of the
// request that brought them or 0, and goes on with what is complete now.
func (e *Engine) filled(now time.Time, b *entry, number uint32, at []uint32, sizes []int, held Held) (came int) {
	if b.stage == Listing { // which of them were lacking nobody knows
		return 0
	}
	if came = e.take(b, at, sizes, held, nil); came == 0 {
		return 0
	}
	e.progressed(now, b, number, came)
	e.serveWaiters(b)
	if b.lacks == 0 {
		b.fetch = nil
		e.advance(now, b)
	}
	return came
}

// take puts transactions into their places, counts those that were here or in the
// pool, and returns the bytes of those that were lacking, which it notes in brought.
func (e *Engine) take(b *entry, at []uint32, sizes []int, held Held, brought *prefill) (came int) {
	for i, place := range at {
		lacked := b.add(place, sizes[i])
		if lacked {
			came += sizes[i]
			if brought != nil {
				brought.add(place, sizes[i], message.PrefillBytes)
			}
		}
		if !lacked || held != nil && held(place) > 0 {
			e.cameAgain(b, sizes[i])
		}
	}
	return came
}

// progressed gives more time to a request of which a part has come, unless it trickles.
// If it had timed out, it is coming after all: to ask others for the same would only keep
// it back.
func (e *Engine) progressed(now time.Time, b *entry, number uint32, bytes int) {
	for _, f := range slices.Concat(b.late, []*fetch{b.fetch}) {
		if f == nil || f.number != number {
			continue
		}
		if f.bytes == 0 {
			f.began = now
		}
		f.bytes += bytes
		switch {
		case f.trickles(now):
		case f == b.fetch:
			f.deadline = now.Add(e.patience)
		default:
			b.lateTill = now.Add(e.patience)
		}
	}
}

// timeAnswer samples how long the first piece of an answer took.
func (e *Engine) timeAnswer(now time.Time, b *entry, from wire.PeerID, number uint32) {
	for _, f := range slices.Concat(b.late, []*fetch{b.fetch}) {
		if f != nil && f.to == from && f.number == number && !f.answered {
			f.answered = true
			e.learn(now.Sub(f.sent))
		}
	}
}

// Failed tells that nothing right comes of a request: it did not find room on its way,
// or what came was wrong.
func (e *Engine) Failed(now time.Time, from wire.PeerID, number uint32, id block.ID) {
	if b := e.blocks[id]; b != nil {
		e.refused(now, b, from, number)
	}
}

// refused ends a request: its peer has not got what it was asked for.
func (e *Engine) refused(now time.Time, b *entry, from wire.PeerID, number uint32) {
	if b.endLate(func(f *fetch) bool { return f.to == from && f.number == number }) {
		e.advance(now, b)
	}
	if b.fetch == nil || b.fetch.to != from || b.fetch.number != number {
		return
	}
	e.stats.FetchRefusals++
	e.passOver(now, b)
}

// endLate forgets requests that timed out, and says whether one was being answered.
func (b *entry) endLate(which func(*fetch) bool) bool {
	n := len(b.late)
	b.late = slices.DeleteFunc(b.late, which)
	if len(b.late) == n || b.lateTill.IsZero() {
		return false
	}
	b.lateTill = time.Time{}
	return true
}

// timedOut ends the wait for the request in flight, and doubles the time-out for what
// is left unanswered (RFC 6298 §5.5), but not for the first in a row: that may have been
// one peer's fault, two are the network's.
func (e *Engine) timedOut(now time.Time, b *entry) {
	f := b.fetch
	e.stats.FetchTimeouts++
	e.shun(now, f.to)
	b.late = append(slices.DeleteFunc(b.late, func(l *fetch) bool { return l.to == f.to }), f)
	if !f.answered {
		if e.silence++; e.silence > 1 {
			e.patience = min(max(e.patience, 2*f.wait), e.longest())
		}
	}
	e.passOver(now, b)
}

// tickBlock does what is due for one block.
func (e *Engine) tickBlock(now time.Time, b *entry) {
	b.waiters = slices.DeleteFunc(b.waiters, func(w waiter) bool {
		if due(w.deadline, now) {
			e.refuse(w.peer, w.number, b.block.ID)
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
