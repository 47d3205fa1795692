package packets

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
)

// users submit transactions at an even pace, each at a peer drawn at random. A peer that
// is not there is not asked; what a peer refuses, nobody submits again. Nil are users
// that submit nothing.
type users struct {
	nodes   *nodes
	sender  sig.Key
	rng     *rand.Rand
	total   int
	begun   int // submissions
	waiting sync.WaitGroup
	open    atomic.Int64 // submissions that are not answered
}

func newUsers(ns *nodes) *users {
	l := ns.w.plan.Load
	return &users{
		nodes: ns, sender: sig.NewKey(ns.seed("user", 0)), rng: ns.w.plan.Random("users", 0),
		total: int(l.TxRate * float64(l.Blocks) * l.Every.D().Seconds()),
	}
}

// next returns when the next transaction is due; false when none is to come.
func (u *users) next() (time.Time, bool) {
	if u == nil {
		return time.Time{}, false
	}
	l := u.nodes.w.plan.Load
	at := u.nodes.w.t0.Add(l.First.D() + time.Duration(float64(u.begun)/l.TxRate*1e9))
	return at, u.begun < u.total
}

// submit has the next transaction submitted.
func (u *users) submit() {
	peer := u.rng.IntN(u.nodes.w.plan.Peers)
	payload := make([]byte, int(u.nodes.w.plan.Load.TxSize)-block.TxOverhead)
	fill(payload, u.rng)
	u.begun++
	nonce := uint64(u.begun)
	if l := u.nodes.w.lives[peer]; l == nil || l.dying {
		return
	}
	nd := u.nodes.life(peer)
	u.open.Add(1)
	u.waiting.Go(func() {
		defer u.open.Add(-1)
		t := u.sender.SignTx(u.nodes.genesis.ID(), block.TxFields{Nonce: nonce, Expiry: nd.Tip().Height + lifetime, Payload: payload})
		// An error says that the peer is about to end, which others will tell.
		_, _ = nd.Submit(context.Background(), []*block.Tx{t})
	})
}

// idle says whether all that was submitted stands in blocks, as far as can be.
func (u *users) idle() bool {
	if u == nil {
		return true
	}
	if u.begun < u.total || u.open.Load() > 0 {
		return false
	}
	for i := range u.nodes.w.plan.Peers {
		if nd := u.nodes.life(i); nd != nil && u.nodes.w.reachable(i) {
			if waiting, _ := nd.Pending(); waiting > 0 {
				return false
			}
		}
	}
	return true
}

// wait waits for the last answers, when all peers have ended.
func (u *users) wait() {
	if u != nil {
		u.waiting.Wait()
	}
}
