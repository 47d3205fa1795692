package catchup

import (
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// request is what one neighbour was asked for.
type request struct {
	number   uint32
	from, to uint64
	next     uint64 // the next height expected
	sent     time.Time
	last     time.Time     // when it was sent, or a piece came
	came     int           // bytes
	wait     time.Duration // the time-out, when it was sent
	deadline time.Time     // of the wait, or of the answer if that is late
	late     bool          // it timed out: others may be asked for the same
	revived  bool          // it was late once, and is waited for again
	dropped  bool          // it was late, and the driver keeps nothing of it
}

// progress moves the deadline of a request on, of which a piece has come. The wait is
// three times what pieces take, on average, and no less than the first time-out; it
// doubles with every time-out in between (RFC 6298 §5.5): when links are full or
// lossy, asking others only fills them more, and what was asked for comes too late.
func (e *Engine) progress(now time.Time, r *request, size int) {
	if size > 0 {
		if e.typical == 0 {
			e.typical = now.Sub(r.last)
		}
		e.typical += (now.Sub(r.last) - e.typical) / 4
		e.wait = min(max(3*e.typical, timeout), maxWaits*timeout)
		r.last = now
	}
	r.came += size
	if r.late {
		r.deadline = now.Add(owed)
		return
	}
	r.deadline = now.Add(e.wait)
	at := time.Duration(r.came) * time.Second / slowest * (e.wait / timeout)
	if end := r.sent.Add(2*e.wait + at); end.Before(r.deadline) {
		r.deadline = end
	}
}

// Came tells of a message of an answer: a piece of a block, which is not checked yet,
// or the end.
func (e *Engine) Came(now time.Time, from wire.PeerID, m *message.Chunk) {
	n := e.peer(from)
	if n == nil || n.asked == nil || n.asked.number != m.Number {
		return
	}
	if r := n.asked; m.Size > 0 && !r.dropped {
		if r.late && !r.revived {
			r.late, r.revived, r.sent = false, true, now
		}
		e.progress(now, r, m.Length)
	}
	if m.Last {
		e.ended(now, n, m.Tip, m.Base)
	}
}

// Arrived tells that a block of an answer has come, its size in bytes, and that it
// is right in itself. It says whether the driver is to keep it.
func (e *Engine) Arrived(now time.Time, from wire.PeerID, number uint32, height uint64, size int) bool {
	n := e.peer(from)
	if n == nil || n.asked == nil || n.asked.number != number || n.asked.dropped || height != n.asked.next || height > n.asked.to {
		e.stats.Doubles++
		return false
	}
	n.asked.next++
	e.progress(now, n.asked, 0)
	n.penalty = 0
	if _, twice := e.arrived[height]; twice || height <= e.tip {
		e.stats.Doubles++
		return false
	}
	e.stats.Blocks++
	e.arrived[height] = size
	e.waiting += size
	return true
}

// ended takes the end of an answer, and what the peer says it holds. An answer that
// ends early for its byte budget is no fault, nor is one without a block that the peer
// says it does not hold; one without a block that it holds is.
func (e *Engine) ended(now time.Time, n *neighbour, tip, base uint64) {
	empty := !n.asked.dropped && n.asked.next == n.asked.from && n.asked.from >= base && n.asked.from <= tip
	n.asked, n.tip, n.base = nil, tip, base
	if empty {
		e.stats.Failures++
		n.punish(now)
	}
	e.step(now)
}

// Failed tells that an answer was wrong: nothing more of it is taken, and its peer
// is not asked again for a while.
func (e *Engine) Failed(now time.Time, from wire.PeerID, number uint32) {
	n := e.peer(from)
	if n == nil || n.asked == nil || n.asked.number != number {
		return
	}
	n.asked = nil
	e.stats.Failures++
	e.effects.Add(effect.Discard{Peer: n.id, Number: number})
	n.punish(now)
	e.step(now)
}

// timedOut ends the wait for an answer, not the answer: others may be asked for the
// same. After a second wait in vain it is given up.
func (e *Engine) timedOut(now time.Time, n *neighbour) {
	r := n.asked
	if r.late {
		e.effects.Add(effect.Discard{Peer: n.id, Number: r.number})
		n.asked = nil
		return
	}
	e.stats.Timeouts++
	e.wait = min(max(e.wait, 2*r.wait), maxWaits*timeout)
	r.late, r.deadline = true, now.Add(owed)
	e.boundLate()
}

// boundLate gives up the oldest late answer of which a part has come, when there are
// more than may be in flight: the driver keeps the parts. Its peer owes the answer
// nonetheless.
func (e *Engine) boundLate() {
	var oldest *neighbour
	begun := 0
	for _, n := range e.peers {
		if !n.late() || n.asked.came == 0 || n.asked.dropped {
			continue
		}
		begun++
		if oldest == nil || n.asked.number < oldest.asked.number {
			oldest = n
		}
	}
	if begun > parallel {
		e.effects.Add(effect.Discard{Peer: oldest.id, Number: oldest.asked.number})
		oldest.asked.dropped = true
	}
}

// late says that the neighbour owes an answer that is not waited for.
func (n *neighbour) late() bool { return n.asked != nil && n.asked.late }

func (n *neighbour) punish(now time.Time) {
	n.penalty = min(max(2*n.penalty, penalty), maxPenalty)
	n.notBefore = now.Add(n.penalty)
}
