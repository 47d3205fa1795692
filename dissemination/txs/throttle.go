package txs

import "time"

// Throttle bounds the bytes a second that this node lets into the network. The rate
// grows by a step each second and halves when the network shows that it does not
// take them (additive increase, multiplicative decrease: Chiu and Jain, "Analysis of
// the Increase and Decrease Algorithms", 1989), so that nodes that share a network
// come to share its capacity. Submitters wait for their turn, or are told to come
// back. It is sans-IO, and not safe for concurrent use.
type Throttle struct {
	rate   float64   // bytes a second
	credit float64   // bytes that may enter now; below zero: promised to those that wait
	last   time.Time // when credit was last counted
	cut    time.Time // when the rate was last halved
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
	// throttleBurst is how many seconds' worth may enter at once after a pause.
	throttleBurst = 1
	// cutEvery is the least time between two cuts: what was let in before the first is
	// still overflowing queues (a guess).
	cutEvery = time.Second
)

// NewThrottle makes a Throttle that lets in as much as it ever does.
func NewThrottle(now time.Time) *Throttle {
	return &Throttle{rate: throttleMost, credit: throttleMost * throttleBurst, last: now}
}

// Rate returns the bytes a second that are let in at present.
func (a *Throttle) Rate() float64 { return a.rate }

// Overflowed tells that the network did not take something that was let in.
func (a *Throttle) Overflowed(now time.Time) {
	a.count(now)
	if now.Sub(a.cut) < cutEvery {
		return
	}
	a.cut = now
	a.rate = max(a.rate/2, throttleLeast)
	a.credit = min(a.credit, a.rate*throttleBurst)
}

// Take asks to let so many bytes in, and returns how long they must wait for it. If
// that is more than the most that the caller waits, nothing is taken.
func (a *Throttle) Take(now time.Time, bytes int, most time.Duration) (wait time.Duration, ok bool) {
	a.count(now)
	if lack := float64(bytes) - a.credit; lack > 0 {
		wait = time.Duration(lack / a.rate * float64(time.Second))
	}
	if wait > most {
		return wait, false
	}
	a.credit -= float64(bytes)
	return wait, true
}

// count adds what the time since the last count has brought.
func (a *Throttle) count(now time.Time) {
	passed := now.Sub(a.last).Seconds()
	if passed <= 0 {
		return
	}
	a.last = now
	a.rate = min(a.rate+throttleStep*passed, throttleMost)
	a.credit = min(a.credit+a.rate*passed, a.rate*throttleBurst)
}
