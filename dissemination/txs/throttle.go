package txs

import "time"

// Throttle bounds the bytes a second that this node lets into the network. The rate
// grows by a step each second and halves when the network shows that it does not
// take them, by a queue that overflows or by peers that fall behind (additive increase, multiplicative decrease: Chiu and Jain, "Analysis of
// the Increase and Decrease Algorithms", 1989), so that nodes that share a network
// come to share its capacity. Submitters wait for their turn, or are told to come
// back. It is sans-IO, and not safe for concurrent use.
type Throttle struct {
	rate   float64       // bytes a second, while nobody is too far behind
	credit float64       // bytes that may enter now; below zero: promised to those that wait
	last   time.Time     // when credit was last counted
	cut    time.Time     // when the rate was last halved
	lag    time.Duration // how far behind the network was last

	since time.Time // when the last full second of letting in ended
	let   float64   // bytes let in since then
	full  float64   // bytes let in in that second
}

const (
	// throttleMost is where the rate begins and what it grows to: more than a node
	// signs, checks and stores in a second, so that only the network's word lowers it.
	throttleMost = 32 << 20
	// throttleLeast is what a node always lets in: a hundred transactions of the usual
	// size a second.
	throttleLeast = 32 << 10
	// throttleStep is by how much the rate grows in a second: a sixty-fourth, so that a
	// halved rate is back after half a minute.
	throttleStep = throttleMost / 64
	// throttleGrowth is the most that the rate grows in a second where it is low, as a part
	// of itself: on links of some hundred kilobytes a second a whole step would be many
	// times what they take (a guess).
	throttleGrowth = 0.25
	// throttleLag is how far behind the network may be: several times what a block takes on
	// links that are not full, and longer than it takes to hear of it.
	throttleLag = time.Second
	// throttleDeepest bounds by how much less that is, so that with the least rate a few usual
	// transactions a second always come in.
	throttleDeepest = 16
	// throttleBurst is how many seconds' worth may enter at once after a pause, and
	// leastBurst how much at least: two of the largest transactions, by default.
	throttleBurst = 1
	leastBurst    = 128 << 10
	// cutEvery is the least time between two cuts: what was let in before the first is
	// still overflowing queues (a guess).
	cutEvery = time.Second
)

// NewThrottle makes a Throttle that lets in as much as it ever does.
func NewThrottle(now time.Time) *Throttle {
	return &Throttle{rate: throttleMost, credit: throttleMost * throttleBurst, last: now, since: now}
}

// Rate returns the bytes a second that are let in at present: while the network is too far
// behind, less by as much.
func (a *Throttle) Rate() float64 {
	return a.rate / min(max(1, float64(a.lag)/float64(throttleLag)), throttleDeepest)
}

// Overflowed tells that the network did not take something that was let in.
func (a *Throttle) Overflowed(now time.Time) {
	a.count(now)
	a.halve(now)
}

// Behind tells how far the network is behind its orderer. While that is too far the rate
// does not grow, and it halves as long as it becomes more.
func (a *Throttle) Behind(now time.Time, lag time.Duration) {
	a.count(now)
	more := lag > a.lag
	if a.lag = lag; more && lag > throttleLag {
		a.halve(now)
	}
}

// halve lets in half of what was let in, which may be far less than might have been.
func (a *Throttle) halve(now time.Time) {
	if now.Sub(a.cut) < cutEvery {
		return
	}
	a.cut = now
	a.rate = max(min(a.rate, max(a.full, a.let))/2, throttleLeast)
	a.credit = min(a.credit, a.burst())
}

// burst is the most that may enter at once.
func (a *Throttle) burst() float64 { return max(a.Rate()*throttleBurst, leastBurst) }

// Take asks to let so many bytes in, and returns how long they must wait for it. If
// that is more than the most that the caller waits, nothing is taken. What is more than
// may enter at once waits for as much, and others wait for the rest.
func (a *Throttle) Take(now time.Time, bytes int, most time.Duration) (wait time.Duration, ok bool) {
	a.count(now)
	if lack := min(float64(bytes), a.burst()) - a.credit; lack > 0 {
		wait = time.Duration(lack / a.Rate() * float64(time.Second))
	}
	if wait > most {
		return wait, false
	}
	a.credit -= float64(bytes)
	a.let += float64(bytes)
	return wait, true
}

// count adds what the time since the last count has brought.
func (a *Throttle) count(now time.Time) {
	passed := now.Sub(a.last).Seconds()
	if passed <= 0 {
		return
	}
	a.last = now
	if d := now.Sub(a.since); d >= time.Second {
		a.full, a.let, a.since = a.let/d.Seconds(), 0, now
	}
	if a.lag <= throttleLag {
		a.rate = min(a.rate+min(throttleStep, throttleGrowth*a.rate)*passed, throttleMost)
	}
	a.credit = min(a.credit+a.Rate()*passed, a.burst())
}
