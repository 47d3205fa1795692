package catchup

import (
	"fmt"
	"testing"
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// serve lets one neighbour that answers in order bring 2,000 blocks; its first answer
// takes so long, each other a tenth of a second. It returns how often each height was
// asked for.
func serve(slow time.Duration) (asked map[uint64]int, s Stats) {
	e := New(1, 0)
	now, free := start, start
	asked = map[uint64]int{}
	type answer struct {
		asking
		done time.Time
	}
	var line []answer
	e.PeerUp(now, "a", 2000, 1)
	for tip := uint64(0); tip < 2000; {
		for _, r := range requests(e) {
			took := 100 * time.Millisecond
			if len(asked) == 0 {
				took = slow
			}
			if free.Before(now) {
				free = now
			}
			free = free.Add(took)
			line = append(line, answer{r, free})
			for h := r.From; h <= r.Upto; h++ {
				asked[h]++
			}
		}
		if at := e.Deadline(); len(line) == 0 || !at.IsZero() && at.Before(line[0].done) {
			now = at
			e.Tick(now)
			continue
		}
		a := line[0]
		line, now = line[1:], a.done
		for h := a.From; h <= a.Upto; h++ {
			piece(e, now, "a", a.Number, 1000)
			if e.Arrived(now, "a", a.Number, h, 1000) && h == tip+1 {
				tip = h
				e.Accepted(now, h)
			}
		}
		ended(e, now, "a", a.Number, 2000, 1)
	}
	return asked, e.Stats()
}

// However late an answer is, nothing is asked for twice of a single neighbour.
func TestOneLateAnswerDoesNotDoubleAll(t *testing.T) {
	for s := 2; s < 40; s += 2 {
		asked, stats := serve(time.Duration(s) * time.Second)
		twice := 0
		for _, n := range asked {
			if n > 1 {
				twice++
			}
		}
		if twice > 0 {
			t.Errorf("with a first answer of %d s %d of 2,000 heights were asked for twice: %+v", s, twice, stats)
		}
	}
}

// However late an answer begins, all of it is taken if it then comes at a fair pace.
func TestAnAnswerThatBeginsLateIsTaken(t *testing.T) {
	for _, s := range []int{5, 10, 20, 60, 120} {
		e := New(1, 0)
		now, begins := start, at(1000*s)
		tick := func() {
			if d := e.Deadline(); !d.After(now) {
				e.Tick(now)
			}
		}
		e.PeerUp(now, "a", 64, 1)
		r := requests(e)[0]
		for d := e.Deadline(); !d.After(begins); d = e.Deadline() {
			now = d
			e.Tick(now)
		}
		now = begins
		kept := 0
		for h := r.From; h <= r.Upto; h++ {
			for range 3 {
				tick()
				piece(e, now, "a", r.Number, 60<<10)
				now = now.Add(100 * time.Millisecond)
			}
			tick()
			if e.Arrived(now, "a", r.Number, h, 180<<10) {
				kept++
			}
		}
		if kept != batch {
			t.Errorf("of an answer that began %d s late %d of %d blocks were kept", s, kept, batch)
		}
	}
}

// Neighbours that begin an answer and stop make the driver keep few beginnings.
func TestBegunAnswersAreBounded(t *testing.T) {
	e := New(1, 0)
	now, most := start, 0
	for i := range 100 {
		e.PeerUp(now, wire.PeerID(fmt.Sprintf("n%03d", i)), 5000, 1)
	}
	open := map[uint32]bool{}
	for now.Sub(start) < 5*time.Minute {
		for _, x := range e.Effects() {
			switch x := x.(type) {
			case effect.Send:
				number := x.Msg.(*message.GetRange).Number
				open[number] = true
				piece(e, now, x.To[0], number, 60<<10)
			case effect.Discard:
				delete(open, x.Number)
			}
		}
		most = max(most, len(open))
		now = e.Deadline()
		e.Tick(now)
	}
	if most > 3*parallel {
		t.Errorf("the beginnings of %d answers were kept at a time, want %d at most", most, 3*parallel)
	}
}
