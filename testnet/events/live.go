package events

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
	"grapevine/testnet/outcome"
)

// live is the roster that the membership cores make: everybody begins with a few
// bootstrap peers and finds the others. Records are shared by all cores, since nobody
// changes them; signatures are taken to be right.
type live struct {
	byKey map[block.PublicKey]*peer
	state []*dialler // by the peer's number

	instant bool // dials succeed at once
}

// dialler is a peer's side of its connections: p2p's, in small.
type dialler struct {
	incarnation uint64
	life        int // starts so far: dials of an earlier one are void
	wants       map[int]*target
}

type target struct {
	dialling bool
	failures int
}

// standsBy is how long the network may take to stand.
const standsBy = 5 * time.Minute

// bootstraps is how many peers everybody knows from the beginning.
const bootstraps = 3

func newLive(w *world) *live {
	l := &live{byKey: make(map[block.PublicKey]*peer, len(w.peers))}
	for i, p := range w.peers {
		p.key = block.PublicKey(sha256.Sum256(fmt.Appendf(nil, "peer %d", i)))
		l.byKey[p.key] = p
		l.state = append(l.state, &dialler{})
	}
	return l
}

// addrOf spreads peers over address groups of eight.
func addrOf(i int) string {
	return fmt.Sprintf("/ip4/%d.%d.0.%d/udp/7400/quic-v1", 11+i/8/256, i/8%256, i%8+1)
}

func unsigned([]byte) block.Signature { return block.Signature{} }

func (l *live) begins(w *world, p *peer) {
	d := l.state[p.number]
	d.incarnation++
	d.life++
	d.wants = make(map[int]*target)
	cfg := membership.Config{
		Self: p.key, Sign: unsigned, Incarnation: d.incarnation, Info: p.info(),
		MaxMembers: max(16<<10, 2*len(w.peers)),
	}
	for i := range min(bootstraps, len(w.peers)) {
		cfg.Bootstrap = append(cfg.Bootstrap, membership.Contact{Key: w.peers[i].key, Addrs: []string{addrOf(i)}})
	}
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], w.seedOf(p))
	p.member = membership.New(w.time(), cfg, seed)
}

func (p *peer) info() membership.Info {
	return membership.Info{Addrs: []string{addrOf(p.number)}, Orderer: p.number == 0, Software: "grapevine", Base: 1, Height: p.tip.Height, Tip: p.tip.ID}
}

// open lets the peers start within a second, and find each other. Where they are more
// than are all neighbours, they know each other from before: for everybody to make sure
// of everybody takes N² connections, which is another story than what comes after.
func (l *live) open(ctx context.Context, w *world) error {
	var there []*peer
	for _, p := range w.peers {
		if p.joins == 0 {
			there = append(there, p)
		}
	}
	if len(there) > membership.DefaultFull {
		return l.restore(ctx, w, there)
	}
	for _, p := range there {
		w.after(time.Duration(w.rng.Int64N(int64(time.Second))), doing(func(w *world) { p.begin(w) }))
	}
	for limit := w.now + int64(standsBy); !l.stands(w, there); {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.now >= limit:
			return fmt.Errorf("%d peers have not found each other within %v", len(there), standsBy)
		}
		w.play(w.now + int64(time.Second))
	}
	return nil
}

// restore starts peers that know each other: one after the other draws its neighbours
// and is connected to them.
func (l *live) restore(ctx context.Context, w *world, there []*peer) error {
	records := make([]*membership.Record, len(there))
	for i, p := range there {
		p.begin(w)
		records[i] = p.member.Own()
	}
	for _, p := range there {
		p.member.Restore(w.time(), records)
	}
	l.instant = true
	for _, p := range there {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.member.Tick(w.time())
		p.carryOut(w)
	}
	l.instant = false
	return nil
}

// stands says whether everybody who is there knows everybody, and all are neighbours.
func (l *live) stands(w *world, there []*peer) bool {
	for _, p := range there {
		if !p.alive || p.member.Size() < len(there) || len(p.flows) < len(there)-1 {
			return false
		}
	}
	return true
}

func (l *live) lost(w *world, a, b *peer) {
	for _, x := range [][2]*peer{{a, b}, {b, a}} {
		if t := l.state[x[0].number].wants[x[1].number]; x[0].alive && t != nil {
			l.dial(w, x[0], x[1], redialDelay(w, t.failures))
		}
	}
}

// dial tries to connect a peer to another that it wants.
func (l *live) dial(w *world, a, b *peer, wait time.Duration) {
	d := l.state[a.number]
	t := d.wants[b.number]
	if t.dialling || a.flow(b.number) != nil {
		return
	}
	if l.instant {
		w.connect(a, b)
		return
	}
	t.dialling = true
	life := d.life
	w.after(wait+handshake*w.plan.Latency(a.number, b.number), doing(func(w *world) {
		if d.life != life || d.wants[b.number] != t {
			return
		}
		t.dialling = false
		switch {
		case !a.alive || a.flow(b.number) != nil:
		case w.reachable(a, b):
			t.failures = 0
			w.connect(a, b)
		default:
			t.failures++
			a.member.DialFailed(w.time(), b.key)
			if d.wants[b.number] == t {
				l.dial(w, a, b, redialDelay(w, t.failures))
			}
			a.carryOut(w)
		}
	}))
}

func (l *live) due(p *peer) time.Time {
	if p.member == nil {
		return time.Time{}
	}
	return p.member.Deadline()
}

// describeEvery is how often the own record is compared with what is so: p2p's.
const describeEvery = 5 * time.Second

func (l *live) tick(w *world, p *peer) {
	now := w.time()
	if !now.Before(p.describe) {
		p.describe = now.Add(describeEvery)
		p.member.Update(now, p.info())
		for _, m := range p.member.Members() {
			if q := l.byKey[m.Owner]; m.Linked && q != p {
				p.mind.heard(now, q, m.Height)
			}
		}
	}
	p.member.Tick(now)
	p.mind.members(p.member.Size())
}

// carryOut carries out what a membership core wants.
func (l *live) carryOut(w *world, p *peer) bool {
	if p.member == nil {
		return false
	}
	list := p.member.Effects()
	d := l.state[p.number]
	for _, x := range list {
		switch x := x.(type) {
		case membership.Send:
			size := wire.FramedSize(len(wire.EncodeControl(wire.Membership(membership.Encode(x.Message)))))
			p.send(w, l.byKey[x.To], wire.Control, int64(size), memberSaid{x.Message})
		case membership.Connect:
			if q := l.byKey[x.Key]; d.wants[q.number] == nil {
				d.wants[q.number] = &target{}
				l.dial(w, p, q, 0)
			}
		case membership.Release:
			q := l.byKey[x.Key]
			delete(d.wants, q.number)
			if f := p.flow(q.number); f != nil && f.dialled {
				w.disconnect(p, q)
			}
		case membership.Persist:
			d.incarnation = x.Incarnation
		case membership.Blame:
			w.out.Drops = append(w.out.Drops, outcome.Drop{
				Peer: p.number, Dropped: l.byKey[x.Key].number, At: w.since(), Why: x.Reason,
			})
		}
	}
	return len(list) > 0
}

// memberSaid is a message of the membership cores.
type memberSaid struct{ membership.Message }

func (m memberSaid) arrive(w *world, from, to *peer) {
	if to.member != nil {
		to.member.Receive(w.time(), from.key, m.Message)
	}
}
