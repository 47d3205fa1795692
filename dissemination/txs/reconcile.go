// Package txs holds the protocol cores by which transactions spread before they
// are ordered: when a batch goes out on the fast plane (Batcher), and when whose
// pools are compared on the repair plane (Reconciler).
//
// The fast plane is GossipSub. It loses messages when queues overflow, and in a
// small network, where everybody is in everybody's mesh, it never repairs what it
// lost: so there is a repair plane from the start, mesh neighbours included.
//
//	A                                         B
//	│ Inventory(salt, low, high, hashes) ────▶│  which of these do I lack?
//	│◀──────────────── Want(salt, hashes) ────│
//	│◀─ Inventory(reply; what A lacks) ───────│  which does A lack in the range?
//	│ Want(salt, hashes) ────────────────────▶│
//	│◀───────────────────────────── Txs … ────│
//	│ Txs … ─────────────────────────────────▶│
//
// The last Txs of an answer is empty. Whoever asks has one request at a time under way, and
// goes on where the answer was cut short: so what the repair plane fetches keeps to what
// links take, and when they are full it does not fetch from many what comes from one.
//
// An inventory is a list of salted 64-bit hashes, ascending, over a range; a pool
// with more than fit in one message is compared range by range. The salt is fresh
// for every exchange, so nobody can make transactions whose hashes collide.
package txs

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Config sets a Reconciler up. The zero value of a field means its default.
type Config struct {
	// Self decides which side of a new connection begins: the one that sorts first.
	Self wire.PeerID
	// Every is the mean time between exchanges with random neighbours; zero means
	// 1.5 s, jittered from 1 s to 2 s.
	Every time.Duration
	// Timeout is how long an exchange or a request may go without an answer; zero means
	// 2 s (a guess: inventories are at most one frame).
	Timeout time.Duration
}

// Effect is what a Reconciler wants done.
//
//sumtype:decl
type Effect interface{ effect() }

func (Compare) effect() {}
func (Ask) effect()     {}

// Ask asks the driver to request transactions of the peer, by their salted hashes.
type Ask struct {
	Of     wire.PeerID
	Salt   block.SipKey
	Hashes []uint64 // ascending
}

// Compare asks the driver to send the peer this pool's inventory of the hashes from
// Low on, as many as fit, and then to tell how far it went with Sent.
type Compare struct {
	With  wire.PeerID
	Salt  block.SipKey
	Low   uint64
	First bool // the peer is a new neighbour: nothing is on its way to it yet
}

// Stats counts what the engine has done.
type Stats struct {
	Exchanges uint64 // inventories sent
	Timeouts  uint64 // of these, without an answer
	Lacked    uint64 // transactions that a neighbour had and this pool had not
}

type exchange struct {
	with     wire.PeerID
	first    bool
	salt     block.SipKey
	low      uint64 // lowest hash that the last inventory covered
	covered  uint64 // and the highest
	deadline time.Time
}

// request is for transactions that a neighbour has and this pool has not.
type request struct {
	of       wire.PeerID
	bytes    int // that have come
	added    int // transactions among them that were new, and found room
	begun    time.Time
	deadline time.Time
}

// WantBytes bounds what one request is answered with, but for a single transaction.
const WantBytes = 1 << 20

const (
	// slowest is what an answer must bring in a second, from the time-out on: as of blocks.
	slowest = 16 << 10
	// vainly is how many times as long as an answer took that was of no use its neighbour is
	// not asked again: so it holds up the others a ninth of the time at most, and one that
	// only came too late hardly notices.
	vainly = 8
)

// longestWait is what the time-out of requests may grow to: links that are that slow bring
// a request's answer late, and a second one would only make them slower (a guess).
const longestWait = 30 * time.Second

// SettleAge is for how long a transaction is left to gossip before the repair plane
// names it: several times what a batch takes through a network. Without it, a third
// of a burst was fetched by comparison while gossip was bringing it (measured).
const SettleAge = 1500 * time.Millisecond

// Reconciler says when this peer compares its pool with whose. It is sans-IO: one
// goroutine owns it and tells it the time.
type Reconciler struct {
	cfg     Config
	rng     *rand.Rand
	peers   []wire.PeerID // ascending
	useful  []wire.PeerID // some of them, ascending: chosen by this side, or they have brought something
	running []*exchange   // at most one per peer, oldest first
	// There is one request at a time to useful neighbours, and one to others, so that a
	// crowd that names what it does not bring holds up only itself.
	asked   [2]*request
	wait    [2]time.Duration          // the time-outs of the next ones: they double while none is answered
	shunned map[wire.PeerID]time.Time // until then, for an answer that was of no use
	nextAt  time.Time
	effects []Effect
	stats   Stats
}

// NewReconciler makes a Reconciler.
func NewReconciler(cfg Config, seed uint64, now time.Time) *Reconciler {
	if cfg.Every == 0 {
		cfg.Every = 1500 * time.Millisecond
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	r := &Reconciler{cfg: cfg, rng: rand.New(rand.NewPCG(seed, 0x747873)), wait: [2]time.Duration{cfg.Timeout, cfg.Timeout}, shunned: map[wire.PeerID]time.Time{}}
	r.schedule(now)
	return r
}

// Effects drains what is to be done, in order.
func (r *Reconciler) Effects() []Effect {
	out := r.effects
	r.effects = nil
	return out
}

// Stats returns the counts so far.
func (r *Reconciler) Stats() Stats { return r.stats }

func (r *Reconciler) schedule(now time.Time) {
	third := int64(r.cfg.Every / 3)
	r.nextAt = now.Add(time.Duration(2*third + r.rng.Int64N(2*third+1)))
}

// PeerUp tells of a new neighbour. The side that sorts first compares pools at once.
func (r *Reconciler) PeerUp(now time.Time, p wire.PeerID) {
	i, found := slices.BinarySearch(r.peers, p)
	if found {
		return
	}
	r.peers = slices.Insert(r.peers, i, p)
	if r.cfg.Self < p {
		r.begin(now, p, true)
	}
}

// PeerDown tells that a neighbour is gone.
func (r *Reconciler) PeerDown(p wire.PeerID) {
	if i, found := slices.BinarySearch(r.peers, p); found {
		r.peers = slices.Delete(r.peers, i, i+1)
	}
	if i, found := slices.BinarySearch(r.useful, p); found {
		r.useful = slices.Delete(r.useful, i, i+1)
	}
	r.end(p)
	delete(r.shunned, p)
	for i, q := range r.asked {
		if q != nil && q.of == p {
			r.asked[i] = nil
		}
	}
}

// Useful tells that a neighbour was chosen by this side, or has brought something right.
// Every second exchange is with one of those: of a crowd that came by itself, and may do
// nothing, the others are.
func (r *Reconciler) Useful(p wire.PeerID) {
	_, known := slices.BinarySearch(r.peers, p)
	if i, found := slices.BinarySearch(r.useful, p); known && !found {
		r.useful = slices.Insert(r.useful, i, p)
	}
}

func (r *Reconciler) begin(now time.Time, p wire.PeerID, first bool) {
	x := &exchange{with: p, first: first, salt: block.SipKey{K0: r.rng.Uint64(), K1: r.rng.Uint64()}}
	r.running = append(r.running, x)
	r.compare(now, x, 0)
}

func (r *Reconciler) compare(now time.Time, x *exchange, low uint64) {
	x.low, x.deadline = low, now.Add(r.cfg.Timeout)
	r.stats.Exchanges++
	r.effects = append(r.effects, Compare{With: x.with, Salt: x.salt, Low: low, First: x.first})
}

func (r *Reconciler) end(p wire.PeerID) {
	r.running = slices.DeleteFunc(r.running, func(x *exchange) bool { return x.with == p })
}

func (r *Reconciler) find(p wire.PeerID) *exchange {
	for _, x := range r.running {
		if x.with == p {
			return x
		}
	}
	return nil
}

// Sent tells how far the inventory went that the last Compare asked for.
func (r *Reconciler) Sent(p wire.PeerID, covered uint64) {
	if x := r.find(p); x != nil {
		x.covered = covered
	}
}

// Named tells of a neighbour's inventory, which may be the reply to one of this peer's, and
// which of the transactions that it names are wanted here.
func (r *Reconciler) Named(now time.Time, p wire.PeerID, salt block.SipKey, reply bool, lacked []uint64) {
	asked := len(lacked) > 0 && r.Ask(now, p, salt, lacked)
	x := r.find(p)
	if !reply || x == nil || x.salt != salt {
		return
	}
	r.stats.Lacked += uint64(len(lacked))
	if asked { // it goes on when they have come
		x.deadline = r.asked[r.place(p)].deadline
		return
	}
	r.goOn(now, x)
}

// goOn compares what did not fit into the last inventory.
func (r *Reconciler) goOn(now time.Time, x *exchange) {
	if x.covered == math.MaxUint64 {
		r.end(x.with)
		return
	}
	r.compare(now, x, x.covered+1)
}

// place is 1 for useful neighbours, and 0 for others.
func (r *Reconciler) place(p wire.PeerID) int {
	if _, useful := slices.BinarySearch(r.useful, p); useful {
		return 1
	}
	return 0
}

// Ask requests transactions of a neighbour, and says whether it does: not while another
// request is under way. What is not asked for now the next comparison finds again.
func (r *Reconciler) Ask(now time.Time, p wire.PeerID, salt block.SipKey, hashes []uint64) bool {
	i := r.place(p)
	if q := r.asked[i]; q != nil {
		if q.deadline.After(now) {
			return false
		}
		r.wait[i] = min(2*r.wait[i], longestWait)
		r.ended(now, i)
	}
	if r.shunned[p].After(now) {
		return false
	}
	r.asked[i] = &request{of: p, begun: now, deadline: now.Add(r.wait[i])}
	r.effects = append(r.effects, Ask{Of: p, Salt: salt, Hashes: hashes})
	return true
}

// ended makes room for another request.
func (r *Reconciler) ended(now time.Time, i int) {
	q := r.asked[i]
	r.asked[i] = nil
	_, known := slices.BinarySearch(r.peers, q.of)
	if q.added == 0 && known {
		r.shunned[q.of] = now.Add(vainly * now.Sub(q.begun))
	}
}

// Came tells of an answer's next piece, of so many bytes of transactions, and how many it
// added to the pool; no bytes: that was all. Where the answer was cut short, as it is when
// another transaction of at most largest bytes might not have fit, the pools are compared
// again at once, unless all was in vain.
func (r *Reconciler) Came(now time.Time, p wire.PeerID, bytes, added, largest int) {
	if added > 0 { // late, it may be
		delete(r.shunned, p)
	}
	i := slices.IndexFunc(r.asked[:], func(q *request) bool { return q != nil && q.of == p })
	if i < 0 {
		return
	}
	q, x := r.asked[i], r.find(p)
	if bytes > 0 {
		q.bytes += bytes
		q.added += added
		q.deadline = q.begun.Add(r.wait[i] + time.Duration(q.bytes)*time.Second/slowest)
		if x != nil {
			x.deadline = q.deadline
		}
		return
	}
	r.ended(now, i)
	r.wait[i] = r.cfg.Timeout
	switch cut := q.added > 0 && q.bytes+largest > WantBytes; {
	case x != nil && cut:
		r.compare(now, x, x.low)
	case x != nil:
		r.goOn(now, x)
	case cut:
		r.begin(now, p, false)
	}
}

// Deadline returns when Tick is due next.
func (r *Reconciler) Deadline() time.Time {
	at := r.nextAt
	for _, x := range r.running {
		if x.deadline.Before(at) {
			at = x.deadline
		}
	}
	return at
}

// Tick does what is due.
func (r *Reconciler) Tick(now time.Time) {
	r.running = slices.DeleteFunc(r.running, func(x *exchange) bool {
		late := !x.deadline.After(now)
		if late {
			r.stats.Timeouts++
		}
		return late
	})
	if r.nextAt.After(now) {
		return
	}
	r.schedule(now)
	var idle []wire.PeerID
	among := r.peers
	if len(r.useful) > 0 && len(r.useful) < len(r.peers) && r.rng.IntN(2) == 0 {
		among = r.useful
	}
	for _, p := range among {
		if r.find(p) == nil {
			idle = append(idle, p)
		}
	}
	if len(idle) > 0 {
		r.begin(now, idle[r.rng.IntN(len(idle))], false)
	}
}
