package p2p

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"grapevine/block"
	"grapevine/internal/logline"
	"grapevine/p2p/wire"
)

// Host is a peer's presence in its network.
type Host struct {
	cfg      Config
	log      *slog.Logger
	timing   timing
	metrics  *metrics
	addrs    addresses
	self     peer.ID
	instance uint64
	started  time.Time
	budget   budget
	shedding atomic.Pointer[link] // let go of for the budget's sake, and not gone yet
	clocks   clocks
	topic    *topic
	gate     *gate

	versionLow, versionHigh uint32

	libp2p host.Host
	swarm  *swarm.Swarm

	// events go to the loop. Whoever posts may block until the loop has room,
	// which never waits for any of them. done is closed when nobody reads on.
	events chan any
	done   chan struct{}

	mu         sync.RWMutex
	handler    Handler                // set once, before any link runs
	byConn     map[network.Conn]*link // guarded by mu; all links
	neighbours map[wire.PeerID]*link  // guarded by mu; those in use
	listed     chan struct{}          // guarded by mu; closed at the next neighbour
	launch     func(*link)            // guarded by mu; nil: Run does not run
	closed     bool                   // guarded by mu
	nextID     uint64                 // guarded by mu
	running    sync.WaitGroup         // links and dials
	closing    sync.Once              // what Close does

	scoreMu sync.Mutex
	scores  *scores // guarded by scoreMu

	loopState
}

// Listen opens the sockets and returns a host that takes part in the network once
// Run is called. A host that never runs must be closed.
func Listen(cfg Config) (*Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	key, self, err := identity(cfg.Key)
	if err != nil {
		return nil, err
	}
	addrs, err := cfg.parse(self)
	if err != nil {
		return nil, err
	}
	var random [8]byte
	rand.Read(random[:]) // never fails, says crypto/rand
	h := &Host{
		cfg: cfg, log: cfg.Logger, timing: defaultTiming, metrics: newMetrics(), addrs: addrs, self: self,
		instance:   binary.LittleEndian.Uint64(random[:]),
		started:    time.Now(),
		budget:     budget{limit: int64(cfg.TotalQueueBytes)},
		events:     make(chan any, 64),
		done:       make(chan struct{}),
		byConn:     make(map[network.Conn]*link),
		neighbours: make(map[wire.PeerID]*link),
		listed:     make(chan struct{}),
		scores:     newScores(),
		versionLow: versionLow, versionHigh: versionHigh,
	}
	h.clocks.started = h.started
	h.budget.spent = h.shed
	h.loopState = newLoopState(h.instance)
	h.addGauges()
	h.gate = newGate(self, cfg, h.metrics, h.isRefused)
	if h.libp2p, err = newLibp2p(cfg, key, addrs, h.gate); err != nil {
		return nil, err
	}
	err = h.open()
	if err == nil {
		err = h.metrics.register(cfg.Registerer)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// open readies everything that a connection may ask for, and only then listens.
func (h *Host) open() error {
	h.swarm = h.libp2p.Network().(*swarm.Swarm)
	h.swarm.Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { h.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { h.disconnected(c) },
	})
	// The control lane is open to other networks too, to tell them so.
	h.libp2p.SetStreamHandlerMatch(h.protocol(wire.Control), isControl, h.acceptor(wire.Control))
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		h.libp2p.SetStreamHandler(h.protocol(lane), h.acceptor(lane))
	}
	var err error
	if h.topic, err = joinTopic(h); err != nil {
		return err
	}
	return listenOn(h.swarm, h.addrs.listen)
}

// protocol returns the protocol ID of a lane.
func (h *Host) protocol(lane wire.Lane) protocol.ID {
	return protocol.ID(ProtocolID(h.cfg.Genesis.ID(), lane))
}

// ProtocolID returns the libp2p protocol ID of a network's lane.
func ProtocolID(network block.ID, lane wire.Lane) string {
	version := "/1"
	if lane == wire.Blocks || lane == wire.Bodies { // blocks travel as shards
		version = "/2"
	}
	return prefix(network) + lane.String() + version
}

// prefix begins all of a network's protocol IDs.
func prefix(network block.ID) string { return "/grapevine/" + network.String()[:16] + "/" }

// isControl matches the control lane of any network.
func isControl(id protocol.ID) bool {
	rest, ok := strings.CutPrefix(string(id), "/grapevine/")
	return ok && len(rest) == len("0123456789abcdef/control/1") && strings.HasSuffix(rest, "/control/1")
}

func (h *Host) acceptor(lane wire.Lane) network.StreamHandler {
	return func(s network.Stream) {
		if l := h.linkOf(s.Conn()); l != nil {
			l.accept(lane, s)
			return
		}
		s.Reset()
	}
}

// linkOf returns the link on a connection; nil: it has ended, or nobody runs it.
func (h *Host) linkOf(c network.Conn) *link {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.byConn[c]
}

// connected and disconnected are called by libp2p, which waits for them.
func (h *Host) connected(c network.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		go c.Close()
		return
	}
	h.nextID++
	l := h.newLink(h.nextID, c)
	h.byConn[c] = l
	if h.launch != nil {
		h.launch(l)
	}
}

func (h *Host) disconnected(c network.Conn) {
	h.mu.Lock()
	l := h.byConn[c]
	delete(h.byConn, c)
	h.mu.Unlock()
	if l != nil {
		l.disconnected()
	}
}

// list makes a link the one that Send uses, unless it has ended already.
func (h *Host) list(l *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-l.closing:
		return false
	default:
		l.listed = time.Now()
		h.neighbours[l.peer] = l
		h.clocks.barred.Store(nil)
		close(h.listed)
		h.listed = make(chan struct{})
		return true
	}
}

func (h *Host) unlist(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.neighbours[l.peer] == l {
		delete(h.neighbours, l.peer)
	}
}

// Run takes part in the network until ctx is done, then says goodbye to all
// neighbours and returns nil. Any other return is an error, ErrSameIdentity for
// one. Everything is closed then, and the handler is told nothing more.
func (h *Host) Run(ctx context.Context, handler Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	if h.closed || h.handler != nil {
		h.mu.Unlock()
		return errors.New("p2p: a host runs once")
	}
	h.handler = handler
	h.launch = func(l *link) { h.running.Go(func() { l.run(ctx) }) }
	for _, l := range h.byConn { // those who came between Listen and Run
		h.launch(l)
	}
	h.mu.Unlock()
	h.log.Info("host runs", "peer", h.ID(), "network", h.cfg.Genesis.ID().String(), "chain", h.cfg.Genesis.ChainID, "addrs", h.Addrs())
	h.topic.opened.Store(true)
	h.running.Go(func() { h.topic.follow(ctx) })
	err := h.loop(ctx)
	cancel()
	h.leave()
	return errors.Join(err, h.Close())
}

// leave parts from all peers, and waits until nothing of ours runs.
func (h *Host) leave() {
	h.mu.Lock()
	h.closed, h.launch = true, nil
	for _, l := range h.byConn {
		l.dismiss(wire.Goodbye{Code: wire.Leaving, Text: "stopping"})
	}
	h.mu.Unlock()
	all := make(chan struct{})
	go func() { h.running.Wait(); close(all) }()
	for {
		select {
		case <-h.events: // nobody cares any more, but must not be held up
		case <-all:
			close(h.done)
			return
		}
	}
}

// Close closes a host that never ran. After Run it does nothing.
func (h *Host) Close() error {
	var err error
	h.closing.Do(func() {
		h.mu.Lock()
		h.closed = true
		h.mu.Unlock()
		if h.topic != nil {
			h.topic.close()
		}
		h.metrics.unregister()
		if cerr := h.libp2p.Close(); cerr != nil {
			err = fmt.Errorf("closing libp2p: %w", cerr)
		}
	})
	return err
}

// post hands an event to the loop, unless it has ended.
func (h *Host) post(ev any) {
	select {
	case h.events <- ev:
	case <-h.done:
	}
}

// ID returns the host's own peer ID.
func (h *Host) ID() wire.PeerID { return wire.PeerID(h.self.String()) }

// Addrs returns the addresses that others are told, with /p2p/<id>.
func (h *Host) Addrs() []string {
	var out []string
	for _, a := range h.libp2p.Addrs() {
		out = append(out, a.String()+"/p2p/"+h.self.String())
	}
	return out
}

// Neighbours returns the peers that Send reaches, in order of their IDs.
func (h *Host) Neighbours() []wire.PeerID {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]wire.PeerID, 0, len(h.neighbours))
	for p := range h.neighbours {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// Send queues a message for a neighbour and never blocks. It says false, and
// counts, when the peer is no neighbour or the lane's queue for it is full. The
// message must not be changed afterwards; it may be sent to others too.
func (h *Host) Send(to wire.PeerID, lane wire.Lane, msg []byte) bool {
	if limit := MaxMessage(lane, h.cfg.Limits); len(msg) == 0 || len(msg) > limit {
		h.log.Error("message of a size that peers refuse", "lane", lane.String(), "bytes", len(msg), "limit", limit)
		h.metrics.drop(lane, "size")
		return false
	}
	h.mu.RLock()
	l := h.neighbours[to]
	h.mu.RUnlock()
	if l == nil {
		h.metrics.drop(lane, "no neighbour")
		return false
	}
	return l.send(lane, msg)
}

// Queued returns how many bytes wait for a peer on a lane; none do for one that is no
// neighbour.
func (h *Host) Queued(to wire.PeerID, lane wire.Lane) int {
	h.mu.RLock()
	l := h.neighbours[to]
	h.mu.RUnlock()
	if l == nil {
		return 0
	}
	return l.out[lane].size()
}

// RTT returns the shortest round trip that the connection to a peer has seen; zero: it does
// not tell.
func (h *Host) RTT(p wire.PeerID) time.Duration {
	h.mu.RLock()
	l := h.neighbours[p]
	h.mu.RUnlock()
	var c *quic.Conn
	if l == nil || !l.conn.As(&c) {
		return 0
	}
	return c.ConnectionStats().MinRTT
}

// shed lets go of the neighbour whose queues hold the most, one at a time: what a peer
// asks for and does not read is not to cost the others their room.
func (h *Host) shed() {
	h.mu.RLock()
	defer h.mu.RUnlock() // what is listed has not ended: its end clears shedding
	var most *link
	bytes := 0
	for _, l := range h.neighbours { // a maximum, the lower ID's of equals
		if n := l.queued(); n > bytes || n == bytes && most != nil && l.peer < most.peer {
			most, bytes = l, n
		}
	}
	if most != nil && h.shedding.CompareAndSwap(nil, most) {
		most.fail(fmt.Errorf("the queues for all neighbours are full, and the peer's %d bytes are the most of it", bytes))
	}
}

// Chosen says whether this side has chosen a neighbour, by dialling it or by name: who
// comes by himself may have come in a crowd.
func (h *Host) Chosen(p wire.PeerID) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := h.neighbours[p]
	return l != nil && l.named
}

// Brought says that a neighbour has brought something right, so that it keeps its place
// when others want it, and is welcome in the topic's mesh.
func (h *Host) Brought(p wire.PeerID) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l := h.neighbours[p]; l != nil {
		l.brought.Store(true)
	}
}

// Charge lowers a peer's score for an offence. When it is too low the peer is told
// so, disconnected, and refused for a while.
func (h *Host) Charge(p wire.PeerID, o Offence, detail string) {
	if g := h.charge(p, o, detail); g != nil {
		h.post(cutOff{p, *g})
	}
}

// charge returns the Goodbye that is due to the peer, if any.
func (h *Host) charge(p wire.PeerID, o Offence, detail string) *wire.Goodbye {
	h.metrics.offences.WithLabelValues(o.String()).Inc()
	now := time.Now()
	h.scoreMu.Lock()
	again := h.scores.refused(now, p)
	cut := h.scores.charge(now, p, o)
	text := h.scores.text(now, p)
	h.scoreMu.Unlock()
	h.log.Debug("peer charged", "peer", p, "offence", o.String(), "detail", detail)
	if !cut {
		return nil
	}
	if !again {
		h.log.Warn(logline.PeerCutOff, "peer", p, "offence", o.String(), "detail", detail, "score", text)
		h.cfg.OnDropped(p, o.String()+": "+detail)
	}
	return &wire.Goodbye{Code: wire.Misbehaved, Text: o.String() + ": " + detail + "; " + text}
}

// refusal returns the Goodbye that is due to a peer that is refused now, if it is. The
// gate refuses it too, but a connection may have passed that before its peer was refused.
func (h *Host) refusal(now time.Time, p wire.PeerID) *wire.Goodbye {
	h.scoreMu.Lock()
	defer h.scoreMu.Unlock()
	if !h.scores.refused(now, p) {
		return nil
	}
	return &wire.Goodbye{Code: wire.Misbehaved, Text: h.scores.text(now, p)}
}

func (h *Host) isRefused(now time.Time, p wire.PeerID) bool {
	h.scoreMu.Lock()
	defer h.scoreMu.Unlock()
	return h.scores.refused(now, p)
}

func (h *Host) addGauges() {
	h.metrics.gauge("neighbours", "Peers connected and in use.", nil, func() float64 {
		h.mu.RLock()
		defer h.mu.RUnlock()
		return float64(len(h.neighbours))
	})
	h.metrics.gauge("mesh_peers", "Peers that GossipSub sends messages unasked.", nil, func() float64 {
		return float64(h.topic.tracer.meshSize())
	})
	for lane := range wire.NumLanes {
		h.metrics.gauge("queue_bytes", "Bytes waiting to be written.", prometheus.Labels{"lane": lane.String()}, func() float64 {
			h.mu.RLock()
			defer h.mu.RUnlock()
			sum := 0
			for _, l := range h.neighbours {
				sum += l.out[lane].size()
			}
			return float64(sum)
		})
	}
}
