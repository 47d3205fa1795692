package p2p

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"grapevine/p2p/wire"
)

var t0 = time.Unix(1e9, 0)

func helloOf(instance uint64) wire.Hello {
	return wire.Hello{Instance: instance, Started: t0.Add(time.Duration(instance) * time.Second)}
}

func aliveOf(instance uint64) wire.Alive {
	return wire.Alive{Instance: instance, Started: helloOf(instance).Started}
}

// want compares the effects since the last call; of a part it compares the code.
func (p *pairing) want(t *testing.T, effects ...any) {
	t.Helper()
	got := p.effects()
	for i, e := range got {
		if e, ok := e.(part); ok {
			got[i] = part{e.link, wire.Goodbye{Code: e.goodbye.Code}}
		}
	}
	if len(got) != len(effects) || len(got) > 0 && !reflect.DeepEqual(got, effects) {
		t.Errorf("effects %+v, want %+v", got, effects)
	}
}

func parted(link uint64, c wire.Code) part { return part{link, wire.Goodbye{Code: c}} }

func TestChooserTakesTheFirstGreeted(t *testing.T) {
	p := &pairing{chooser: true, timing: defaultTiming}
	p.up(t0, 1)
	p.up(t0, 2)
	p.want(t)
	p.greeted(t0, 2, helloOf(7))
	p.want(t, promote{2, true})
	p.greeted(t0, 1, helloOf(7))
	p.want(t, probe{2, 7}, probe{1, 7})
	p.answered(t0, 2, aliveOf(7))
	p.want(t, parted(1, wire.Surplus))
	p.down(t0, 1)
	p.down(t0, 2)
	p.want(t)
	if !p.empty() {
		t.Error("links are left")
	}
}

func TestOtherSideWaitsForBegin(t *testing.T) {
	p := &pairing{timing: defaultTiming}
	p.up(t0, 1)
	p.greeted(t0, 1, helloOf(7))
	p.want(t)
	p.up(t0, 2)
	p.greeted(t0, 2, helloOf(7))
	p.began(t0, 2)
	p.want(t, promote{2, false})
	// The chooser has found that connection dead, and begins another.
	p.began(t0, 1)
	p.want(t, parted(2, wire.Surplus), promote{1, false})
}

func TestBeginFromTheWrongSide(t *testing.T) {
	p := &pairing{chooser: true, timing: defaultTiming}
	p.up(t0, 1)
	p.began(t0, 1)
	p.want(t, parted(1, wire.Unspecified))
	q := &pairing{timing: defaultTiming}
	q.up(t0, 1)
	q.began(t0, 1)
	q.want(t, parted(1, wire.Unspecified))
}

func TestDeadLinkIsReplaced(t *testing.T) {
	for _, instance := range []uint64{7, 8} { // the peer lost its connection, or started anew
		p := &pairing{chooser: true, timing: defaultTiming}
		p.up(t0, 1)
		p.greeted(t0, 1, helloOf(7))
		p.up(t0, 2)
		p.greeted(t0, 2, helloOf(instance))
		p.want(t, promote{1, true}, probe{1, instance}, probe{2, 7})
		p.answered(t0, 2, aliveOf(instance))
		p.want(t)
		if got := p.deadline(); !got.Equal(t0.Add(defaultTiming.probe)) {
			t.Errorf("deadline %v", got.Sub(t0))
		}
		p.tick(p.deadline())
		p.want(t, parted(1, wire.Unspecified), promote{2, true})
	}
}

func TestLinkThatDiesInDoubtIsReplacedAtOnce(t *testing.T) {
	p := &pairing{timing: defaultTiming}
	p.up(t0, 1)
	p.greeted(t0, 1, helloOf(7))
	p.began(t0, 1)
	p.up(t0, 2)
	p.greeted(t0, 2, helloOf(8))
	p.want(t, promote{1, false}, probe{1, 8}, probe{2, 7})
	p.began(t0, 2)
	p.want(t)
	p.down(t0, 1)
	p.want(t, promote{2, false})
}

func TestYoungerOfTwoNodesIsTold(t *testing.T) {
	for _, chooser := range []bool{false, true} {
		for _, first := range []uint64{7, 8} {
			second := 15 - first
			p := &pairing{chooser: chooser, timing: defaultTiming}
			p.up(t0, first)
			p.greeted(t0, first, helloOf(first))
			p.began(t0, first)
			if chooser { // a chooser is not sent Begin: undo
				p = &pairing{chooser: true, timing: defaultTiming}
				p.up(t0, first)
				p.greeted(t0, first, helloOf(first))
			}
			p.up(t0, second)
			p.greeted(t0, second, helloOf(second))
			p.want(t, promote{first, chooser}, probe{first, second}, probe{second, first})
			p.answered(t0, first, aliveOf(first))
			p.want(t)
			p.answered(t0, second, aliveOf(second))
			want := []any{parted(8, wire.SameIdentity)}
			if first == 8 && chooser {
				want = append(want, promote{7, true})
			}
			got := p.out
			if g := got[0].(part).goodbye; g.Rival == nil || g.Rival.Instance != 7 {
				t.Errorf("the proof is %+v", g.Rival)
			}
			p.want(t, want...)
			if !chooser && first == 8 {
				p.began(t0, 7)
				p.want(t, promote{7, false})
			}
		}
	}
}

func TestAnswerOfAnotherInstanceDoesNotCount(t *testing.T) {
	p := &pairing{chooser: true, timing: defaultTiming}
	p.up(t0, 1)
	p.greeted(t0, 1, helloOf(7))
	p.up(t0, 2)
	p.greeted(t0, 2, helloOf(8))
	p.effects()
	p.answered(t0, 1, aliveOf(8))
	p.answered(t0, 2, aliveOf(8))
	p.want(t)
}

func TestLinksThatDoNotGetAnywhereAreGivenUp(t *testing.T) {
	p := &pairing{timing: defaultTiming}
	p.up(t0, 1)
	p.up(t0, 2)
	p.greeted(t0, 2, helloOf(7))
	p.tick(t0.Add(defaultTiming.hello - 1))
	p.want(t)
	p.tick(p.deadline())
	p.want(t, parted(1, wire.Unspecified))
	p.tick(p.deadline())
	p.want(t, parted(2, wire.Unspecified))
	if !p.deadline().IsZero() {
		t.Error("a deadline without links")
	}
	for id := range uint64(maxPaired + 1) {
		p.up(t0, id)
	}
	p.want(t, parted(maxPaired, wire.Surplus))
}

// duel is two pairings and the wires between them, whose messages arrive in any
// order between the links but in order on each.
type duel struct {
	rng   *rand.Rand
	now   time.Time
	sides [2]*pairing
	wires map[uint64]*[2][]any // per link, what is on its way to each side
	used  [2][]uint64          // what each side promoted, in order
}

func (d *duel) apply(side int) {
	for _, e := range d.sides[side].effects() {
		switch e := e.(type) {
		case promote:
			d.used[side] = append(d.used[side], e.link)
			if e.begin {
				d.send(e.link, 1-side, e)
			}
		case probe:
			d.send(e.link, 1-side, e)
		case part:
			d.send(e.link, 1-side, e)
			d.sides[side].down(d.now, e.link)
		}
	}
}

func (d *duel) send(link uint64, to int, m any) {
	if w := d.wires[link]; w != nil {
		w[to] = append(w[to], m)
	}
}

// step delivers one message, and says whether there was any.
func (d *duel) step() bool {
	var ready [][2]uint64
	for link, w := range d.wires {
		for side := range w {
			if len(w[side]) > 0 {
				ready = append(ready, [2]uint64{link, uint64(side)})
			}
		}
	}
	if len(ready) == 0 {
		return false
	}
	slices.SortFunc(ready, func(a, b [2]uint64) int { return int(2*(a[0]-b[0]) + a[1] - b[1]) })
	pick := ready[d.rng.IntN(len(ready))]
	link, side := pick[0], int(pick[1])
	w := d.wires[link]
	m := w[side][0]
	w[side] = w[side][1:]
	p := d.sides[side]
	switch m := m.(type) {
	case string:
		p.up(d.now, link)
	case wire.Hello:
		p.greeted(d.now, link, m)
	case promote:
		p.began(d.now, link)
	case probe:
		d.send(link, 1-side, aliveOf(uint64(side)))
	case wire.Alive:
		p.answered(d.now, link, m)
	case part:
		p.down(d.now, link)
		delete(d.wires, link)
	}
	d.apply(side)
	return true
}

// However the steps of several dials at once interleave, both sides end up with the
// same single link, and neither has changed its mind.
func TestDialsAtOnceSettleWithoutFlapping(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := &duel{rng: rng, now: t0, wires: make(map[uint64]*[2][]any)}
		for side := range d.sides {
			d.sides[side] = &pairing{chooser: side == 0, timing: defaultTiming}
		}
		for link := range uint64(2 + rng.IntN(2)) {
			d.wires[link] = &[2][]any{{"up", helloOf(1)}, {"up", helloOf(0)}}
		}
		for d.step() {
		}
		if fmt.Sprint(d.used[0]) != fmt.Sprint(d.used[1]) || len(d.used[0]) != 1 || len(d.wires) != 1 {
			t.Fatalf("seed %d: used %v, %d links left", seed, d.used, len(d.wires))
		}
	}
}
