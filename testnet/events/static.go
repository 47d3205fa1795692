package events

import (
	"context"
	"math/rand/v2"
	"time"

	"grapevine/p2p/membership"
	"grapevine/testnet/scenario"
)

// static is a roster drawn beforehand, as membership strives for it: up to DefaultFull
// members all are neighbours; above, everybody draws others until it has DefaultActive.
// Connections are lost and made anew as in a node.
type static struct {
	graph  [][]int           // neighbours, of each peer those with greater numbers
	lower  [][]int           // and those with lower ones
	tries  map[[2]int]int    // pairs that are being connected anew: attempts so far
	starts map[int][]instant // when peers start, of those that do not from the beginning
}

func newStatic(w *world) *static {
	n := len(w.peers)
	s := &static{graph: make([][]int, n), lower: make([][]int, n), tries: make(map[[2]int]int), starts: make(map[int][]instant)}
	for _, ev := range w.plan.Events {
		if ev.Kind == scenario.Start {
			for _, i := range ev.Peers {
				s.starts[i] = append(s.starts[i], int64(ev.At))
			}
		}
	}
	if n > membership.DefaultFull {
		s.draw(rand.New(rand.NewPCG(w.plan.Seed, 0x67726170)), n)
		return s
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			s.link(i, j)
		}
	}
	return s
}

func (s *static) link(i, j int) {
	s.graph[min(i, j)] = append(s.graph[min(i, j)], max(i, j))
	s.lower[max(i, j)] = append(s.lower[max(i, j)], min(i, j))
}

// draw lets everybody, in random order, draw neighbours until it has enough.
func (s *static) draw(rng *rand.Rand, n int) {
	linked := make([]map[int]bool, n)
	for i := range linked {
		linked[i] = make(map[int]bool, membership.DefaultActive)
	}
	for _, i := range rng.Perm(n) {
		for len(linked[i]) < membership.DefaultActive {
			j := rng.IntN(n)
			if j != i && !linked[i][j] {
				linked[i][j], linked[j][i] = true, true
				s.link(i, j)
			}
		}
	}
}

func (s *static) open(_ context.Context, w *world) error {
	for _, p := range w.peers {
		if p.joins == 0 {
			p.begin(w)
		}
	}
	for i, list := range s.graph {
		for _, j := range list {
			if w.peers[i].alive && w.peers[j].alive {
				w.connect(w.peers[i], w.peers[j])
			}
		}
	}
	return nil
}

func (s *static) begins(w *world, p *peer) {
	p.described, p.describe = p.tip.Height, w.time().Add(time.Duration(w.rng.Int64N(int64(describeEvery))))
	if w.opening {
		return
	}
	for _, list := range [][]int{s.lower[p.number], s.graph[p.number]} {
		for _, j := range list {
			s.try(w, p, w.peers[j], 0)
		}
	}
}

func (s *static) lost(w *world, a, b *peer) { s.try(w, a, b, redialDelay(w, 0)) }

// try connects two peers, again and again if need be.
func (s *static) try(w *world, a, b *peer, wait time.Duration) {
	k := pairOf(a, b)
	if _, already := s.tries[k]; already || s.gone(w, a) || s.gone(w, b) {
		return
	}
	s.tries[k] = 0
	s.dial(w, a, b, wait)
}

func (s *static) dial(w *world, a, b *peer, wait time.Duration) {
	k := pairOf(a, b)
	w.after(wait+handshake*w.plan.Latency(a.number, b.number), doing(func(w *world) {
		switch {
		case a.flow(b.number) != nil || s.gone(w, a) || s.gone(w, b):
			delete(s.tries, k)
		case w.reachable(a, b):
			delete(s.tries, k)
			w.connect(a, b)
		default:
			s.tries[k]++
			s.dial(w, a, b, redialDelay(w, s.tries[k]))
		}
	}))
}

// redialDelay is p2p's back-off after so many failures.
func redialDelay(w *world, failures int) time.Duration {
	d := min(firstRedial<<min(failures, 10), lastRedial)
	return d/2 + time.Duration(w.rng.Int64N(int64(d/2)))
}

// gone says that a peer does not live and will not start any more.
func (s *static) gone(w *world, p *peer) bool {
	if p.alive {
		return false
	}
	for _, at := range s.starts[p.number] {
		if at >= w.now-w.zero {
			return false
		}
	}
	return true
}

// due is when a peer says in its record how far it is, and hears of its neighbours'.
func (s *static) due(p *peer) time.Time { return p.describe }

// tick stands in for the records: what they say of heights is up to describeEvery old.
func (s *static) tick(w *world, p *peer) {
	now := w.time()
	p.described, p.describe = p.tip.Height, now.Add(describeEvery)
	for _, f := range p.flows {
		if f.to.described > p.tip.Height && w.reachable(p, f.to) {
			p.mind.heard(now, f.to, f.to.described)
		}
	}
}

func (*static) carryOut(*world, *peer) bool { return false }
