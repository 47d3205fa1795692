package fabric

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

// Config is what of the two protocols can be set. Fabric and Enhanced return those that
// are measured; the zero value is neither.
type Config struct {
	Fanout         int // propagatePeerNum; blockPeerNum
	ProducerFanout int // of a block's own producer

	EmitEvery time.Duration // maxPropagationBurstLatency; zero: at once, each block to neighbours of its own
	EmitBurst int           // maxPropagationBurstSize: so many blocks do not wait for the tick

	// Hops is up to which hop a block is passed on upon contagion, once for every hop
	// count seen; zero is infect and die. A message whose hop is below BodyHops carries
	// the body.
	Hops, BodyHops int

	PullEvery   time.Duration // pullInterval; zero: no pull
	PullPeers   int           // pullPeerNum
	DigestWait  time.Duration // digestWaitTime
	RequestWait time.Duration // requestWaitTime

	Keep   uint64 // maxBlockCountToStore: how far below the newest block gossip remembers
	Buffer uint64 // state.blockBufferSize: how far above the next block gossip's are kept for the chain

	InfoEvery    time.Duration // publishStateInfoInterval
	CheckEvery   time.Duration // state.checkInterval
	Batch        uint64        // state.batchSize: how far a range's last block is above its first
	StateTimeout time.Duration // state.responseTimeout
	StateRetries int           // state.maxRetries: tries of a range after the first
}

// Fabric is Hyperledger Fabric's gossip, by sampleconfig/core.yaml.
func Fabric() Config {
	c := stateTransfer()
	c.Fanout, c.ProducerFanout = 3, 3
	c.EmitEvery, c.EmitBurst = 10*time.Millisecond, 10
	c.PullEvery, c.PullPeers = 4*time.Second, 3
	c.DigestWait, c.RequestWait = time.Second, 1500*time.Millisecond
	return c
}

// Enhanced is Berendea et al.'s, by their prototype.
func Enhanced() Config {
	c := stateTransfer()
	c.Fanout, c.ProducerFanout = 4, 1
	c.BodyHops, c.Hops = 3, 9 // the producer's own and pushTtl 2; advTtl 7 more
	return c
}

func stateTransfer() Config {
	return Config{
		Keep: 10, Buffer: 20,
		InfoEvery: 4 * time.Second, CheckEvery: 10 * time.Second,
		Batch: 10, StateTimeout: 3 * time.Second, StateRetries: 3,
	}
}

// Block is a block, without its body.
type Block struct {
	ID     block.ID
	Parent block.ID
	Height uint64
	Size   int // of its body, in bytes
}

// Effect is something that the peer wants done: Send or Accept.
//
//sumtype:decl
type Effect interface{ effect() }

// Send sends a message to each peer named. One that finds no room in a queue is lost.
type Send struct {
	To      []wire.PeerID
	Message Message
}

// Accept says that a block is the chain's next. Hop is -1 when the way has no hops.
type Accept struct {
	Block Block
	Via   arrival.Via
	From  wire.PeerID // who sent the body; "" for the peer's own
	Hop   int
}

func (Send) effect()   {}
func (Accept) effect() {}

// Stats counts what a peer has seen and done since it was made.
type Stats struct {
	Bodies     uint64 // that arrived
	Again      uint64 // of these, that were here
	AgainBytes uint64 // of these
	Ignored    uint64 // messages of no use: of strangers, too old, or answers to nothing
	Early      uint64 // blocks too far above the chain to be kept for it
	Forks      uint64 // blocks that do not stand on the one below

	Pushed        uint64 // bodies
	Advertised    uint64
	Wanted        uint64
	Pulls         uint64 // Hellos
	PullRequests  uint64
	StateRequests uint64
	StateTimeouts uint64 // of these, without an answer in time
}

// neighbour is what a peer knows of another.
type neighbour struct {
	id         wire.PeerID
	height     uint64    // as it said last
	nonce      uint64    // of its last Hello
	nonceUntil time.Time // when that is no longer heeded
}

// received is a block that is here, and how it came.
type received struct {
	block Block
	via   arrival.Via
	from  wire.PeerID
	hop   int
}

// Peer is one peer's state in the protocol. It is not safe for concurrent use, starts
// no goroutine, and learns the time from its arguments.
type Peer struct {
	cfg     Config
	rng     *rand.Rand
	peers   []*neighbour        // ascending by id
	chain   []Block             // block h at h-1
	ahead   map[uint64]received // blocks above the next one, by height: less than Config.Buffer
	store   store
	emitter emitter
	puller  puller
	info    info
	state   state
	effects []Effect
	stats   Stats
}

// New makes a peer whose chain has these blocks, from height 1 on; those that it accepts
// it tells of. The periods' phases are drawn from the seed.
func New(cfg Config, seed uint64, now time.Time, chain []Block) *Peer {
	p := &Peer{
		cfg: cfg, rng: rand.New(rand.NewPCG(seed, 0x666162726963)), chain: slices.Clone(chain),
		ahead: map[uint64]received{}, store: store{keep: cfg.Keep},
	}
	p.emitter.phase = p.phase(now, cfg.EmitEvery)
	p.puller.at = p.phase(now, cfg.PullEvery)
	p.info.phase = p.phase(now, cfg.InfoEvery)
	p.state.checkAt = p.phase(now, cfg.CheckEvery)
	return p
}

// phase draws when a cycle has its first tick; zero when there is no cycle.
func (p *Peer) phase(now time.Time, period time.Duration) time.Time {
	if period == 0 {
		return time.Time{}
	}
	return now.Add(1 + time.Duration(p.rng.Int64N(int64(period))))
}

// nextTick returns the first tick of a cycle after now.
func nextTick(phase time.Time, period time.Duration, now time.Time) time.Time {
	if now.Before(phase) {
		return phase
	}
	return phase.Add((now.Sub(phase)/period + 1) * period)
}

// Effects drains what the peer wants done, in order.
func (p *Peer) Effects() []Effect {
	out := p.effects
	p.effects = nil
	return out
}

// Stats returns the counts so far.
func (p *Peer) Stats() Stats { return p.stats }

// Height returns that of the last block accepted.
func (p *Peer) Height() uint64 { return uint64(len(p.chain)) }

// Tip returns the ID of the last block accepted; zero when there is none.
func (p *Peer) Tip() block.ID {
	if len(p.chain) == 0 {
		return block.ID{}
	}
	return p.chain[len(p.chain)-1].ID
}

// PeerUp tells of a new neighbour, who is told the height.
func (p *Peer) PeerUp(_ time.Time, id wire.PeerID) {
	i, found := p.find(id)
	if found {
		return
	}
	p.peers = slices.Insert(p.peers, i, &neighbour{id: id})
	if h := p.Height(); h > 0 {
		p.send(StateInfo{h}, id)
	}
}

// PeerDown tells that a neighbour is gone. What it was asked for is not asked of another:
// time-outs see to that.
func (p *Peer) PeerDown(_ time.Time, id wire.PeerID) {
	if i, found := p.find(id); found {
		p.peers = slices.Delete(p.peers, i, i+1)
	}
}

func (p *Peer) find(id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(p.peers, id, func(n *neighbour, id wire.PeerID) int { return cmp.Compare(n.id, id) })
}

func (p *Peer) peer(id wire.PeerID) *neighbour {
	if i, found := p.find(id); found {
		return p.peers[i]
	}
	return nil
}

// draw draws neighbours at random, whatever they hold.
func (p *Peer) draw(n int) []wire.PeerID {
	order := p.rng.Perm(len(p.peers))
	out := make([]wire.PeerID, min(n, len(order)))
	for k := range out {
		out[k] = p.peers[order[k]].id
	}
	return out
}

func (p *Peer) send(m Message, to ...wire.PeerID) {
	if len(to) > 0 {
		p.effects = append(p.effects, Send{to, m})
	}
}

// Receive tells of a message that a neighbour sent; its bodies have come whole, and are
// those of the blocks named.
func (p *Peer) Receive(now time.Time, from wire.PeerID, m Message) {
	n := p.peer(from)
	if n == nil {
		p.stats.Ignored++
		return
	}
	for _, b := range m.Bodies() {
		p.stats.Bodies++
		if p.has(b.Height) {
			p.stats.Again++
			p.stats.AgainBytes += uint64(b.Size)
		}
	}
	m.arrive(p, now, n)
}

// Deadline returns when Tick is due next; the zero time means never.
func (p *Peer) Deadline() time.Time {
	var at time.Time
	for _, t := range []time.Time{p.emitter.at, p.puller.at, p.puller.until, p.info.at, p.state.checkAt, p.state.deadline} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// Tick does what is due.
func (p *Peer) Tick(now time.Time) {
	if due(p.emitter.at, now) {
		p.flush()
	}
	if due(p.puller.until, now) {
		p.request()
	}
	if due(p.puller.at, now) {
		p.hello(now)
	}
	if due(p.info.at, now) {
		p.tell()
	}
	if due(p.state.checkAt, now) {
		p.check(now)
	}
	if due(p.state.deadline, now) {
		p.stats.StateTimeouts++
		p.ask(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
