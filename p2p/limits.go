package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"

	"grapevine/block"
	"grapevine/genesis"
	"grapevine/p2p/wire"
)

const (
	maxConns        = 512 // all connections
	maxConnsPerAddr = 64  // from one IPv4 address, or one IPv6 /56
	maxConnsPerPeer = 8   // two dials at once over several transports

	// slack is for a message's own fields around what the limits count.
	slack = 4 << 10
)

// MaxMessage returns the size of the largest message of a lane. A reader takes no
// more, and Send of more is a bug of the caller's.
func MaxMessage(lane wire.Lane, l block.Limits) int {
	switch lane {
	case wire.Control:
		return wire.MaxControl
	case wire.Blocks:
		return block.SignedHeaderSize + int(block.MaxListBytes(l.MaxBlockTxs)) + wire.MaxContent + l.MaxTxBytes + slack
	default:
		return wire.MaxContent + l.MaxTxBytes + slack
	}
}

// queueBytes returns the default bound of the outgoing queue of a neighbour's lane.
// The bulk lanes hold the answers to a few requests; what does not fit is refused, or
// cut short and said to be. The blocks lane holds the announcements of many
// seconds. All of them hold at least four messages.
func queueBytes(lane wire.Lane, l block.Limits) int {
	sizes := [wire.NumLanes]int{
		wire.Control: 512 << 10,
		wire.Blocks:  4 << 20,
		wire.Bodies:  8 << 20,
		wire.Catchup: 8 << 20,
		wire.Txs:     4 << 20,
	}
	return max(sizes[lane], 4*MaxMessage(lane, l))
}

// resourceManager makes libp2p's resource manager with explicit limits. Peers that
// the genesis lists, and bootstrap peers at their addresses, have room of their own
// when strangers have taken all of the rest.
func resourceManager(g *genesis.Genesis, bootstrap []peer.AddrInfo) (network.ResourceManager, error) {
	allowed, err := allowList(g, bootstrap)
	if err != nil {
		return nil, err
	}
	conns := rcmgr.ResourceLimits{
		// What others open leaves room for what this node dials.
		Conns: maxConns, ConnsInbound: maxConns * 3 / 4, ConnsOutbound: maxConns, FD: maxConns,
		Streams: maxConns * 64, StreamsInbound: maxConns * 32, StreamsOutbound: maxConns * 32,
		Memory: 2 << 30,
	}
	opening := rcmgr.ResourceLimits{
		Conns: maxConns / 2, ConnsInbound: maxConns / 2, ConnsOutbound: maxConns / 2, FD: maxConns / 2,
		Streams: maxConns * 8, StreamsInbound: maxConns * 8, StreamsOutbound: maxConns * 8,
		Memory: 256 << 20,
	}
	perPeer := rcmgr.ResourceLimits{
		Conns: maxConnsPerPeer, ConnsInbound: maxConnsPerPeer, ConnsOutbound: maxConnsPerPeer, FD: maxConnsPerPeer,
		Streams: 256, StreamsInbound: 128, StreamsOutbound: 128,
		Memory: 128 << 20,
	}
	unlimited := rcmgr.ResourceLimits{
		Streams: rcmgr.Unlimited, StreamsInbound: rcmgr.Unlimited, StreamsOutbound: rcmgr.Unlimited,
		Memory: rcmgr.Unlimited64,
	}
	limits := rcmgr.PartialLimitConfig{
		System: conns, Transient: opening, PeerDefault: perPeer,
		AllowlistedSystem: conns, AllowlistedTransient: opening,
		// Streams are bounded per peer and in all; a bound per protocol would let
		// peers take each other's.
		ProtocolDefault: unlimited, ServiceDefault: unlimited,
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.Build(rcmgr.DefaultLimits.AutoScale())),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithAllowlistedMultiaddrs(allowed),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxConnsPerAddr}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: maxConnsPerAddr}, {PrefixLength: 48, ConnCount: 2 * maxConnsPerAddr}}),
		rcmgr.WithNetworkPrefixLimit(loopback(netip.MustParsePrefix("127.0.0.0/8")), loopback(netip.MustParsePrefix("::1/128"))),
		rcmgr.WithConnRateLimiters(connRates()),
	)
}

// loopback lifts the bound per address: a testnet on one machine has one address.
func loopback(p netip.Prefix) []rcmgr.NetworkPrefixLimit {
	return []rcmgr.NetworkPrefixLimit{{Network: p, ConnCount: math.MaxInt}}
}

// connRates bounds new connections per address, in both directions. libp2p's own
// bound, one in five seconds, would stall several peers behind one address.
func connRates() *rate.Limiter {
	perAddr := rate.Limit{RPS: 8, Burst: 2 * maxConnsPerAddr}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: perAddr}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: perAddr}},
			GracePeriod:      time.Minute,
		},
	}
}

func allowList(g *genesis.Genesis, bootstrap []peer.AddrInfo) ([]ma.Multiaddr, error) {
	var list []ma.Multiaddr
	for _, id := range g.Named() {
		for _, everywhere := range []string{"/ip4/0.0.0.0/ipcidr/0", "/ip6/::/ipcidr/0"} {
			m, err := ma.NewMultiaddr(everywhere + "/p2p/" + id)
			if err != nil {
				return nil, fmt.Errorf("allowing peer %s: %w", id, err)
			}
			list = append(list, m)
		}
	}
	for _, info := range bootstrap {
		for _, addr := range info.Addrs {
			ip, _ := ma.SplitFirst(addr)
			if ip == nil || ip.Protocol().Code != ma.P_IP4 && ip.Protocol().Code != ma.P_IP6 {
				continue // a name: resolved anew at each dial
			}
			id, err := ma.NewComponent("p2p", info.ID.String())
			if err != nil {
				return nil, fmt.Errorf("allowing peer %s: %w", info.ID, err)
			}
			list = append(list, ip.Multiaddr().AppendComponent(id))
		}
	}
	return list, nil
}
