package p2p

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// Events of the loop.
type (
	linkUp   struct{ link *link }
	linkDown struct{ link *link } // it is about to end
	linkDone struct{ link *link } // PeerDown has been said
	greeted  struct {
		link  *link
		hello wire.Hello
	}
	began    struct{ link *link }
	answered struct {
		link  *link
		alive wire.Alive
	}
	joined struct{ link *link } // PeerUp is about to be said
	heard  struct {
		link *link
		msg  membership.Message
	}
	membersAsked struct{ answer chan<- []Member }
	censusAsked  struct{ answer chan<- Census }
	memberAsked  struct {
		peer   wire.PeerID
		answer chan<- Member
	}
	cutOff struct {
		peer    wire.PeerID
		goodbye wire.Goodbye
	}
	dialled struct {
		peer peer.ID
		err  error
	}
	rivalFound struct {
		rival wire.Alive
		by    wire.PeerID
	}
)

// loopState is what the loop owns.
type loopState struct {
	pairs map[wire.PeerID]*pairing
	links map[uint64]*link
	last  map[wire.PeerID]*link // the last link promoted; its done orders the next
	dials *dials
	peers *membership.Core
	watch time.Time // when to look whom GossipSub reaches

	describe time.Time // when to compare the own record with what is so
}

func newLoopState(seed uint64) loopState {
	return loopState{
		pairs: make(map[wire.PeerID]*pairing),
		links: make(map[uint64]*link),
		last:  make(map[wire.PeerID]*link),
		dials: newDials(seed),
	}
}

// loop is the only goroutine that touches loopState. It never blocks but in its
// select.
func (h *Host) loop(ctx context.Context) error {
	if err := h.startMembership(time.Now()); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			h.peers.Leave(time.Now())
			return h.applyMembership(time.Now())
		case ev := <-h.events:
			if err := h.handle(time.Now(), ev); err != nil {
				return err
			}
		case <-timer.C:
		}
		now := time.Now()
		for _, p := range h.pairs {
			if d := p.deadline(); !d.IsZero() && !now.Before(d) {
				p.tick(now)
			}
		}
		h.watchTopic(now)
		h.applyAll()
		if err := h.tickMembership(now); err != nil {
			return err
		}
		for _, info := range h.dials.due(now) {
			h.running.Go(func() { h.dial(ctx, info) })
		}
		timer.Reset(time.Until(h.deadline()))
	}
}

// deadline is the earliest of all.
func (h *Host) deadline() time.Time {
	next := h.watch
	for _, d := range []time.Time{h.dials.deadline(), h.peers.Deadline()} {
		if !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	for _, p := range h.pairs {
		if d := p.deadline(); !d.IsZero() && d.Before(next) {
			next = d
		}
	}
	return next
}

func (h *Host) handle(now time.Time, ev any) error {
	switch ev := ev.(type) {
	case linkUp:
		h.links[ev.link.id] = ev.link
		h.pairFor(ev.link.peer).up(now, ev.link.id)
		h.dials.connected(ev.link.remote())
		if g := h.refusal(now, ev.link.peer); g != nil {
			ev.link.dismiss(*g)
		}
	case linkDown:
		h.linkEnded(now, ev.link)
	case linkDone:
		if h.last[ev.link.peer] == ev.link {
			delete(h.last, ev.link.peer)
		}
	case greeted:
		if p := h.pairOf(ev.link); p != nil {
			h.greetedBy(now, p, ev.link, ev.hello)
		}
	case began:
		if p := h.pairOf(ev.link); p != nil {
			p.began(now, ev.link.id)
		}
	case answered:
		if p := h.pairOf(ev.link); p != nil {
			p.answered(now, ev.link.id, ev.alive)
		}
	case joined:
		if h.links[ev.link.id] != nil { // else it has ended already
			ev.link.joined = true
			h.peers.PeerUp(now, ev.link.key())
		}
	case heard:
		h.peers.Receive(now, ev.link.key(), ev.msg)
	case membersAsked:
		ev.answer <- h.members(now)
	case censusAsked:
		ev.answer <- h.census()
	case memberAsked:
		ev.answer <- h.member(now, ev.peer)
	case cutOff:
		h.partAll(ev.peer, ev.goodbye)
	case dialled:
		h.dialEnded(now, ev.peer, ev.err)
	case rivalFound:
		return fmt.Errorf("%w: %s has been running since %s, says %s with its signature; stop one of the two, or give this one a key of its own",
			ErrSameIdentity, h.ID(), ev.rival.Started.UTC().Format(time.RFC3339), ev.by)
	default:
		panic(fmt.Sprintf("p2p: event of type %T", ev))
	}
	return nil
}

func (h *Host) partAll(p wire.PeerID, g wire.Goodbye) {
	for _, l := range h.links {
		if l.peer == p {
			l.dismiss(g)
		}
	}
}

// pairOf returns the pairing that a link belongs to; nil: the link has ended, and what
// its goroutines still have to say is of no use.
func (h *Host) pairOf(l *link) *pairing {
	if h.links[l.id] == nil {
		return nil
	}
	return h.pairs[l.peer]
}

func (h *Host) pairFor(p wire.PeerID) *pairing {
	pair := h.pairs[p]
	if pair == nil {
		pair = &pairing{chooser: h.ID() < p, timing: h.timing}
		h.pairs[p] = pair
	}
	return pair
}

// idleFor is how long a neighbour that has brought nothing keeps its place when another
// peer asks for it: a few blocks of a quiet network, in which it might have (a guess).
const idleFor = 2 * time.Minute

// makeRoom lets go of a neighbour for the sake of another, and says whether there is one
// to let go of: the newest of those that dialled and have brought nothing. A peer that the
// genesis or the operator names, or that was dialled, need not wait for idleFor.
func (h *Host) makeRoom(now time.Time, l *link) bool {
	var out *link
	for _, m := range h.neighbourLinks() { // a maximum, the lower ID's of equals
		since := now.Sub(m.listed)
		if m.useful() || since < idleFor && !l.named {
			continue
		}
		if out == nil || m.listed.After(out.listed) || m.listed.Equal(out.listed) && m.peer < out.peer {
			out = m
		}
	}
	if out == nil {
		return false
	}
	out.dismiss(wire.Goodbye{Code: wire.Full, Text: "another needs the place, and you have brought nothing"})
	return true
}

// greetedBy lets a peer in whose Hello is in order, if there is room.
func (h *Host) greetedBy(now time.Time, pair *pairing, l *link, hello wire.Hello) {
	if pair.used == nil {
		used := 0
		for _, p := range h.pairs {
			if p.used != nil {
				used++
			}
		}
		if used >= h.cfg.MaxNeighbours && !h.makeRoom(now, l) {
			l.dismiss(wire.Goodbye{Code: wire.Full, Text: fmt.Sprintf("%d neighbours are enough", used)})
			return
		}
	}
	pair.greeted(now, l.id, hello)
}

func (h *Host) linkEnded(now time.Time, l *link) {
	delete(h.links, l.id)
	if l.joined {
		h.peers.PeerDown(now, l.key())
	}
	pair := h.pairFor(l.peer)
	pair.down(now, l.id)
	cause, wasGreeted := l.end()
	if pair.empty() {
		h.apply(pair)
		delete(h.pairs, l.peer)
		lived := time.Duration(0)
		if !l.listed.IsZero() {
			lived = now.Sub(l.listed)
		}
		h.dials.disconnected(now, l.remote(), lived)
		h.forgetAddrs(l.remote())
	}
	switch {
	case !l.listed.IsZero():
		h.log.Info("neighbour down", "peer", l.peer, "cause", causeText(cause))
	case l.outbound() && !wasGreeted && cause != nil && !errors.Is(cause, errParted):
		h.unreachable(now, l.remote())
		h.logMute(l, cause)
	default:
		h.log.Debug("connection ended", "peer", l.peer, "cause", causeText(cause))
	}
}

// logMute reports a connection that ended before the peer said anything: this is
// what not being admitted looks like from outside.
func (h *Host) logMute(l *link, cause error) {
	if !h.isBootstrap(l.remote()) || !h.dials.loud(l.remote()) {
		return
	}
	text := "closed by the peer before it said Hello: probably its genesis does not admit our identity, or it refuses us for a while after misbehaviour"
	var ce *network.ConnError
	if errors.As(cause, &ce) && ce.Remote && ce.ErrorCode == network.ConnResourceLimitExceeded {
		text = "closed by the peer: it has too many connections"
	}
	if isCertificateRefused(cause) {
		text = "closed by the peer, which does not take our certificate: probably its clock is more than an hour behind ours"
	}
	h.log.Warn("cannot connect", "peer", l.peer, "addr", l.conn.RemoteMultiaddr().String(), "err", text, "cause", causeText(cause), "own", h.ID())
}

const (
	watchEvery = 5 * time.Second
	topicGrace = 15 * time.Second // for GossipSub and a neighbour to find each other
)

// watchTopic lets go of neighbours that GossipSub does not reach: connecting anew is
// what makes it start from the beginning.
func (h *Host) watchTopic(now time.Time) {
	if now.Before(h.watch) {
		return
	}
	h.watch = now.Add(watchEvery)
	h.watchClocks(now)
	for _, l := range h.neighbourLinks() {
		if now.Sub(l.listed) > topicGrace && !h.topic.tracer.reaches(l.remote()) {
			h.metrics.pubsub.WithLabelValues("neighbour not reached").Inc()
			h.log.Warn("GossipSub does not reach a neighbour: connecting anew", "peer", l.peer)
			l.fail(errors.New("GossipSub does not reach it"))
		}
	}
}

func (h *Host) neighbourLinks() []*link {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Collect(maps.Values(h.neighbours))
}

func causeText(err error) string {
	if err == nil {
		return "our decision"
	}
	return err.Error()
}

func (h *Host) applyAll() {
	for _, pair := range h.pairs {
		h.apply(pair)
	}
}

// apply carries out what a pairing wants.
func (h *Host) apply(pair *pairing) {
	for _, e := range pair.effects() {
		switch e := e.(type) {
		case promote:
			if l := h.links[e.link]; l != nil {
				h.promote(l, e.begin)
			}
		case probe:
			if l := h.links[e.link]; l != nil {
				l.sendControl(wire.Probe{Rival: e.rival})
			}
		case part:
			if l := h.links[e.link]; l != nil {
				if e.goodbye.Code == wire.SameIdentity {
					h.log.Warn("two nodes run with one identity: the younger is told to stop", "peer", l.peer, "addr", l.conn.RemoteMultiaddr().String())
				}
				l.dismiss(e.goodbye)
			}
		}
	}
}

func (h *Host) promote(l *link, begin bool) {
	p := promotion{begin: begin}
	if before := h.last[l.peer]; before != nil {
		p.after = before.done
	}
	h.last[l.peer] = l
	l.promoted <- p // has room: a link is promoted once
}
