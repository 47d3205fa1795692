package events

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// world is a network of peers, in virtual time.
type world struct {
	plan   *scenario.Plan
	queue  queue
	now    instant
	start  int64      // what instant zero is, in nanoseconds since 1970
	rng    *rand.Rand // of the network: losses, jitter, redials
	peers  []*peer
	byID   map[wire.PeerID]*peer
	blocks []*blk // that were made
	byName map[block.ID]*blk

	newMind   func(p *peer, seed uint64) mind
	roster    roster
	opening   bool               // the network does not stand yet
	zero      instant            // when it stood: a scenario's times count from here
	silent    map[[2]int]instant // connections that carry nothing any more, and since when
	free      []*piece
	lives     uint64 // starts of peers so far
	overflows int    // messages that a full queue refused

	out      *outcome.Outcome
	trace    uint64
	first    instant // of the first block
	last     instant // of the last acceptance
	counting bool    // a count of bytes is due
	counted  bool
	busy     bool    // a block is under way, or was a second ago
	quiet    instant // since when none is
	pending  int     // deliveries of blocks to live peers that are yet to come, of those made
	crashed  instant // when the last peer did,
	looking  bool    // and the living do not all know yet
}

// epoch is the instant at which the network stands, as the cores see it: any time
// would do.
var epoch = time.Unix(1_700_000_000, 0)

// laneBytes bounds what waits to be sent on a flow's lane: p2p's bounds.
var laneBytes = [wire.NumLanes]int64{
	wire.Control: 512 << 10, wire.Blocks: 4 << 20, wire.Bodies: 8 << 20, wire.Catchup: 8 << 20, wire.Txs: 4 << 20,
}

// Protocols names what this world can run, our own first.
func Protocols() []string {
	return append([]string{scenario.Grapevine}, slices.Sorted(maps.Keys(fabrics))...)
}

// Run plays a plan with a protocol, to the bit the same each time. It tells progress,
// if that is not nil, the share that is done. An error is ctx's, or says that there is
// no such protocol, or what of the plan this world cannot do.
func Run(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
	w, err := newWorld(plan, protocol)
	if err != nil {
		return nil, err
	}
	return w.run(ctx, progress)
}

// Check refuses what this world cannot play.
func Check(plan *scenario.Plan, protocol string) error {
	_, err := minds(plan, protocol)
	return err
}

// minds returns what makes the peers' protocol, under the plan's settings.
func minds(plan *scenario.Plan, protocol string) (func(w *world, p *peer, seed uint64) mind, error) {
	if i := slices.IndexFunc(plan.Faults, func(f scenario.Fault) bool { return f.Kind == scenario.Withhold }); i >= 0 && protocol != scenario.Grapevine {
		return nil, fmt.Errorf("fault[%d] (%s): only %s's peers withhold", i, scenario.Withhold, scenario.Grapevine)
	}
	if plan.Load.TxRate > 0 {
		return nil, fmt.Errorf("tx_rate is %v: the event world has no transactions of its own; use the packet world", plan.Load.TxRate)
	}
	if protocol == scenario.Grapevine {
		return grapevines(plan.Settings)
	}
	if cfg, ok := fabrics[protocol]; ok {
		return func(w *world, p *peer, seed uint64) mind { return newFabric(cfg(), w, p, seed) }, nil
	}
	return nil, fmt.Errorf("protocol %q: the event world plays %s", protocol, strings.Join(Protocols(), ", "))
}

func newWorld(plan *scenario.Plan, protocol string) (*world, error) {
	newMind, err := minds(plan, protocol)
	if err != nil {
		return nil, err
	}
	w := &world{
		plan: plan, start: epoch.UnixNano(),
		rng:  rand.New(rand.NewPCG(plan.Seed, 0x6e6574)),
		byID: make(map[wire.PeerID]*peer), byName: make(map[block.ID]*blk),
		silent: make(map[[2]int]instant),
		out:    &outcome.Outcome{Protocol: protocol, World: "events", Seed: plan.Seed},
	}
	w.newMind = func(p *peer, seed uint64) mind { return newMind(w, p, seed) }
	w.trace = mix(plan.Seed, uint64(len(plan.PeerPlans)))
	for i, pp := range plan.PeerPlans {
		p := &peer{
			number: i, id: wire.PeerID(fmt.Sprintf("p%06d", i)), joins: int64(pp.Joins),
			up:   access{up: true, rate: int64(pp.Up), own: int64(pp.Up)},
			down: access{rate: int64(pp.Down), own: int64(pp.Down)},
		}
		w.out.Peers = append(w.out.Peers, outcome.Peer{})
		if p.joins > 0 {
			w.out.Peers[i].Gone(0)
		}
		w.peers = append(w.peers, p)
		w.byID[p.id] = p
	}
	w.roster = newRoster(w)
	return w, nil
}

// newRoster takes the membership cores where the scenario wants them. Auto is live up
// to as many as are all neighbours. Others' protocols have no membership: their peers
// know their neighbours, as they do in the packet world.
func newRoster(w *world) roster {
	ours := w.out.Protocol == scenario.Grapevine
	if m := w.plan.Membership; ours && (m == "live" || m == "auto" && len(w.peers) <= membership.DefaultFull) {
		return newLive(w)
	}
	return newStatic(w)
}

func (w *world) time() time.Time { return time.Unix(0, w.start+w.now) }

func (w *world) members() int { return len(w.peers) }

// seedOf gives each start of each peer a seed of its own.
func (w *world) seedOf(p *peer) uint64 { return mix(mix(w.plan.Seed, uint64(p.number)), w.lives) }

func (w *world) peerOf(id wire.PeerID) *peer { return w.byID[id] }

func (w *world) numberOf(id wire.PeerID) int {
	if p := w.byID[id]; p != nil {
		return p.number
	}
	return -1
}

func (w *world) block(id block.ID) *blk { return w.byName[id] }

// run opens the network, and goes on until nothing more is to come, or the plan's
// time is over.
func (w *world) run(ctx context.Context, progress func(float64)) (*outcome.Outcome, error) {
	w.opening = true
	if err := w.roster.open(ctx, w); err != nil {
		return nil, err
	}
	w.opening, w.zero = false, w.now
	lastEvent := w.zero
	for _, ev := range w.plan.Events {
		lastEvent = w.zero + int64(ev.At)
		w.queue.push(lastEvent, doing(func(w *world) { w.happen(ev) }))
	}
	end := w.zero + int64(w.plan.End())
	for n := 0; len(w.queue.heap) > 0; n++ {
		if n%(1<<14) == 0 {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if progress != nil {
				progress(float64(w.now-w.zero) / float64(end-w.zero))
			}
		}
		if at := w.queue.heap[0].at; at > end || w.over(lastEvent, at) {
			break
		}
		w.step()
	}
	if progress != nil {
		progress(1)
	}
	return w.close(), nil
}

// step lets the next event happen.
func (w *world) step() {
	ev := w.queue.pop()
	w.now = ev.at
	ev.do.act(w)
}

// play lets so much happen as does until a time.
func (w *world) play(until instant) {
	for len(w.queue.heap) > 0 && w.queue.heap[0].at <= until {
		w.step()
	}
	w.now = until
}

// since returns the time since the network stood.
func (w *world) since() time.Duration { return time.Duration(w.now - w.zero) }

// over says that all blocks stand everywhere, and all bytes are counted.
func (w *world) over(lastEvent, next instant) bool {
	return len(w.blocks) > 0 && next > lastEvent && w.pending == 0 && next > w.last+int64(time.Second) && !w.counting
}

func (w *world) happen(ev scenario.Event) {
	w.trace = mix(mix(w.trace, uint64(w.now)), uint64(ev.Kind))
	switch ev.Kind {
	case scenario.Propose:
		w.propose(ev.Block)
		return
	case scenario.Kill:
		for _, i := range ev.Peers {
			w.peers[i].end()
			w.out.Peers[i].Gone(w.since())
		}
		w.lookOut()
	case scenario.Start:
		for _, i := range ev.Peers {
			w.peers[i].begin(w)
			w.out.Peers[i].Back(w.since())
		}
	case scenario.CutOff, scenario.Mend:
		w.divide(ev)
	case scenario.SetLoss:
		for _, i := range ev.Peers {
			w.peers[i].loss = ev.Loss
		}
	case scenario.SetWithhold:
		for _, i := range ev.Peers {
			w.peers[i].withholds = ev.On
		}
	case scenario.SetRate:
		for _, i := range ev.Peers {
			w.peers[i].setRate(int64(ev.Rate))
		}
	}
	w.recount()
	w.watch()
}

// divide puts peers on a side of their own, named by the fault, or back. Nobody is in
// two cuts at a time.
func (w *world) divide(ev scenario.Event) {
	for _, i := range ev.Peers {
		w.peers[i].side = 0
		if ev.Kind == scenario.CutOff {
			w.peers[i].side = ev.Fault + 1
		}
	}
}

func (p *peer) setRate(rate int64) {
	for _, a := range []*access{&p.up, &p.down} {
		a.rate = a.own
		if rate > 0 {
			a.rate = min(rate, a.own)
		}
	}
}

// propose makes the next block at peer 0.
func (w *world) propose(index int) {
	p := w.peers[0]
	if !p.alive {
		return
	}
	b := &blk{
		index: index, height: uint64(len(w.blocks)) + 1, parent: p.tip.ID, at: w.now,
		txs: w.plan.TxCount(index), txSize: int(w.plan.Load.TxSize),
	}
	b.bytes = b.txs * b.txSize
	b.sizes = slices.Repeat([]int{b.txSize}, b.txs)
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], w.plan.Seed)
	binary.BigEndian.PutUint64(seed[8:], b.height)
	b.id = sha256.Sum256(seed[:])
	b.described = b.describe()
	w.blocks, w.byName[b.id] = append(w.blocks, b), b
	if len(w.blocks) == 1 {
		w.first = w.now
		for _, q := range w.peers {
			q.received, q.sent, q.again, q.linked, q.tallied = 0, 0, 0, 0, w.now
			if q.mind != nil {
				q.again = -q.mind.again()
			}
		}
	}
	w.awake()
	w.out.Blocks = append(w.out.Blocks, outcome.Block{Height: b.height, ID: b.id, Bytes: b.bytes, At: w.since()})
	w.recount()
	p.mind.propose(w, b)
	p.carryOut(w)
}

// recount counts the deliveries that are yet to come.
func (w *world) recount() {
	w.pending = 0
	for _, p := range w.peers {
		if w.belongs(p) {
			w.pending += len(w.blocks) - int(p.tip.Height)
		}
	}
}

// belongs says whether a peer should have all blocks: it lives, and nothing cuts it off
// from where they are made.
func (w *world) belongs(p *peer) bool { return p.alive && p.side == w.peers[0].side }

// tipAt is the tip of a chain that ends with a block.
func (w *world) tipAt(b *blk) block.Tip {
	return block.Tip{Height: b.height, ID: b.id, TimeNano: w.start + b.at}
}

// accepted notes a block's acceptance.
func (w *world) accepted(p *peer, b *blk, facts arrival.Facts) {
	w.last = w.now
	w.trace = mix(mix(w.trace, uint64(w.now)), uint64(p.number)<<32|b.height)
	if w.belongs(p) {
		w.pending--
	}
	w.out.Arrivals = append(w.out.Arrivals, outcome.Arrival{
		Peer: p.number, Height: b.height, ID: b.id, At: w.since(), Via: facts.Via, From: w.numberOf(facts.From), Hop: facts.Hop,
	})
	if !w.counting {
		w.counting = true
		w.queue.push(w.now+int64(time.Second), doing((*world).count))
	}
}

// count takes down what peers received, once a second has passed since the last
// acceptance; a later one overwrites it.
func (w *world) count() {
	if due := w.last + int64(time.Second); w.now < due {
		w.queue.push(due, doing((*world).count))
		return
	}
	w.counting, w.counted = false, true
	if w.pending == 0 && w.busy {
		w.busy, w.quiet = false, w.now
		for _, p := range w.peers {
			p.quiet = p.received + w.beats(p)
		}
	}
	for i, p := range w.peers {
		o := &w.out.Peers[i]
		beats := w.beats(p)
		o.Received, o.Sent, o.Again = p.received+beats, p.sent+beats, p.again
		if p.mind != nil {
			o.Again += p.mind.again()
		}
	}
}

// awake ends a time in which no block was under way.
func (w *world) awake() {
	if len(w.blocks) > 1 && !w.busy {
		w.out.Quiet += time.Duration(w.now - w.quiet)
		for i, p := range w.peers {
			w.out.Peers[i].Idle += p.received + w.beats(p) - p.quiet
		}
	}
	w.busy = true
}

// close completes the outcome.
func (w *world) close() *outcome.Outcome {
	if !w.counted || w.counting {
		w.last = min(w.last, w.now-int64(time.Second))
		w.count()
	}
	for i, p := range w.peers {
		o := &w.out.Peers[i]
		o.Alive, o.Height, o.ID = w.belongs(p), p.tip.Height, p.tip.ID
	}
	w.out.Healed, w.out.End, w.out.Trace = w.plan.Quiet(), w.since(), w.trace
	return w.out
}

// mix folds a number into a hash.
func mix(h, x uint64) uint64 { return scenario.Mix(h ^ x) }

// traced takes a delivered message into the trace.
func (w *world) traced(f *flow, m *msg) {
	w.trace = mix(mix(w.trace, uint64(w.now)), uint64(f.from.number)<<40|uint64(f.to.number)<<16|uint64(m.lane))
	w.trace = mix(w.trace, uint64(m.size))
}

func (w *world) piece() *piece {
	if n := len(w.free); n > 0 {
		p := w.free[n-1]
		w.free = w.free[:n-1]
		return p
	}
	return new(piece)
}

func (w *world) release(p *piece) {
	*p = piece{}
	w.free = append(w.free, p)
}

// reachable says whether packets get from one peer to the other.
func (w *world) reachable(a, b *peer) bool { return a.alive && b.alive && a.side == b.side }

// lose returns how many of a piece's bytes are lost on the way.
func (w *world) lose(f *flow, bytes int64) int64 {
	if !w.reachable(f.from, f.to) {
		return bytes
	}
	keep := (1 - w.plan.PeerPlans[f.to.number].Loss) * (1 - f.from.loss) * (1 - f.to.loss)
	if keep >= 1 {
		return 0
	}
	lost := int64(0)
	for at := int64(0); at < bytes; at += packet {
		if w.rng.Float64() >= keep {
			lost += min(packet, bytes-at)
		}
	}
	return lost
}

func (w *world) jitter(to *peer) int64 {
	if j := int64(w.plan.PeerPlans[to.number].Jitter); j > 0 {
		return w.rng.Int64N(j + 1)
	}
	return 0
}

// beats returns the bytes of the beats that a peer's connections have carried one way:
// they are reckoned, not played.
func (w *world) beats(p *peer) int64 {
	if w.out.Protocol != scenario.Grapevine {
		return 0
	}
	p.tally(w.now)
	size := onWire(int64(wire.FramedSize(len(wire.EncodeControl(wire.Beat{})))))
	return p.linked / int64(wire.BeatEvery) * size
}

// tally brings linked up to date.
func (p *peer) tally(now instant) {
	p.linked += int64(len(p.flows)) * (now - p.tallied)
	p.tallied = now
}

// addFlow puts a flow in its place.
func (w *world) addFlow(p *peer, f *flow) {
	p.tally(w.now)
	i, _ := slices.BinarySearchFunc(p.flows, f.to.number, func(g *flow, n int) int { return cmp.Compare(g.to.number, n) })
	p.flows = slices.Insert(p.flows, i, f)
}

func (w *world) dropFlow(p *peer, f *flow) {
	p.tally(w.now)
	f.dead = true
	p.flows = slices.DeleteFunc(p.flows, func(g *flow) bool { return g == f })
}
