package packets

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marcopolo/simnet"

	"grapevine/testnet/scenario"
)

// network is what lies between the peers: simnet with a port for every peer.
type network struct {
	plan   *scenario.Plan
	sim    *simnet.Simnet
	ports  []*port
	jitter *jitter

	opening sync.Mutex // held to add an endpoint: simnet's list of links has no lock
}

func newNetwork(plan *scenario.Plan) *network {
	n := &network{plan: plan, jitter: newJitter(plan)}
	n.sim = &simnet.Simnet{LatencyFunc: n.latency, Logger: slog.New(slog.DiscardHandler)}
	for i := range plan.Peers {
		n.ports = append(n.ports, &port{
			network: n, peer: i, ip: simnet.IntToPublicIPv4(i),
			in:  dice{rng: plan.Random("losses in", uint64(i))},
			out: dice{rng: plan.Random("losses out", uint64(i))},
		})
	}
	n.sim.Start()
	return n
}

// latency is simnet's question, which it asks from one goroutine.
func (n *network) latency(p *simnet.Packet) time.Duration {
	from, to := n.peerAt(p.From), n.peerAt(p.To)
	if from < 0 || to < 0 {
		return 0 // nobody is there
	}
	return n.jitter.delay(time.Now(), from, to, n.plan.Latency(from, to))
}

// peerAt returns the peer whose address it is: what simnet.IntToPublicIPv4 makes of its
// number; -1 when there is none.
func (n *network) peerAt(a net.Addr) int {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return -1
	}
	ip := udp.IP.To4()
	if ip == nil {
		return -1
	}
	i := int(ip[1])<<16 | int(ip[2])<<8 | int(ip[3])
	if i < 1 || i > len(n.ports) {
		return -1
	}
	return i - 1
}

// cut puts peers behind a cut, which has a number from 1 on; 0 is none. Those behind the
// same one keep each other.
func (n *network) cut(number int, peers []int) {
	for _, i := range peers {
		n.ports[i].side.Store(int32(number))
	}
}

// port is a peer's access to the network. It outlives the peer's sockets.
type port struct {
	network *network
	peer    int
	ip      net.IP
	in      dice
	out     dice

	side atomic.Int32 // the cut that it is behind; peers on one side hear each other

	mu     sync.Mutex
	rate   scenario.Rate // guarded by mu; in place of the link's own; zero: none
	socket *socket       // guarded by mu; the last opened

	received, sent atomic.Int64 // UDP payload
	coming         atomic.Int64 // of what others sent to it, what has neither come nor was lost in sight
}

// dice throws for losses. The packets of one direction share one.
type dice struct {
	mu   sync.Mutex
	rng  *rand.Rand // guarded by mu
	loss float64    // guarded by mu; what a fault loses
}

func (d *dice) set(loss float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loss = loss
}

// loses says whether a packet is lost to the fault, or to the link itself.
func (d *dice) loses(own float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return (d.loss > 0 && d.rng.Float64() < d.loss) || (own > 0 && d.rng.Float64() < own)
}

func (p *port) setLoss(loss float64) {
	p.in.set(loss)
	p.out.set(loss)
}

// link returns the settings of the peer's link at present.
func (p *port) link() simnet.NodeBiDiLinkSettings {
	l := p.network.plan.PeerPlans[p.peer].Link
	if p.rate > 0 {
		l.Up, l.Down = p.rate, p.rate
	}
	return simnet.NodeBiDiLinkSettings{
		Uplink:   simnet.LinkSettings{BitsPerSecond: int(l.Up)},
		Downlink: simnet.LinkSettings{BitsPerSecond: int(l.Down)},
	}
}

// listen opens the peer's socket.
func (p *port) listen(a *net.UDPAddr) (net.PacketConn, error) {
	p.network.opening.Lock()
	defer p.network.opening.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &socket{port: p, addr: a}
	s.conn.Store(p.network.sim.NewEndpoint(a, p.link()))
	p.socket = s
	return s, nil
}

// setRate changes the link's rate; zero is its own again. A simnet link has one rate,
// so it is exchanged for another. What stands in the queue towards the peer is lost, as
// when a line is trained anew; what it has sent arrives.
func (p *port) setRate(r scenario.Rate) {
	p.network.opening.Lock()
	defer p.network.opening.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = r
	if s := p.socket; s != nil && !s.closed.Load() && !s.dead.Load() {
		old := s.conn.Swap(p.network.sim.NewEndpoint(s.addr, p.link()))
		_ = s.conn.Load().SetReadDeadline(s.deadline())
		_ = old.Close()
	}
}

// kill makes the socket in use silent and deaf, for ever.
func (p *port) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.socket != nil {
		p.socket.dead.Store(true)
	}
}

// socket is a peer's packet connection: a simnet endpoint, with losses and cuts, that
// counts.
type socket struct {
	port   *port
	addr   *net.UDPAddr
	conn   atomic.Pointer[simnet.SimConn]
	until  atomic.Pointer[time.Time] // the deadline for reading; nil: none
	dead   atomic.Bool
	closed atomic.Bool
}

// hears says whether packets pass between the socket's peer and the one at an address.
func (s *socket) hears(a net.Addr) bool {
	other := s.port.network.peerAt(a)
	return other >= 0 && !s.dead.Load() && s.port.side.Load() == s.port.network.ports[other].side.Load()
}

// WriteTo implements net.PacketConn. What a cut stops was never sent; what is lost was.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if !s.hears(to) {
		return len(b), nil
	}
	s.port.sent.Add(int64(len(b)))
	if s.port.out.loses(0) {
		return len(b), nil
	}
	s.port.network.ports[s.port.network.peerAt(to)].coming.Add(int64(len(b)))
	for {
		conn := s.conn.Load()
		n, err := conn.WriteTo(b, to)
		if err == nil || conn == s.conn.Load() {
			return n, err
		}
		// the link was exchanged
	}
}

// ReadFrom implements net.PacketConn. A packet is lost behind the peer's link, which it
// has taken up.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		conn := s.conn.Load()
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			if conn != s.conn.Load() {
				continue // the link was exchanged
			}
			return n, from, err
		}
		s.port.coming.Add(-int64(n))
		if s.hears(from) && !s.port.in.loses(s.port.network.plan.PeerPlans[s.port.peer].Loss) {
			s.port.received.Add(int64(n))
			return n, from, nil
		}
	}
}

// Close implements net.PacketConn.
func (s *socket) Close() error {
	s.port.mu.Lock() // the link may be about to be exchanged
	defer s.port.mu.Unlock()
	s.closed.Store(true)
	return s.conn.Load().Close()
}

// LocalAddr implements net.PacketConn.
func (s *socket) LocalAddr() net.Addr { return s.addr }

func (s *socket) deadline() time.Time {
	if t := s.until.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// SetDeadline implements net.PacketConn. Writing takes no time.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.port.mu.Lock()
	defer s.port.mu.Unlock()
	s.until.Store(&t)
	return s.conn.Load().SetReadDeadline(t)
}

// SetWriteDeadline implements net.PacketConn.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer keep QUIC from warning that it cannot set them.
func (s *socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing: see SetReadBuffer.
func (s *socket) SetWriteBuffer(int) error { return nil }
