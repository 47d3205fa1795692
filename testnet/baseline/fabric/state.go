package fabric

import (
	"time"

	"grapevine/dissemination/arrival"
)

// info tells the neighbours of the height (gossip/gossip/channel, StateInfo).
type info struct {
	phase time.Time // a tick of the cycle
	at    time.Time // the next tick, if the height has changed; zero: never
}

// changed has the height told at the next tick.
func (p *Peer) changed(now time.Time) {
	if p.info.at.IsZero() && p.cfg.InfoEvery > 0 {
		p.info.at = nextTick(p.info.phase, p.cfg.InfoEvery, now)
	}
}

func (p *Peer) tell() {
	p.info.at = time.Time{}
	p.send(StateInfo{p.Height()}, p.draw(len(p.peers))...)
}

// told notes a neighbour's height, as it says.
func (p *Peer) told(from *neighbour, m StateInfo) { from.height = m.Height }

// state is the state transfer (gossip/state): one range after the other, each asked of
// one peer at a time.
type state struct {
	checkAt  time.Time // of the next comparison of heights; zero: one led to a transfer
	nonce    uint64    // of the range at hand
	from     uint64    // its first block
	end      uint64    // the transfer's last
	tries    int       // that the range has had
	deadline time.Time // of the try; zero: no transfer
}

// check compares heights, and fetches what others have more.
func (p *Peer) check(now time.Time) {
	best := uint64(0)
	for _, n := range p.peers {
		best = max(best, n.height)
	}
	if best <= p.Height() {
		p.state.checkAt = now.Add(p.cfg.CheckEvery)
		return
	}
	p.state = state{nonce: p.rng.Uint64(), from: p.Height() + 1, end: best}
	p.ask(now)
}

// ask asks a random peer for the range at hand, unless it has had all of its tries or
// nobody is high enough. Who lacks the last block of it counts as high enough: the
// original compares the number of blocks of a chain that begins with block 0.
func (p *Peer) ask(now time.Time) {
	s := &p.state
	upto := min(s.end, s.from+p.cfg.Batch)
	var high []*neighbour
	for _, n := range p.peers {
		if n.height+1 >= upto {
			high = append(high, n)
		}
	}
	if s.tries > p.cfg.StateRetries || len(high) == 0 {
		p.endTransfer(now)
		return
	}
	s.tries++
	s.deadline = now.Add(p.cfg.StateTimeout)
	p.stats.StateRequests++
	p.send(StateRequest{Nonce: s.nonce, From: s.from, Upto: upto}, high[p.rng.IntN(len(high))].id)
}

func (p *Peer) endTransfer(now time.Time) { p.state = state{checkAt: now.Add(p.cfg.CheckEvery)} }

// answerBytes is the most that an answer to a range brings, unless its first block is
// larger: what a link of 10 Mbit/s carries within the time-out (guess).
const answerBytes = 2 << 20

// asksState answers a request for a range with what the chain has of it. One that is too
// long gets no answer.
func (p *Peer) asksState(from *neighbour, m StateRequest) {
	if m.Upto < m.From || m.Upto-m.From > p.cfg.Batch {
		p.stats.Ignored++
		return
	}
	r := StateResponse{Nonce: m.Nonce}
	for h, sum := m.From, 0; h >= 1 && h <= min(m.Upto, p.Height()); h++ {
		if sum += p.chain[h-1].Size; sum > answerBytes && len(r.Blocks) > 0 {
			break
		}
		r.Blocks = append(r.Blocks, p.chain[h-1])
	}
	p.send(r, from.id)
}

// answersState takes the blocks of a range, and asks for what follows. An empty answer is
// a try in vain.
func (p *Peer) answersState(now time.Time, from *neighbour, m StateResponse) {
	s := &p.state
	if s.deadline.IsZero() || m.Nonce != s.nonce {
		p.stats.Ignored++
		return
	}
	first := s.from
	for _, b := range m.Blocks {
		if b.Height != s.from || b.Height > s.end {
			break
		}
		p.append(now, received{b, arrival.CatchUp, from.id, -1})
		s.from++
	}
	switch {
	case s.from > s.end:
		p.endTransfer(now)
		return
	case s.from > first:
		s.nonce, s.tries = p.rng.Uint64(), 0
	}
	p.ask(now)
}
