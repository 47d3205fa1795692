package baseline

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"

	"grapevine/p2p"
)

// Door is who a peer is and how it reaches the network. All fields are required.
type Door struct {
	Seed         [32]byte // of its identity
	Listen       string   // a QUIC multiaddr
	SourceIP     net.IP   // the address that it sends from
	ListenPacket func(*net.UDPAddr) (net.PacketConn, error)
}

func identity(seed [32]byte) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return key, nil
}

// PeerID returns the ID of the peer with this seed.
func PeerID(seed [32]byte) (string, error) {
	key, err := identity(seed)
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	return id.String(), nil
}

// open opens the peer's socket, with a libp2p host on it that limits nothing.
func (d Door) open() (host.Host, error) {
	key, err := identity(d.Seed)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(d.Listen),
		libp2p.Transport(libp2pquic.NewTransport),
		p2p.OverPackets(d.ListenPacket, d.SourceIP),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), // its timers stall a bubble
		libp2p.ForceReachabilityPublic(),
		libp2p.UDPBlackHoleSuccessCounter(nil), // would stop dialling after many failures
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	)
	if err != nil {
		return nil, fmt.Errorf("starting libp2p: %w", err)
	}
	return h, nil
}

// node is what all peers of the baseline are.
type node struct{ host host.Host }

// ID returns the peer's ID.
func (n node) ID() string { return n.host.ID().String() }

// Connected says whether it has a connection to a peer.
func (n node) Connected(id string) bool {
	other, err := peer.Decode(id)
	return err == nil && n.connected(other)
}

func (n node) connected(id peer.ID) bool {
	return n.host.Network().Connectedness(id) == network.Connected
}

const (
	dialEvery   = time.Second
	dialTimeout = 10 * time.Second
)

// keep dials a peer whenever there is no connection to it, until ctx ends.
func (n node) keep(ctx context.Context, info peer.AddrInfo) {
	ticker := time.NewTicker(dialEvery)
	defer ticker.Stop()
	for {
		if !n.connected(info.ID) {
			dialling, cancel := context.WithTimeout(ctx, dialTimeout)
			_ = n.host.Connect(dialling, info) // tried again in a second
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// infos reads addresses.
func infos(addrs []string) ([]peer.AddrInfo, error) {
	out := make([]peer.AddrInfo, len(addrs))
	for i, a := range addrs {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", a, err)
		}
		out[i] = *info
	}
	return out, nil
}
