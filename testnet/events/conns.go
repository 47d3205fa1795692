package events

import (
	"context"
	"time"
)

const (
	// idle is QUIC's idle time-out, as libp2p sets it: a connection over which nothing
	// comes ends after it.
	idle = 30 * time.Second
	// firstRedial and lastRedial bound the time before another attempt to connect,
	// which doubles: p2p's, while the trouble is young.
	firstRedial = 500 * time.Millisecond
	lastRedial  = 5 * time.Second
	// handshake is how many one-way trips it takes from a dial until both sides are
	// neighbours: QUIC's handshake, Hellos, and Begin.
	handshake = 6
)

// roster is how peers come to be neighbours.
type roster interface {
	// begins tells of a peer that has just started.
	begins(w *world, p *peer)
	// open starts and connects those who are there from the beginning, and returns
	// when the network stands, or ctx is done.
	open(ctx context.Context, w *world) error
	// lost tells of a connection that has ended.
	lost(w *world, a, b *peer)
	// due returns when the roster has something to do at a peer; zero: never.
	due(p *peer) time.Time
	// tick does what is due at a peer, and carryOut what its doing has led to; it
	// says whether there was anything.
	tick(w *world, p *peer)
	carryOut(w *world, p *peer) bool
}

// connect makes two peers neighbours. The first has dialled.
func (w *world) connect(a, b *peer) {
	latency := int64(w.plan.Latency(a.number, b.number))
	ab, ba := newFlow(a, b, latency), newFlow(b, a, latency)
	ab.dialled = true
	w.addFlow(a, ab)
	w.addFlow(b, ba)
	now := w.time()
	for _, f := range []*flow{ab, ba} {
		me, other := f.from, f.to
		me.mind.peerUp(now, other)
		if me.member != nil {
			me.member.PeerUp(now, other.key)
		}
	}
	a.carryOut(w)
	b.carryOut(w)
}

// disconnect ends a connection, on the sides that live.
func (w *world) disconnect(a, b *peer) {
	now := w.time()
	known := false
	for _, x := range [][2]*peer{{a, b}, {b, a}} {
		me, other := x[0], x[1]
		f := me.flow(other.number)
		if f == nil {
			continue
		}
		known = true
		w.dropFlow(me, f)
		if me.alive {
			me.mind.peerDown(now, other)
			if me.member != nil {
				me.member.PeerDown(now, other.key)
			}
		}
	}
	if !known {
		return
	}
	delete(w.silent, pairOf(a, b))
	w.roster.lost(w, a, b)
	a.carryOut(w)
	b.carryOut(w)
}

// pairOf names two peers, the lower number first.
func pairOf(a, b *peer) [2]int { return [2]int{min(a.number, b.number), max(a.number, b.number)} }

// watch notes which connections carry nothing any more, and which do again.
func (w *world) watch() {
	for _, a := range w.peers {
		for _, f := range a.flows {
			k := pairOf(a, f.to)
			_, before := w.silent[k]
			switch {
			case w.reachable(a, f.to):
				delete(w.silent, k)
			case !before:
				w.silent[k] = w.now
				w.after(idle, doing(func(w *world) { w.expire(k) }))
			}
		}
	}
}

// expire ends a connection over which nothing has come for so long.
func (w *world) expire(k [2]int) {
	if since, still := w.silent[k]; still && w.now-since >= int64(idle) {
		w.disconnect(w.peers[k[0]], w.peers[k[1]])
	}
}

// restarted ends what is left of the connections of an earlier life: the other side
// is told by a stateless reset as soon as it says something.
func (w *world) restarted(p *peer) {
	for len(p.flows) > 0 {
		w.disconnect(p, p.flows[0].to)
	}
}
