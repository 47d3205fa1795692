package p2p

import (
	"fmt"
	"slices"
	"time"

	"grapevine/p2p/wire"
)

// pairing decides which of the connections to one peer is the one in use. It is a
// core: one goroutine owns it, it is told the time, and it says what is to be done
// in effects.
//
// Invariants: at most one link is in use; only the chooser, the peer with the lower
// ID, sends Begin; a link in use is given up for another only when it does not
// answer a Probe, when the chooser begins another with the same instance, or when
// it turns out to belong to the younger of two nodes with one identity.
type pairing struct {
	chooser bool // our ID is the lower one
	timing  timing
	links   []*paired // in order of arrival
	used    *paired   // one of links, or nil
	round   *round    // a doubt that is being cleared up, or nil
	out     []any     // effects
}

// paired is one connection, as the pairing sees it.
type paired struct {
	id    uint64
	hello *wire.Hello // nil until it has come
	begun bool        // the chooser's Begin has come
	until time.Time   // when it is given up, unless it is in use by then
	alive *wire.Alive // its answer in the round
}

// round probes the link in use and one beside it.
type round struct {
	beside *paired
	until  time.Time
}

// Effects of a pairing, to be carried out in order.
type (
	// promote puts a link into use: open its lanes, after a Begin if it says so.
	promote struct {
		link  uint64
		begin bool
	}
	// probe sends a Probe.
	probe struct{ link, rival uint64 }
	// part says Goodbye and closes.
	part struct {
		link    uint64
		goodbye wire.Goodbye
	}
)

// maxPaired bounds the connections to one peer: one in use and a few in dispute.
const maxPaired = 4

func (p *pairing) up(now time.Time, id uint64) {
	if len(p.links) >= maxPaired {
		p.out = append(p.out, part{id, wire.Goodbye{Code: wire.Surplus, Text: "too many connections at once"}})
		return
	}
	p.links = append(p.links, &paired{id: id, until: now.Add(p.timing.hello)})
}

func (p *pairing) down(now time.Time, id uint64) {
	if l := p.find(id); l != nil {
		p.remove(l)
	}
	p.conclude(now)
}

// greeted tells of a link's Hello, which has passed all checks.
func (p *pairing) greeted(now time.Time, id uint64, h wire.Hello) {
	if l := p.find(id); l != nil && l.hello == nil {
		l.hello = &h
		l.until = now.Add(p.timing.begin)
	}
	p.conclude(now)
}

// began tells of a Begin.
func (p *pairing) began(now time.Time, id uint64) {
	l := p.find(id)
	if l == nil {
		return
	}
	if p.chooser || l.hello == nil {
		p.close(l, wire.Goodbye{Text: "Begin from the wrong side, or before Hello"})
	} else {
		l.begun = true
	}
	p.conclude(now)
}

// answered tells of an Alive whose signature is right.
func (p *pairing) answered(now time.Time, id uint64, a wire.Alive) {
	if l := p.find(id); l != nil && p.round != nil && l.hello != nil && a.Instance == l.hello.Instance {
		l.alive = &a
	}
	p.conclude(now)
}

func (p *pairing) tick(now time.Time) {
	for _, l := range slices.Clone(p.links) {
		if l != p.used && !now.Before(l.until) && (p.round == nil || p.round.beside != l) {
			p.close(l, wire.Goodbye{Text: "no " + map[bool]string{true: "Hello", false: "Begin"}[l.hello == nil] + " in time"})
		}
	}
	p.conclude(now)
}

// deadline says when tick is next due; zero means never.
func (p *pairing) deadline() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, l := range p.links {
		if l != p.used && (p.round == nil || p.round.beside != l) {
			sooner(l.until)
		}
	}
	if p.round != nil {
		sooner(p.round.until)
	}
	return next
}

// effects returns what is to be done, once.
func (p *pairing) effects() []any {
	out := p.out
	p.out = nil
	return out
}

// empty says whether there is no connection left.
func (p *pairing) empty() bool { return len(p.links) == 0 }

// conclude draws the conclusions from what is known, until nothing changes.
func (p *pairing) conclude(now time.Time) {
	for p.step(now) {
	}
}

func (p *pairing) step(now time.Time) (changed bool) {
	if p.round != nil {
		return p.judge(now)
	}
	if p.used == nil {
		return p.choose()
	}
	for _, l := range p.links {
		switch {
		case l == p.used || l.hello == nil:
		case l.hello.Instance == p.used.hello.Instance && !p.chooser:
			if l.begun { // the chooser has found the old one dead before we did
				p.close(p.used, wire.Goodbye{Code: wire.Surplus, Text: "another connection was begun"})
				p.use(l)
				return true
			}
		default:
			p.doubt(now, l)
			return true
		}
	}
	return false
}

// choose puts the first link that is ready into use, when none is.
func (p *pairing) choose() bool {
	for _, l := range p.links {
		if l.hello != nil && (p.chooser || l.begun) {
			p.use(l)
			return true
		}
	}
	return false
}

func (p *pairing) use(l *paired) {
	p.used = l
	p.out = append(p.out, promote{l.id, p.chooser})
}

// doubt asks both the link in use and the one beside it for a sign of life.
func (p *pairing) doubt(now time.Time, beside *paired) {
	p.round = &round{beside, now.Add(p.timing.probe)}
	p.used.alive, beside.alive = nil, nil
	p.out = append(p.out,
		probe{p.used.id, beside.hello.Instance},
		probe{beside.id, p.used.hello.Instance})
}

// judge ends the round when enough is known, or its time is over.
func (p *pairing) judge(now time.Time) bool {
	old, beside := p.used, p.round.beside
	same := old.hello.Instance == beside.hello.Instance
	over := !now.Before(p.round.until)
	switch {
	case old.alive != nil && same:
		p.close(beside, wire.Goodbye{Code: wire.Surplus, Text: "another connection is in use"})
	case old.alive != nil && beside.alive != nil:
		p.separate(old, beside)
	case old.alive != nil && over:
		p.close(beside, wire.Goodbye{Text: "no answer to a Probe"})
	case over:
		p.close(old, wire.Goodbye{Text: "no answer to a Probe"})
	default:
		return false
	}
	return true
}

// separate tells the younger of two live nodes with one identity of the older.
func (p *pairing) separate(a, b *paired) {
	older, younger := a, b
	if isOlder(b.hello.Started, b.hello.Instance, a.hello.Started, a.hello.Instance) {
		older, younger = b, a
	}
	p.close(younger, wire.Goodbye{
		Code:  wire.SameIdentity,
		Text:  fmt.Sprintf("a node with this identity has been running since %s", older.hello.Started.UTC().Format(time.RFC3339)),
		Rival: older.alive,
	})
}

func (p *pairing) close(l *paired, g wire.Goodbye) {
	p.out = append(p.out, part{l.id, g})
	p.remove(l)
}

func (p *pairing) remove(l *paired) {
	p.links = slices.DeleteFunc(p.links, func(x *paired) bool { return x == l })
	if p.used == l {
		p.used = nil
	}
	if p.round != nil && (p.used == nil || p.round.beside == l) {
		p.round = nil
	}
}

func (p *pairing) find(id uint64) *paired {
	for _, l := range p.links {
		if l.id == id {
			return l
		}
	}
	return nil
}

// isOlder says whether the first of two nodes started before the second. Every
// party to a dispute comes to the same answer.
func isOlder(started time.Time, instance uint64, than time.Time, thanInstance uint64) bool {
	if !started.Equal(than) {
		return started.Before(than)
	}
	return instance < thanInstance
}
