package events

// Access links. Each peer has two, up and down. On each the flows, one per connection
// and direction, take turns, a piece at a time: fair queueing, as FQ-CoDel does it
// (RFC 8290 §1.3), which is what the packet world's links run.

const (
	// segment is how many bytes are sent at a time: a few packets. Finer segments cost
	// events; coarser ones make a hop of a small message slower than it is. Of what is
	// long anyhow twice as much goes at a time.
	segment = 4 << 10
	long    = 32 << 10
	// packet is a datagram's payload once QUIC has found the path's MTU of 1,500.
	packet = 1452
	// perPacket is what a datagram takes besides: header, seal and the frame's (31 bytes),
	// and its share of the acknowledgements. It makes 5 % of full datagrams, and more than
	// a half of heartbeats.
	perPacket = 72
)

// access is one direction of a peer's link.
type access struct {
	up    bool
	rate  int64 // bits a second
	own   int64 // rate, when nothing slows it
	turns fifo[*flow]
	busy  bool
}

// lineup is a flow's pieces at an access link.
type lineup struct {
	pieces fifo[*piece]
	turn   bool // the flow is among the link's turns
	codel  codel
}

// stage is where a piece is.
type stage uint8

const (
	onUplink   stage = iota // it is being sent
	flying                  // it is between the two access links
	onDownlink              // it is being received
	answering               // it has arrived, and the sender does not know yet
	missing                 // all of it was lost, and the sender does not know yet
)

// piece is a part of a message on its way.
type piece struct {
	flow   *flow
	msg    *msg
	bytes  int64
	lost   int64 // of these
	sent   instant
	queued instant // when it came to the access link that it waits at
	due    instant // when the sender learns of its fate
	stage  stage
}

// onWire returns what a number of bytes of messages takes on the wire, in datagrams of
// their own.
func onWire(bytes int64) int64 { return bytes + (bytes+packet-1)/packet*perPacket }

func (a *access) lineup(f *flow) *lineup {
	if a.up {
		return &f.up
	}
	return &f.down
}

// enqueue puts a piece in its flow's line.
func (a *access) enqueue(w *world, p *piece) {
	p.queued = w.now
	l := a.lineup(p.flow)
	l.pieces.push(p)
	if !l.turn {
		l.turn = true
		a.turns.push(p.flow)
	}
	if !a.busy {
		a.next(w)
	}
}

// next puts the next piece on the wire.
func (a *access) next(w *world) {
	a.busy = false
	for a.turns.len() > 0 {
		f := a.turns.pop()
		l := a.lineup(f)
		p := l.pieces.pop()
		if l.turn = l.pieces.len() > 0; l.turn {
			a.turns.push(f)
		}
		if f.dead {
			w.release(p)
			continue
		}
		if l.codel.drops(w.now, w.now-p.queued-a.round(), l.pieces.len() > 0 || p.bytes > packet) {
			p.lost = min(p.bytes, p.lost+packet)
		}
		a.busy, p.stage = true, onDownlink
		if a.up {
			p.stage = onUplink
		}
		w.queue.push(w.now+onWire(p.bytes)*8*1e9/a.rate, p)
		return
	}
}

// act moves a piece on.
func (p *piece) act(w *world) {
	f := p.flow
	switch p.stage {
	case onUplink:
		f.depart(w, p)
		f.from.up.next(w)
	case flying:
		f.to.down.enqueue(w, p)
	case onDownlink:
		f.arrive(w, p)
		f.to.down.next(w)
	case answering, missing:
		f.answered(w, p)
	}
}

// round returns how long it takes until every flow has had a turn.
func (a *access) round() int64 { return int64(a.turns.len()) * onWire(2*segment) * 8e9 / a.rate }

// codel tells when a flow's line has stood for too long (Controlled Delay, RFC 8289
// §5, with the packet world's target and interval). The delay is counted beyond a
// round of all flows' turns: on a slow link that many flows share, a packet waits for
// longer than the target however short its own line is, and would be dropped for it.
type codel struct {
	above instant // when it has been too slow for an interval; 0: it is fast enough
	next  instant // of the next drop, while dropping
	count int64
}

const (
	codelTarget   = 5e6
	codelInterval = 100e6
)

// drops says whether a packet of the piece that is next is dropped, which waited for
// so long; more says that it is not the last in line.
func (c *codel) drops(now instant, delay int64, more bool) bool {
	switch {
	case delay < codelTarget || !more:
		*c = codel{}
	case c.above == 0:
		c.above = now + codelInterval
	case c.count == 0 && now >= c.above, c.count > 0 && now >= c.next:
		c.count++
		c.next = now + codelInterval*1000/isqrt(c.count*1e6)
		return true
	}
	return false
}

// isqrt returns the whole square root: floating point could differ between machines.
func isqrt(n int64) int64 {
	x := n
	for y := (x + 1) / 2; y < x; y = (x + n/x) / 2 {
		x = y
	}
	return x
}
