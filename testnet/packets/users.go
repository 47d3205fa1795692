package packets

import (
	"context"
	"errors"
	"sync"

	"grapevine/block"
	"grapevine/testnet/course"
	"grapevine/testnet/traffic"
)

// users submit transactions at an even pace, each batch at a peer drawn at random. A peer
// that is not there is not asked; what a peer refuses, nobody submits again. Nil are users
// that submit nothing.
type users struct {
	nodes  *nodes
	done   bool // all is answered; the world's goroutine sets it
	cancel context.CancelFunc
	all    sync.WaitGroup
}

func newUsers(ns *nodes) *users { return &users{nodes: ns, cancel: func() {}} }

// begin has them begin. What they have to say is not wanted: an error of a peer says that
// it is about to end, which others will tell.
func (u *users) begin(ctx context.Context) {
	if u == nil {
		return
	}
	ctx, u.cancel = context.WithCancel(ctx)
	w := u.nodes.w
	load := course.Users(w.plan)
	load.Sender, load.Senders, load.Genesis = u, 1, u.nodes.genesis.ID()
	load.Expiry = func() uint64 { return w.book.height() + lifetime }
	u.all.Go(func() {
		_, err := load.Run(ctx)
		w.told <- func() error {
			u.done = true
			return err
		}
	})
}

// Count and Deliver implement traffic.Deliverer.
func (u *users) Count() int { return u.nodes.w.plan.Peers }

var errAway = errors.New("the peer does not run")

func (u *users) Deliver(ctx context.Context, peer int, txs []*block.Tx) (traffic.Outcome, error) {
	if !u.nodes.w.up[peer].Load() {
		return traffic.Outcome{}, errAway
	}
	_, err := u.nodes.life(peer).Submit(ctx, txs)
	return traffic.Outcome{}, err
}

// idle says whether all that was submitted stands in blocks, as far as can be.
func (u *users) idle() bool {
	if u == nil {
		return true
	}
	if !u.done {
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

// end has them submit no more.
func (u *users) end() {
	if u != nil {
		u.cancel()
	}
}

// wait waits for the last answers, when all peers have ended.
func (u *users) wait() {
	if u != nil {
		u.all.Wait()
	}
}
