package membership

import (
	"math"
	"slices"
	"time"

	"grapevine/block"
)

// meet notes that a connection has shown a member to exist.
func (c *Core) meet(now time.Time, m *member) {
	m.met, m.linked, m.failures = true, true, 0
	m.speaks(now)
	if m.state == Suspect || m.state == Dead {
		c.stats.Returns++
		c.enter(now, m, Alive)
	}
}

func (c *Core) enter(now time.Time, m *member, s State) {
	if m.state != s {
		m.state, m.since = s, now
	}
}

// DialFailed tells that a peer could not be reached at its addresses.
func (c *Core) DialFailed(now time.Time, k block.PublicKey) {
	m := c.view.get(k)
	if m == nil || m.met || m.linked || c.left {
		return
	}
	if m.failures++; m.failures >= tentativeTries {
		c.forget(now, m, forgetFor)
		c.choose(now)
	}
}

// forget removes a member, and keeps it from coming back by hearsay.
func (c *Core) forget(now time.Time, m *member, d time.Duration) {
	c.view.remove(m.Owner)
	if len(c.forgotten) >= maxForgotten {
		c.sweep(now)
	}
	if len(c.forgotten) < maxForgotten {
		c.forgotten[m.Owner] = grave{m.Incarnation, now.Add(d)}
	}
}

// sweep clears out what need not be kept out any longer.
func (c *Core) sweep(now time.Time) {
	for k, g := range c.forgotten { // no order leaks: each is judged alone
		if !now.Before(g.until) {
			delete(c.forgotten, k)
		}
	}
}

// beatInterval is how often a peer gives a heartbeat.
func (c *Core) beatInterval() time.Duration {
	return max(minBeat, time.Duration(c.size())*time.Second/beatsPerSec)
}

// silence is how long a member may be silent before it is suspected: three
// heartbeats may be lost, and each takes some rounds to get here.
func (c *Core) silence() time.Duration {
	return 3*c.beatInterval() + 2*time.Duration(c.rounds())*roundEvery
}

// patience is how long nothing may come of a living member, by whatever way: five
// heartbeats, and some rounds. In simulated networks of 3, 7, 50, 128 and 500 the longest
// pause in ten minutes was 3, 4, 7, 7 and 18 s, and patience is 7, 8, 11, 13 and 19. A
// connection alone says nothing: it outlasts its peer by half a minute.
func (c *Core) patience() time.Duration {
	return 5*c.beatInterval() + time.Duration(c.rounds()-2)*roundEvery
}

// beatOwn gives a heartbeat, with a new version when the chain is used up.
func (c *Core) beatOwn(now time.Time) {
	i := c.self.beat.index + 1
	if int(i) >= len(c.chain) {
		c.writeOwn(now, c.self.Incarnation, c.self.Version+1)
		return
	}
	c.self.beat = beat{i, c.chain[i]}
	c.self.told = 0
	c.nextBeat = now.Add(c.beatInterval())
}

// tellBeats returns the heartbeats to pass on, those least often passed on first.
// Each is passed on a few times, as rumours are; then it is old.
func (c *Core) tellBeats(to block.PublicKey) []Beat {
	limit := 2 * c.rounds()
	var fresh []*member
	for _, m := range c.view.order {
		if m.beat.index > 0 && m.told < limit && m.Owner != to && !m.buried() {
			fresh = append(fresh, m)
		}
	}
	slices.SortStableFunc(fresh, func(a, b *member) int { return a.told - b.told })
	var out []Beat
	size := 0
	for _, m := range fresh {
		b := Beat{m.entry, m.beat.index, m.beat.link}
		if size += b.size(); size > maxBeats {
			break
		}
		m.told++
		out = append(out, b)
	}
	return out
}

// wrongBeats is how many heartbeats that do not fit their record are looked at from one
// neighbour, and wrongPerSec how many more a second: each costs up to chainLength hashes.
const (
	wrongBeats  = 16
	wrongPerSec = 1
)

// hearBeats takes heartbeats in. One of a record that is not known says nothing. One
// that does not follow its record is its owner's fault if he says it himself; whoever
// passes it on is not blamed for another's heartbeat, and not listened to for a while.
func (c *Core) hearBeats(now time.Time, from block.PublicKey, x *exchange, beats []Beat) {
	x.wrong = math.Max(0, x.wrong-wrongPerSec*now.Sub(x.heard).Seconds())
	x.heard = now
	for _, b := range beats {
		c.stats.BeatsIn++
		m := c.view.get(b.Owner)
		if m == nil || m == c.self || m.entry != b.Entry || b.Index <= m.beat.index || x.wrong >= wrongBeats {
			continue
		}
		next := beat{b.Index, b.Link}
		if !next.follows(m.beat) {
			x.wrong++
			if from == b.Owner {
				c.do(Blame{from, "a heartbeat of its own that does not follow its record"})
				return
			}
			continue
		}
		c.stats.BeatsNew++
		m.beat, m.told = next, 0
		m.speaks(now)
		if m.state == Suspect || m.state == Dead {
			c.stats.Returns++
			c.enter(now, m, Alive)
		}
	}
}

// judge suspects the silent, buries the very silent, and forgets the long dead. A
// live connection is proof of life.
func (c *Core) judge(now time.Time) {
	silence := c.silence()
	for _, m := range slices.Clone(c.view.order) {
		quiet := now.Sub(m.heard)
		switch {
		case m.linked:
		case m.buried():
			if now.Sub(m.since) >= deadGrace || !m.met && now.Sub(m.since) >= shareDead {
				c.forget(now, m, deadGrace)
			}
		case !m.met:
			if now.Sub(m.since) >= tentativeFor {
				c.forget(now, m, forgetFor)
			}
		case quiet >= 3*silence:
			c.stats.Deaths++
			c.enter(now, m, Dead)
		case quiet >= silence:
			c.enter(now, m, Suspect)
		}
	}
}
