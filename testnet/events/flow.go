package events

import "grapevine/p2p/wire"

// msg is what one peer says to another.
type msg struct {
	what   said
	lane   wire.Lane
	size   int64 // encoded and framed
	unsent int64
	left   int64 // not arrived
}

// said is a message's content. It is shared by all receivers: nobody changes it.
type said interface {
	// arrive hands it to the receiver.
	arrive(w *world, from, to *peer)
}

// lane is one of a flow's streams: messages arrive in the order in which they went.
type lane struct {
	out    fifo[*msg] // with unsent bytes
	in     fifo[*msg] // with bytes that have not arrived
	unsent int64
}

// flow is one direction of a connection, with what its sender knows of the way: a
// window after NewReno with a hybrid slow start, paced, as quic-go v0.64 runs it
// (internal/congestion).
type flow struct {
	from, to *peer
	latency  int64 // one way
	dead     bool
	dialled  bool                 // by from
	lanes    *[wire.NumLanes]lane // nil before the first message
	turn     wire.Lane            // the next to send
	again    fifo[*piece]         // lost, to be sent once more
	up, down lineup
	landed   instant // when the last piece lands: jitter does not reorder

	// What has arrived, in order, but the sender has not looked yet: an acknowledgement
	// is an event only while one is waited for.
	acks   fifo[*piece]
	hungry bool // the window holds back what waits

	inflight  int64
	window    int64
	threshold int64 // slow start ends here; 0: not known
	rtt       int64 // smoothed
	minRTT    int64
	last      int64 // the last one
	round     hystart
	cutAt     instant // when the window was last cut
	grown     int64   // bytes acknowledged since it last grew, after slow start

	budget  int64   // bytes that pacing lets go now,
	counted instant // as of then
	paced   bool    // its timer runs

	// While nothing gets through, what was lost counts as in flight, and is sent again
	// in probes alone, each after twice the time of the last (RFC 9002 §6.2).
	heard   instant // when the last piece was sent of which an acknowledgement came
	stuck   int64   // bytes lost since then
	silence int     // probes since then; 0: something gets through
	muted   instant // no probe before
}

const (
	firstWindow = 32 * 1280 // quic-go's, before the path's MTU is known
	leastWindow = 2 * packet
	burst       = 10 * packet // that pacing lets go at once
	// paceDelay is quic-go's least time between two wake-ups of its pacer.
	paceDelay = 1e6
	// maxAckDelay is how long a receiver may wait with an acknowledgement (RFC 9000
	// §18.2, the default).
	maxAckDelay = 25e6
	// mostWindow is quic-go's bound.
	mostWindow = 10_000 * packet
	// maxSilence bounds the doubling of the probe time-out; by then QUIC's idle
	// time-out has ended the connection.
	maxSilence = 8
)

func newFlow(from, to *peer, latency int64) *flow {
	return &flow{from: from, to: to, latency: latency, window: firstWindow, rtt: 2 * latency, minRTT: 2 * latency, budget: burst}
}

// send queues a message, unless its lane's queue is full.
func (f *flow) send(w *world, l wire.Lane, size int64, what said) bool {
	if f.lanes == nil {
		f.lanes = new([wire.NumLanes]lane)
	}
	q := &f.lanes[l]
	if q.unsent+size > laneBytes[l] {
		w.overflows++
		return false
	}
	m := &msg{what: what, lane: l, size: size, unsent: size, left: size}
	q.unsent += size
	q.out.push(m)
	q.in.push(m)
	f.pump(w)
	return true
}

// pump hands pieces to the uplink as far as window and pacing allow, and a probe when
// one is due.
func (f *flow) pump(w *world) {
	f.look(w)
	for !f.dead {
		probe := f.silence > 0 && w.now >= f.muted
		again := f.again.len() > 0 && (f.silence == 0 || probe)
		size := f.due(again)
		if f.hungry = size > 0 && !probe && f.inflight+f.stuck >= f.window; f.hungry {
			f.await(w)
		}
		if size == 0 || f.hungry {
			return
		}
		size = min(size, max(f.window-f.inflight-f.stuck, packet))
		if wait := f.pace(w.now, size); wait > 0 && !probe {
			if !f.paced {
				f.paced = true
				w.queue.push(w.now+wait, f)
			}
			return
		}
		if probe {
			f.muted = w.now + (f.rtt+maxAckDelay)<<min(f.silence-1, maxSilence)
			f.silence++
			w.queue.push(f.muted, doing(f.pump))
		}
		p := f.cut(w, size, again)
		f.inflight += p.bytes
		f.budget = max(f.budget-p.bytes, 0)
		p.flow, p.sent = f, w.now
		f.from.up.enqueue(w, p)
	}
}

// act is the pacer's timer.
func (f *flow) act(w *world) {
	f.paced = false
	f.pump(w)
}

// due returns the size of the next piece, one that was lost if there is one and it may
// go again; zero: there is none.
func (f *flow) due(again bool) int64 {
	if again {
		return f.again.at(0).bytes
	}
	if f.lanes == nil {
		return 0
	}
	for range wire.NumLanes {
		if q := &f.lanes[f.turn]; q.out.len() > 0 {
			if left := q.out.at(0).unsent; left < long {
				return min(left, segment)
			}
			return 2 * segment
		}
		f.turn = (f.turn + 1) % wire.NumLanes
	}
	return 0
}

// cut takes the next piece off what waits: of at most so many bytes, unless it is one
// that was lost.
func (f *flow) cut(w *world, size int64, again bool) *piece {
	if again {
		return f.again.pop()
	}
	q := &f.lanes[f.turn]
	m := q.out.at(0)
	size = min(size, m.unsent)
	if m.unsent -= size; m.unsent == 0 {
		q.out.pop()
	}
	q.unsent -= size
	f.turn = (f.turn + 1) % wire.NumLanes
	p := w.piece()
	p.msg, p.bytes = m, size
	return p
}

// pace returns how long pacing holds back a piece. Its rate is 5/4 of a window per
// round trip.
func (f *flow) pace(now instant, size int64) int64 {
	perRTT := f.window + f.window/4
	if f.rtt > 0 {
		f.budget = min(burst, f.budget+min(now-f.counted, f.rtt)*perRTT/f.rtt)
		f.counted = now
	}
	if f.budget >= size || f.rtt == 0 {
		return 0
	}
	return max(paceDelay, (size-f.budget)*f.rtt/perRTT)
}

// depart is the end of the uplink: packets are lost here.
func (f *flow) depart(w *world, p *piece) {
	f.from.sent += onWire(p.bytes)
	if f.dead {
		w.release(p)
		return
	}
	p.lost = min(p.bytes, p.lost+w.lose(f, p.bytes))
	if p.lost == p.bytes {
		p.stage, p.due = missing, w.now+2*f.latency+f.rtt/8
		w.queue.push(p.due, p)
		return
	}
	f.landed = max(f.landed, w.now+f.latency+w.jitter(f.to))
	p.stage = flying
	w.queue.push(f.landed, p)
}

// arrive is the end of the downlink.
func (f *flow) arrive(w *world, p *piece) {
	if f.dead || !w.reachable(f.from, f.to) {
		p.stage, p.lost = missing, p.bytes
		if f.dead {
			w.release(p)
			return
		}
	} else {
		if p.sent >= w.first { // else it was sent before bytes are counted
			f.to.received += onWire(p.bytes - p.lost)
		}
		p.stage = answering
		p.msg.left -= p.bytes - p.lost
		f.deliver(w, p.msg.lane)
		if p.lost == 0 {
			p.msg = nil // which may be large, and the acknowledgement not be looked at for long
		}
	}
	p.due = w.now + f.latency + f.rtt/8*int64(btoi(p.lost > 0))
	if p.lost > 0 || f.hungry {
		w.queue.push(p.due, p)
	} else {
		f.acks.push(p)
	}
}

// look takes in the acknowledgements that have come.
func (f *flow) look(w *world) {
	for f.acks.len() > 0 && f.acks.at(0).due <= w.now {
		f.acked(w, f.acks.pop())
	}
}

// await makes events of the acknowledgements that are under way.
func (f *flow) await(w *world) {
	for f.acks.len() > 0 {
		p := f.acks.pop()
		w.queue.push(p.due, p)
	}
}

// deliver hands over the messages of a lane that are whole, in order.
func (f *flow) deliver(w *world, l wire.Lane) {
	q := &f.lanes[l]
	for q.in.len() > 0 && q.in.at(0).left == 0 && !f.dead {
		m := q.in.pop()
		w.traced(f, m)
		m.what.arrive(w, f.from, f.to)
		f.to.carryOut(w)
	}
}

// answered is the sender's learning of a piece's fate.
func (f *flow) answered(w *world, p *piece) {
	f.look(w)
	f.acked(w, p)
	f.pump(w)
}

func (f *flow) acked(w *world, p *piece) {
	if f.dead {
		w.release(p)
		return
	}
	prior := f.inflight
	f.inflight -= p.bytes
	if p.lost < p.bytes {
		f.heard, f.silence, f.stuck = max(f.heard, p.sent), 0, 0
		f.measure(p)
		f.grow(prior, p)
	} else if p.sent >= f.heard { // nothing that went later has come through either
		f.stuck += p.bytes
		if f.silence == 0 {
			f.silence, f.muted = 1, w.now
		}
	}
	if p.lost == 0 {
		w.release(p)
		return
	}
	f.shrink(w, p)
	p.bytes, p.lost = p.lost, 0
	f.again.push(p)
}

// shrink cuts the window, once a round trip (RFC 9002 §7.3.2, with quic-go's factor).
func (f *flow) shrink(w *world, p *piece) {
	if p.sent >= f.cutAt {
		f.cutAt = w.now
		f.window = max(f.window*7/10, leastWindow)
		f.threshold = f.window
	}
}

// measure takes a round trip into the average (RFC 9002 §5.3).
func (f *flow) measure(p *piece) {
	took := p.due - p.sent
	f.last = took
	f.rtt += (took - f.rtt) / 8
	f.minRTT = min(f.minRTT, took)
}

// grow widens the window when it was what held the flow back.
func (f *flow) grow(prior int64, p *piece) {
	got := p.bytes - p.lost
	slow := f.threshold == 0 || f.window < f.threshold
	limited := prior >= f.window || f.window-prior <= 3*packet || slow && prior > f.window/2
	if slow && f.round.ends(p, f) {
		f.threshold = f.window
	}
	switch {
	case !limited || p.sent < f.cutAt || f.window >= mostWindow:
	case slow:
		f.window += got
	default:
		if f.grown += got; f.grown >= f.window {
			f.grown -= f.window
			f.window += packet
		}
	}
}

// hystart ends slow start when round trips grow longer (Ha and Rhee, "Taming the
// Elephants: New TCP Slow Start", 2011, §4; quic-go's bounds of 4 and 16 ms).
type hystart struct {
	until   instant // pieces sent later are of the next round
	least   int64
	packets int64
}

func (h *hystart) ends(p *piece, f *flow) bool {
	took := f.last
	if p.sent >= h.until {
		*h = hystart{until: p.sent + took, least: took}
	}
	if h.packets < 8 {
		h.packets += (p.bytes + packet - 1) / packet
		h.least = min(h.least, took)
		return h.packets >= 8 && h.least > f.minRTT+min(max(f.minRTT/8, 4e6), 16e6) && f.window >= 16*packet
	}
	return false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
