package fabric

import (
	"cmp"
	"slices"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

// puller is a round of the pull (algo/pull.go).
type puller struct {
	at     time.Time // of the next round; zero: never
	until  time.Time // Digests are taken until then; zero: no round is open
	asked  []asked   // in the order in which they were drawn
	offers []offer   // ascending by height
}

// asked is a peer that was sent a Hello in this round.
type asked struct {
	peer     wire.PeerID
	nonce    uint64
	answered bool
}

// offer is a block that is not here, and who offers it.
type offer struct {
	height uint64
	from   []wire.PeerID
}

// hello begins a round, whether or not anything is missing.
func (p *Peer) hello(now time.Time) {
	p.puller.at = p.puller.at.Add(p.cfg.PullEvery)
	p.puller.asked, p.puller.offers = nil, nil
	for _, id := range p.draw(p.cfg.PullPeers) {
		nonce := p.rng.Uint64()
		p.puller.asked = append(p.puller.asked, asked{peer: id, nonce: nonce})
		p.puller.until = now.Add(p.cfg.DigestWait)
		p.stats.Pulls++
		p.send(Hello{nonce}, id)
	}
}

// greeted answers a Hello with what gossip remembers, unless that is nothing.
func (p *Peer) greeted(now time.Time, from *neighbour, m Hello) {
	from.nonce, from.nonceUntil = m.Nonce, now.Add(p.cfg.RequestWait)
	if heights := p.store.whole(); len(heights) > 0 {
		p.send(Digest{m.Nonce, heights}, from.id)
	}
}

// digested notes which blocks a peer offers that are not here now.
func (p *Peer) digested(from *neighbour, m Digest) {
	i := slices.IndexFunc(p.puller.asked, func(a asked) bool { return a.peer == from.id && a.nonce == m.Nonce && !a.answered })
	if i < 0 || p.puller.until.IsZero() {
		p.stats.Ignored++
		return
	}
	p.puller.asked[i].answered = true
	for _, h := range m.Heights {
		if e := p.store.at(h); h <= p.Height() || e != nil && e.whole {
			continue
		}
		k, found := slices.BinarySearchFunc(p.puller.offers, h, func(o offer, h uint64) int { return cmp.Compare(o.height, h) })
		if !found {
			p.puller.offers = slices.Insert(p.puller.offers, k, offer{height: h})
		}
		p.puller.offers[k].from = append(p.puller.offers[k].from, from.id)
	}
}

// request asks for what was offered, each block of a random one of those that did, also
// if it has come meanwhile.
func (p *Peer) request() {
	p.puller.until = time.Time{}
	requests := make([]Request, len(p.puller.asked))
	for _, o := range p.puller.offers {
		source := o.from[p.rng.IntN(len(o.from))]
		i := slices.IndexFunc(p.puller.asked, func(a asked) bool { return a.peer == source })
		requests[i].Heights = append(requests[i].Heights, o.height)
	}
	for i, r := range requests {
		if len(r.Heights) > 0 {
			r.Nonce = p.puller.asked[i].nonce
			p.stats.PullRequests++
			p.send(r, p.puller.asked[i].peer)
		}
	}
	p.puller.offers = nil
}

// requested answers with the blocks that gossip still remembers, all in one message; with
// nothing when there are none, or when the Hello is too long ago.
func (p *Peer) requested(now time.Time, from *neighbour, m Request) {
	if m.Nonce != from.nonce || !now.Before(from.nonceUntil) {
		p.stats.Ignored++
		return
	}
	var blocks []Block
	for _, h := range m.Heights {
		if e := p.store.at(h); e != nil && e.whole {
			blocks = append(blocks, e.block)
		}
	}
	if len(blocks) > 0 {
		p.send(Response{m.Nonce, blocks}, from.id)
	}
}

// responded takes blocks that were pulled. They are not pushed on.
func (p *Peer) responded(now time.Time, from *neighbour, m Response) {
	for _, b := range m.Blocks {
		p.take(now, received{b, arrival.Pull, from.id, -1})
	}
}
