package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/api"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/dissemination/protocol"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// Config has all of a node's doors to the outside. Genesis and Key are required;
// the zero value of every other field is valid.
type Config struct {
	Genesis *genesis.Genesis
	Key     sig.Key
	// Dir is the data directory: the ledger, the pool's journal and the orderer's
	// lock live in it. Empty keeps everything in memory, and forgets it at the end.
	Dir string
	// Memory keeps the ledger from one node to the next where Dir is empty, for
	// simulated peers that crash and come back. Nil: it is forgotten too.
	Memory *ledger.Memory

	// Listen, Advertise and Bootstrap are multiaddrs, as in p2p.Config.
	Listen    []string
	Advertise []string
	Bootstrap []string
	// ListenPacket opens the socket for QUIC, and SourceIP is the address to send
	// from: for simulated networks. Nil means the real one.
	ListenPacket func(*net.UDPAddr) (net.PacketConn, error)
	SourceIP     net.IP

	// MaxMembers bounds the peers that are remembered; zero means 16,384.
	MaxMembers int

	// API is the address of the HTTP API; "" means none. APIPublic allows one that is
	// not loopback. APIHosts are the names, besides localhost and addresses, under which
	// the API answers: a name that is in nobody's list may be a web page's.
	API       string
	APIPublic bool
	APIHosts  []string

	// Protocol says how blocks travel; its zero value is what everybody should use.
	Protocol protocol.Config

	// Alone says that the network has no other peer. Else an orderer that has a data
	// directory signs nothing after a start until others have told it how far the chain
	// goes: its directory may be an old copy.
	Alone bool
	// ResetLock is the operator's word that no other node has the orderer's key, and that
	// nothing was signed with it above what the others know: a lock that is lost, or
	// behind the chain, is set to the chain's tip, once others have been heard.
	ResetLock bool
	// Cutter says when the orderer makes a block. Only the orderer heeds it.
	Cutter ordering.CutterConfig
	// PoolMaxTxs, PoolMaxBytes and PoolMaxPerSender bound the pool; zero means the
	// defaults of mempool.Config.
	PoolMaxTxs       int
	PoolMaxBytes     int
	PoolMaxPerSender int

	// Orderer makes blocks in place of the solo orderer; it is run on every node that
	// has one. Nil: solo, on the node whose key the genesis names.
	Orderer Orderer
	// CheckTx refuses transactions that the application does not want in this node's
	// pool, after all other checks. It may be called from several goroutines. Nil
	// takes all. It binds submitters at this node alone: blocks are valid without it.
	CheckTx func(*block.Tx) error
	// OnBlock is called for every block from height OnBlockFrom on (zero means 1), in
	// order, one at a time, once it is durable; each at least once, since a node does
	// not know what its last life delivered. An error ends the node.
	OnBlock     func(context.Context, *block.Block) error
	OnBlockFrom uint64
	// OnAccepted is told of every block that this node accepts, in height order, with
	// how it came, before it is durable. It is called from the loop that disseminates:
	// it must not block. Nil: nobody listens.
	OnAccepted func(Accepted)

	// OnDropped is told of a peer that was charged so much that it is let go of, and
	// why. It may be called from several goroutines. Nil: nobody is.
	OnDropped func(p wire.PeerID, why string)

	// Seed makes the protocol cores' random choices repeatable; zero draws one.
	Seed uint64
	// Software is what the node calls itself; "" means "grapevine".
	Software string
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
	// Registry takes the metrics, and is what the API shows; nil makes one.
	Registry *prometheus.Registry
}

// Accepted is what a node saw of a block that it accepted.
type Accepted = arrival.Accepted

// Orderer decides the order of transactions. Run proposes signed blocks, each on
// the tip, until ctx ends; propose returns when the block is durable here.
type Orderer interface {
	Run(ctx context.Context, propose func(context.Context, *block.Block) error) error
}

// Consenter is an Orderer that is one of several, which agree on the next block by
// messages of their own.
type Consenter interface {
	Orderer
	// Join is told once, before Run, how to reach the others. Tell sends a message, at
	// most MaxOrdering bytes, to the orderer of a neighbour (of up to 128 members all are),
	// and says whether there was room for it; it never blocks, and nothing tells whether
	// the message arrives.
	Join(tell func(to wire.PeerID, msg []byte) bool)
	// Hear is told of another's message, which it may keep, in the goroutine that reads
	// what that peer sends: it should not take long. Who may speak is the Consenter's to
	// say. An error charges the peer: no honest one could have sent that.
	Hear(from wire.PeerID, msg []byte) error
}

// MaxOrdering is the most that a Consenter tells another at once, in bytes.
const MaxOrdering = message.MaxOrdering

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Software == "" {
		c.Software = "grapevine"
	}
	if c.OnBlockFrom == 0 {
		c.OnBlockFrom = 1
	}
	return c
}

// Check refuses a configuration that New would refuse before it opens anything.
func (c Config) Check() error {
	if err := c.validate(); err != nil {
		return err
	}
	return p2p.Config{Key: c.Key, Genesis: c.Genesis, Listen: c.Listen, Advertise: c.Advertise, Bootstrap: c.Bootstrap, Software: c.Software}.Check()
}

func (c Config) validate() error {
	if c.Genesis == nil {
		return errors.New("node: Config.Genesis is nil: read one with genesis.Load")
	}
	if !c.Genesis.AdmitsKey(c.Key.Public()) {
		return fmt.Errorf("peer %s is not among those that the genesis of %s admits, and none of them would talk to it: ask whoever makes the network to list it, or take the identity that is listed",
			genesis.PeerID(c.Key.Public()), c.Genesis.ChainID)
	}
	if err := api.CheckHosts(c.APIHosts); err != nil {
		return err
	}
	if c.API != "" {
		if err := api.CheckListen(c.API, c.APIPublic); err != nil {
			return err
		}
	}
	return c.Protocol.Fresh.Validate()
}
