package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// Config says how a host takes part in its network. Key and Genesis are required;
// the zero value of everything else is valid.
type Config struct {
	// Key is the identity.
	Key sig.Key
	// Genesis names the network and admits its peers.
	Genesis *genesis.Genesis
	// Listen are the multiaddrs to listen on. None: the host only dials.
	Listen []string
	// Advertise are the multiaddrs that others are told. None: those listened on,
	// loopback only if there is nothing else.
	Advertise []string
	// Bootstrap are multiaddrs with /p2p/<id> that are dialled for ever. The host's
	// own are skipped, so one list can serve all peers.
	Bootstrap []string
	// ListenPacket opens the socket for QUIC; nil means a UDP socket. When it is
	// set there is no TCP.
	ListenPacket func(*net.UDPAddr) (net.PacketConn, error)
	// SourceIP is the address to send from; used with ListenPacket.
	SourceIP net.IP
	// Software is the name and version that others are told.
	Software string
	// Limits are the network's, from which the messages' caps follow. Zero means
	// those of Genesis.
	Limits block.Limits
	// Status returns the ledger's tip and base, for Hello. Nil means zero and zero.
	Status func() (tip, base uint64)
	// Describe completes what the own member record says: tip, pool, API. Nil leaves
	// these out. It is called every few seconds and must not block.
	Describe func(*membership.Info)
	// Dir keeps the incarnation, so that a start outranks the one before whatever
	// the clock says. Empty: the clock alone.
	Dir string
	// MaxMembers bounds the members that are remembered; zero means 16,384.
	MaxMembers int
	// Validate judges what arrives on the transactions' topic. Nil ignores it all.
	Validate Validator
	// QueueBytes bounds the outgoing queue of a neighbour's lane; a zero takes
	// the default of queueBytes.
	QueueBytes [wire.NumLanes]int
	// TotalQueueBytes bounds the outgoing queues of all neighbours and lanes but the
	// control lane together; zero means 256 MiB. When it is reached the neighbour that
	// holds the most of it is let go of.
	TotalQueueBytes int
	// MaxNeighbours bounds the neighbours; zero means 256. When there are as many, one that
	// dialled and has brought nothing makes room for another.
	MaxNeighbours int
	// OnDropped is told of a peer that was charged so much that it is let go of, and
	// of the last offence. It may be called from several goroutines. Nil: nobody is.
	OnDropped func(p wire.PeerID, why string)
	// Logger is told what happens; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them to the host.
	Registerer prometheus.Registerer
}

// Handler is what a host tells of its neighbours. The calls about one connection to
// a neighbour come in the order PeerUp, any number of Receive, PeerDown, and end
// before those about the next connection to the same neighbour begin.
type Handler interface {
	// PeerUp says that the peer is a neighbour and that Send reaches it.
	PeerUp(p wire.PeerID, hello wire.Hello)
	// PeerDown says that it is no longer.
	PeerDown(p wire.PeerID)
	// Receive hands over a message, which the handler then owns. It is called from
	// one goroutine per lane and neighbour, and holds up that lane of that
	// neighbour until it returns.
	Receive(from wire.PeerID, lane wire.Lane, msg []byte)
}

// What a host allows itself. They are variables of the host, not constants, for
// the tests' sake alone.
type timing struct {
	hello   time.Duration // to open the control streams and exchange Hellos
	begin   time.Duration // from Hello to Begin: longer than a cut that QUIC survives
	probe   time.Duration // to answer a Probe
	open    time.Duration // to open a stream
	message time.Duration // for the rest of a message once it has begun, and to write one
	stall   time.Duration // to take leastDrain of what waits on a lane
	parting time.Duration // for a Goodbye to arrive
}

var defaultTiming = timing{
	hello:   20 * time.Second,
	begin:   45 * time.Second,
	probe:   5 * time.Second,
	open:    35 * time.Second,
	message: 60 * time.Second, // QUIC needs up to twice the length of a cut to recover
	stall:   60 * time.Second, // likewise
	parting: time.Second,
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Status == nil {
		c.Status = func() (uint64, uint64) { return 0, 0 }
	}
	if c.Describe == nil {
		c.Describe = func(*membership.Info) {}
	}
	if c.Validate == nil {
		c.Validate = ignoreAll
	}
	if c.OnDropped == nil {
		c.OnDropped = func(wire.PeerID, string) {}
	}
	if c.Limits == (block.Limits{}) && c.Genesis != nil {
		c.Limits = c.Genesis.BlockLimits()
	}
	for lane := range c.QueueBytes {
		if c.QueueBytes[lane] == 0 {
			c.QueueBytes[lane] = queueBytes(wire.Lane(lane), c.Limits)
		}
	}
	if c.TotalQueueBytes == 0 {
		c.TotalQueueBytes = 256 << 20
	}
	if c.MaxNeighbours == 0 {
		c.MaxNeighbours = 256
	}
	return c
}

// addresses are a Config's multiaddrs, parsed.
type addresses struct {
	listen    []ma.Multiaddr
	advertise []ma.Multiaddr
	bootstrap []peer.AddrInfo // without our own
}

func (c Config) parse(self peer.ID) (addresses, error) {
	var a addresses
	var err error
	if a.listen, err = parseAddrs("listen", c.Listen); err != nil {
		return a, err
	}
	if a.advertise, err = parseAddrs("advertise", c.Advertise); err != nil {
		return a, err
	}
	if c.ListenPacket != nil {
		for _, m := range a.listen {
			if _, err := m.ValueForProtocol(ma.P_QUIC_V1); err != nil {
				return a, fmt.Errorf("listen address %s: over a packet connection of one's own only /quic-v1 addresses work", m)
			}
		}
	}
	if a.bootstrap, err = c.parseBootstrap(self); err != nil {
		return a, err
	}
	return a, nil
}

func parseAddrs(key string, list []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, s := range list {
		m, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%s address %q: want a multiaddr such as /ip4/0.0.0.0/udp/9701/quic-v1: %w", key, s, err)
		}
		if _, id := peer.SplitAddr(m); id != "" {
			return nil, fmt.Errorf("%s address %q: leave out /p2p/%s, it is added", key, s, id)
		}
		out = append(out, m)
	}
	return out, nil
}

func (c Config) parseBootstrap(self peer.ID) ([]peer.AddrInfo, error) {
	var all []ma.Multiaddr
	for _, s := range c.Bootstrap {
		m, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap address %q: %w", s, err)
		}
		info, err := peer.AddrInfoFromP2pAddr(m)
		if err != nil {
			return nil, fmt.Errorf("bootstrap address %q: want its peer ID at the end, /p2p/<id>: %w", s, err)
		}
		if info.ID == self {
			continue
		}
		if !c.Genesis.Admits(info.ID) {
			return nil, fmt.Errorf("bootstrap address %q: the genesis does not admit this peer: take it out, or use the genesis that lists it", s)
		}
		all = append(all, m)
	}
	return peer.AddrInfosFromP2pAddrs(all...)
}

// Check refuses a configuration that Listen would refuse before it opens a socket:
// an address that is none, or a bootstrap peer without its peer ID.
func (c Config) Check() error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	_, self, err := identity(c.Key)
	if err != nil {
		return err
	}
	_, err = c.parse(self)
	return err
}

func (c Config) validate() error {
	if c.Genesis == nil {
		return errors.New("p2p: Config.Genesis is required")
	}
	if len(c.Software) > wire.MaxSoftware {
		return fmt.Errorf("software %q has %d bytes, want at most %d", c.Software, len(c.Software), wire.MaxSoftware)
	}
	return nil
}
