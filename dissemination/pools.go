package dissemination

import (
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/dissemination/txs"
	"grapevine/p2p/wire"
)

// wantBytes bounds what one Want is answered with. What is left over the next
// comparison finds again.
const wantBytes = 1 << 20

// settleAge is for how long a transaction is left to gossip before the repair plane
// names it: several times what a batch takes through a network. Without it, a third
// of a burst was fetched by comparison while gossip was bringing it (measured).
const settleAge = 1500 * time.Millisecond

// answerGap is the least time between two answers to a peer's questions about the
// pool. A question may be a few bytes; its answer is up to 64 KiB, or a megabyte of
// transactions, and ten milliseconds over a full pool. It costs an honest
// comparison of two full pools a second.
const answerGap = 50 * time.Millisecond

// pace holds up a peer's lane until its next question may be answered.
func (d *Driver) pace(from wire.PeerID) {
	d.shared.mu.Lock()
	now, at := time.Now(), d.shared.paced[from]
	if at.Before(now) {
		at = now
	}
	d.shared.paced[from] = at.Add(answerGap)
	d.shared.mu.Unlock()
	if at.Equal(now) {
		return
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.done:
	}
}

// settled leaves out the hashes of what came within settleAge.
func (d *Driver) settled(now time.Time, salt block.SipKey, hashes []uint64) []uint64 {
	var young []uint64
	for _, id := range d.cfg.Pool.Since(now.Add(-settleAge)) {
		young = append(young, salt.Sum64(id))
	}
	slices.Sort(young)
	return subtract(hashes, young)
}

// compare begins or continues a comparison of pools.
func (d *Driver) compare(now time.Time, x txs.Compare) {
	hashes, covered := d.cfg.Pool.Inventory(x.Salt, x.Low, ^uint64(0), message.MaxHashes)
	if !x.First { // a new neighbour was not there to hear what came just now
		hashes = d.settled(now, x.Salt, hashes)
	}
	d.pools.Sent(x.With, covered)
	d.send(x.With, &message.Inventory{Salt: x.Salt, Low: x.Low, High: covered, Hashes: hashes})
}

// onInventory asks for what this pool lacks, and answers with what the other lacks.
func (d *Driver) onInventory(from wire.PeerID, m *message.Inventory) {
	d.pace(from)
	mine, covered := d.cfg.Pool.Inventory(m.Salt, m.Low, m.High, message.MaxHashes)
	lack := subtract(upto(m.Hashes, covered), mine)
	if d.cfg.Pool.Room() { // else it would be refused: the next comparison finds it again
		d.want(from, m.Salt, lack)
	}
	if m.Reply {
		d.post(replied{from, m.Salt, len(lack)})
		return
	}
	extra := d.settled(time.Now(), m.Salt, subtract(mine, m.Hashes))
	d.send(from, &message.Inventory{Salt: m.Salt, Low: m.Low, High: covered, Hashes: extra, Reply: true})
}

// want asks a peer for transactions, and notes how many it may send.
func (d *Driver) want(from wire.PeerID, salt block.SipKey, hashes []uint64) {
	if len(hashes) == 0 {
		return
	}
	d.shared.mu.Lock()
	d.shared.wants[from] += len(hashes)
	d.shared.mu.Unlock()
	d.send(from, &message.Want{Salt: salt, Hashes: hashes})
}

// askWanted asks a random neighbour for what the pool had no room for when gossip
// brought it, once a block has made room. What that neighbour has not got either is
// left to the comparisons.
func (d *Driver) askWanted() {
	if len(d.neighbours) == 0 {
		return
	}
	ids := d.cfg.Pool.Wanted(message.MaxHashes)
	salt := block.SipKey{K0: rand.Uint64(), K1: rand.Uint64()}
	hashes := make([]uint64, len(ids))
	for i, id := range ids {
		hashes[i] = salt.Sum64(id)
	}
	slices.Sort(hashes)
	d.want(d.neighbours[rand.IntN(len(d.neighbours))], salt, hashes)
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

type replied struct {
	from   wire.PeerID
	salt   block.SipKey
	lacked int
}

func (ev replied) apply(d *Driver, now time.Time) { d.pools.Replied(now, ev.from, ev.salt, ev.lacked) }

// onWant sends the transactions asked for, as far as the lane's queue has room.
func (d *Driver) onWant(from wire.PeerID, m *message.Want) {
	d.pace(from)
	batch, size := []*block.Tx(nil), 0
	flush := func() bool {
		sent := len(batch) == 0 || d.send(from, &message.Txs{Txs: batch})
		batch, size = nil, 0
		return sent
	}
	for _, t := range d.cfg.Pool.BySalted(m.Salt, m.Hashes, wantBytes) {
		if size+t.Size() > message.PartBytes && !flush() {
			return
		}
		batch, size = append(batch, t), size+t.Size()
	}
	flush()
}

// onTxs takes transactions that were asked for, and no others.
func (d *Driver) onTxs(from wire.PeerID, m *message.Txs) error {
	d.shared.mu.Lock()
	allowed := min(d.shared.wants[from], len(m.Txs))
	d.shared.wants[from] -= allowed
	d.shared.mu.Unlock()
	_, err := d.offer(m.Txs[:allowed])
	return err
}
