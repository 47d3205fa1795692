package events

import (
	"time"

	"grapevine/p2p/membership"
)

// lookEvery is how exactly the time is taken until a crash is noticed: the cores judge
// once a second too.
const lookEvery = time.Second

// lookOut begins to look whether everybody who lives holds those who have crashed for
// dead, if peers know of each other by membership.
func (w *world) lookOut() {
	if _, ok := w.roster.(*live); !ok {
		return
	}
	w.crashed = w.now
	if !w.looking {
		w.looking = true
		w.after(lookEvery, doing((*world).lookAround))
	}
}

func (w *world) lookAround() {
	if w.noticed() {
		w.looking = false
		w.out.Noticed = max(w.out.Noticed, time.Duration(w.now-w.crashed))
		return
	}
	w.after(lookEvery, doing((*world).lookAround))
}

// noticed says whether nobody who lives knows of a dead peer that is not dead to him.
func (w *world) noticed() bool {
	for _, dead := range w.peers {
		if dead.alive || dead.member == nil { // it lives, or has never begun
			continue
		}
		for _, p := range w.peers {
			if !p.alive {
				continue
			}
			if s, known := p.member.State(dead.key); known && s != membership.Dead && s != membership.Left {
				return false
			}
		}
	}
	return true
}
