package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/internal/logline"
	"grapevine/mempool"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// ID returns the node's peer ID.
func (n *Node) ID() wire.PeerID { return n.host.ID() }

// Addrs returns the multiaddrs that the node listens on, each with its peer ID.
func (n *Node) Addrs() []string { return n.host.Addrs() }

// APIAddr returns the API's address, or "" without one.
func (n *Node) APIAddr() string {
	if n.api == nil {
		return ""
	}
	return n.api.Addr()
}

// Tip returns the last durable block.
func (n *Node) Tip() block.Tip { return n.ledger.Tip() }

// Block returns the durable block at a height.
func (n *Node) Block(height uint64) (*block.Block, error) { return n.ledger.Block(height) }

// Pending returns how many transactions wait in the pool, and their bytes.
func (n *Node) Pending() (count, bytes int) {
	count, bytes, _ = n.pool.Pending()
	return count, bytes
}

// Neighbours returns the peers that this node exchanges blocks with.
func (n *Node) Neighbours() []wire.PeerID { return n.host.Neighbours() }

// Submit checks transactions, puts the good ones into the pool and sends them to
// everybody. A verdict of Accepted says that the transaction is journalled, and on
// offer until it is committed or expires. The error is the node's own trouble, and
// leaves it open what was accepted.
func (n *Node) Submit(ctx context.Context, txs []*block.Tx) ([]mempool.Verdict, error) {
	return n.intake.Submit(ctx, txs)
}

// Offer takes transactions as if gossip had brought them: it checks them and puts the
// good ones into the pool, without a journal, and sends them to nobody. It is for
// those who embed a node and have a way of their own to spread transactions, and for
// networks whose pools are to be filled before a measurement. At is when they count as
// having come: an orderer takes others to have what came long ago. Peers compare their
// pools all the same.
func (n *Node) Offer(at time.Time, txs []*block.Tx) []mempool.Verdict {
	return n.intake.Offer(at, txs)
}

// Ready says why the node does not do its work, or nil: it does not run, the orderer
// broke the rules, the pool's journal has failed, or it is the orderer and must not sign.
func (n *Node) Ready() error {
	if err := n.halted.Load(); err != nil {
		return *err
	}
	if !n.running.Load() {
		return errors.New("the node is not running")
	}
	if err := n.pool.Failed(); err != nil {
		return err
	}
	if err := n.host.Barred(); err != nil {
		return err
	}
	if o, ok := n.orderer.(interface{ Ready() error }); ok {
		return o.Ready()
	}
	return nil
}

func (n *Node) onHalted(err error) { n.halted.Store(&err) }

// onAccepted writes the one line that every block gets.
func (n *Node) onAccepted(f arrival.Accepted) {
	n.facts.add(f)
	n.onFresh(f)
	n.cfg.Logger.Info(logline.BlockAccepted, f.Attrs()...)
	if n.cfg.OnAccepted != nil {
		n.cfg.OnAccepted(f)
	}
}

func (n *Node) status() api.Status {
	return api.Status{
		PeerID: string(n.ID()), Software: n.cfg.Software, Mode: n.cfg.Protocol.Fresh.Mode.String(), Addrs: n.Addrs(),
		Neighbours: len(n.Neighbours()), Started: n.started,
	}
}

func (n *Node) members() []api.Member {
	var out []api.Member
	now := time.Now()
	for _, m := range n.host.Members() {
		out = append(out, api.Member{
			PeerID: string(m.Peer), State: m.State, Neighbour: m.Neighbour, Addrs: m.Addrs,
			Height: m.Height, Base: m.Base, Software: m.Software, Silent: m.Silent(now),
		})
	}
	return out
}

// describe completes what this node's member record says.
func (n *Node) describe(info *membership.Info) {
	tip := n.ledger.Tip()
	info.Height, info.Tip, info.Base = tip.Height, tip.ID, n.ledger.Base()
	count, _, _ := n.pool.Pending()
	info.Pool = uint64(count)
	info.Orderer = n.orderer != nil
	if n.cfg.APIPublic {
		info.API = n.APIAddr()
	}
}

// keptFacts is how many blocks' facts a node remembers, for streams that begin a
// little in the past.
const keptFacts = 1024

// facts remembers what was seen of the last blocks.
type facts struct {
	mu *sync.Mutex
	m  map[uint64]arrival.Accepted
}

func newFacts() facts { return facts{new(sync.Mutex), map[uint64]arrival.Accepted{}} }

func (f facts) add(x arrival.Accepted) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m[x.Height] = x
	delete(f.m, x.Height-keptFacts)
}

func (f facts) at(height uint64) (arrival.Accepted, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.m[height]
	return x, ok
}
