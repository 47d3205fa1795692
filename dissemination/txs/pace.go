package txs

import (
	"time"

	"grapevine/p2p/wire"
)

// SettleAge is for how long a transaction is left to gossip before the repair plane
// names it: several times what a batch takes through a network. Without it, a third
// of a burst was fetched by comparison while gossip was bringing it (measured).
const SettleAge = 1500 * time.Millisecond

// AnswerGap is the least time between two answers to a peer's questions about the
// pool. A question may be a few bytes; its answer is up to 64 KiB, or a megabyte of
// transactions, and ten milliseconds over a full pool. It costs an honest
// comparison of two full pools a second.
const AnswerGap = 50 * time.Millisecond

// Pace says when each peer's next question about the pool may be answered. Its zero
// value is ready. It is sans-IO.
type Pace struct {
	next map[wire.PeerID]time.Time
}

// Turn returns when a question that has come now may be answered.
func (p *Pace) Turn(now time.Time, from wire.PeerID) time.Time {
	if p.next == nil {
		p.next = map[wire.PeerID]time.Time{}
	}
	at := later(p.next[from], now)
	p.next[from] = at.Add(AnswerGap)
	return at
}

// PeerDown forgets a peer.
func (p *Pace) PeerDown(peer wire.PeerID) { delete(p.next, peer) }
