package p2p

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// ErrPortInUse is matched when an address to listen on is taken.
var ErrPortInUse = errors.New("address in use")

// newLibp2p makes the libp2p host. It listens nowhere yet.
func newLibp2p(cfg Config, key crypto.PrivKey, addrs addresses, gate connmgr.ConnectionGater) (host.Host, error) {
	resources, err := resourceManager(cfg.Genesis, addrs.bootstrap)
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs, // and no relay
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}), // nobody is trimmed
		libp2p.ConnectionGater(gate),
		libp2p.AddrsFactory(addrs.shown),
		libp2p.UserAgent(cfg.Software),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.SwarmOpts(swarm.WithDialRanker(quicFirst)),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ForceReachabilityPublic(), // no asking around: autonat stays off
		// Its dialler would refuse to try again once many dials have failed, but a
		// bootstrap peer is tried for ever.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	}
	if cfg.ListenPacket != nil {
		options = append(options, OverPackets(cfg.ListenPacket, cfg.SourceIP))
	} else {
		options = append(options,
			// Without reuseport a taken port is an error, not a port shared by chance.
			libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
			libp2p.Security(noise.ID, noise.New),
			libp2p.Security(libp2ptls.ID, libp2ptls.New),
			libp2p.Muxer(yamux.ID, patientYamux()))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		resources.Close()
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	return h, nil
}

// tcpDelay is how long a dial over QUIC is alone. Long enough for a busy machine on
// the other side of the world; where UDP is blocked, a connection takes so much longer.
const tcpDelay = time.Second

// quicFirst dials QUIC addresses at once, all others later.
func quicFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	var out []network.AddrDelay
	quic := 0
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil {
			out = append(out, network.AddrDelay{Addr: a})
			quic++
		}
	}
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err != nil {
			out = append(out, network.AddrDelay{Addr: a, Delay: time.Duration(min(quic, 1)) * tcpDelay})
		}
	}
	return out
}

// patientYamux lets a connection over TCP survive what one over QUIC survives: its
// keep-alive would give up ten seconds into a cut.
func patientYamux() *yamux.Transport {
	c := *yamux.DefaultTransport
	c.ConnectionWriteTimeout = 30 * time.Second
	return &c
}

// OverPackets runs QUIC over packet connections that the caller opens, and sends from
// the given address. It is for other libp2p hosts on simulated links: those of this
// package have Config.ListenPacket.
func OverPackets(open func(*net.UDPAddr) (net.PacketConn, error), from net.IP) libp2p.Option {
	listen := func(_ string, a *net.UDPAddr) (net.PacketConn, error) { return open(a) }
	source := func() (quicreuse.SourceIPSelector, error) { return fixedSource(from), nil }
	// Replacing the constructor replaces its shutdown hook too.
	manager := func(lc fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, o ...quicreuse.Option) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token, o...)
		if err != nil {
			return nil, err
		}
		lc.Append(fx.StopHook(m.Close))
		return m, nil
	}
	return libp2p.QUICReuse(manager, quicreuse.OverrideListenUDP(listen), quicreuse.OverrideSourceIPSelector(source))
}

type fixedSource net.IP

func (s fixedSource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return net.IP(s), nil
}

// listenOn opens all of the addresses, or none.
func listenOn(s *swarm.Swarm, addrs []ma.Multiaddr) error {
	for _, a := range addrs {
		err := s.AddListenAddr(a)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("listening on %s: %w: stop the process that holds it, or set another listen address: %w", a, ErrPortInUse, err)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Errorf("listening on %s: this machine does not have the address: take one that it has; to be reached at this one from outside, listen on /ip4/0.0.0.0 and advertise it: %w", a, err)
		case err != nil:
			return fmt.Errorf("listening on %s: %w", a, err)
		}
	}
	return nil
}

// shown returns the addresses that others are told, of those that the host has.
func (a addresses) shown(have []ma.Multiaddr) []ma.Multiaddr {
	if len(a.advertise) > 0 {
		return a.advertise
	}
	local := func(m ma.Multiaddr) bool { return manet.IsIPLoopback(m) || manet.IsIPUnspecified(m) }
	public := slices.DeleteFunc(slices.Clone(have), local)
	if len(public) == 0 {
		return have
	}
	return public
}
