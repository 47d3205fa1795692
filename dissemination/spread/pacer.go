package spread

import (
	"slices"
	"time"

	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// The producer's uplink is shared by all of its connections, each of which would fill it by
// itself: what waits there is lost to the links' queue management, or late. So shards go out
// as fast as relays say that they came: at a share of the link's speed, which is measured by how
// long what went at once waited for each other (packet trains), and no more at a time than a
// window that grows while nothing waits.
const (
	// firstWindow is the window before anything was measured: 200 ms of 10 Mbit/s, which is
	// more than such a link bears, and 40 ms of 50 (a guess between the two).
	firstWindow = 256 << 10
	leastWindow = 64 << 10
	// standing is how long a packet may wait in the uplink's queue (a guess: less than the
	// 100 ms after which CoDel drops, RFC 8289 §4.2).
	standing = 30 * time.Millisecond
	// pumpEvery is how much is sent at once, at least, of what waits (a guess).
	pumpEvery = 2 * time.Millisecond
	// firstRate is what the uplink carries before anything was measured, in bytes a second:
	// 50 Mbit/s (a guess).
	firstRate = 50e6 / 8
	// gain is the share of the rate that is used: the relays' links carry as much, and where
	// they have no idle moment in a tenth of a second their queues drop packets. Measured in
	// the packet world, 50 peers and 1 MiB: with 0.83 of the rate some 1,200 packets a block
	// are dropped, with 0.77 300, with 0.70 90.
	gain = 0.75
	// probe is how many bytes go at once after a pause, to see how long they wait for each
	// other.
	probe = 64 << 10
	// overload is what shards may wait before less goes: what CoDel bears (RFC 8289 §4.3).
	overload = 100 * time.Millisecond
	// leastRetry is how much longer than on average a relay may be silent at least, before
	// its shards go to another (a guess: what the uplink's queue may be).
	leastRetry = 2 * standing
	// firstRetry is how long it may be before any has spoken.
	firstRetry = 500 * time.Millisecond
)

// parcel is shards for a relay.
type parcel struct {
	b     *entry
	msg   *message.Shards
	chunk *chunk
	size  int

	at     *neighbour // whose flying it is part of; nil: nobody's
	to     wire.PeerID
	sent   time.Time
	base   time.Duration // how long word of it takes at least; zero: not known
	burst  bool          // it was sent at once with others,
	ahead  int           // of which so many bytes went before
	landed bool          // it takes no room of the window any more
}

// chunk is parcels for one relay, in order.
type chunk struct {
	parcels []*parcel
	to      wire.PeerID // empty until the first goes
	striped bool        // they are of a stripe, and go along it
	stripe  int
}

// count makes the parcel part of what a neighbour is to get, and of nobody else's.
func (x *parcel) count(n *neighbour) {
	if x.at != nil {
		x.at.relay.flying -= x.size
	}
	if x.at = n; n != nil {
		n.relay.flying += x.size
	}
}

// relay is what the producer knows of a neighbour that passes shards on.
type relay struct {
	flying int           // bytes that it is to get, and has not said that it has
	base   time.Duration // the shortest time it took to say that shards came; zero: not known
	silent bool          // it has let shards go by
	heard  bool          // base is known
}

// pacer hands parcels to relays.
type pacer struct {
	queue  []*parcel
	flying []*parcel // in the order in which they went
	bytes  int       // of these, but for those that are lost or late
	window int
	// What relays take to say that shards came, beyond their shortest times (RFC 6298 §2).
	mean, deviation time.Duration

	rate   float64   // bytes a second,
	before float64   // and before this block
	free   time.Time // when more may go, at that rate
	burst  int       // bytes that went at once
	points []point   // of this block's burst, so far

	waits    [8]time.Duration // what the last ones waited
	arrivals int
	nearest  time.Duration // the shortest time that any relay took,
	base     time.Duration // and what is usual
	pumpAt   time.Time     // when to send more; zero: when something has arrived
}

// wait is how long a relay may take, beyond its shortest time, to say that it has shards, and
// others to get them of it.
func (p *pacer) wait() time.Duration {
	if p.mean == 0 {
		return firstRetry
	}
	return p.mean + max(leastRetry, 4*p.deviation)
}

// heard takes in what a relay took beyond that.
func (p *pacer) heard(took time.Duration) {
	took = max(took, 1)
	if p.mean == 0 {
		p.mean, p.deviation = took, took/2
		return
	}
	p.deviation += ((took - p.mean).Abs() - p.deviation) / 4
	p.mean += (took - p.mean) / 8
}

// late lets go of the room of what should have been heard of by now: it is lost, or at the
// relay, and in any case not in the uplink's queue.
func (p *pacer) late(now time.Time) {
	for _, x := range p.flying {
		if at := p.lateAt(x); !at.IsZero() && !at.After(now) {
			p.land(x)
		}
	}
}

// lateAt returns when a parcel should have been heard of; zero: nobody knows, or it was.
func (p *pacer) lateAt(x *parcel) time.Time {
	if p.mean == 0 || x.landed {
		return time.Time{}
	}
	return x.sent.Add(x.base + p.mean + max(standing, 2*p.deviation))
}

func (p *pacer) land(x *parcel) {
	if !x.landed {
		x.landed = true
		p.bytes -= x.size
	}
}

// pump sends what the window lets go.
func (s *Spreader) pump(now time.Time) {
	p := &s.pacer
	p.late(now)
	p.pumpAt = time.Time{}
	for len(p.queue) > 0 {
		x := p.queue[0]
		if p.bytes > 0 && p.bytes+x.size > p.window {
			return
		}
		if since := now.Add(-pumpEvery); p.free.Before(since) {
			p.free = since
		}
		x.burst = false
		if wait := p.free.Sub(now); p.burst < probe {
			x.burst, x.ahead = true, p.burst
			p.burst += x.size
		} else if wait > 0 {
			p.pumpAt = now.Add(max(wait, pumpEvery))
			return
		}
		p.free = p.free.Add(time.Duration(float64(x.size) / p.pace() * float64(time.Second)))
		n := s.byID[x.chunk.to]
		if n == nil || n.relay.silent {
			if n = s.relayFor(x); n == nil { // there is nobody
				for _, y := range p.queue {
					y.count(nil)
					y.each(func(k giving) { y.b.own.out[k]-- })
				}
				p.queue = nil
				return
			}
			x.chunk.to = n.id
			for _, y := range x.chunk.parcels {
				if y.sent.IsZero() {
					y.count(n)
				}
			}
			x.msg.Hashes = x.b.code(x.msg.Body).g.ProofLen(x.msg.Span)
		}
		p.queue = p.queue[1:]
		x.to, x.sent, x.base = n.id, now, n.relay.base
		p.bytes += x.size
		p.flying = append(p.flying, x)
		x.each(func(k giving) {
			x.b.own.tries[k]++
			if k.body {
				x.b.own.relay[k.leaf] = n.id
			}
		})
		s.effects.Send(n.id, x.msg)
	}
}

// begin tells that a block is about to be queued.
func (p *pacer) begin(now time.Time) {
	if len(p.queue) == 0 && !p.free.After(now) {
		p.burst, p.before, p.points = 0, p.rate, nil
	}
}

// relayFor returns who passes a parcel on.
func (s *Spreader) relayFor(x *parcel) *neighbour {
	if !x.chunk.striped {
		return s.nextRelay(x.b)
	}
	t := &s.trees.of[x.chunk.stripe]
	if len(t.children) == 0 || t.children[0].relay.silent {
		s.assign()
	}
	if len(t.children) == 0 {
		return nil
	}
	return t.children[0]
}

// nextRelay returns the neighbour with the least on its way to it, and of those the next in
// the block's order.
func (s *Spreader) nextRelay(b *entry) (best *neighbour) {
	o := b.own
	for range o.turns {
		n := s.byID[o.turns[o.turn%len(o.turns)]]
		o.turn++
		if n == nil {
			continue
		}
		if best == nil || cmpRelay(n, best) < 0 {
			best = n
		}
	}
	if best != nil { // go on behind it
		o.turn = slices.Index(o.turns, best.id) + 1
	}
	return best
}

func cmpRelay(a, b *neighbour) int {
	switch {
	case a.relay.silent != b.relay.silent:
		if b.relay.silent {
			return -1
		}
		return 1
	default:
		return a.relay.flying - b.relay.flying
	}
}

// Got tells that a relay has shards, and passes them on.
func (s *Spreader) Got(now time.Time, from wire.PeerID, m *message.Got) {
	n := s.byID[from]
	if n == nil {
		return
	}
	p := &s.pacer
	i := slices.IndexFunc(p.flying, func(x *parcel) bool {
		return x.to == from && x.msg.Body == m.Body && x.msg.Span.First == m.First && x.msg.Ref == m.Ref
	})
	n.relay.silent = false
	if i < 0 {
		return
	}
	x := p.flying[i]
	p.flying = slices.Delete(p.flying, i, i+1)
	p.land(x)
	x.count(nil)
	took := now.Sub(x.sent)
	p.heard(took - x.base)
	s.measure(now, n, x, took)
	x.each(func(k giving) {
		x.b.own.out[k]--
		x.b.own.gotAt[k] = now
	})
	s.pump(now)
}

// measure takes an arrival into the rate, and the rate into the window.
func (s *Spreader) measure(now time.Time, n *neighbour, x *parcel, took time.Duration) {
	p, r := &s.pacer, &n.relay
	if r.base == 0 || took < r.base {
		r.base = took
	}
	if x.burst {
		wait := took
		if r.heard {
			wait -= r.base
		}
		p.rate = p.speed(x.ahead, wait)
	}
	if p.nearest == 0 || took < p.nearest {
		p.nearest = took
	}
	wait := took - p.nearest // how far away it is nobody knows before the second time
	if r.heard {
		wait = took - r.base
	}
	r.heard = true
	s.widen(x.size, wait)
}

// point is a parcel of a burst: how many bytes went before it at once, and how long it took.
type point struct {
	ahead int
	wait  time.Duration
}

// fewPoints is with how many parcels of a burst the speed of the link is reckoned.
const fewPoints = 12

// speed takes in how long a parcel of a burst took, and returns the link's speed: what went at
// once waited for each other. It is the median of what each two of them say (Theil and Sen),
// for some are lost and late; where relays are at distances that nobody knows yet, so that as
// many say nonsense, it is what it was before. One block does not change it too much.
func (p *pacer) speed(ahead int, wait time.Duration) float64 {
	p.points = append(p.points, point{ahead, wait})
	if len(p.points) < fewPoints {
		return p.rate
	}
	var slopes []float64 // seconds a byte
	for i, a := range p.points {
		for _, b := range p.points[:i] {
			if d := a.ahead - b.ahead; d > probe/8 || d < -probe/8 {
				slopes = append(slopes, (a.wait-b.wait).Seconds()/float64(d))
			}
		}
	}
	slices.Sort(slopes)
	if len(slopes) < fewPoints || slopes[len(slopes)/5] <= 0 {
		return p.rate
	}
	return min(max(1/slopes[len(slopes)/2], p.before/8), 2*p.before)
}

// widen lets the window grow by what arrives without having waited, up to what the link
// carries in a usual round trip and a little more, and shrink by what has waited for long
// (Shalunov and others, RFC 6817 §2.4, in its spirit).
func (s *Spreader) widen(bytes int, wait time.Duration) {
	p := &s.pacer
	p.waits[p.arrivals%len(p.waits)] = wait
	p.arrivals++
	switch {
	case wait <= standing:
		p.base = s.usual()
		p.window = max(p.window, min(p.window+bytes, int(p.rate*(p.base+2*standing).Seconds())))
	case slices.Min(p.waits[:]) > overload: // one alone may be late because it was lost
		p.window = max(p.window-bytes, leastWindow)
	}
}

// usual returns the median of the relays' shortest times.
func (s *Spreader) usual() time.Duration {
	bases := s.bases[:0]
	for _, n := range s.peers {
		if n.relay.heard {
			bases = append(bases, n.relay.base)
		}
	}
	slices.Sort(bases)
	s.bases = bases
	return bases[len(bases)/2]
}

// pace is how fast parcels go, in bytes a second: as fast as the window turns over, and some
// more, so that it fills.
func (p *pacer) pace() float64 {
	pace := gain * p.rate
	if p.base > 0 {
		pace = min(pace, 1.25*float64(p.window)/p.base.Seconds())
	}
	return pace
}

// retryDue gives the shards of relays that say nothing to others.
func (s *Spreader) retryDue(now time.Time) {
	p := &s.pacer
	wait := p.wait()
	var lost []*parcel
	p.flying = slices.DeleteFunc(p.flying, func(x *parcel) bool {
		if x.sent.Add(x.base + wait).After(now) {
			return false
		}
		lost = append(lost, x)
		p.land(x)
		x.count(nil)
		if n := s.byID[x.to]; n != nil {
			n.relay.silent = true
		}
		return true
	})
	if len(lost) == 0 {
		return
	}
	again := make([]*parcel, len(lost))
	for i, x := range lost {
		m := *x.msg
		again[i] = &parcel{b: x.b, msg: &m, chunk: &chunk{striped: x.chunk.striped, stripe: x.chunk.stripe}, size: x.size}
		again[i].chunk.parcels = again[i : i+1]
	}
	p.queue = append(again, p.queue...)
	s.pump(now)
}

func (s *Spreader) pacerDeadline() time.Time {
	p := &s.pacer
	if len(p.flying) == 0 {
		return p.pumpAt
	}
	at, wait := p.pumpAt, p.wait()
	for _, x := range p.flying {
		at = earliest(at, x.sent.Add(x.base+wait))
		if len(p.queue) > 0 {
			at = earliest(at, p.lateAt(x))
		}
	}
	return at
}
