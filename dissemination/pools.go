package dissemination

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/dissemination/txs"
	"grapevine/mempool"
	"grapevine/p2p/wire"
)

// pools compares this node's pool with its neighbours', and fetches what it lacks.
type pools struct {
	core *txs.Reconciler // owned by the loop

	pool *mempool.Pool
	send func(to wire.PeerID, m message.Message) bool
	take func(wire.PeerID, []*block.Tx) (taken, error)
	post func(event)

	turns   *turns
	largest int // bytes of the largest transaction there may be

	mu    sync.Mutex
	wants map[wire.PeerID]owed // guarded by mu
}

// owed is what a peer was asked for and has not sent yet.
type owed struct{ txs, answers int }

func newPools(d *Driver, now time.Time) *pools {
	return &pools{
		core: txs.NewReconciler(d.cfg.Txs, d.cfg.Seed, now), pool: d.cfg.Pool,
		send: d.send, take: d.takeTxs, post: d.post,
		turns: newTurns(0, d.done), largest: d.limits.MaxTxBytes, wants: map[wire.PeerID]owed{},
	}
}

func (p *pools) tick(now time.Time) {
	if !p.core.Deadline().After(now) {
		p.core.Tick(now)
	}
}

// drain carries out what the core wants, and says whether it wanted anything.
func (p *pools) drain(now time.Time) bool {
	list := p.core.Effects()
	for _, x := range list {
		switch x := x.(type) {
		case txs.Compare:
			p.compare(now, x)
		case txs.Ask:
			p.ask(x)
		}
	}
	return len(list) > 0
}

func (p *pools) peerDown(peer wire.PeerID) {
	p.core.PeerDown(peer)
	p.turns.forget(peer)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wants, peer)
}

// settled leaves out the hashes of what gossip may still be bringing.
func (p *pools) settled(now time.Time, salt block.SipKey, hashes []uint64) []uint64 {
	var young []uint64
	for _, id := range p.pool.Since(now.Add(-txs.SettleAge)) {
		young = append(young, salt.Sum64(id))
	}
	slices.Sort(young)
	return subtract(hashes, young)
}

// compare begins or continues a comparison of pools.
func (p *pools) compare(now time.Time, x txs.Compare) {
	hashes, covered := p.pool.Inventory(x.Salt, x.Low, ^uint64(0), message.MaxHashes)
	if !x.First { // a new neighbour was not there to hear what came just now
		hashes = p.settled(now, x.Salt, hashes)
	}
	p.core.Sent(x.With, covered)
	p.send(x.With, &message.Inventory{Salt: x.Salt, Low: x.Low, High: covered, Hashes: hashes})
}

// onInventory finds what this pool lacks, and answers with what the other lacks.
func (p *pools) onInventory(from wire.PeerID, m *message.Inventory) {
	p.turns.wait(from, poolGap)
	mine, covered := p.pool.Inventory(m.Salt, m.Low, m.High, message.MaxHashes)
	var lack []uint64
	if p.pool.Room(string(from)) { // else it would be refused: the next comparison finds it again
		lack = subtract(upto(m.Hashes, covered), mine)
	}
	p.post(func(now time.Time) { p.core.Named(now, from, m.Salt, m.Reply, lack) })
	if m.Reply {
		return
	}
	extra := p.settled(time.Now(), m.Salt, subtract(mine, m.Hashes))
	p.send(from, &message.Inventory{Salt: m.Salt, Low: m.Low, High: covered, Hashes: extra, Reply: true})
}

// ask asks a peer for transactions, and notes how many it may send.
func (p *pools) ask(x txs.Ask) {
	if p.send(x.Of, &message.Want{Salt: x.Salt, Hashes: x.Hashes}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		owes := p.wants[x.Of]
		p.wants[x.Of] = owed{owes.txs + len(x.Hashes), owes.answers + 1}
	}
}

// askWanted asks one of the neighbours for what the pool had no room for when gossip
// brought it, once a block has made room. What that neighbour has not got either is
// left to the comparisons.
func (p *pools) askWanted(now time.Time, neighbours []wire.PeerID) {
	ids := p.pool.Wanted(message.MaxHashes)
	if len(ids) == 0 {
		return
	}
	salt := block.SipKey{K0: rand.Uint64(), K1: rand.Uint64()}
	hashes := make([]uint64, len(ids))
	for i, id := range ids {
		hashes[i] = salt.Sum64(id)
	}
	slices.Sort(hashes)
	p.core.Ask(now, neighbours[rand.IntN(len(neighbours))], salt, hashes)
}

// onWant sends the transactions asked for, as far as the lane's queue has room.
func (p *pools) onWant(from wire.PeerID, m *message.Want) {
	p.turns.wait(from, poolGap)
	batch, size := []*block.Tx(nil), 0
	flush := func() bool {
		sent := len(batch) == 0 || p.send(from, &message.Txs{Txs: batch})
		batch, size = nil, 0
		return sent
	}
	for _, t := range p.pool.BySalted(m.Salt, m.Hashes, txs.WantBytes) {
		if size+t.Size() > message.PartBytes && !flush() {
			return
		}
		batch, size = append(batch, t), size+t.Size()
	}
	if flush() {
		p.send(from, &message.Txs{}) // that was all
	}
}

// onTxs takes transactions that were asked for, and no others. It says whether all were,
// or else how many bytes were not.
func (p *pools) onTxs(from wire.PeerID, m *message.Txs) (asked bool, unasked int, got taken, err error) {
	p.mu.Lock()
	owes := p.wants[from]
	allowed := min(owes.txs, len(m.Txs))
	asked = allowed == len(m.Txs)
	owes.txs -= allowed
	if len(m.Txs) == 0 {
		asked = owes.answers > 0
		if owes.answers--; owes.answers <= 0 { // what has not come by now does not come
			owes = owed{}
		}
	}
	p.wants[from] = owes
	p.mu.Unlock()
	got, err = p.take(from, m.Txs[:allowed])
	if allowed > 0 || asked {
		bytes := sizeOf(m.Txs[:allowed])
		p.post(func(now time.Time) { p.core.Came(now, from, bytes, got.added, p.largest) })
	}
	return asked, sizeOf(m.Txs[allowed:]), got, err
}

// subtract returns what is in a and not in b; all are ascending.
func subtract(a, b []uint64) []uint64 {
	var out []uint64
	for _, h := range a {
		for len(b) > 0 && b[0] < h {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != h {
			out = append(out, h)
		}
	}
	return out
}

func upto(a []uint64, high uint64) []uint64 {
	for len(a) > 0 && a[len(a)-1] > high {
		a = a[:len(a)-1]
	}
	return a
}
